"""The first application, end to end: the walkthrough's points, typed as a user types them."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections import Counter
from ipaddress import ip_address, ip_network

import pytest

from tests.e2e.machine import KUBIA, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
_CONNECTIONS = 3000


@pytest.fixture(scope="module")
def kubia(machine):
    """The example as a ReplicationController with three pods behind a load balancer."""
    machine.kubectl("run", "kubia", f"--image={KUBIA}", "--port=8080", "--generator=run/v1")
    machine.kubectl("expose", "rc", "kubia", "--type=LoadBalancer", "--name", "kubia-http")
    machine.kubectl("scale", "rc", "kubia", "--replicas=3")
    until(lambda: len(machine.ready_pods("run=kubia")) == 3, "three ready pods", seconds=60)
    yield machine
    machine.kubectl("delete", "service", "kubia-http")
    machine.kubectl("delete", "rc", "kubia")
    until(lambda: not machine.get("pods", "-l", "run=kubia")["items"], "the pods to end", seconds=60)


def external_address(machine) -> str:
    service = machine.get("service", "kubia-http")
    return service["status"]["loadBalancer"]["ingress"][0]["ip"]


def test_run_with_the_historic_generator_makes_a_replication_controller(kubia):
    controller = kubia.get("rc", "kubia")
    assert controller["spec"]["selector"] == {"run": "kubia"}
    assert controller["spec"]["template"]["spec"]["containers"][0]["image"] == KUBIA


def test_pods_show_address_node_and_image(kubia):
    pod = kubia.ready_pods("run=kubia")[0]
    status = pod["status"]["containerStatuses"][0]
    assert ip_address(pod["status"]["podIP"]) in ip_network(kubia.config["cluster_cidr"])
    assert status["containerID"].startswith("containerd://")
    # one image may have been pushed under several names; containerd tells one of them
    assert re.fullmatch(r"[\w.:/-]+@sha256:[0-9a-f]{64}", status["imageID"])
    assert pod["spec"]["nodeName"] == "n1"


def test_service_shows_its_addresses(kubia):
    lines = kubia.kubectl("get", "svc", "kubia-http").splitlines()
    assert lines[0].split() == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]
    name, kind, cluster_ip, external_ip, ports, _ = lines[1].split()
    assert (name, kind) == ("kubia-http", "LoadBalancer")
    assert ip_address(cluster_ip) in ip_network(kubia.config["service_cidr"])
    assert external_ip == external_address(kubia)
    assert re.fullmatch(r"8080:3\d{4}/TCP", ports)


def test_service_answers_on_every_address(kubia):
    service = kubia.get("service", "kubia-http")
    node_port = service["spec"]["ports"][0]["nodePort"]
    for address in (f"{external_address(kubia)}:8080", f"{service['spec']['clusterIP']}:8080",
                    f"127.0.0.1:{node_port}", f"{kubia.host.address}:{node_port}"):  # fmt: skip
        assert kubia.curl(f"http://{address}").startswith("You've hit kubia-"), address


def test_external_address_answers_other_machines_on_the_same_network(kubia, lan):
    other = lan.host("c1")
    address = external_address(kubia)
    other.run("ip", "route", "add", f"{address}/32", "dev", "eth0")
    answer = until(
        lambda: other.run("curl", "-s", "-m", "2", f"http://{address}:8080", check=False).stdout,
        "an answer from the LAN",
    )
    assert answer.startswith("You've hit kubia-")


def test_no_route_leads_to_pods_from_outside(kubia, lan):
    other = lan.host("c2")
    pod = kubia.ready_pods("run=kubia")[0]
    result = other.run("curl", "-s", "-m", "1", f"http://{pod['status']['podIP']}:8080", check=False)
    assert result.returncode != 0


def test_connections_are_spread_at_random(kubia):
    """A chi-squared test over 3 000 connections: three pods, two degrees of freedom, p = 0.0001 at 18.42."""
    address = external_address(kubia)
    script = f"for i in $(seq {_CONNECTIONS // 50}); do curl -s --no-keepalive " + " ".join(
        f"-H 'Connection: close' http://{address}:8080 --next" for _ in range(49)
    ) + f" http://{address}:8080; done"  # fmt: skip
    hits = Counter(kubia.run("sh", "-c", script, timeout=200).stdout.split("\n"))
    del hits[""]
    assert len(hits) == 3
    total = sum(hits.values())
    assert total >= _CONNECTIONS
    expected = total / 3
    chi_squared = sum((count - expected) ** 2 / expected for count in hits.values())
    assert chi_squared < 18.42, hits


def test_deleted_pod_is_replaced_and_the_service_address_stays(kubia):
    before = external_address(kubia)
    victim = kubia.ready_pods("run=kubia")[0]["metadata"]["name"]
    kubia.kubectl("delete", "pod", victim)
    pods = until(lambda: len(found := kubia.ready_pods("run=kubia")) == 3 and found, "the replacement")
    assert victim not in {pod["metadata"]["name"] for pod in pods}
    assert external_address(kubia) == before


def test_extra_pod_that_matches_the_selector_is_removed(kubia):
    kubia.kubectl("run", "extra", f"--image={KUBIA}", "--labels=run=kubia")
    until(lambda: not any(p["metadata"]["name"] == "extra" for p in kubia.get("pods")["items"]), "the extra pod to go")
    assert len(kubia.ready_pods("run=kubia")) == 3


def container_pid(machine, pod: str) -> int:
    """The host's pid of a pod's first process: the one whose root holds the pod's hostname."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                arguments = file.read()
            with open(f"/proc/{entry}/root/etc/hostname") as file:
                hostname = file.read().strip()
        except OSError:
            continue
        if b"/bin/kubia" in arguments and hostname == pod:
            return int(entry)
    raise AssertionError(f"no process of {pod}")


