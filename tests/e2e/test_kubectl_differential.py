"""The same command line through real kubectl and through `sampan kubectl`, against the same server: same output, same
errors, same exit code, but for ages and ids.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sampan.kubectl.main import main
from tests.e2e.kubectl_lines import OLD, READS, WRITES, lines
from tests.e2e.tools import real_kubectl

OBJECTS = Path(__file__).with_name("kubectl_objects.yaml")
MANIFEST = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: ap, labels: {a: b}}
data: {x: "1", y: "<2>"}
"""
OURS = (sys.executable, "-m", "sampan.cmd.main", "kubectl")
TOKENS = "differential,admin,admin,system:masters\n"


class Cluster:
    """An API server without controllers, filled with `OBJECTS`, and the two programs."""

    def __init__(self, folder: Path, real: Path) -> None:
        self.manifest = folder / "manifest.yaml"
        self.manifest.write_text(MANIFEST)
        (folder / "tokens.csv").write_text(TOKENS)
        self._kubeconfig = folder / "kubeconfig"
        # messages hold the program's name, so the real one needs to be called as people call it
        self.real = folder / "kubectl"
        self.real.symlink_to(real)
        self.env = {**os.environ, "KUBECONFIG": str(self._kubeconfig), "HOME": str(folder)}
        self.server = subprocess.Popen(
            [
                *(sys.executable, "-m", "sampan.cmd.main", "server", "--components", "apiserver"),
                *("--data-dir", str(folder / "data"), "--secure-port", "0", "--bind-address", "127.0.0.1"),
                *("--token-auth-file", str(folder / "tokens.csv"), "--write-kubeconfig", str(self._kubeconfig)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def start(self) -> None:
        assert self.server.stdout is not None
        assert "ready" in self.server.stdout.readline()
        uids: dict[tuple[str, str], str] = {}
        for obj in yaml.safe_load_all(OBJECTS.read_text()):
            status = obj.pop("status", None)
            meta = obj["metadata"]
            if obj["kind"] == "Event":
                about = obj["involvedObject"]
                about["uid"] = uids[about["kind"], about["name"]]
            made = self.fill(["create", "-f", "-", "-o", "json"], obj)
            uids[obj["kind"], meta["name"]] = json.loads(made)["metadata"]["uid"]
            if status:
                space = ["-n", meta["namespace"]] if "namespace" in meta else []
                patch = json.dumps({"status": status})
                self.fill(
                    ["patch", obj["kind"], meta["name"], "--subresource=status", "--type=merge", "-p", patch, *space]
                )

    def fill(self, arguments: list[str], obj: object = None) -> str:
        text = json.dumps(obj) if obj is not None else None
        command = [str(self.real), *arguments]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=True, env=self.env).stdout

    def stop(self) -> None:
        self.server.terminate()
        self.server.wait(10)
        if self.server.stdout is not None:
            self.server.stdout.close()

    def arguments(self, line: str) -> list[str]:
        return shlex.split(line.replace("{manifest}", str(self.manifest)))

    def popen(self, program: tuple[str, ...], line: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*program, *self.arguments(line)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.env,
        )

    def undo(self, line: str) -> None:
        if line:
            subprocess.run([str(self.real), *shlex.split(line)], capture_output=True, env=self.env, check=False)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    found = Cluster(tmp_path_factory.mktemp("differential"), real_kubectl("37"))
    try:
        found.start()
        yield found
    finally:
        found.stop()


PROGRAM = (
    "get pods -o wide",
    "get pod web -o yaml",
    "describe pod web",
    "get nosuch",
    "get pods --nosuchflag",
    "version --client -o bad",
)
"""Lines that run as the program itself; all others run its entry point in the test's process, ten times as fast."""


@pytest.fixture
def ours(cluster, capfd, monkeypatch):
    for name in ("KUBECONFIG", "HOME"):
        monkeypatch.setenv(name, cluster.env[name])

    def run(line: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(cluster.arguments(line))
        out, error = capfd.readouterr()
        return code, out, error

    return run


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, error = process.communicate(timeout=30)
    return process.returncode, out, error


def normal(text: str) -> str:
    """The text without ages and ids, and without the padding that they change."""
    text = re.sub(r"\b(?:\d+y)?(?:\d+d)?(?:\d+h)?(?:\d+m)?\d+(?:\.\d+)?(?:s|ms|m|h|d)\b", "AGE", text)
    text = re.sub(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{20,}", "UID", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z|\w{3}, \d\d \w{3} \d{4} [\d:]{8} \+0000", "TIME", text)
    text = re.sub(r'(resourceVersion|resource Version|Resource Version|generation)("?: +)"?\d+"?', r"\1\2N", text)
    return re.sub(r" {2,}", "  ", text)


def compare(real: tuple[int, str, str], ours: tuple[int, str, str]) -> None:
    if real != ours:
        code, out, error = ours
        assert (code, normal(out), normal(error)) == (real[0], normal(real[1]), normal(real[2]))


@pytest.mark.parametrize("line", lines(READS))
def test_reading_command_answers_as_real_kubectl(cluster, ours, line):
    real = cluster.popen((str(cluster.real),), line)
    mine = ours(line)
    compare(finished(real), mine)


@pytest.mark.parametrize("line", lines(WRITES))
def test_writing_command_answers_as_real_kubectl(cluster, ours, line):
    command, _, undo = line.partition("##")
    real = finished(cluster.popen((str(cluster.real),), command))
    cluster.undo(undo)
    mine = ours(command)
    cluster.undo(undo)
    compare(real, mine)


@pytest.mark.parametrize("line", lines(OLD))
def test_old_kubectl_answers_the_same_where_nothing_changed(cluster, ours, line):
    real = cluster.popen((str(real_kubectl("27")),), line)
    mine = ours(line)
    compare(finished(real), mine)


@pytest.mark.parametrize("line", PROGRAM)
def test_program_itself_answers_as_real_kubectl(cluster, line):
    real = cluster.popen((str(cluster.real),), line)
    mine = cluster.popen(OURS, line)
    compare(finished(real), finished(mine))
