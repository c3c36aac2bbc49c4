"""A cluster on a test host, as a user would run it: `sampan up` in a network namespace, real containers."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from tests.e2e.hosts import Host

ROOT = Path(__file__).parents[2]
SAMPAN = (sys.executable, "-m", "sampan.cmd.main")
KUBIA = "localhost:5000/kubia"


class Machine:
    """One host with one cluster."""

    def __init__(self, host: Host, data_dir: Path) -> None:
        self.host = host
        self.data_dir = data_dir

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PYTHONPATH": str(ROOT),
            "SAMPAN_DATA_DIR": str(self.data_dir),
            "KUBECONFIG": str(self.data_dir / "kubeconfig"),
        }

    def run(self, *argv: str, check: bool = True, timeout: float = 120, stdin: str | None = None):
        """Run a program on the host with the cluster's environment."""
        return self.host.run(*argv, check=check, timeout=timeout, env=self.environment, stdin=stdin)

    def sampan(self, *argv: str, check: bool = True, timeout: float = 120) -> str:
        result = self.run(*SAMPAN, *argv, check=check, timeout=timeout)
        return result.stdout + ("" if check else result.stderr)

    def kubectl(self, *argv: str, check: bool = True, stdin: str | None = None) -> str:
        """Run sampan's own kubectl, or the program that SAMPAN_E2E_KUBECTL names."""
        program = (real,) if (real := os.environ.get("SAMPAN_E2E_KUBECTL")) else (*SAMPAN, "kubectl")
        result = self.run(*program, *argv, check=check, stdin=stdin)
        return result.stdout + ("" if check else result.stderr)

    def popen(self, *argv: str, **options: object) -> subprocess.Popen[str]:
        return self.host.popen(*argv, env=self.environment, **options)

    def get(self, *argv: str) -> dict:
        """Get an object or list by kubectl, decoded."""
        return json.loads(self.kubectl("get", *argv, "-o", "json"))

    def up(self, *options: str) -> str:
        return self.sampan("up", "--node-name", "n1", "--wait-seconds", "60", *options)

    def down(self, *options: str) -> str:
        return self.sampan("down", *options)

    def curl(self, url: str, *, seconds: float = 3) -> str:
        """Fetch a URL from the host; "" when it does not answer."""
        return self.run("curl", "-s", "-m", str(seconds), url, check=False).stdout

    def ready_pods(self, selector: str) -> list[dict]:
        """Pods that match, are ready and not on their way out."""
        return [
            pod
            for pod in self.get("pods", "-l", selector)["items"]
            if "deletionTimestamp" not in pod["metadata"]
            and any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))
        ]

    @property
    def config(self) -> dict:
        """Ports and ranges that the cluster picked; beside a running demo they are not the first ones."""
        return json.loads((self.data_dir / "cluster.json").read_text())

    def record(self, process: str) -> dict:
        """A process as the supervisor or agent recorded it."""
        folder = self.data_dir / "agent" if process == "containerd" else self.data_dir
        return json.loads((folder / "run" / f"{process}.json").read_text())


def until(condition: Callable[[], object], what: str, *, seconds: float = 30) -> object:
    """Wait for a condition and return its value. A command that fails meanwhile (the server restarts) is no end."""
    end = time.monotonic() + seconds
    while True:
        try:
            if value := condition():
                return value
            problem = "not so"
        except AssertionError as error:
            problem = str(error)
        assert time.monotonic() < end, f"gave up after {seconds:g} s: {what} ({problem})"
        time.sleep(0.05)
