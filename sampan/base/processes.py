"""Processes that outlive their supervisor: started once, adopted afterwards, restarted with back-off.

Each process is recorded in ``<run dir>/<name>.json`` with its pid and kernel start time, so that a new supervisor
recognises it (a reused pid has another start time), adopts it and waits for its end through a pidfd. A supervisor that
dies takes nothing with it. Processes get sessions of their own: a terminal's Ctrl-C reaches only the supervisor.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from sampan.base.errors import SampanError
from sampan.base.log import logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from sampan.base.clock import Clock
    from sampan.base.tasks import Started

log = logger("processes")

FIRST_BACKOFF = 0.2
LAST_BACKOFF = 10.0
STEADY_SECONDS = 30.0
"""A process that ran this long restarts without back-off: its death is not part of a crash loop."""
_LOG_LIMIT = 20 * 2**20
"""A log larger than this is moved to ``<name>.log.1`` when its process starts."""


class ProcessError(SampanError):
    """A process could not be started or did not become ready; the message names its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run. environment: added to the supervisor's own; secrets never go into argv."""

    name: str
    argv: Sequence[str]
    log_file: Path
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """A process as recorded on disk."""

    pid: int
    start_time: int
    argv: list[str]

    @classmethod
    def load(cls, path: Path) -> ProcessRecord | None:
        """Read a record; None when it is absent or damaged."""
        try:
            return cls(**orjson.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    @property
    def alive(self) -> bool:
        return process_start_time(self.pid) == self.start_time


def process_start_time(pid: int) -> int | None:
    """Kernel start time of a live process in clock ticks since boot; None when it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in {"Z", "X"} else int(fields[19])


async def wait_exit(pid: int) -> None:
    """Return when the process has ended; it need not be a child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def terminate(record: ProcessRecord, *, seconds: float) -> None:
    """End a recorded process: SIGTERM, and SIGKILL after so many seconds. Does nothing when it is gone."""
    if not record.alive:
        return
    _send(record, signal.SIGTERM)
    try:
        async with asyncio.timeout(seconds):
            await wait_exit(record.pid)
    except TimeoutError:
        log.warning("Process did not end in time, killing it", pid=record.pid, seconds=seconds)
        _send(record, signal.SIGKILL)
        await wait_exit(record.pid)


def _send(record: ProcessRecord, number: int) -> None:
    if record.alive:
        try:
            os.kill(record.pid, number)
        except ProcessLookupError:
            return


class Supervised:
    """Keeps one command running."""

    def __init__(self, command: Command, run_dir: Path, clock: Clock) -> None:
        self.command = command
        self.restarts = 0
        self._record_file = run_dir / f"{command.name}.json"
        self._clock = clock
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def record(self) -> ProcessRecord | None:
        """The process as last started or adopted."""
        return ProcessRecord.load(self._record_file)

    async def run(self, started: Started, ready: Callable[[], Awaitable[bool]], *, seconds: float = 60.0) -> None:
        """Start or adopt the process, call started once it is ready, and restart it whenever it ends.

        ready: asked every 20 ms until true. Raises ProcessError when the first start fails or takes longer than
        `seconds`. Cancelling leaves the process running; see `stop`.
        """
        record = await self._adopt()
        adopted = record is not None
        if record is None:
            record = self._start()
        await self._wait_ready(record, ready, seconds)
        started(record.pid)
        log.info("Process is ready", name=self.command.name, pid=record.pid, adopted=adopted)
        backoff = FIRST_BACKOFF
        while True:
            began = self._clock.monotonic()
            await wait_exit(record.pid)
            status = self._reap()
            steady = self._clock.monotonic() - began > STEADY_SECONDS
            backoff = FIRST_BACKOFF if steady else min(backoff * 2, LAST_BACKOFF)
            log.warning("Process ended, restarting it", name=self.command.name, status=status, backoff=backoff)
            await self._clock.sleep(backoff)
            self.restarts += 1
            record = self._start()

    def start_detached(self) -> ProcessRecord:
        """Start the process and leave it to itself."""
        return self._start()

    async def stop(self, *, seconds: float = 5.0) -> None:
        """End the process and forget it."""
        if (record := self.record) is not None:
            await terminate(record, seconds=seconds)
            self._record_file.unlink(missing_ok=True)
        self._reap()

    async def _adopt(self) -> ProcessRecord | None:
        record = self.record
        if record is None or not record.alive:
            return None
        if record.argv == list(self.command.argv):
            return record
        log.info("Process runs with other arguments, replacing it", name=self.command.name, pid=record.pid)
        await terminate(record, seconds=5.0)
        return None

    def _start(self) -> ProcessRecord:
        command = self.command
        command.log_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if command.log_file.exists() and command.log_file.stat().st_size > _LOG_LIMIT:
            command.log_file.replace(command.log_file.with_name(command.log_file.name + ".1"))
        self._reap()  # a process that another supervisor ended is still our zombie
        descriptor = os.open(command.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._child = subprocess.Popen(  # noqa: S603 - argv is our own, no shell
                list(command.argv), stdin=subprocess.DEVNULL, stdout=descriptor, stderr=descriptor,
                start_new_session=True, env={**os.environ, **command.environment},
            )  # fmt: skip
        except OSError as error:
            raise ProcessError(f"cannot start {command.argv[0]}: {error.strerror}") from error
        finally:
            os.close(descriptor)
        record = ProcessRecord(self._child.pid, process_start_time(self._child.pid) or 0, list(command.argv))
        self._record_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self._record_file.with_suffix(".new")
        temporary.write_bytes(orjson.dumps({"pid": record.pid, "start_time": record.start_time, "argv": record.argv}))
        temporary.replace(self._record_file)
        return record

    def _reap(self) -> int | None:
        """Collect a child's exit status; an adopted process has none."""
        return None if self._child is None else self._child.poll()

    async def _wait_ready(self, record: ProcessRecord, ready: Callable[[], Awaitable[bool]], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not await ready():
                    if not record.alive:
                        self._reap()
                        raise ProcessError(self._failure("ended before it was ready"))
                    await self._clock.sleep(0.02)
        except TimeoutError:
            raise ProcessError(self._failure(f"was not ready within {seconds:g} s")) from None

    def _failure(self, what: str) -> str:
        log_file = self.command.log_file
        return f"{self.command.name} {what}; its last log lines ({log_file}):\n{tail(log_file, 5)}"


def tail(path: Path, lines: int) -> str:
    """The last lines of a log file, indented; "" when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:])
