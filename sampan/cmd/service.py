"""Running one service as a process: signals, the ready line, and one readable error instead of a group of them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from typing import TYPE_CHECKING, Any

from sampan.base import tasks
from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def run_until_signalled(service: Any, *, run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    """Run a service until SIGTERM or SIGINT; print its ready line; raise its own error, not a group of it.

    run: `uvloop.run` or `asyncio.run`.
    """

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        async with asyncio.TaskGroup() as group:
            task = tasks.spawn(group, service(announce), name="service")
            task.add_done_callback(lambda _: stop.set())
            await stop.wait()
            task.cancel()

    def announce(value: Any = None) -> None:
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.write(f"ready {value}\n")
            sys.stdout.flush()

    try:
        run(main())
    except BaseExceptionGroup as group:
        raise first_error(group) from None


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that a person should read: the first of ours, else the first of all."""
    leaves: list[BaseException] = []

    def collect(error: BaseException) -> None:
        if isinstance(error, BaseExceptionGroup):
            for one in error.exceptions:
                collect(one)
        else:
            leaves.append(error)

    collect(group)
    return next((one for one in leaves if isinstance(one, (SampanError, OSError))), leaves[0])
