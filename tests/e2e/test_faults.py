"""Bad input and faults: each is told in one clear message that names the cure, and nothing is lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.hosts import leftovers, sh
from tests.e2e.inside import inside
from tests.e2e.machine import KUBIA, SAMPAN, until
from tests.e2e.test_nodes import Node
from tests.e2e.test_walkthrough import container_pid
from tests.e2e.tools import real_kubectl

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.fixture(scope="module", autouse=True)
def _looks_by_real_kubectl():
    """These tests look at the cluster many times; the real kubectl starts in a fifth of our own's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMPAN_E2E_KUBECTL", str(real_kubectl("37")))
        yield


class Lone:
    """A host of its own for commands that need no containers, and a data directory on it."""

    def __init__(self, host, folder):
        self.host, self.data_dir, self.kubeconfig = host, folder / "data", folder / "kubeconfig"

    def run(self, *argv, **options):
        environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "SAMPAN_DATA_DIR": str(self.data_dir)}
        return self.host.run(*argv, check=False, env=environment, **options)

    def sampan(self, *argv, **options):
        return self.run(*SAMPAN, *argv, **options)

    def refused(self, *argv, **options) -> str:
        """What a command says that must fail: an explanation, no traceback."""
        return told(self.sampan(*argv, **options))

    def kubectl(self, *argv, check=True):
        result = self.host.run(str(real_kubectl("37")), "--kubeconfig", str(self.kubeconfig), *argv, check=check)
        return result.stdout if check else result

    @contextmanager
    def server(self, *options):
        """A running `sampan server` on port 7001; ended cleanly."""
        argv = (*SAMPAN, "server", "--secure-port=7001", "--bind-address=127.0.0.1", "--components=apiserver",
                f"--write-kubeconfig={self.kubeconfig}", f"--data-dir={self.data_dir}", *options)  # fmt: skip
        environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
        process = self.host.popen(*argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            assert process.stdout.readline().startswith("ready https://127.0.0.1:7001")
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=10)


def told(result) -> str:
    """The explanation of a command that must fail."""
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith(("sampan: ", "error: ")), result.stderr
    return result.stderr


@pytest.fixture(scope="module")
def lone_host(lan):
    return lan.host("lone")


@pytest.fixture
def lone(lone_host, tmp_path):
    yield Lone(lone_host, tmp_path)
    assert leftovers(str(tmp_path)) == []


def test_port_in_use(lone):
    with inside(lone.host):
        listener = socket.create_server(("0.0.0.0", 7001))
    with listener:
        text = lone.refused("server", "--secure-port=7001")
        assert "cannot listen on 0.0.0.0:7001: Address already in use" in text
        assert "--secure-port" in text
        text = lone.refused("up", "--no-nodes", "--secure-port=7001")
        assert "`ss -ltnp sport = :7001` shows by whom" in text
        assert "sampan up --secure-port 7002" in text
    assert not (lone.data_dir / "cluster.json").exists()


def test_second_server_on_the_same_data(lone):
    with lone.server() as process:
        text = lone.refused("server", "--secure-port=7002")
        assert "is in use by process" in text
        assert process.poll() is None


def test_missing_programs_are_named_with_their_packages(lone):
    without = ("env", "PATH=/nonexistent", *SAMPAN)
    text = told(lone.run(*without, "up"))
    assert "containerd: not found -> apt-get install containerd" in text
    assert "sampan up --no-nodes" in text
    doctor = lone.run(*without, "doctor")
    assert doctor.returncode == 1
    assert re.search(r"missing +containerd .*\n +-> apt-get install containerd", doctor.stdout)


NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=+dac_read_search",
          "--ambient-caps=+dac_read_search")  # fmt: skip
"""A user without rights, but for reading: the tests' Python may lie in root's home."""


@pytest.fixture
def own_folder(lone):
    """A data directory that an ordinary user owns and reaches."""
    with tempfile.TemporaryDirectory(prefix="sampan-nobody-") as folder:
        os.chown(folder, 65534, 65534)
        lone.data_dir = Path(folder) / "data"
        lone.kubeconfig = lone.data_dir / "kubeconfig"
        yield lone.data_dir
        assert leftovers(folder) == []


