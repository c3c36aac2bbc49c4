"""The kubelet on real containers: containerd, runc, CNI. Needs root."""

from __future__ import annotations

import asyncio
import shutil
import statistics
import sys
import time
from typing import TYPE_CHECKING

import pytest

from sampan.client.resources import CONFIGMAPS, PODS
from sampan.kubelet.volumes import mounts
from tests.e2e.kubelet_lab import IMAGE, Containerd, Lab, first, is_possible, lab, private_containerd

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not is_possible(), reason="needs root, containerd, runc and busybox-static"),
]

PATIENT = 'trap "exit 0" TERM; sleep 1000 & wait'

CLIENT = """
from kubernetes import client, config
from kubernetes.stream import portforward, stream
config.load_kube_config()
core = client.CoreV1Api()
command = ["sh", "-c", "echo out; echo err >&2; exit 4"]
session = stream(core.connect_get_namespaced_pod_exec, "web", "default", command=command, stderr=True, stdout=True,
                 stdin=False, tty=False, _preload_content=False)
session.run_forever(timeout=10)
print(repr(session.read_stdout()), repr(session.read_stderr()), session.returncode)
forward = portforward(core.connect_get_namespaced_pod_portforward, "web", "default", ports="8080")
socket = forward.socket(8080)
socket.setblocking(True)
socket.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
print(socket.recv(15).decode())
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containerd]:
    with private_containerd(tmp_path_factory.mktemp("c")) as running:
        yield running


@pytest.fixture
async def node(daemon: Containerd, tmp_path: Path) -> AsyncIterator[Lab]:
    async with lab(daemon, tmp_path) as made:
        yield made


async def test_pod_is_ready_soon_and_leaves_nothing(node: Lab) -> None:
    times = []
    for number in range(3):
        begin = time.monotonic()
        await node.create(f"p{number}", PATIENT)
        pod = await node.ready(f"p{number}")
        times.append(time.monotonic() - begin)
    # 0.25 s is the aim on a quiet machine; tests share theirs.
    assert statistics.median(times) < 1.0
    assert first(pod)["containerID"].startswith("containerd://")
    assert first(pod)["imageID"].startswith("sha256:")
    await node.delete("p0", "p1", "p2")
    await node.wait_clean()
    assert node.containerd.ctr("containers", "list", "--quiet").stdout == b""
    assert mounts.mounted_below(node.options.data_dir) == []


async def test_killed_process_is_seen_at_once_and_restarted_with_backoff(node: Lab) -> None:
    await node.create("p", "echo hello; " + PATIENT)
    pod = await node.ready("p")
    begin = time.monotonic()
    node.containerd.signal(first(pod)["containerID"], 9)
    pod = await node.wait("p", lambda p: not first(p)["ready"])
    assert time.monotonic() - begin < 0.5
    pod = await node.wait("p", lambda p: first(p)["restartCount"] == 1 and first(p)["ready"])
    assert first(pod)["lastState"]["terminated"]["exitCode"] == 137
    node.containerd.signal(first(pod)["containerID"], 9)
    pod = await node.wait("p", lambda p: "waiting" in first(p)["state"])
    assert first(pod)["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert first(pod)["state"]["waiting"]["message"].startswith("back-off 10s restarting failed container=c pod=p_")


async def test_containers_of_a_pod_share_network_and_not_processes(node: Lab) -> None:
    web = {
        "name": "web",
        "image": IMAGE,
        "command": ["sh", "-c", "mkdir /www; echo hi > /www/index.html; httpd -f -p 80 -h /www"],
    }
    command = "until wget -qO- http://127.0.0.1/ > /dev/termination-log; do sleep 0.1; done; ps | grep -c '[h]ttpd'"
    await node.create("p", f"{command}; hostname", restartPolicy="OnFailure", initContainers=[
        {**web, "restartPolicy": "Always"}
    ])  # fmt: skip
    pod = await node.wait("p", lambda p: p["status"]["phase"] == "Succeeded")
    assert first(pod)["state"]["terminated"]["message"] == "hi\n"
    assert pod["status"]["initContainerStatuses"][0]["started"] is False
    if shutil.which("kubectl"):
        _, log = await node.run("kubectl", "logs", "p", "-c", "c")
        assert log == "0\np\n"


async def test_volumes_environment_and_live_updates(node: Lab) -> None:
    config = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "cm"}, "data": {"a": "1", "b": "2"}}
    await node.client.resource(CONFIGMAPS, "default").create(config)
    container = {
        "env": [
            {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "a"}}},
            {"name": "MEM", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        ],
        "resources": {"limits": {"memory": "64Mi"}},
        "volumeMounts": [
            {"name": "cm", "mountPath": "/cm"},
            {"name": "cm", "mountPath": "/one", "subPath": "b"},
            {"name": "mem", "mountPath": "/mem"},
        ],
    }
    volumes = [{"name": "cm", "configMap": {"name": "cm"}}, {"name": "mem", "emptyDir": {"medium": "Memory"}}]
    command = 'echo "$A $MEM $(cat /cm/a /one)"; until grep -q new /cm/a; do sleep 0.05; done; cat /one'
    report = f"({command}) > /mem/log; cp /mem/log /dev/termination-log"
    await node.create("p", report, volumes=volumes, container=container, restartPolicy="Never")
    await node.ready("p")
    await node.client.resource(CONFIGMAPS, "default").patch("cm", {"data": {"a": "new"}})
    pod = await node.wait("p", lambda p: p["status"]["phase"] == "Succeeded", seconds=10)
    assert first(pod)["state"]["terminated"]["message"] == "1 64 12\n2"


async def test_probes_decide_on_readiness_and_restart(node: Lab) -> None:
    container = {
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
        "livenessProbe": {"exec": {"command": ["test", "-e", "/tmp/alive"]}, "periodSeconds": 1, "failureThreshold": 1},
    }
    command = "touch /tmp/alive; echo ok > /tmp/index.html; httpd -p 8080 -h /tmp; sleep 3; rm /tmp/alive; sleep 1000"
    await node.create("p", command, container=container)
    await node.ready("p")
    pod = await node.wait("p", lambda p: first(p)["restartCount"] == 1)
    assert first(pod)["lastState"]["terminated"]["exitCode"] == 137


async def test_image_that_does_not_exist_backs_off(node: Lab) -> None:
    await node.create("p", "true", container={"image": "localhost:1/none:1"})
    pod = await node.wait("p", lambda p: "'reason': 'ErrImagePull'" in str(p["status"]))
    assert first(pod)["state"]["waiting"]["reason"] == "ErrImagePull"
    assert pod["status"]["phase"] == "Pending"


async def test_restarted_agent_adopts_what_runs(node: Lab) -> None:
    await node.create("keep", PATIENT, container={"readinessProbe": {"exec": {"command": ["true"]}}})
    await node.create("done", "echo bye > /dev/termination-log", restartPolicy="Never")
    await node.ready("keep")
    await node.wait("done", lambda p: p["status"]["phase"] == "Succeeded")
    await asyncio.sleep(0.3)
    pods = node.client.resource(PODS, "default")
    before = {name: (await pods.get(name))["status"] for name in ("keep", "done")}
    await node.stop_kubelet()
    await node.start_kubelet()
    await asyncio.sleep(1)
    assert {name: (await pods.get(name))["status"] for name in before} == before


async def test_killed_containerd_kills_no_container(node: Lab) -> None:
    await node.create("keep", PATIENT)
    before = first(await node.ready("keep"))
    node.containerd.kill()
    node.containerd.start()
    await node.create("new", PATIENT)
    await node.ready("new")
    after = first(await node.ready("keep"))
    assert after == before
    node.containerd.signal(after["containerID"], 9)
    await node.wait("keep", lambda p: first(p)["restartCount"] == 1)


@pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl")
async def test_kubectl_reaches_containers(node: Lab) -> None:
    serve = "mkdir /www; echo web > /www/index.html; httpd -p 8080 -h /www; echo started; "
    await node.create("web", serve + PATIENT)
    await node.ready("web")
    assert await node.run("kubectl", "logs", "web") == (0, "started\n")
    code, output = await node.run("kubectl", "exec", "web", "--", "sh", "-c", "echo out; exit 5")
    assert (code, output) == (5, "out\ncommand terminated with exit code 5\n")
    payload = b"x" * 3_000_000
    code, output = await node.run("kubectl", "exec", "-i", "web", "--", "sh", "-c", "wc -c; echo eof", stdin=payload)
    assert (code, output) == (0, "3000000\neof\n")
    forward = "kubectl port-forward pod/web :8080 > $0 & p=$!; for i in 1 2 3 4 5 6 7 8 9; do sleep 0.2; "
    forward += "port=$(grep -o '127.0.0.1:[0-9]*' $0) && break; done; curl -sS http://$port/; kill $p"
    _, output = await node.run("sh", "-c", forward, str(node.options.data_dir / "forward"))
    assert output == "web\n"


async def test_python_client_reaches_containers(node: Lab) -> None:
    serve = "mkdir /www; echo web > /www/index.html; httpd -p 8080 -h /www; "
    await node.create("web", serve + PATIENT)
    await node.ready("web")
    code, output = await node.run(sys.executable, "-W", "ignore", "-c", CLIENT)
    assert (code, output) == (0, "'out\\n' 'err\\n' 4\nHTTP/1.1 200 OK\n"), output
