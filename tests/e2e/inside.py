"""This process's own sockets on a test host: for clients that are Python libraries, and for servers of the test."""

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.hosts import Host

_CLONE_NEWNET = 0x40000000


@contextmanager
def inside(host: Host) -> Iterator[None]:
    """Put this thread, and the threads and programs that it starts, into the host's network namespace.

    A socket stays in the namespace where it was made.
    """
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    target = os.open(f"/run/netns/{host.namespace}", os.O_RDONLY)
    try:
        _enter(target)
        try:
            yield
        finally:
            _enter(own)
    finally:
        os.close(target)
        os.close(own)


def _enter(namespace: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
