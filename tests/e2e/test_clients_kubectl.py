"""kubectl against real containers: the newest and the oldest supported one, and sampan's own."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import time
from contextlib import contextmanager

import pytest

from sampan.kubectl.main import COMMANDS
from tests.e2e.kubelet_lab import IMAGE, busybox_archive
from tests.e2e.machine import SAMPAN, until
from tests.e2e.tools import real_kubectl

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

_PODS = f"""
apiVersion: v1
kind: Pod
metadata: {{name: web, labels: {{app: web}}}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: {IMAGE}
    imagePullPolicy: Never
    ports: [{{containerPort: 8080}}]
    command: [sh, -c, "for i in 1 2 3; do echo line $i; done; echo served >/tmp/index.html; httpd -p 8080 -h /tmp;
      while :; do while [ ! -e /tmp/say ]; do sleep 0.05; done; cat /tmp/say; rm /tmp/say; done"]
  - {{name: side, image: {IMAGE}, imagePullPolicy: Never, command: [sh, -c, echo beside; exec sleep 1000]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: crasher}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {{name: main, image: {IMAGE}, imagePullPolicy: Never, command: [sh, -c, echo last words; exit 3]}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080}}]}}
"""


def _needs(kubectl, command):
    """sampan's own kubectl may get cp and edit later; the real ones have them."""
    if kubectl.namespace == "kubectl-sampan" and command not in COMMANDS:
        pytest.skip(f"sampan kubectl has no {command} yet")


