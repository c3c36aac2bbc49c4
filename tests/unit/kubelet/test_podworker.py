from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from sampan.kubelet.podworkers import PodWorkers
from sampan.kubelet.runtime import ContainerState, RuntimeEvent, RuntimeEventType, RuntimeFault
from tests.unit.kubelet.fakes import make_pod

if TYPE_CHECKING:
    from tests.unit.kubelet.fakes import FakeNode


async def test_pod_becomes_ready_with_its_address(node: FakeNode) -> None:
    await node.post(make_pod())
    status = node.api.pods["p"]["status"]
    assert status["phase"] == "Running"
    assert status["podIP"] == "10.0.0.1"
    assert node.api.condition("p", "Ready") == "True"
    assert node.api.container("p")["started"] is True
    assert node.recorder.reasons == ["Pulled", "Created", "Started"]


async def test_container_that_dies_is_unready_at_once_and_restarted(node: FakeNode) -> None:
    await node.post(make_pod())
    node.runtime.exit(node.runtime.newest("c"), 1)
    await node.settle()
    status = node.api.container("p")
    assert status["restartCount"] == 1
    assert status["lastState"]["terminated"]["exitCode"] == 1
    assert status["ready"] is True


async def test_second_crash_waits_for_ten_seconds_then_twenty(node: FakeNode) -> None:
    await node.post(make_pod())
    for delay in (10, 20):
        node.runtime.exit(node.runtime.newest("c"), 1)
        if delay == 10:
            await node.settle()
            node.runtime.exit(node.runtime.newest("c"), 1)
        await node.settle()
        waiting = node.api.container("p")["state"]["waiting"]
        assert waiting["reason"] == "CrashLoopBackOff"
        assert waiting["message"] == f"back-off {delay}s restarting failed container=c pod=p_default(uid-p)"
        restarts = node.api.container("p")["restartCount"]
        await node.advance(delay - 1)
        assert node.api.container("p")["restartCount"] == restarts
        await node.advance(1.5)
        assert node.api.container("p")["restartCount"] == restarts + 1
    assert "BackOff" in node.recorder.reasons


async def test_pod_that_never_restarts_succeeds_and_its_sandbox_is_stopped(node: FakeNode) -> None:
    await node.post(make_pod(restartPolicy="Never"))
    node.runtime.exit(node.runtime.newest("c"), 0)
    await node.settle()
    assert node.api.pods["p"]["status"]["phase"] == "Succeeded"
    assert node.api.pods["p"]["status"]["podIP"] == "10.0.0.1"
    assert ("stop_sandbox", "s1") in node.runtime.calls
    assert not node.runtime.sandboxes["s1"].ready


async def test_failed_container_of_on_failure_pod_is_restarted_and_success_ends_it(node: FakeNode) -> None:
    await node.post(make_pod(restartPolicy="OnFailure"))
    node.runtime.exit(node.runtime.newest("c"), 2)
    await node.settle()
    assert node.api.container("p")["restartCount"] == 1
    node.runtime.exit(node.runtime.newest("c"), 0)
    await node.settle()
    assert node.api.pods["p"]["status"]["phase"] == "Succeeded"


async def test_init_containers_run_one_after_the_other_before_the_rest(node: FakeNode) -> None:
    init = [{"name": f"i{n}", "image": "example/app:1"} for n in (1, 2)]
    await node.post(make_pod(initContainers=init))
    assert [c for c in node.runtime.calls if c[0] == "start"] == [("start", "i1")]
    assert node.api.condition("p", "Initialized") == "False"
    assert node.api.container("p")["state"] == {"waiting": {"reason": "PodInitializing"}}
    node.runtime.exit(node.runtime.newest("i1"), 0)
    await node.settle()
    node.runtime.exit(node.runtime.newest("i2"), 0)
    await node.settle()
    assert [c[1] for c in node.runtime.calls if c[0] == "start"] == ["i1", "i2", "c"]
    assert node.api.condition("p", "Initialized") == "True"
    assert node.api.condition("p", "Ready") == "True"