def test_killed_container_is_restarted_and_its_endpoint_is_gone_meanwhile(kubia):
    pod = kubia.ready_pods("run=kubia")[0]
    name, address = pod["metadata"]["name"], pod["status"]["podIP"]
    os.kill(container_pid(kubia, name), signal.SIGKILL)

    def restarted():
        status = kubia.get("pod", name)["status"]["containerStatuses"][0]
        return status["restartCount"] >= 1 and status["ready"] and status

    status = until(restarted, "the restart")
    assert status["lastState"]["terminated"]["exitCode"] == 137
    assert kubia.get("pod", name)["status"]["podIP"] == address


STEADY = f"""
apiVersion: v1
kind: ReplicationController
metadata: {{name: steady}}
spec:
  replicas: 3
  selector: {{run: steady}}
  template:
    metadata: {{labels: {{run: steady}}}}
    spec:
      containers:
      - name: web
        image: "{KUBIA}"
        readinessProbe: {{httpGet: {{port: 8080, path: /}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: steady}}
spec:
  selector: {{run: steady}}
  ports: [{{port: 8080}}]
"""
"""With a readiness probe: without one a new pod counts as ready before its server listens, here as everywhere."""


@pytest.fixture
def steady(machine):
    machine.kubectl("create", "-f", "-", stdin=STEADY)
    until(lambda: len(machine.ready_pods("run=steady")) == 3, "three ready pods", seconds=60)
    yield machine.get("service", "steady")["spec"]["clusterIP"]
    machine.kubectl("delete", "rc/steady", "service/steady")
    until(lambda: not machine.get("pods", "-l", "run=steady")["items"], "the pods to end", seconds=60)


def test_no_request_is_lost_while_pods_are_deleted_and_scaled(machine, steady):
    failures, answers, stop = [], [], threading.Event()

    def load():
        while not stop.is_set():
            result = machine.run("curl", "-s", "-m", "5", f"http://{steady}:8080", check=False)
            (answers if result.stdout.startswith("You've hit") else failures).append(result.returncode)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        machine.kubectl("scale", "rc", "steady", "--replicas=1")
        until(lambda: len(machine.get("pods", "-l", "run=steady")["items"]) == 1, "one pod to be left", seconds=60)
        machine.kubectl("scale", "rc", "steady", "--replicas=3")
        until(lambda: len(machine.ready_pods("run=steady")) == 3, "three pods again", seconds=60)
        machine.kubectl("delete", "pod", machine.ready_pods("run=steady")[0]["metadata"]["name"])
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert len(answers) > 20


