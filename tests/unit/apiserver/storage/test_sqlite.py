"""What can go wrong with the file, and what must survive it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
from contextlib import closing

import pytest

from sampan.apiserver.storage.interface import KeyExistsError, StoreUnavailableError
from sampan.apiserver.storage.sqlite import SQLiteBackend
from sampan.base.clock import FakeClock

A, B = "/registry/core/pods/ns/a", "/registry/core/pods/ns/b"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "state.db"


@pytest.fixture
def open_backend(path):
    async def opened(clock=None):
        backend = SQLiteBackend(path, clock or FakeClock())
        await backend.start()
        return backend

    return opened


async def test_what_was_written_is_there_after_a_restart(open_backend):
    first = await open_backend()
    a = await first.create(A, b"1")
    b = await first.create(B, b"1")
    await first.update(A, b"2", expected=a)
    gone = await first.delete(B, expected=b)
    await first.close()
    second = await open_backend()
    assert (await second.get(A)).value == b"2"
    assert await second.get(B) is None
    assert second.revision == gone
    assert [record.key for record in (await second.list("/registry/", revision=b)).records] == [A, B]
    await second.close()


async def test_revisions_go_on_after_a_restart_though_the_last_rows_are_compacted_away(open_backend):
    first = await open_backend()
    a = await first.create(A, b"1")
    gone = await first.delete(A, expected=a)
    await first.compact(gone)
    await first.close()
    second = await open_backend()
    assert second.revision == gone
    assert await second.create(A, b"2") == gone + 1
    await second.close()


async def test_compaction_keeps_what_is_current_and_drops_the_rest(open_backend, path):
    backend = await open_backend()
    revision = await backend.create(A, b"0")
    for n in range(1, 50):
        revision = await backend.update(A, b"%d" % n, expected=revision)
    b = await backend.create(B, b"1")
    await backend.delete(B, expected=b)
    await backend.compact(backend.revision)
    await backend.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT key, value FROM log").fetchall() == [(A, b"49")]


async def test_expiry_survives_a_restart(open_backend):
    clock = FakeClock()
    first = await open_backend(clock)
    await first.create(A, b"1", ttl=60)
    await first.close()
    second = await open_backend(clock)
    async with asyncio.TaskGroup() as group:
        chores = group.create_task(second.run())
        while not clock.sleepers:
            await asyncio.sleep(0)
        await clock.advance(62)
        async with asyncio.timeout(10):
            while await second.get(A) is not None:
                await asyncio.sleep(0)
        chores.cancel()
    await second.close()


async def test_a_second_process_is_told_who_holds_the_store(open_backend):
    first = await open_backend()
    with pytest.raises(StoreUnavailableError, match=f"in use by process {os.getpid()}: stop it, or choose another"):
        await open_backend()
    await first.create(A, b"1")
    await first.close()
    await (await open_backend()).close()


async def test_the_file_can_be_read_by_its_owner_only(open_backend, path):
    backend = await open_backend()
    await backend.create(A, b"1")
    for one in path.parent.iterdir():
        assert stat.S_IMODE(one.stat().st_mode) & 0o077 == 0, one
    await backend.close()


async def test_a_file_that_is_no_database_is_refused_untouched(open_backend, path):
    path.parent.mkdir()
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreUnavailableError, match=r"is damaged .*: restore it from a backup, or move it away"):
        await open_backend()
    assert path.read_bytes() == b"not a database at all" * 100


async def test_a_damaged_page_is_refused_with_the_cure(open_backend, path):
    backend = await open_backend()
    for n in range(200):
        await backend.create(f"{A}{n}", b"x" * 500)
    await backend.close()
    with path.open("r+b") as file:
        file.seek(4096 * 10)
        file.write(b"\xff" * 4096 * 5)
    with pytest.raises(StoreUnavailableError, match="damaged"):
        await open_backend()


async def test_another_programs_database_is_refused(open_backend, path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StoreUnavailableError, match="another program's database"):
        await open_backend()


async def test_a_newer_layout_is_refused(open_backend, path):
    await (await open_backend()).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreUnavailableError, match="newer sampan"):
        await open_backend()


async def test_a_full_disk_fails_all_pending_writes_and_heals_when_there_is_space(open_backend, path):
    backend = await open_backend()
    kept = await backend.create(A, b"1")
    connection = backend._file._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    big = b"x" * 100_000
    writes = (backend.update(A, big, expected=kept), backend.create(B, big), backend.create(f"{B}2", b"1"))
    for result in await asyncio.gather(*writes, return_exceptions=True):
        assert isinstance(result, StoreUnavailableError)
        assert "is full: free some space; nothing that was acknowledged is lost" in str(result)
    assert (await backend.get(A)).value == b"1"
    assert await backend.get(B) is None
    connection.execute("PRAGMA max_page_count = 1000000")
    assert await backend.update(A, b"2", expected=kept) > kept
    await backend.create(B, b"2")
    with pytest.raises(KeyExistsError):
        await backend.create(B, b"3")
    await backend.close()


async def test_a_file_copied_while_it_runs_holds_every_acknowledged_write(open_backend, path, tmp_path):
    """What a crash leaves: the file and its log as they are at any moment."""
    backend = await open_backend()
    revisions = [await backend.create(f"{A}{n}", b"x" * n) for n in range(100)]
    crashed = tmp_path / "crashed"
    shutil.copytree(path.parent, crashed)
    await backend.close()
    after = SQLiteBackend(crashed / path.name, FakeClock())
    await after.start()
    assert after.revision == revisions[-1]
    page = await after.list("/registry/")
    assert sorted(len(record.value) for record in page.records) == list(range(100))
    await after.close()


async def test_a_copy_made_while_writes_go_on_opens_as_a_store(open_backend, tmp_path):
    backend = await open_backend()
    before = [await backend.create(f"{A}{n}", b"x" * 1000) for n in range(100)]
    copy = tmp_path / "copy.db"
    await asyncio.gather(backend.copy_to(copy), *(backend.create(f"{B}{n}", b"1") for n in range(50)))
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with pytest.raises(StoreUnavailableError, match=r"cannot write the copy .*: File exists"):
        await backend.copy_to(copy)
    copied = SQLiteBackend(copy, FakeClock())
    await copied.start()
    assert before[-1] <= copied.revision <= backend.revision
    records = (await copied.list(A)).records
    assert len(records) == 100
    await copied.close()
    await backend.close()


async def test_a_folder_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    backend = SQLiteBackend(tmp_path / "file" / "state.db", FakeClock())
    with pytest.raises(StoreUnavailableError, match="cannot open the data store"):
        await backend.start()