async def test_failed_init_container_of_a_pod_that_never_restarts_fails_the_pod(node: FakeNode) -> None:
    await node.post(make_pod(initContainers=[{"name": "i", "image": "example/app:1"}], restartPolicy="Never"))
    node.runtime.exit(node.runtime.newest("i"), 1)
    await node.settle()
    assert node.api.pods["p"]["status"]["phase"] == "Failed"
    assert ("start", "c") not in node.runtime.calls


async def test_sidecar_starts_before_and_ends_after_the_regular_containers(node: FakeNode) -> None:
    side = {"name": "side", "image": "example/app:1", "restartPolicy": "Always"}
    await node.post(make_pod(initContainers=[side], restartPolicy="Never"))
    assert [c[1] for c in node.runtime.calls if c[0] == "start"] == ["side", "c"]
    node.runtime.exit(node.runtime.newest("c"), 0)
    await node.settle()
    assert ("stop", "side", 30) in node.runtime.calls
    assert node.api.pods["p"]["status"]["phase"] == "Succeeded"


async def test_deleted_pod_ends_before_the_api_object_goes(node: FakeNode) -> None:
    await node.post(make_pod())
    await node.delete("p")
    assert ("stop", "c", 30) in node.runtime.calls
    assert node.api.deleted == ["p"]
    assert node.api.container("p")["state"]["terminated"]["exitCode"] == 143
    assert not node.runtime.sandboxes
    assert ("Normal", "Killing", "Stopping container c") in node.recorder.events


async def test_pod_deleted_while_its_image_cannot_be_pulled_ends_at_once(node: FakeNode) -> None:
    node.runtime.pull_error = RuntimeFault("no such image", code="NotFound")
    pod = make_pod()
    pod["spec"]["containers"][0]["image"] = "example/absent:1"
    await node.post(pod)
    await node.delete("p")
    assert node.api.deleted == ["p"]


async def test_image_that_cannot_be_pulled_backs_off(node: FakeNode) -> None:
    node.runtime.pull_error = RuntimeFault("no such image", code="NotFound")
    pod = make_pod()
    pod["spec"]["containers"][0]["image"] = "example/absent:1"
    await node.post(pod)
    waiting = node.api.container("p")["state"]["waiting"]
    assert waiting == {"reason": "ErrImagePull", "message": "rpc error: code = NotFound desc = no such image"}
    assert ("Warning", "Failed", "Error: ErrImagePull") in node.recorder.events
    await node.workers.find("default", "p")._pass()
    await node.settle()
    waiting = node.api.container("p")["state"]["waiting"]
    assert waiting["reason"] == "ImagePullBackOff"
    assert waiting["message"].startswith('Back-off pulling image "example/absent:1": ErrImagePull: rpc error')
    node.runtime.pull_error = None
    await node.advance(11)
    assert node.api.condition("p", "Ready") == "True"


async def test_absent_image_with_policy_never_says_so(node: FakeNode) -> None:
    pod = make_pod()
    pod["spec"]["containers"][0] |= {"image": "example/absent:1", "imagePullPolicy": "Never"}
    await node.post(pod)
    waiting = node.api.container("p")["state"]["waiting"]
    assert waiting["reason"] == "ErrImageNeverPull"
    assert waiting["message"] == 'Container image "example/absent:1" is not present with pull policy of Never'


async def test_missing_config_map_is_a_config_error_until_it_appears(node: FakeNode) -> None:
    pod = make_pod()
    reference = {"configMapKeyRef": {"name": "cm", "key": "k"}}
    pod["spec"]["containers"][0]["env"] = [{"name": "A", "valueFrom": reference}]
    await node.post(pod)
    waiting = node.api.container("p")["state"]["waiting"]
    assert waiting == {"reason": "CreateContainerConfigError", "message": 'configmap "cm" not found'}
    node.objects.config_maps["cm"] = {"data": {"k": "v"}}
    node.workers.wake_users("default")
    await node.settle()
    assert node.api.condition("p", "Ready") == "True"
    assert ("A", "v") in node.runtime.containers[node.runtime.newest("c")].spec.envs


