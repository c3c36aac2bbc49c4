"""Client libraries and helm against a running cluster, unmodified."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import pytest

from tests.e2e.kubelet_lab import busybox_archive
from tests.e2e.machine import KUBIA, until
from tests.e2e.tools import real_helm, real_kubectl

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]
_PROGRAM = Path(__file__).with_name("libraryclients.py")


@pytest.fixture(scope="module", autouse=True)
def _looks_by_real_kubectl():
    """These tests look at the cluster many times; the real kubectl starts in a fifth of our own's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMPAN_E2E_KUBECTL", str(real_kubectl("37")))
        yield


@pytest.fixture(scope="module")
def cluster(machine, tmp_path_factory):
    """The running cluster with an image that holds a shell."""
    archive = tmp_path_factory.mktemp("busybox") / "busybox.tar"
    archive.write_bytes(busybox_archive())
    machine.sampan("image", "load", str(archive))
    return machine


@pytest.mark.parametrize(
    "step", ["reads_and_writes", "applies_with_ownership", "reads_logs_and_runs_commands", "forwards_ports"]
)
def test_official_python_client(cluster, step):
    cluster.run(sys.executable, str(_PROGRAM), step)


def test_kr8s(cluster):
    cluster.run(sys.executable, str(_PROGRAM), "kr8s_works")


CHART = {
    "Chart.yaml": "apiVersion: v2\nname: web\nversion: 0.1.0\n",
    "values.yaml": "greeting: hello\nreplicas: 1\n",
    "templates/config.yaml": """apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-config"}
data: {greeting: "{{ .Values.greeting }}"}
""",
    "templates/deployment.yaml": f"""apiVersion: apps/v1
kind: Deployment
metadata: {{name: "{{{{ .Release.Name }}}}"}}
spec:
  replicas: {{{{ .Values.replicas }}}}
  selector: {{matchLabels: {{app: "{{{{ .Release.Name }}}}"}}}}
  template:
    metadata: {{labels: {{app: "{{{{ .Release.Name }}}}"}}}}
    spec: {{terminationGracePeriodSeconds: 0, containers: [{{name: web, image: "{KUBIA}"}}]}}
""",
}


def test_helm_installs_upgrades_rolls_back_and_uninstalls(cluster, tmp_path):
    for name, text in CHART.items():
        (tmp_path / "chart" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "chart" / name).write_text(text)

    def helm(*argv):
        homes = [f"HELM_{name}_HOME={tmp_path}/{name}" for name in ("CACHE", "CONFIG", "DATA")]
        return cluster.run("env", *homes, str(real_helm()), *argv).stdout

    def greeting():
        return cluster.get("configmap", "web-config")["data"]["greeting"]

    chart = str(tmp_path / "chart")
    assert "STATUS: deployed" in helm("install", "web", chart, "--wait", "--timeout=60s")
    assert greeting() == "hello"
    assert cluster.get("deployment", "web")["status"]["readyReplicas"] == 1
    helm("upgrade", "web", chart, "--set=greeting=hi,replicas=2", "--wait", "--timeout=60s")
    assert greeting() == "hi"
    assert cluster.get("deployment", "web")["status"]["readyReplicas"] == 2
    helm("rollback", "web", "1", "--wait", "--timeout=60s")
    assert greeting() == "hello"
    assert [one["status"] for one in json.loads(helm("history", "web", "-o=json"))] == [
        "superseded", "superseded", "deployed",
    ]  # fmt: skip
    secret = cluster.get("secret", "sh.helm.release.v1.web.v3")
    assert base64.b64decode(secret["data"]["release"])
    helm("uninstall", "web", "--wait")
    until(lambda: not cluster.get("pods", "-l", "app=web")["items"], "the chart's pods to end")
