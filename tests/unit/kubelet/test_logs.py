from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from sampan.base.clock import FakeClock
from sampan.kubelet.logs.reader import LogOptions, read_log
from sampan.kubelet.logs.rotation import rotate
from sampan.kubelet.runtime import RuntimeFault
from tests.unit.kubelet.fakes import FakeRuntime

if TYPE_CHECKING:
    from pathlib import Path

STAMP = "2026-01-01T00:00:0{}.000000000Z"


def line(second: int, text: str, *, stream: str = "stdout", tag: str = "F") -> str:
    return f"{STAMP.format(second)} {stream} {tag} {text}\n"


def write(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.write("".join(lines))


async def read(path: Path, **options: object) -> str:
    blocks = [block async for block in read_log(path, LogOptions(**options), alive=lambda: False)]
    return b"".join(blocks).decode()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "0.log"
    write(path, line(1, "one"), line(2, "tw", tag="P"), line(2, "o"), line(3, "three", stream="stderr"))
    return path


async def test_lines_are_joined_and_stripped_of_their_heads(log: Path) -> None:
    assert await read(log) == "one\ntwo\nthree\n"


async def test_tail_since_limit_stream_and_timestamps(log: Path) -> None:
    assert await read(log, tail=1) == "three\n"
    assert await read(log, tail=0) == ""
    assert await read(log, tail=100) == "one\ntwo\nthree\n"
    assert await read(log, limit=5) == "one\nt"
    assert await read(log, stream="Stderr") == "three\n"
    assert await read(log, tail=1, timestamps=True) == f"{STAMP.format(3)} three\n"
    assert await read(log, since=1767225603.0) == "three\n"


async def test_following_sees_new_lines_rotation_and_the_end(log: Path) -> None:
    running = True
    seen = bytearray()

    async def follow() -> None:
        async for block in read_log(log, LogOptions(follow=True, tail=0), alive=lambda: running):
            seen.extend(block)

    async def until(text: bytes) -> None:
        async with asyncio.timeout(5):
            while text not in seen:
                await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(follow())
        await asyncio.sleep(0)
        write(log, line(4, "four"))
        await until(b"four\n")
        log.rename(log.with_name("0.log.old"))
        write(log, line(5, "five"))
        await until(b"five\n")
        running = False
        write(log, line(6, "six"))
    assert bytes(seen) == b"four\nfive\nsix\n"


async def test_rotation_keeps_so_many_files_and_compresses_the_older_ones(tmp_path: Path) -> None:
    clock = FakeClock()
    runtime = FakeRuntime(clock)
    path = tmp_path / "0.log"
    for _ in range(6):
        path.write_text("x\n")
        await rotate(path, "c1", runtime, clock, max_files=3)
        await clock.advance(1)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert len(names) == 2
    assert [name.endswith(".gz") for name in names] == [True, False]
    assert runtime.calls[0] == ("reopen", "c1")


async def test_log_keeps_its_name_when_the_runtime_cannot_reopen_it(tmp_path: Path) -> None:
    class Broken(FakeRuntime):
        async def reopen_log(self, container_id: str) -> None:
            raise RuntimeFault("no")

    path = tmp_path / "0.log"
    path.write_text("x\n")
    with pytest.raises(RuntimeFault):
        await rotate(path, "c1", Broken(FakeClock()), FakeClock(), max_files=3)
    assert path.exists()