async def test_running_containers_are_adopted_and_nothing_restarts(node: FakeNode) -> None:
    await node.post(make_pod())
    before = copy.deepcopy(node.api.pods["p"])
    calls = len(node.runtime.calls)
    successor = PodWorkers(node.services, node.group)
    await successor.relist()
    successor.set_pod(copy.deepcopy(before))
    await node.settle()
    assert node.runtime.calls[calls:] == []
    assert node.api.pods["p"] == before
    for worker in successor.all():
        worker.remove()


async def test_pods_that_the_api_does_not_have_are_ended(node: FakeNode) -> None:
    await node.post(make_pod())
    successor = PodWorkers(node.services, node.group)
    await successor.relist()
    await successor.remove_orphans(set())
    assert not node.runtime.sandboxes


async def test_exit_told_before_the_start_returned_is_not_lost(node: FakeNode) -> None:
    start = node.runtime.start_container

    async def start_and_die(container_id: str) -> None:
        await start(container_id)
        node.runtime.exit(container_id, 7)
        node.workers.handle(node.runtime.queue.get_nowait())

    node.runtime.start_container = start_and_die  # type: ignore[method-assign]
    await node.post(make_pod(restartPolicy="Never"))
    assert node.api.pods["p"]["status"]["phase"] == "Failed"
    assert node.api.container("p")["state"]["terminated"]["exitCode"] == 7


async def test_out_of_memory_is_the_reason_of_the_end(node: FakeNode) -> None:
    await node.post(make_pod(restartPolicy="Never"))
    container_id = node.runtime.newest("c")
    node.workers.handle(RuntimeEvent(type=RuntimeEventType.OOM, container_id=container_id))
    node.runtime.exit(container_id, 137)
    await node.settle()
    assert node.api.container("p")["state"]["terminated"]["reason"] == "OOMKilled"


async def test_active_deadline_fails_the_pod(node: FakeNode) -> None:
    await node.post(make_pod(activeDeadlineSeconds=5))
    await node.advance(6)
    status = node.api.pods["p"]["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")
    assert node.runtime.containers[node.runtime.newest("c")].state is ContainerState.EXITED


async def test_failed_liveness_probe_restarts_the_container(node: FakeNode) -> None:
    probe = {"exec": {"command": ["check"]}, "periodSeconds": 1, "failureThreshold": 2}
    pod = make_pod()
    pod["spec"]["containers"][0]["livenessProbe"] = probe
    node.runtime.exec_results = [(b"", b"broken", 1)] * 2
    await node.post(pod)
    await node.advance(1.5)
    assert node.api.container("p")["restartCount"] == 1
    assert ("Warning", "Unhealthy", "Liveness probe failed: broken") in node.recorder.events
    killing = ("Normal", "Killing", "Container c failed liveness probe, will be restarted")
    assert killing in node.recorder.events


async def test_readiness_follows_its_probe(node: FakeNode) -> None:
    probe = {"exec": {"command": ["check"]}, "periodSeconds": 1, "failureThreshold": 1}
    pod = make_pod()
    pod["spec"]["containers"][0]["readinessProbe"] = probe
    node.runtime.exec_results = [(b"", b"", 1), (b"", b"", 0), (b"", b"", 1)]
    await node.post(pod)
    seen = [node.api.condition("p", "Ready")]
    for _ in range(2):
        await node.advance(1)
        seen.append(node.api.condition("p", "Ready"))
    assert seen == ["False", "True", "False"]