PAIR = f"""
apiVersion: v1
kind: Pod
metadata: {{name: pair}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {{name: web, image: "{KUBIA}"}}
  - name: side
    image: "{KUBIA}"
    command: [/bin/busybox, sleep, "1000"]
"""


def test_containers_of_a_pod_share_network_and_hostname_but_not_processes(machine):
    machine.kubectl("create", "-f", "-", stdin=PAIR)
    try:
        until(lambda: machine.kubectl("get", "pod", "pair").split()[6] == "2/2", "both containers")
        over_localhost = machine.kubectl(
            "exec", "pair", "-c", "side", "--", "/bin/busybox", "wget", "-qO-", "127.0.0.1:8080"
        )
        assert over_localhost == "You've hit pair\n"
        processes = machine.kubectl("exec", "pair", "-c", "side", "--", "/bin/busybox", "ps")
        assert "httpd" not in processes
        assert "sleep" in processes
        links = [
            machine.kubectl("exec", "pair", "-c", name, "--", "/bin/busybox", "readlink", f"/proc/self/ns/{kind}")
            for kind in ("net", "ipc", "uts")
            for name in ("web", "side")
        ]
        assert links[0] == links[1]
        assert links[2] == links[3]
        assert links[4] == links[5]
    finally:
        machine.kubectl("delete", "pod", "pair")


def test_second_up_says_that_the_cluster_runs(machine):
    assert "already runs here" in machine.up()


def test_status_shows_processes_and_node(machine):
    shown = machine.sampan("status")
    for process in ("supervisor", "server", "registry", "node-registry", "agent", "containerd"):
        assert re.search(rf"{process} +running", shown), shown
    assert re.search(r"n1 +Ready", shown)


@pytest.mark.parametrize("process", ["server", "agent", "containerd", "registry"])
def test_killed_process_comes_back_and_no_container_restarts(kubia, process):
    before = {pod["metadata"]["name"]: pod["status"]["containerStatuses"] for pod in kubia.ready_pods("run=kubia")}
    pid = kubia.record(process)["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: kubia.record(process)["pid"] != pid, f"{process} to be started again")
    until(lambda: kubia.sampan("status", check=False).count("running") == 6, "all processes to run")
    until(lambda: len(kubia.ready_pods("run=kubia")) == 3, "three ready pods")
    after = {pod["metadata"]["name"]: pod["status"]["containerStatuses"] for pod in kubia.ready_pods("run=kubia")}
    assert {name: one[0]["containerID"] for name, one in after.items()} == {
        name: one[0]["containerID"] for name, one in before.items()
    }
    address = external_address(kubia)
    until(lambda: kubia.curl(f"http://{address}:8080").startswith("You've hit"), "the service to answer")


def test_killed_supervisor_leaves_a_working_cluster_that_up_takes_over(kubia):
    pids = {name: kubia.record(name)["pid"] for name in ("server", "agent", "registry")}
    os.kill(kubia.record("supervisor")["pid"], signal.SIGKILL)
    assert kubia.curl(f"http://{external_address(kubia)}:8080").startswith("You've hit")
    assert "ok" in kubia.up()
    assert {name: kubia.record(name)["pid"] for name in pids} == pids


def test_down_leaves_nothing_and_up_brings_every_object_back(kubia):
    address = external_address(kubia)
    kubia.down()
    assert not [line for line in kubia.host.run("ip", "-br", "link").stdout.splitlines() if line.startswith("sm")]
    assert "sampan" not in kubia.host.run("nft", "list", "tables").stdout
    began = time.monotonic()
    kubia.up()
    assert time.monotonic() - began < 30
    until(lambda: len(kubia.ready_pods("run=kubia")) == 3, "the pods to run again", seconds=60)
    assert external_address(kubia) == address
    until(lambda: kubia.curl(f"http://{address}:8080").startswith("You've hit"), "the service to answer again")
