"""Backends and stores that the contract suites run against."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sampan.apiserver.storage.interface import LocalBackend, RemoteBackend, StoreUnavailableError
from sampan.apiserver.storage.memory import MemoryBackend
from sampan.apiserver.storage.sqlite import SQLiteBackend
from sampan.apiserver.storage.store import Store
from sampan.base.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Remote:
    """A backend seen as one with other writers: no chained writes, changes by watch only."""

    def __init__(self, backend):
        self.inner = backend
        for name in ("start", "run", "close", "get", "list", "create", "update", "delete", "watch", "compact"):
            setattr(self, name, getattr(backend, name))

    @property
    def revision(self):
        return self.inner.revision

    async def latest(self):
        return self.inner.revision


@contextmanager
def etcd_member(folder):
    """A one-member etcd on free ports of the loopback; yields its client address."""
    program = shutil.which("etcd")
    if program is None:
        pytest.skip("etcd is not installed: apt-get install etcd-server")
    client, peer = (f"127.0.0.1:{free_port()}" for _ in range(2))
    command = [
        program, "--name=test", f"--data-dir={folder}", "--log-level=error",
        f"--listen-client-urls=http://{client}", f"--advertise-client-urls=http://{client}",
        f"--listen-peer-urls=http://{peer}", f"--initial-advertise-peer-urls=http://{peer}",
        f"--initial-cluster=test=http://{peer}", "--heartbeat-interval=20", "--election-timeout=100",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield client
        finally:
            process.kill()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def etcd_backend(address, clock):
    pytest.importorskip("aetcd")
    from sampan.apiserver.storage.etcd import EtcdBackend  # noqa: PLC0415 - where its library is installed
    from sampan.apiserver.storage.etcdclient import EtcdOptions  # noqa: PLC0415

    async with asyncio.timeout(20):
        while True:
            backend = EtcdBackend(EtcdOptions(endpoints=(address,)), clock)
            try:
                await backend.start()
            except StoreUnavailableError:  # not up yet
                await backend.close()
            else:
                return backend


@pytest.fixture
def clock():
    return FakeClock()


def make_backend(kind, tmp_path, clock):
    if kind == "sqlite":
        return SQLiteBackend(tmp_path / "state.db", clock)
    return MemoryBackend(clock)


@pytest.fixture(params=["memory", "sqlite", "etcd"])
async def backend(request, tmp_path, clock) -> AsyncIterator[LocalBackend]:
    if request.param == "etcd":
        if request.cls is not None and request.cls.__name__ == "TestExpiry":
            pytest.skip("etcd keeps its own time")
        with etcd_member(tmp_path / "etcd") as address:
            made = await etcd_backend(address, clock)
            yield made
            await made.close()
        return
    made = make_backend(request.param, tmp_path, clock)
    await made.start()
    yield made
    await made.close()


@pytest.fixture(params=["memory", "sqlite", "remote", "etcd"])
async def store(request, tmp_path, clock) -> AsyncIterator[Store]:
    if request.param == "etcd":
        with etcd_member(tmp_path / "etcd") as address:
            made = Store(await etcd_backend(address, clock), clock)
            await made.start()
            yield made
            await made.close()
        return
    backend = make_backend(request.param, tmp_path, clock)
    if request.param == "remote":
        backend = Remote(backend)
        assert isinstance(backend, RemoteBackend)
        assert not isinstance(backend, LocalBackend)
    made = Store(backend, clock)
    await made.start()
    yield made
    await made.close()