async def test_startup_probe_holds_the_others_back(node: FakeNode) -> None:
    pod = make_pod()
    pod["spec"]["containers"][0] |= {
        "startupProbe": {"exec": {"command": ["start"]}, "periodSeconds": 1},
        "readinessProbe": {"exec": {"command": ["ready"]}, "periodSeconds": 1},
    }
    node.runtime.exec_results = [(b"", b"", 1), (b"", b"", 0), (b"", b"", 0)]
    await node.post(pod)
    assert node.api.container("p")["started"] is False
    await node.advance(1)
    commands = [call[2] for call in node.runtime.calls if call[0] == "exec"]
    assert commands[:3] == [("start",), ("start",), ("ready",)]
    assert node.api.container("p")["ready"] is True


async def test_pre_stop_hook_takes_its_time_from_the_grace_period(node: FakeNode) -> None:
    pod = make_pod(terminationGracePeriodSeconds=10)
    pod["spec"]["containers"][0]["lifecycle"] = {"preStop": {"sleep": {"seconds": 4}}}
    await node.post(pod)
    await node.delete("p", grace=10)
    assert not [c for c in node.runtime.calls if c[0] == "stop"]
    await node.advance(4)
    assert ("stop", "c", 6) in node.runtime.calls


async def test_failed_post_start_hook_kills_the_container(node: FakeNode) -> None:
    pod = make_pod()
    pod["spec"]["containers"][0]["lifecycle"] = {"postStart": {"exec": {"command": ["x"]}}}
    node.runtime.exec_results = [(b"", b"", 1)]
    await node.post(pod)
    assert ("Warning", "FailedPostStartHook", "PostStartHook failed") in node.recorder.events
    assert ("stop", "c", 30) in node.runtime.calls


async def test_changed_image_restarts_the_container(node: FakeNode) -> None:
    await node.post(make_pod())
    node.runtime.add_image("example/app:2")
    pod = copy.deepcopy(node.api.pods["p"])
    pod["spec"]["containers"][0]["image"] = "example/app:2"
    node.workers.set_pod(pod)
    await node.settle()
    assert node.api.container("p")["image"] == "example/app:2"
    assert ("Normal", "Killing", "Container c definition changed, will be restarted") in node.recorder.events


async def test_changed_limits_reach_the_running_container(node: FakeNode) -> None:
    await node.post(make_pod())
    pod = copy.deepcopy(node.api.pods["p"])
    pod["spec"]["containers"][0]["resources"] = {"limits": {"memory": "64Mi"}}
    node.workers.set_pod(pod)
    await node.settle()
    assert ("update", node.runtime.newest("c"), 64 << 20) in node.runtime.calls
    assert node.api.container("p")["restartCount"] == 0


async def test_ready_condition_that_somebody_else_took_away_is_restored(node: FakeNode) -> None:
    await node.post(make_pod())
    stored = node.api.pods["p"]
    next(c for c in stored["status"]["conditions"] if c["type"] == "Ready")["status"] = "False"
    stored["metadata"]["resourceVersion"] = "1000"
    node.workers.set_pod(copy.deepcopy(stored))
    await node.settle()
    assert node.api.condition("p", "Ready") == "True"


@pytest.mark.parametrize("gate_status", ["True", "False"])
async def test_readiness_gate_decides_on_ready_only(node: FakeNode, gate_status: str) -> None:
    pod = make_pod(readinessGates=[{"conditionType": "example.com/lb"}])
    pod["status"]["conditions"] = [{"type": "example.com/lb", "status": gate_status}]
    await node.post(pod)
    assert node.api.condition("p", "ContainersReady") == "True"
    assert node.api.condition("p", "Ready") == gate_status


async def test_post_start_hook_that_hangs_does_not_keep_a_pod_from_ending(node: FakeNode) -> None:
    pod = make_pod()
    pod["spec"]["containers"][0]["lifecycle"] = {"postStart": {"sleep": {"seconds": 100_000}}}
    await node.post(pod)
    await node.delete("p", grace=5)
    assert node.api.deleted == ["p"]


