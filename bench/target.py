"""The server under test: one started here, with figures of its process, or any other by its address."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bench.connection import Address, Connection
from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from types import TracebackType

_START_SECONDS = 60.0
_DEFAULT_ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"
SAMPAN = (sys.executable, "-c", "from sampan.cmd.main import main; main()")
"""What the console script does, also where the package is not installed."""


class StartError(SampanError):
    """The server did not come up; the message holds the end of its log."""


class Server:
    """A sampan server on a data directory; its first start on an empty one is the cold start."""

    def __init__(self, folder: Path, components: str) -> None:
        self._folder = folder
        self._components = components
        self._process: subprocess.Popen[bytes] | None = None
        token = secrets.token_hex(16)
        self._tokens = folder / "tokens.csv"
        self._tokens.write_text(f'{token},bench,bench,"system:masters"\n')
        self._tokens.chmod(0o600)
        self.address = Address(f"https://127.0.0.1:{_free_port()}", token)
        self.ready = 0.0
        self.service_account = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def start(self) -> None:
        """Start the process and wait until it is ready; sets ready and service_account, seconds from the start."""
        command = [*SAMPAN, "server", "--data-dir", str(self._folder / "data"), "--secure-port",
                   str(self.address.port), "--token-auth-file", str(self._tokens)]  # fmt: skip
        if self._components:
            command += ["--components", self._components]
        log = self._folder / "server.log"
        begin = time.perf_counter()
        with log.open("ab") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)  # noqa: S603, ASYNC220
        self.ready = await self._reached("/readyz", begin)
        self.service_account = await self._reached(_DEFAULT_ACCOUNT, begin) if self._has_controllers() else 0.0

    def _has_controllers(self) -> bool:
        return not self._components or "controllers" in self._components

    async def _reached(self, path: str, begin: float) -> float:
        assert self._process is not None
        while time.perf_counter() - begin < _START_SECONDS:
            if self._process.poll() is not None:
                break
            try:
                connection = await Connection.open(self.address)
                status, _ = await connection.send("GET", path)
                connection.close()
            except (OSError, EOFError):
                status = 0
            if status == 200:
                return time.perf_counter() - begin
            await asyncio.sleep(0.01)
        tail = (self._folder / "server.log").read_text(errors="replace")[-2000:]
        raise StartError(f"the server did not answer {path} with 200:\n{tail}")

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def kubeconfig(self) -> Path:
        """Write a kubeconfig file for the server."""
        path = self._folder / "kubeconfig"
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "bench",
            "clusters": [{"name": "bench", "cluster": {"server": self.address.url, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "bench", "user": {"token": self.address.token}}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        }  # fmt: skip
        path.touch(mode=0o600)
        path.write_text(json.dumps(config))  # JSON is YAML
        return path

    def memory(self) -> float:
        """Resident memory in MB, of the process and its children."""
        return sum(_resident(pid) for pid in self._pids()) / 1e6

    def cpu_seconds(self) -> float:
        """Processor time used so far, of the process and its children."""
        return sum(_cpu(pid) for pid in self._pids())

    def _pids(self) -> list[int]:
        assert self._process is not None
        found = [self._process.pid]
        for pid in found:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                found += [int(child) for child in children.read_text().split()]
        return found


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _cpu(pid: int) -> float:
    # schedstat counts nanoseconds, stat only ticks: an idle server's wake-ups are shorter than one.
    return sum(int(one.read_text().split()[0]) for one in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
