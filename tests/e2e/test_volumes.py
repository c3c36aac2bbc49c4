"""Claims on a real node: data outlives its pod, not its claim."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.machine import KUBIA, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def pod(name, command):
    mount = {"name": "data", "mountPath": "/data"}
    container = {"name": "c", "image": KUBIA, "command": ["/bin/busybox", "sh", "-c", command], "volumeMounts": [mount]}
    container["securityContext"] = {"runAsUser": 1000}
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": [volume]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def test_data_outlives_its_pod_and_goes_with_its_claim(machine):
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": spec}
    items = [claim, pod("writer", "echo kept > /data/file")]
    machine.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))

    def succeeded(name):
        return machine.get("pod", name).get("status", {}).get("phase") == "Succeeded"

    until(lambda: succeeded("writer"), "the writer to end", seconds=60)
    volume = machine.get("pv", machine.get("pvc", "data")["spec"]["volumeName"])
    path = Path(volume["spec"]["hostPath"]["path"])
    assert path.is_relative_to(machine.data_dir)
    assert (path / "file").read_text() == "kept\n"
    machine.kubectl("delete", "pod", "writer")
    machine.kubectl("create", "-f", "-", stdin=json.dumps(pod("reader", "cat /data/file")))
    until(lambda: succeeded("reader"), "the reader to end", seconds=60)
    assert machine.kubectl("logs", "reader") == "kept\n"
    machine.kubectl("delete", "pod", "reader")
    machine.kubectl("delete", "pvc", "data")
    until(lambda: not machine.get("pv")["items"], "the volume to go", seconds=30)
    until(lambda: not path.exists(), "its directory to go", seconds=30)
