"""Volumes as pods see them: contents, modes, owners, updates."""

from __future__ import annotations

import json

import pytest

from tests.e2e.machine import until
from tests.e2e.probes import IMAGE, Probes, mounted, pod

CONFIG = {
    "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config"},
    "data": {"a": "one", "b": "two"}, "binaryData": {"dump": "3q2+/w=="},
}  # fmt: skip
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secret"}, "data": {"key": "aGlkZGVu"}}


@pytest.fixture(scope="module")
def probes(machine, tmp_path_factory):
    probes = Probes(machine, "conformance-storage", tmp_path_factory.mktemp("probe"))
    probes.create(CONFIG, SECRET)
    yield probes
    probes.remove()


def test_configmaps_secrets_and_images_have_their_contents_modes_and_groups(probes):
    user = {"securityContext": {"runAsUser": 1000, "fsGroup": 1001}}
    items = [{"key": "b", "path": "deep/er/b", "mode": 0o400}]
    look = "stat -L -c '%a %u %g'"
    _, logs = probes.finished(
        pod("config", "cat /v/a /v/b; hexdump -e '1/1 \"%02x\"' /v/dump", **mounted({"configMap": {"name": "config"}})),
        pod("items", f"ls /v; cat /v/deep/er/b; {look} /v/deep/er/b",
            **mounted({"configMap": {"name": "config", "items": items}})),
        pod("secret", f"cat /v/key; {look} /v/key", **user,
            **mounted({"secret": {"secretName": "secret", "defaultMode": 0o440}})),
        pod("absent", "ls /v | wc -l", **mounted({"secret": {"secretName": "absent", "optional": True}})),
        pod("image", "head -1 /v/etc/passwd; touch /v/x || echo refused", **mounted({"image": {"reference": IMAGE}})),
        pod("sub", "cat /v/a", **mounted({"configMap": {"name": "config"}}, "/v/a", subPath="a")),
    )  # fmt: skip
    image = logs.pop("image")
    assert "root:x:0:0:root:/root:/bin/sh\n" in image
    assert "refused\n" in image
    assert logs == {
        "config": "onetwodeadbeff",
        "items": "deep\ntwo400 0 0\n",
        "secret": "hidden440 0 1001\n",
        "absent": "0\n",
        "sub": "one",
    }


def test_empty_directories_have_their_medium_mode_and_owner(probes):
    look = "stat -c '%a %u %g' /v; touch /v/x && stat -c '%u %g' /v/x; df -k /v | awk 'END{print $1, $2}'"
    user = {"securityContext": {"runAsUser": 1001, "fsGroup": 123}}
    limited = {"emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
    _, logs = probes.finished(
        pod("disk", look, **mounted({"emptyDir": {}})),
        pod("memory", look, **mounted(limited)),
        pod("group", look, **user, **mounted({"emptyDir": {}})),
    )
    assert logs["disk"].startswith("777 0 0\n0 0\n")
    assert logs["memory"] == "777 0 0\n0 0\ntmpfs 1024\n"
    assert logs["group"].startswith("2777 0 123\n1001 123\n")


def test_sub_path_expressions_are_expanded_and_kept_inside(probes):
    def expressed(name, value, script):
        parts = mounted({"emptyDir": {}}, "/sub", subPathExpr="$(NAME)/$(OTHER)")
        mounts = [*parts["container"]["volumeMounts"], {"name": "v", "mountPath": "/all"}]
        variables = [{"name": "NAME", "value": value}, {"name": "OTHER", "value": "x"}]
        return pod(name, script, volumes=parts["volumes"], container={"volumeMounts": mounts, "env": variables})

    _, logs = probes.finished(expressed("inside", "in", "echo text > /sub/f; cat /all/in/x/f"))
    assert logs["inside"] == "text\n"
    probes.create(expressed("absolute", "/tmp", "true"), expressed("backticks", "..", "true"))

    def refused(name):
        states = [s["state"] for s in probes.get("pod", name)["status"].get("containerStatuses") or ()]
        return any(s.get("waiting", {}).get("reason") == "CreateContainerConfigError" for s in states)

    until(lambda: refused("absolute") and refused("backticks"), "refusals")


def test_projected_volumes_follow_what_they_show(probes):
    sources = [
        {"configMap": {"name": "later", "optional": True}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        {"secret": {"name": "secret", "items": [{"key": "key", "path": "secret/key"}]}},
        {"serviceAccountToken": {"path": "token", "audience": "test"}},
    ]
    probes.running(
        pod("projected", "sleep 600", metadata={"labels": {"x": "1"}}, **mounted({"projected": {"sources": sources}}))
    )

    def shown():
        return probes.kubectl("exec", "projected", "--", "sh", "-c", "cd /v; cat labels secret/key; cat k; ls")

    assert shown().endswith("labels\nsecret\ntoken\n")
    later = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "later"}, "data": {"k": "first"}}
    probes.create(later)
    until(lambda: "first" in shown(), "the configMap appears")
    probes.kubectl("patch", "configmap", "later", "--type=merge", "-p", json.dumps({"data": {"k": "second"}}))
    probes.kubectl("label", "pod", "projected", "x=2", "--overwrite")
    until(lambda: "second" in (text := shown()) and 'x="2"' in text, "both changes")
