"""A second machine joins: token with the CA's hash, certificates by CSR, pods across nodes, and its death."""

from __future__ import annotations

import json
import signal
import stat

import pytest

from tests.e2e.hosts import leftovers
from tests.e2e.machine import KUBIA, SAMPAN, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


class Node:
    """An agent on a host of its own."""

    def __init__(self, machine, host, folder):
        self.machine, self.host, self.data_dir = machine, host, folder / "agent"
        self.token_file, self.log = folder / "token", folder / "agent.log"
        self.process = None

    def start(self, *, token: str):
        self.token_file.touch(mode=0o600)
        self.token_file.write_text(token)
        arguments = (
            f"--server=https://{self.machine.host.address}:6443", f"--token-file={self.token_file}", "--node-name=n2",
            f"--data-dir={self.data_dir}",
        )  # fmt: skip
        with self.log.open("a") as log:
            environment = {"PYTHONPATH": self.machine.environment["PYTHONPATH"]}
            self.process = self.host.popen(*SAMPAN, "agent", *arguments, env=environment, stdout=log, stderr=log)

    def kill(self):
        """As a power cut: the agent and what it started, at once."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def remove(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
        self.host.run(*SAMPAN, "down", "--purge", f"--data-dir={self.data_dir}",
                      env={"PYTHONPATH": self.machine.environment["PYTHONPATH"]}, check=False)  # fmt: skip


@pytest.fixture(scope="module")
def node(machine, lan, tmp_path_factory):
    """A second node; it pulls the example image from the first one's registry, with its certificate."""
    folder = tmp_path_factory.mktemp("n2")
    second = Node(machine, lan.host("b"), folder)
    try:
        second.start(token=machine.sampan("token", "create", "--description", "n2"))
        until(lambda: "n2" in node_states(machine) and node_states(machine)["n2"] == "Ready", "n2 to be ready")
        yield second
    finally:
        second.remove()
        machine.kubectl("delete", "node", "n2", check=False)
    assert leftovers(str(folder)) == []


def node_states(machine) -> dict[str, str]:
    lines = machine.kubectl("get", "nodes", "--no-headers").splitlines()
    return {line.split()[0]: line.split()[1] for line in lines}


def run_on(machine, name: str, node_name: str) -> dict:
    """Run the example on a given node and return the pod when it is ready."""
    overrides = f'{{"spec": {{"nodeName": "{node_name}"}}}}'
    machine.kubectl("run", name, f"--image={KUBIA}", "--image-pull-policy=IfNotPresent", f"--overrides={overrides}")
    return until(lambda: (found := machine.ready_pods(f"run={name}")) and found[0], f"{name} to be ready")


def test_token_carries_the_authority_and_secrets_stay_private(machine, node):
    assert "@sha256:" in node.token_file.read_text()
    for key in (node.data_dir / "pki").glob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    listed = machine.sampan("token", "list")
    assert "n2" in listed
    assert node.token_file.read_text().split("@")[0].split(".")[1] not in listed


def test_token_of_another_cluster_is_refused(machine, lan, tmp_path):
    wrong = Node(machine, lan.host("x"), tmp_path)
    token = machine.sampan("token", "create").split("@")[0] + "@sha256:" + "0" * 64
    try:
        wrong.start(token=token)
        assert wrong.process.wait(timeout=30) == 1
        assert "this is another cluster, or somebody is in between" in wrong.log.read_text()
    finally:
        wrong.remove()


def test_pods_talk_across_nodes_and_exec_and_logs_reach_them(machine, node):
    try:
        here, there = run_on(machine, "here", "n1"), run_on(machine, "there", "n2")
        assert here["status"]["podIP"].rpartition(".")[0] != there["status"]["podIP"].rpartition(".")[0]
        fetch = ("/bin/busybox", "wget", "-qO-", f"http://{there['status']['podIP']}:8080")
        assert machine.kubectl("exec", "here", "--", *fetch) == "You've hit there\n"
        back = ("/bin/busybox", "wget", "-qO-", f"http://{here['status']['podIP']}:8080")
        assert machine.kubectl("exec", "there", "--", *back) == "You've hit here\n"
        assert machine.kubectl("exec", "there", "--", "/bin/busybox", "hostname") == "there\n"
        assert machine.run(*SAMPAN, "kubectl", "logs", "there").returncode == 0
        assert machine.curl(f"http://{there['status']['podIP']}:8080") == "You've hit there\n"
    finally:
        machine.kubectl("delete", "pod", "here", "there")


def test_service_reaches_pods_of_both_nodes(machine, node):
    try:
        run_on(machine, "both-a", "n1")
        run_on(machine, "both-b", "n2")
        machine.kubectl("label", "pod", "both-a", "both-b", "app=both")
        machine.kubectl(
            "expose", "pod", "both-a", "--port=80", "--target-port=8080", "--selector=app=both", "--name=both"
        )
        address = machine.get("service", "both")["spec"]["clusterIP"]
        answers = until(
            lambda: len(found := {machine.curl(f"http://{address}") for _ in range(30)} - {""}) == 2 and found,
            "answers of both pods",
        )
        assert answers == {"You've hit both-a\n", "You've hit both-b\n"}
    finally:
        machine.kubectl("delete", "service/both", "pod/both-a", "pod/both-b")


def test_dead_node_loses_its_pods_to_others(machine, node):
    """With tolerations of a second, so that the test need not wait the five minutes of the default."""
    key = "node.kubernetes.io/unreachable"
    toleration = {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}
    template = json.dumps({"spec": {"template": {"spec": {"tolerations": [toleration]}}}})
    machine.kubectl("run", "moving", f"--image={KUBIA}", "--image-pull-policy=IfNotPresent", "--generator=run/v1")
    try:
        machine.kubectl("patch", "rc", "moving", "-p", template)
        machine.kubectl("cordon", "n1")
        machine.kubectl("delete", "pod", "-l", "run=moving")
        pod = until(lambda: (found := machine.ready_pods("run=moving")) and found[0], "the pod on n2")
        assert pod["spec"]["nodeName"] == "n2"
        machine.kubectl("uncordon", "n1")
        node.kill()
        moved = until(
            lambda: any(p["spec"]["nodeName"] == "n1" for p in machine.ready_pods("run=moving")),
            "the pod to move to n1", seconds=120,
        )  # fmt: skip
        assert moved
        assert node_states(machine)["n2"] == "NotReady"
    finally:
        machine.kubectl("uncordon", "n1", check=False)
        machine.kubectl("delete", "rc", "moving")