def test_without_root_the_api_runs_and_nodes_are_refused(lone, own_folder):
    text = told(lone.run(*NOBODY, *SAMPAN, "up"))
    assert "root: uid 65534 -> run as root: sudo sampan up; or without containers: sampan up --no-nodes" in text
    text = told(lone.run(*NOBODY, *SAMPAN, "agent", "--server=https://127.0.0.1:1", f"--data-dir={own_folder}/agent"))
    assert "a node needs root" in text
    started = lone.run(*NOBODY, *SAMPAN, "up", "--no-nodes")
    try:
        assert started.returncode == 0, started.stderr
        assert "default" in lone.kubectl("get", "namespaces")
    finally:
        stopped = lone.run(*NOBODY, *SAMPAN, "down")
    assert stopped.returncode == 0, stopped.stderr


def test_full_disk_refuses_writes_and_loses_nothing(lone, tmp_path):
    lone.data_dir.mkdir()
    sh("mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(lone.data_dir))
    try:
        (tmp_path / "blob").write_text("x" * 400_000)
        with lone.server() as process:
            results = [
                lone.kubectl("create", "configmap", f"c{index}", f"--from-file={tmp_path}/blob", check=False)
                for index in range(6)
            ]
            assert "is full: free some space; nothing that was acknowledged is lost" in results[-1].stderr
            kept = [f"configmap/c{index}" for index, one in enumerate(results) if one.returncode == 0]
            assert kept
            assert lone.kubectl("get", "configmaps", "-o", "name").split() == kept
            sh("mount", "-o", "remount,size=20m", str(lone.data_dir))
            lone.kubectl("create", "configmap", "z-after")
            process.kill()
        with lone.server():
            assert lone.kubectl("get", "configmaps", "-o", "name").split() == [*kept, "configmap/z-after"]
    finally:
        sh("umount", str(lone.data_dir))


def test_damaged_database_is_told_and_left_as_it_is(lone):
    with lone.server():
        lone.kubectl("create", "configmap", "precious")
    database = lone.data_dir / "state.db"
    whole = database.read_bytes()
    with database.open("r+b") as file:
        file.write(os.urandom(100))
    damaged = database.read_bytes()
    text = lone.refused("server", "--secure-port=7001")
    assert f"the data store {database} is damaged" in text
    assert "restore it from a backup" in text
    assert database.read_bytes() == damaged
    database.write_bytes(whole)
    with lone.server():
        assert lone.kubectl("get", "configmaps", "-o", "name") == "configmap/precious\n"


def test_unreadable_kubeconfig_and_wrong_token(lone):
    lone.data_dir.mkdir()
    with lone.server():
        lone.kubeconfig.write_text("a: [")
        assert "error loading config file" in lone.refused(
            "kubectl", "--kubeconfig", str(lone.kubeconfig), "get", "pods"
        )
        cluster = {"name": "a", "cluster": {"server": "https://127.0.0.1:7001", "insecure-skip-tls-verify": True}}
        config = {"clusters": [cluster], "users": [{"name": "a", "user": {"token": "guess"}}], "current-context": "a",
                  "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}]}  # fmt: skip
        lone.kubeconfig.write_text(json.dumps(config))
        for program in ((*SAMPAN, "kubectl"), (str(real_kubectl("37")),)):
            result = lone.run(*program, "--kubeconfig", str(lone.kubeconfig), "get", "pods")
            assert result.stderr == "error: You must be logged in to the server (Unauthorized)\n"
            assert result.returncode == 1


def test_commands_without_a_cluster_say_how_to_start_one(lone):
    for command in (("status",), ("kubeconfig",), ("image", "list"), ("token", "create"), ("env",), ("logs",)):
        assert "`sampan up" in lone.refused(*command), command


def test_join_with_a_wrong_token_is_refused(machine, lan, tmp_path):
    node = Node(machine, lan.host("w"), tmp_path)
    token = machine.sampan("token", "create").strip()
    secret = token.split("@")[0].split(".")[1]
    try:
        node.start(token=token.replace(secret, "0" * len(secret)))
        assert node.process.wait(timeout=30) == 1
        log = node.log.read_text()
        assert "Unauthorized" in log
        assert "sampan token create" in log
        assert "Traceback" not in log
    finally:
        node.remove()


def test_unschedulable_pod_says_why(machine):
    overrides = json.dumps({"spec": {"nodeSelector": {"disk": "ssd"}}})
    machine.kubectl("run", "nowhere", f"--image={KUBIA}", f"--overrides={overrides}")
    try:
        condition = until(
            lambda: next((one for one in machine.get("pod", "nowhere")["status"].get("conditions", [])
                          if one["type"] == "PodScheduled"), None), "the condition",
        )  # fmt: skip
        assert (condition["status"], condition["reason"]) == ("False", "Unschedulable")
        assert condition["message"].startswith(
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
        )
        events = until(
            lambda: machine.get("events", "--field-selector", "involvedObject.name=nowhere")["items"], "the event"
        )
        assert [(one["reason"], one["message"]) for one in events] == [("FailedScheduling", condition["message"])]
        machine.kubectl("label", "node", "n1", "disk=ssd")
        until(lambda: machine.ready_pods("run=nowhere"), "the pod to run once a node fits")
    finally:
        machine.kubectl("label", "node", "n1", "disk-")
        machine.kubectl("delete", "pod", "nowhere", "--grace-period=0", "--force")


def test_crash_loop_backs_off_longer_each_time(machine):
    command = ("--command", "--", "/bin/busybox", "false")
    machine.kubectl("run", "crashing", f"--image={KUBIA}", *command)

    def message():
        statuses = machine.get("pod", "crashing")["status"].get("containerStatuses") or [{"state": {}}]
        waiting = statuses[0]["state"].get("waiting", {})
        return waiting.get("message", "") if waiting.get("reason") == "CrashLoopBackOff" else ""

    try:
        for delay in ("10s", "20s"):
            until(lambda wanted=delay: message().startswith(f"back-off {wanted} restarting failed container=crashing"),
                  f"a back-off of {delay}")  # fmt: skip
        events = machine.get("events", "--field-selector", "involvedObject.name=crashing")["items"]
        texts = [one["message"] for one in events if one["reason"] == "BackOff"]
        assert texts
        assert all(
            one.startswith("Back-off restarting failed container crashing in pod crashing_default(") for one in texts
        )
        assert machine.get("pod", "crashing")["status"]["containerStatuses"][0]["restartCount"] == 2
    finally:
        machine.kubectl("delete", "pod", "crashing", "--grace-period=0", "--force")


def test_dead_endpoint_is_out_of_the_service_within_half_a_second(machine):
    for name in ("mortal-a", "mortal-b"):
        machine.kubectl("run", name, f"--image={KUBIA}", "--labels=app=mortal", "--restart=Never", "--port=8080")
    machine.kubectl("expose", "pod", "mortal-a", "--name=mortal", "--port=80", "--target-port=8080")
    nft = shutil.which("nft") or "/usr/sbin/nft"

    def rules():
        return machine.run(nft, "list", "ruleset").stdout

    try:
        pods = until(lambda: len(found := machine.ready_pods("app=mortal")) == 2 and found, "both pods")
        addresses = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in pods}
        until(lambda: all(re.search(rf"{one}\b[ .:]+8080", rules()) for one in addresses.values()), "both endpoints")
        victim = container_pid(machine, "mortal-b")
        began = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        until(lambda: not re.search(rf"{addresses['mortal-b']}\b[ .:]+8080", rules()), "the endpoint to go", seconds=5)
        assert time.monotonic() - began < 0.5
        address = machine.get("service", "mortal")["spec"]["clusterIP"]
        assert {machine.curl(f"http://{address}") for _ in range(10)} == {"You've hit mortal-a\n"}
    finally:
        machine.kubectl("delete", "service/mortal", "pod/mortal-a", "pod/mortal-b")