async def test_shorter_grace_period_is_honoured_while_the_pod_ends(node: FakeNode) -> None:
    stopped: list[int] = []

    async def stop(container_id: str, *, seconds: int) -> None:
        stopped.append(seconds)
        await node.clock.sleep(seconds)
        if node.runtime.containers[container_id].state is ContainerState.RUNNING:
            node.runtime.exit(container_id, 137)

    node.runtime.stop_container = stop  # type: ignore[method-assign]
    await node.post(make_pod())
    await node.delete("p", grace=30)
    await node.delete("p", grace=3)
    await node.advance(4)
    assert stopped == [30, 3]
    assert node.runtime.containers[node.runtime.newest("c")].state is ContainerState.EXITED


async def test_sandbox_whose_creation_was_not_answered_is_found_and_used(node: FakeNode) -> None:
    run = node.runtime.run_sandbox
    answers = iter([True])

    async def run_unanswered(spec: Any) -> str:
        sandbox_id = await run(spec)
        if next(answers, False):
            raise RuntimeFault("connection lost", code="Unavailable")
        return sandbox_id

    node.runtime.run_sandbox = run_unanswered  # type: ignore[method-assign]
    await node.post(make_pod())
    assert node.recorder.events[0][:2] == ("Warning", "FailedCreatePodSandBox")
    await node.workers.relist()
    await node.settle()
    assert node.api.condition("p", "Ready") == "True"
    assert [call for call in node.runtime.calls if call[0] == "run_sandbox"] == [("run_sandbox", "p")]


async def test_ephemeral_container_is_started_beside_the_others(node: FakeNode) -> None:
    await node.post(make_pod())
    pod = copy.deepcopy(node.api.pods["p"])
    pod["spec"]["ephemeralContainers"] = [{"name": "debug", "image": "example/app:1", "targetContainerName": "c"}]
    node.workers.set_pod(pod)
    await node.settle()
    status = node.api.pods["p"]["status"]["ephemeralContainerStatuses"][0]
    assert "running" in status["state"]
    assert (status["ready"], "started" in status) == (False, False)
    security = node.runtime.containers[node.runtime.newest("debug")].spec.security
    assert security.namespaces.target_id == node.runtime.newest("c")


async def test_pod_that_does_not_fit_is_refused(node: FakeNode) -> None:
    first = make_pod("first")
    first["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1500m"}}
    await node.post(first)
    second = make_pod("second")
    second["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1"}}
    await node.post(second)
    status = node.api.pods["second"]["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "OutOfcpu")
    text = "Node didn't have enough resource: cpu, requested: 1000, used: 1500, capacity: 2000"
    assert status["message"] == f"Pod was rejected: {text}"
    assert ("Warning", "OutOfcpu", text) in node.recorder.events
    assert ("run_sandbox", "second") not in node.runtime.calls


async def test_pod_whose_host_port_is_taken_is_refused(node: FakeNode) -> None:
    for name in ("first", "second"):
        pod = make_pod(name)
        pod["spec"]["containers"][0]["ports"] = [{"containerPort": 80, "hostPort": 8080}]
        await node.post(pod)
    assert node.api.condition("first", "Ready") == "True"
    status = node.api.pods["second"]["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "NodePorts")


async def test_runtime_class_decides_on_the_handler(node: FakeNode) -> None:
    await node.post(make_pod("good", runtimeClassName="known"))
    assert next(iter(node.runtime.sandboxes.values())).spec.runtime_handler == "handler"
    await node.post(make_pod("bad", runtimeClassName="unknown"))
    assert node.api.pods["bad"]["status"]["phase"] == "Pending"
    assert any('runtimeclass.node.k8s.io "unknown" not found' in message for _, _, message in node.recorder.events)
