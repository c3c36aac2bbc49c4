"""What pods see of the node: commands, environment, users, ends, resizes, ephemeral containers."""

from __future__ import annotations

import json

import pytest

from tests.e2e.machine import until
from tests.e2e.probes import IMAGE, Probes, pod


@pytest.fixture(scope="module")
def probes(machine, tmp_path_factory):
    probes = Probes(machine, "conformance-node", tmp_path_factory.mktemp("probe"))
    yield probes
    probes.remove()


def field(name, path):
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def resource(name, what, **divisor):
    return {"name": name, "valueFrom": {"resourceFieldRef": {"resource": what, **divisor}}}


def from_file(name, key, **optional):
    return {"name": name, "valueFrom": {"fileKeyRef": {"volumeName": "f", "path": "env", "key": key, **optional}}}


def test_commands_arguments_and_variables_reach_the_process(probes):
    variables = [{"name": "A", "value": "a"}, {"name": "B", "value": "$(A)b $$(A) $(NO)"}]
    downward = [
        field("POD", "metadata.name"), field("IP", "status.podIP"), field("HOSTS", "status.hostIPs"),
        resource("CPU", "limits.cpu"), resource("MEM", "requests.memory", divisor="1Mi"),
    ]  # fmt: skip
    sizes = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "1250m", "memory": "64Mi"}}
    write = {"name": "w", "image": IMAGE, "volumeMounts": [{"name": "f", "mountPath": "/f"}]}
    files = [from_file("ONE", "KEY"), from_file("TWO", "NO", optional=True)]
    found, logs = probes.finished(
        pod("image", None),
        pod("arguments", None, container={"args": ["echo $(A) given"], "env": variables}),
        pod("command", None, container={"command": ["echo"], "args": ["$(B)"], "env": variables}),
        pod("downward", 'echo "$POD $IP $HOSTS $CPU $MEM"', container={"env": downward, "resources": sizes}),
        pod(
            "file", 'echo "[$ONE] [$TWO]"', container={"env": files}, volumes=[{"name": "f", "emptyDir": {}}],
            initContainers=[{**write, "command": ["sh", "-c", "echo \"KEY='from a file'\" > /f/env"]}],
        ),
    )  # fmt: skip
    status = found["downward"]["status"]
    assert logs == {
        "image": "from the image\n",
        "arguments": "a given\n",
        "command": "ab $(A) $(NO)\n",
        "downward": f"downward {status['podIP']} {status['hostIP']} 2 32\n",
        "file": "[from a file] []\n",
    }


def test_ends_are_told_with_code_reason_and_message(probes):
    found, _ = probes.finished(
        pod("message", "printf DONE > /dev/termination-log"),
        pod("nonroot", "printf DONE > /dev/x", container={"terminationMessagePath": "/dev/x"},
            securityContext={"runAsUser": 1000}),
        pod("log", "printf DONE; exit 3", container={"terminationMessagePolicy": "FallbackToLogsOnError"}),
        pod("deadline", "sleep 60", activeDeadlineSeconds=1),
    )  # fmt: skip
    ends = {n: p["status"]["containerStatuses"][0]["state"]["terminated"] for n, p in found.items() if n != "deadline"}
    assert {name: ends[name]["message"] for name in ("message", "nonroot", "log")} == dict.fromkeys(
        ("message", "nonroot", "log"), "DONE"
    )
    assert (ends["log"]["exitCode"], ends["log"]["reason"]) == (3, "Error")
    assert all(not end["startedAt"].startswith("1970") for end in ends.values())
    assert found["deadline"]["status"]["reason"] == "DeadlineExceeded"


def test_security_contexts_hold(probes):
    sysctl = {"securityContext": {"sysctls": [{"name": "kernel/shm_rmid_forced", "value": "1"}]}}
    unsafe = {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "8192"}]}}
    _, logs = probes.finished(
        pod("user", "id -u; id -g", container={"securityContext": {"runAsUser": 1001, "runAsGroup": 2002}}),
        pod("groups", "id -G", securityContext={"runAsUser": 1000, "runAsGroup": 1000, "supplementalGroups": [7]}),
        pod("readonly", "echo x > /x || echo refused", container={"securityContext": {"readOnlyRootFilesystem": True}}),
        pod("sysctl", "cat /proc/sys/kernel/shm_rmid_forced", **sysctl),
        pod("hosts", "tail -1 /etc/hosts; cat /etc/resolv.conf",
            hostAliases=[{"ip": "192.0.2.1", "hostnames": ["one", "two"]}], dnsPolicy="None",
            dnsConfig={"nameservers": ["192.0.2.2"], "searches": ["example.com"]}),
    )  # fmt: skip
    assert logs["user"] == "1001\n2002\n"
    assert set(logs["groups"].split()) == {"1000", "50000", "7"}
    assert "refused\n" in logs["readonly"]
    assert logs["sysctl"] == "1\n"
    assert logs["hosts"] == "192.0.2.1\tone\ttwo\nsearch example.com\nnameserver 192.0.2.2\n"
    probes.create(pod("unsafe", "true", **unsafe))
    failed = until(lambda: (s := probes.get("pod", "unsafe")["status"]).get("reason") and s, "refusal")
    assert (failed["phase"], failed["reason"]) == ("Failed", "SysctlForbidden")


def test_resources_are_resized_in_place_or_have_to_wait(probes):
    def sizes(cpu, memory):
        return {kind: {"cpu": cpu, "memory": memory} for kind in ("requests", "limits")}

    def resize(wanted):
        patch = {"spec": {"containers": [{"name": "c", "resources": wanted}]}}
        probes.kubectl("patch", "pod", "resized", "--subresource", "resize", "-p", json.dumps(patch))

    def status():
        return probes.get("pod", "resized")["status"]

    most = int(probes.get("node", "n1")["status"]["allocatable"]["cpu"]) * 600
    probes.running(
        pod("resized", "sleep 600", container={"resources": sizes("50m", "32Mi")}),
        pod("neighbour", "sleep 600", container={"resources": {"requests": {"cpu": f"{most}m"}}}),
    )
    resize(sizes("100m", "64Mi"))
    until(lambda: status()["containerStatuses"][0]["resources"] == sizes("100m", "64Mi"), "resized")
    limit = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"
    assert probes.kubectl("exec", "resized", "--", "sh", "-c", limit) == f"{64 << 20}\n"
    resize(sizes(f"{most}m", "64Mi"))
    pending = until(lambda: [c for c in status()["conditions"] if c["type"] == "PodResizePending"], "put off")
    assert pending[0]["reason"] == "Deferred"
    now = status()["containerStatuses"][0]
    assert now["allocatedResources"] == {"cpu": "100m", "memory": "64Mi"}
    assert now["restartCount"] == 0
    resize(sizes("100m", "64Mi"))
    until(lambda: not [c for c in status()["conditions"] if c["type"].startswith("PodResize")], "taken back")


def test_ephemeral_containers_join_a_running_pod(probes):
    probes.running(pod("patient", "sleep 600"))
    debugger = {"name": "doctor", "image": IMAGE, "command": ["sh", "-c", "ps; sleep 600"], "targetContainerName": "c"}
    patch = json.dumps({"spec": {"ephemeralContainers": [debugger]}})
    probes.kubectl("patch", "pod", "patient", "--subresource", "ephemeralcontainers", "-p", patch)
    until(lambda: "sleep 600" in probes.kubectl("logs", "patient", "-c", "doctor", check=False), "doctor sees c")
    assert probes.kubectl("exec", "patient", "-c", "doctor", "--", "echo", "hello") == "hello\n"
