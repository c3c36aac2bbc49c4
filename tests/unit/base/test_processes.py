"""Supervised processes restart, are adopted, and end when told."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager

import pytest

from sampan.base import tasks
from sampan.base.clock import RealClock
from sampan.base.processes import Command, ProcessError, ProcessRecord, Supervised, process_start_time, wait_exit


async def always() -> bool:
    return True


def make(tmp_path, *argv):
    command = Command(name="child", argv=argv or ("/bin/sleep", "60"), log_file=tmp_path / "child.log")
    return Supervised(command, tmp_path, RealClock())


@asynccontextmanager
async def supervised(child):
    """Run a supervisor for the body; its process stays when it is cancelled."""
    async with asyncio.TaskGroup() as group:
        ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        task = tasks.spawn(group, child.run(lambda pid=None: ready.set_result(pid), always), name="run")
        yield await ready
        task.cancel()


@pytest.fixture
async def running(tmp_path):
    child = make(tmp_path)
    async with supervised(child):
        yield child
    await child.stop()


async def wait_restart(child, pid):
    while (record := child.record) is None or record.pid == pid:
        await asyncio.sleep(0.01)
    return record


async def test_killed_process_is_started_again(running):
    pid = running.record.pid
    os.kill(pid, signal.SIGKILL)
    record = await wait_restart(running, pid)
    assert record.alive
    assert running.restarts == 1


async def test_next_supervisor_adopts_the_running_process(tmp_path):
    first, second = make(tmp_path), make(tmp_path)
    async with supervised(first) as pid:
        pass
    async with supervised(second) as adopted:
        assert adopted == pid
    await first.stop()


async def test_process_with_other_arguments_is_replaced(tmp_path):
    first, second = make(tmp_path), make(tmp_path, "/bin/sleep", "61")
    async with supervised(first) as pid:
        pass
    async with supervised(second) as replaced:
        assert replaced != pid
        assert not process_start_time(pid)
    await second.stop()
    await first.stop()


async def test_stop_ends_the_process(running):
    record = running.record
    await running.stop()
    await wait_exit(record.pid)
    assert not record.alive
    assert running.record is None


async def test_process_that_dies_before_it_is_ready_is_an_error_with_its_log(tmp_path):
    child = make(tmp_path, sys.executable, "-c", "raise SystemExit('the port is taken')")

    async def never() -> bool:
        return False

    with pytest.raises(ProcessError, match="the port is taken"):
        await child.run(tasks.STARTED_IGNORED, never)


async def test_missing_program_is_named(tmp_path):
    with pytest.raises(ProcessError, match="/nowhere/program: No such file"):
        await make(tmp_path, "/nowhere/program").run(tasks.STARTED_IGNORED, always)


def test_reused_pid_is_not_mistaken_for_the_recorded_process():
    assert not ProcessRecord(os.getpid(), 1, []).alive