class Kubectl:
    """One kubectl in a namespace of its own."""

    def __init__(self, machine, program, namespace):
        self.machine, self.program, self.namespace = machine, program, namespace

    def argv(self, *arguments):
        return (*self.program, "--namespace", self.namespace, *arguments)

    def __call__(self, *arguments, stdin=None, check=True, timeout=60):
        result = self.machine.run(*self.argv(*arguments), stdin=stdin, check=check, timeout=timeout)
        return result.stdout if check else result

    @contextmanager
    def started(self, *arguments, **options):
        process = self.machine.popen(*self.argv(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def cluster(machine, tmp_path_factory):
    archive = tmp_path_factory.mktemp("busybox") / "busybox.tar"
    archive.write_bytes(busybox_archive())
    machine.sampan("image", "load", str(archive))
    return machine


@pytest.fixture(scope="module", params=["37", "27", "sampan"])
def kubectl(request, cluster):
    program = (*SAMPAN, "kubectl") if request.param == "sampan" else (str(real_kubectl(request.param)),)
    namespace = f"kubectl-{request.param}"
    Kubectl(cluster, program, "default")("create", "namespace", namespace)
    kubectl = Kubectl(cluster, program, namespace)
    until(lambda: kubectl("get", "serviceaccount", "default", "-o", "name"), "the ServiceAccount")
    assert "pod/web created" in kubectl("apply", "-f", "-", stdin=_PODS)
    until(lambda: kubectl("get", "pod", "web", "--no-headers").split()[1] == "2/2", "the pod to be ready")
    yield kubectl
    kubectl("delete", "namespace", namespace, "--wait=false")


def test_get_in_every_form(kubectl):
    assert kubectl("get", "pod/web", "-o", "name") == "pod/web\n"
    assert json.loads(kubectl("get", "pod", "web", "-o", "json"))["metadata"]["name"] == "web"
    assert "\n  name: web\n" in kubectl("get", "pod", "web", "-o", "yaml")
    wide = kubectl("get", "pods", "-l", "app=web", "-o", "wide").splitlines()
    assert wide[0].split()[:6] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP"]
    assert re.search(r" 10\.\d+\.\d+\.\d+ +n1 ", wide[1])
    assert kubectl("get", "pod", "web", "-o", "jsonpath={.spec.containers[*].name}") == "main side"
    columns = "custom-columns=NAME:.metadata.name,IMAGE:.spec.containers[0].image"
    assert kubectl("get", "pod", "web", "-o", columns).split() == ["NAME", "IMAGE", "web", IMAGE]
    everything = kubectl("get", "pods", "-A")
    assert re.search(rf"^{kubectl.namespace} +web ", everything, re.MULTILINE)


def test_describe_shows_the_pod(kubectl):
    text = kubectl("describe", "pod", "web")
    for pattern in (r"^Name: +web$", r"^Node: +n1/", r"^Status: +Running$", r"Container ID: +containerd://",
                    r"Normal +Started .*"):  # fmt: skip
        assert re.search(pattern, text, re.MULTILINE), pattern


def test_questions_about_the_cluster(kubectl):
    assert "Kubernetes control plane" in kubectl("cluster-info")
    version = json.loads(kubectl("version", "-o", "json"))
    assert version["serverVersion"]["minor"] == "36"
    assert re.search(r"^pods +po +v1 +true +Pod$", kubectl("api-resources"), re.MULTILINE)
    assert "server: https://127.0.0.1:6443" in kubectl("config", "view")
    explained = kubectl("explain", "pod.spec.restartPolicy")
    assert re.search(r"KIND: +Pod", explained)
    assert "Restart policy for all containers" in explained


def test_watch_shows_changes(kubectl):
    with kubectl.started("get", "pods", "web", "-w", "--show-labels") as watching:
        assert watching.stdout.readline().startswith("NAME")
        assert "app=web" in watching.stdout.readline()
        assert kubectl("label", "pod", "web", "seen=yes") == "pod/web labeled\n"
        assert "seen=yes" in watching.stdout.readline()
    assert kubectl("label", "pod", "web", "seen-").strip() in {"pod/web unlabeled", "pod/web labeled"}


def test_logs(kubectl):
    assert kubectl("logs", "web", "-c", "main").splitlines()[:3] == ["line 1", "line 2", "line 3"]
    assert kubectl("logs", "web", "-c", "side") == "beside\n"
    assert kubectl("logs", "web", "-c", "side", "--since=1h", "--tail=1") == "beside\n"
    assert kubectl("logs", "web", "-c", "side", "--tail=0") == ""
    stamped = kubectl("logs", "web", "-c", "side", "--timestamps")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z beside\n", stamped)
    with kubectl.started("logs", "-f", "web", "-c", "main", "--tail=1") as following:
        assert following.stdout.readline().startswith("line ")
        kubectl("exec", "web", "-c", "main", "--", "sh", "-c", "echo line more >/tmp/say.new; mv /tmp/say.new /tmp/say")
        assert following.stdout.readline() == "line more\n"


def test_logs_of_a_container_that_crashed(kubectl):
    until(lambda: kubectl("get", "pod", "crasher", "-o", "jsonpath={.status.containerStatuses[0].restartCount}") > "0",
          "the restart")  # fmt: skip
    assert kubectl("logs", "crasher", "--previous") == "last words\n"
    refused = kubectl("logs", "web", "-c", "side", "--previous", check=False)
    assert refused.returncode == 1
    assert 'previous terminated container "side" in pod "web" not found' in refused.stderr


def test_exec(kubectl):
    assert kubectl("exec", "web", "-c", "side", "--", "hostname") == "web\n"
    assert kubectl("exec", "-i", "web", "-c", "side", "--", "cat", stdin="through\n") == "through\n"
    failed = kubectl("exec", "web", "-c", "side", "--", "sh", "-c", "echo bad >&2; exit 7", check=False)
    assert failed.returncode == 7
    assert "bad" in failed.stderr
    assert "command terminated with exit code 7" in failed.stderr


def test_exec_with_a_terminal(kubectl):
    master, slave = pty.openpty()
    argv = kubectl.argv("exec", "-it", "web", "-c", "side", "--", "sh")
    process = kubectl.machine.popen(*argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    seen = b""
    try:
        os.write(master, b"tty; exit 5\n")
        end = time.monotonic() + 20
        while process.poll() is None:
            assert time.monotonic() < end, seen
            if select.select([master], [], [], 0.1)[0]:
                try:
                    seen += os.read(master, 4096)
                except OSError:  # the other end is closed
                    break
        assert process.wait(timeout=10) == 5, seen
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert b"/dev/pts/" in seen


@pytest.mark.parametrize("target", ["pod/web", "service/web"])
def test_port_forward(kubectl, target):
    port = "8080" if target == "pod/web" else "80"
    with kubectl.started("port-forward", target, f":{port}") as forwarding:
        line = forwarding.stdout.readline()
        local = re.match(r"Forwarding from 127\.0\.0\.1:(\d+) -> 8080", line)
        assert local, line or forwarding.stderr.read()
        for _ in range(3):
            assert kubectl.machine.curl(f"http://127.0.0.1:{local[1]}/index.html") == "served\n"


def test_cp_in_both_directions(kubectl, tmp_path):
    _needs(kubectl, "cp")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.txt").write_text("content\n" * 10_000)
    kubectl("cp", f"{tmp_path}/there", "web:/tmp/copied", "-c", "side")
    assert kubectl("exec", "web", "-c", "side", "--", "wc", "-l", "/tmp/copied/a.txt").split()[0] == "10000"
    kubectl("cp", "web:/tmp/copied/a.txt", f"{tmp_path}/back.txt", "-c", "side")
    assert (tmp_path / "back.txt").read_text() == (tmp_path / "there" / "a.txt").read_text()


_CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\ndata: {{color: {color}}}\n"


def test_edit(kubectl):
    _needs(kubectl, "edit")
    kubectl("create", "configmap", "edited", "--from-literal=color=green")
    edited = kubectl.machine.run("env", "KUBE_EDITOR=sed -i s/green/blue/", *kubectl.argv("edit", "configmap/edited"))
    assert edited.stdout == "configmap/edited edited\n"
    assert kubectl("get", "configmap", "edited", "-o", "jsonpath={.data.color}") == "blue"


def test_apply_annotate_and_delete(kubectl):
    def apply(color):
        return kubectl("apply", "-f", "-", stdin=_CONFIG.format(color=color))

    assert apply("red") == "configmap/settings created\n"
    assert apply("red") == "configmap/settings unchanged\n"
    assert apply("green") == "configmap/settings configured\n"
    assert kubectl("annotate", "configmap", "settings", "note=x") in {
        "configmap/settings annotated\n", "configmap/settings annotate\n",
    }  # fmt: skip
    deleted = kubectl("delete", "configmap", "settings")
    assert re.fullmatch(r'configmap "settings" deleted( from \S+ namespace)?\n', deleted)
    gone = kubectl("get", "configmap", "settings", check=False)
    assert gone.returncode == 1
    assert gone.stderr == 'Error from server (NotFound): configmaps "settings" not found\n'
