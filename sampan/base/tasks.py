"""Structured concurrency: every task has an owner, a name and an end.

The only module that creates tasks. A service (`serve`) runs until cancelled; if it returns or raises earlier, its
group ends with that error. Readiness is explicit: a service that takes ``started`` calls it once it is listening.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine


T = TypeVar("T")


class Started(Protocol):
    """Called once by a service when it is up, with what the starter wants to know (a port, an address)."""

    def __call__(self, value: Any = None) -> None: ...


def _ignore(value: Any = None) -> None:
    del value


STARTED_IGNORED: Started = _ignore


class ServiceEndedError(RuntimeError):
    """A service that should run until cancelled returned by itself."""


def spawn(group: asyncio.TaskGroup, coro: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
    """Start a named task owned by group."""
    return group.create_task(coro, name=name)


def serve(group: asyncio.TaskGroup, coro: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[None]:
    """Start a service: it must run until cancelled, an early return is a ServiceEndedError in the group."""

    async def guard() -> None:
        await coro
        raise ServiceEndedError(name)

    return group.create_task(guard(), name=name)


async def start(group: asyncio.TaskGroup, service: Callable[[Started], Coroutine[Any, Any, Any]], *, name: str) -> Any:
    """Start a service and return the value that it passes to ``started``; its error, if it fails before."""
    ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def started(value: Any = None) -> None:
        if not ready.done():
            ready.set_result(value)

    task = serve(group, service(started), name=name)
    await asyncio.wait({ready, task}, return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        ready.cancel()
        await task
    return ready.result()


async def shielded(awaitable: Awaitable[Any], *, seconds: float) -> None:
    """Run a cleanup to its end though the caller is being cancelled, but no longer than so many seconds."""

    async def bounded() -> None:
        async with asyncio.timeout(seconds):
            await awaitable

    task = asyncio.get_running_loop().create_task(bounded(), name="cleanup")
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
