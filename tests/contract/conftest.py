"""Backends and stores that the contract suites run against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sampan.apiserver.storage.interface import LocalBackend, RemoteBackend
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


@pytest.fixture
def clock():
    return FakeClock()


def make_backend(kind, tmp_path, clock):
    if kind == "sqlite":
        return SQLiteBackend(tmp_path / "state.db", clock)
    return MemoryBackend(clock)


@pytest.fixture(params=["memory", "sqlite"])
async def backend(request, tmp_path, clock) -> AsyncIterator[LocalBackend]:
    made = make_backend(request.param, tmp_path, clock)
    await made.start()
    yield made
    await made.close()


@pytest.fixture(params=["memory", "sqlite", "remote"])
async def store(request, tmp_path, clock) -> AsyncIterator[Store]:
    backend = make_backend(request.param, tmp_path, clock)
    if request.param == "remote":
        backend = Remote(backend)
        assert isinstance(backend, RemoteBackend)
        assert not isinstance(backend, LocalBackend)
    made = Store(backend, clock)
    await made.start()
    yield made
    await made.close()
