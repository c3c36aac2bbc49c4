"""Simulated pods: what time does to them, by their annotations, and the status they show."""

from pathlib import Path

import pytest

from sampan.kubelet.simulated.addresses import Addresses
from sampan.kubelet.simulated.behaviour import Behaviours
from sampan.kubelet.simulated.options import SimulatedOptions
from sampan.kubelet.simulated.pod import SimulatedPod, State

NOW = 1_700_000_000.0


def make(*, owner="ReplicaSet", policy="Always", status=None, deletion=None, **annotations):
    metadata = {
        "name": "p",
        "namespace": "default",
        "uid": "u",
        "generation": 1,
        "annotations": {f"simulated.sampan.io/{key.replace('_', '-')}": value for key, value in annotations.items()},
        "ownerReferences": [{"kind": owner, "name": "o", "uid": "o", "controller": True}],
        **(deletion or {}),
    }
    spec = {
        "nodeName": "simulated-0",
        "restartPolicy": policy,
        "initContainers": [{"name": "i", "image": "init"}],
        "containers": [{"name": "c", "image": "web"}],
    }
    pod = {"metadata": metadata, "spec": spec, "status": status or {}}
    behaviour = Behaviours(SimulatedOptions(nodes=1, pki_dir=Path("unused"))).of(pod)
    return SimulatedPod(pod, behaviour, ip="100.64.0.2", host_ip="127.0.0.1", now=NOW)


def ready(pod):
    return next(one["status"] for one in pod.status()["conditions"] if one["type"] == "Ready")


def test_without_delays_one_write_makes_a_pod_ready_and_keeps_others_conditions():
    scheduled = {"type": "PodScheduled", "status": "True"}
    pod = make(status={"conditions": [scheduled]})
    assert pod.advance(NOW) == (True, None)
    status = pod.status()
    assert status["phase"] == "Running"
    assert ready(pod) == "True"
    assert scheduled in status["conditions"]
    assert status["podIP"] == "100.64.0.2"
    assert status["containerStatuses"][0]["state"] == {"running": {"startedAt": "2023-11-14T22:13:20Z"}}
    assert status["initContainerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
    assert pod.advance(NOW + 100) == (False, None)


def test_delays_come_one_after_the_other():
    pod = make(start_delay="2s", ready_delay="3s")
    assert pod.advance(NOW) == (False, NOW + 2)
    assert pod.advance(NOW + 2) == (True, NOW + 5)
    assert ready(pod) == "False"
    assert pod.advance(NOW + 5) == (True, None)
    assert ready(pod) == "True"


def test_never_ready():
    pod = make(ready="false")
    assert pod.advance(NOW) == (True, None)
    condition = next(one for one in pod.status()["conditions"] if one["type"] == "Ready")
    assert (condition["status"], condition["reason"]) == ("False", "ContainersNotReady")
    assert condition["message"] == "containers with unready status: [c]"


def test_pods_of_jobs_succeed():
    pod = make(owner="Job", policy="Never")
    assert pod.advance(NOW) == (True, NOW + 1)
    assert pod.advance(NOW + 1) == (True, None)
    status = pod.status()
    assert status["phase"] == "Succeeded"
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    assert next(one for one in status["conditions"] if one["type"] == "Ready")["reason"] == "PodCompleted"


def test_exit_code_and_policy_decide_about_the_end():
    failed = make(policy="Never", run_for="1s", exit_code="3")
    failed.advance(NOW)
    failed.advance(NOW + 1)
    assert failed.status()["phase"] == "Failed"
    assert failed.status()["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
    well = make(policy="OnFailure", run_for="1s")
    well.advance(NOW)
    well.advance(NOW + 1)
    assert well.state is State.DONE


def test_crashing_containers_back_off_and_then_stay():
    pod = make(run_for="1s", exit_code="1", crashes="2")
    assert pod.advance(NOW) == (True, NOW + 1)
    assert pod.advance(NOW + 1) == (True, NOW + 2)  # the first restart is immediate
    assert pod.restarts == 1
    assert pod.advance(NOW + 2) == (True, NOW + 12)
    waiting = pod.status()["containerStatuses"][0]
    assert waiting["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert waiting["restartCount"] == 1
    assert pod.advance(NOW + 12) == (True, None)
    assert (pod.state, pod.restarts, pod.ready) == (State.RUNNING, 2, True)


def test_deletion_takes_its_time_but_no_longer_than_the_grace_period():
    stamp = {"deletionTimestamp": "2023-11-14T22:13:50Z", "deletionGracePeriodSeconds": 30}
    assert make(deletion=stamp).deletion_due == NOW
    assert make(deletion=stamp, delete_delay="5s").deletion_due == NOW + 5
    assert make(deletion=stamp, delete_delay="1h").deletion_due == NOW + 30


def test_running_pods_are_taken_over():
    running = {"running": {"startedAt": "2023-11-14T22:00:00Z"}}
    status = {
        "phase": "Running",
        "podIP": "100.64.0.9",
        "startTime": "2023-11-14T21:00:00Z",
        "containerStatuses": [{"ready": True, "restartCount": 2, "state": running}],
    }
    pod = make(status=status)
    assert pod.advance(NOW) == (False, None)
    assert (pod.ip, pod.restarts) == ("100.64.0.9", 2)
    assert make(status={"phase": "Succeeded"}).advance(NOW) == (False, None)


@pytest.mark.parametrize("text", ["soon", "", "1"])
def test_unreadable_annotations_count_as_not_set(text):
    pod = make(start_delay=text, exit_code="x", crashes=text or "-1")
    assert pod.behaviour.start_delay == 0.0
    assert pod.behaviour.exit_code == 0


def test_addresses_are_given_back():
    addresses = Addresses(["a", "b"], "127.0.0.1")
    assert addresses.cidr("b") == "100.64.1.0/24"
    assert [addresses.take("b", uid) for uid in "xyz"] == ["100.64.1.2", "100.64.1.3", "100.64.1.4"]
    addresses.give_back("b", "y")
    assert addresses.take("b", "w") == "100.64.1.3"
    assert "c" not in addresses
