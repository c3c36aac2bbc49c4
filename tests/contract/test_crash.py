"""kill -9 during a write load: nothing acknowledged is lost, no revision is given twice."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sampan.apiserver.storage.sqlite import SQLiteBackend
from sampan.base.clock import FakeClock

ROUNDS = 200 if os.environ.get("SAMPAN_SOAK") else 3
WRITER = Path(__file__).with_name("crashwriter.py")
ROOT = Path(__file__).parents[2]


def write_until_killed(database, journal, number, seconds):
    command = [sys.executable, str(WRITER), str(database), str(journal), str(number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        assert process.stdout.readline() == b"ready\n"
        # Killed after a random time of writing; readable earlier only if the writer died by itself.
        assert select.select([process.stdout], [], [], seconds)[0] == []
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def acknowledged(journal):
    for line in journal.read_text().splitlines():
        key, revision, value = line.split(" ")
        yield key, int(revision), value


@pytest.mark.timeout(60 + ROUNDS * 5)
async def test_no_acknowledged_write_is_lost_to_kill_9_and_no_revision_is_reused(tmp_path):
    chance = random.Random()
    database, journal = tmp_path / "state.db", tmp_path / "journal"
    journal.touch()
    given: dict[int, str] = {}
    newest = known = 0
    for number in range(ROUNDS):
        write_until_killed(database, journal, number, chance.uniform(0.05, 0.5))
        notes = list(acknowledged(journal))
        last = {key: (revision, value) for key, revision, value in notes}
        for key, revision, _ in notes[known:]:
            assert revision > newest, "a revision seen before the crash was given again"
            assert revision not in given
            given[revision] = key
        assert len(notes) > known
        known = len(notes)

        backend = SQLiteBackend(database, FakeClock())
        await backend.start()
        newest = backend.revision
        assert newest >= max(given)
        found = {record.key: record for record in (await backend.list("/registry/")).records}
        for key, (revision, value) in last.items():
            record = found.get(key)
            if record is None:
                # Gone by the acknowledged deletion, or by a later one that was killed before its answer.
                continue
            assert record.revision >= revision, f"{key} is at an older revision than was acknowledged"
            if record.revision == revision:
                assert record.value.split(b":")[0].decode() == value
            else:
                assert record.revision not in given
        await assert_deletions_are_real(backend, last, found)
        await backend.close()


async def assert_deletions_are_real(backend, last, found):
    """A key that is missing must have been deleted by a later write, unless compaction has taken the proof away."""
    missing = {key: revision for key, (revision, value) in last.items() if key not in found and value != "-"}
    missing = {key: revision for key, revision in missing.items() if revision >= backend._compacted}
    if not missing:
        return
    deleted: dict[str, int] = {}
    async for batch in backend.watch("/registry/", after=backend._compacted):
        deleted = {change.key: change.revision for change in batch if change.value is None}
        break
    for key, revision in missing.items():
        assert deleted.get(key, 0) > revision
