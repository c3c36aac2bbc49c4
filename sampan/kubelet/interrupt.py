"""Waiting for what may take long (an image, a hook), but no longer than the pod lives."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from sampan.base.tasks import spawn
from sampan.kubelet.hooks import HookError
from sampan.kubelet.images import StartError

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


class StoppingError(Exception):
    """The pod is to end: leave the pass."""


async def or_stop(work: Coroutine[Any, Any, T], stopping: asyncio.Event) -> T:
    """Return the work's result; cancel it and raise StoppingError when stopping is set before.

    Raises what the work raises, of StartError and HookError.
    """
    done: list[T] = []
    failed: list[StartError | HookError] = []

    async def guarded() -> None:
        # An error leaving the group would come out as an ExceptionGroup.
        try:
            done.append(await work)
        except (StartError, HookError) as error:
            failed.append(error)

    async with asyncio.TaskGroup() as group:
        task = spawn(group, guarded(), name="work")
        stop = spawn(group, stopping.wait(), name="stop")
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        task.cancel()
    if failed:
        raise failed[0]
    if not done:
        raise StoppingError
    return done[0]
