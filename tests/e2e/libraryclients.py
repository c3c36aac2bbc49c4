"""What Python client libraries do, as a program that runs on a test host: `python libraryclients.py STEP`.

A program of its own, because the libraries leave connections to the garbage collector. Each step is a function.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import kubernetes
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import portforward, stream
from kubernetes.stream.ws_client import ERROR_CHANNEL

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

IMAGE = "localhost/test/busybox:1"
COMMAND = "echo hello; echo served >/tmp/index.html; httpd -p 8080 -h /tmp; exec sleep 1000"


def pod(name: str) -> dict:
    """A pod with a shell and a web server."""
    container = {"name": "main", "image": IMAGE, "imagePullPolicy": "Never", "command": ["sh", "-c", COMMAND]}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


def core_api() -> kubernetes.client.CoreV1Api:
    kubernetes.config.load_kube_config()
    return kubernetes.client.CoreV1Api()


@contextmanager
def running(core: kubernetes.client.CoreV1Api, name: str) -> Iterator[str]:
    """A running pod, made and awaited by the official client."""
    core.create_namespaced_pod("default", pod(name))
    try:
        watch = kubernetes.watch.Watch()
        for event in watch.stream(
            core.list_namespaced_pod, "default", label_selector=f"app={name}", timeout_seconds=30
        ):
            statuses = event["object"].status.container_statuses or []
            if statuses and statuses[0].ready:
                watch.stop()
        yield name
    finally:
        core.delete_namespaced_pod(name, "default", grace_period_seconds=0)


def refusal(call, *arguments, **options) -> dict:
    """The Status with which a call that must fail is refused."""
    try:
        call(*arguments, **options)
    except ApiException as error:
        return json.loads(error.body)
    raise AssertionError("was not refused")


def reads_and_writes() -> None:
    core = core_api()
    body = {"metadata": {"name": "py"}, "data": {"a": "1"}}
    assert core.create_namespaced_config_map("default", body).metadata.uid
    changed = core.patch_namespaced_config_map("py", "default", {"data": {"b": "2"}})
    assert changed.data == {"a": "1", "b": "2"}
    assert "py" in [one.metadata.name for one in core.list_namespaced_config_map("default").items]
    changed.data = {"c": "3"}
    assert core.replace_namespaced_config_map("py", "default", changed).data == {"c": "3"}
    assert refusal(core.create_namespaced_config_map, "default", body)["reason"] == "AlreadyExists"
    core.delete_namespaced_config_map("py", "default")
    assert refusal(core.read_namespaced_config_map, "py", "default")["message"] == 'configmaps "py" not found'


def applies_with_ownership() -> None:
    dynamic = kubernetes.dynamic.DynamicClient(core_api().api_client)
    config_maps = dynamic.resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ssa"}, "data": {"a": "1"}}
    made = config_maps.server_side_apply(body, namespace="default", field_manager="tester")
    assert [one.manager for one in made.metadata.managedFields] == ["tester"]
    body["data"] = {"b": "2"}
    assert config_maps.server_side_apply(body, namespace="default", field_manager="tester").data.to_dict() == {"b": "2"}
    body["data"] = {"b": "3"}
    status = refusal(config_maps.server_side_apply, body, namespace="default", field_manager="other")
    assert status["message"] == 'Apply failed with 1 conflict: conflict with "tester": .data.b', status
    config_maps.delete("ssa", "default")


def reads_logs_and_runs_commands() -> None:
    core = core_api()
    with running(core, "py-exec") as name:
        assert core.read_namespaced_pod_log(name, "default") == "hello\n"
        execute = core.connect_get_namespaced_pod_exec
        output = stream(execute, name, "default", command=["cat", "/tmp/index.html"], stdout=True)
        assert output == "served\n"
        session = stream(
            execute, name, "default", command=["sh"], stdin=True, stdout=True, stderr=True, _preload_content=False
        )
        session.write_stdin("echo out; echo err >&2; exit 3\n")
        session.run_forever(timeout=10)
        assert (session.read_stdout(), session.read_stderr(), session.returncode) == ("out\n", "err\n", 3)
        session = stream(execute, name, "default", command=["/none"], stdout=True, _preload_content=False)
        session.run_forever(timeout=10)
        status = json.loads(session.read_channel(ERROR_CHANNEL))
        assert status["status"] == "Failure"
        assert "/none" in status["message"]


def forwards_ports() -> None:
    core = core_api()
    with running(core, "py-forward") as name:
        forward = portforward(core.connect_get_namespaced_pod_portforward, name, "default", ports="8080")
        connection: socket.socket = forward.socket(8080)
        connection.setblocking(True)
        connection.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
        connection.close()
        assert answer.endswith(b"served\n"), answer


def kr8s_works() -> None:
    import kr8s  # noqa: PLC0415 - only this step needs it
    from kr8s.objects import ConfigMap, Pod  # noqa: PLC0415

    assert kr8s.api().version()["gitVersion"].startswith("v1.36")
    one = Pod(pod("kr"), namespace="default")
    one.create()
    one.wait("condition=Ready", timeout=30)
    assert list(one.logs()) == ["hello"]
    assert one.exec(["cat", "/tmp/index.html"]).stdout == b"served\n"
    one.label({"tier": "test"})
    assert [found.name for found in kr8s.get("pods", label_selector="tier=test")] == ["kr"]
    one.delete()
    config_map = ConfigMap({"metadata": {"name": "kr"}, "data": {"a": "b"}}, namespace="default")
    config_map.create()
    config_map.patch({"data": {"c": "d"}})
    assert config_map.data == {"a": "b", "c": "d"}
    config_map.delete()


STEPS = (reads_and_writes, applies_with_ownership, reads_logs_and_runs_commands, forwards_ports, kr8s_works)

if __name__ == "__main__":
    {step.__name__: step for step in STEPS}[sys.argv[1]]()
