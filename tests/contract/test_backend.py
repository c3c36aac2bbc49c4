"""What every backend promises: `storage.interface`."""

from __future__ import annotations

import asyncio

import pytest

from sampan.apiserver.storage.interface import (
    Change,
    CompactedError,
    FutureRevisionError,
    KeyExistsError,
    KeyNotFoundError,
    Record,
    RevisionConflictError,
    StoreUnavailableError,
)

PODS = "/registry/core/pods/"
A, B, C = f"{PODS}ns/a", f"{PODS}ns/b", f"{PODS}ns/c"


async def collect(backend, prefix, after, until):
    """Read a watch until it has shown a revision; progress marks count."""
    seen = []
    async with asyncio.timeout(10):
        async for batch in backend.watch(prefix, after=after):
            seen += batch
            if (seen and seen[-1].revision >= until) or (not batch and backend.revision >= until):
                return seen
    raise AssertionError("the watch ended")


class TestWrites:
    async def test_a_created_key_is_read_back_at_its_revision(self, backend):
        revision = await backend.create(A, b"1")
        assert await backend.get(A) == Record(A, b"1", revision)
        assert backend.revision == revision

    async def test_an_absent_key_is_none(self, backend):
        assert await backend.get(A) is None

    async def test_revisions_are_positive_and_grow_over_all_keys(self, backend):
        revisions = [await backend.create(A, b"1"), await backend.create(B, b"1")]
        revisions.append(await backend.update(A, b"2", expected=revisions[0]))
        revisions.append(await backend.delete(B, expected=revisions[1]))
        assert revisions[0] > 0
        assert revisions == sorted(set(revisions))

    async def test_creating_a_taken_key_is_refused(self, backend):
        await backend.create(A, b"1")
        with pytest.raises(KeyExistsError):
            await backend.create(A, b"2")
        assert (await backend.get(A)).value == b"1"

    async def test_updating_another_revision_is_a_conflict_that_tells_the_actual_one(self, backend):
        first = await backend.create(A, b"1")
        second = await backend.update(A, b"2", expected=first)
        with pytest.raises(RevisionConflictError) as caught:
            await backend.update(A, b"3", expected=first)
        assert (caught.value.expected, caught.value.actual) == (first, second)

    async def test_deleting_another_revision_is_a_conflict(self, backend):
        first = await backend.create(A, b"1")
        await backend.update(A, b"2", expected=first)
        with pytest.raises(RevisionConflictError):
            await backend.delete(A, expected=first)

    async def test_updating_or_deleting_an_absent_key_is_not_found(self, backend):
        with pytest.raises(KeyNotFoundError):
            await backend.update(A, b"1", expected=1)
        with pytest.raises(KeyNotFoundError):
            await backend.delete(A, expected=1)

    async def test_a_deleted_key_can_be_created_again_at_a_new_revision(self, backend):
        first = await backend.create(A, b"1")
        gone = await backend.delete(A, expected=first)
        again = await backend.create(A, b"2")
        assert first < gone < again
        assert await backend.get(A) == Record(A, b"2", again)

    async def test_of_concurrent_creations_one_wins(self, backend):
        results = await asyncio.gather(*(backend.create(A, b"%d" % n) for n in range(10)), return_exceptions=True)
        assert sum(isinstance(one, int) for one in results) == 1
        assert sum(isinstance(one, KeyExistsError) for one in results) == 9

    async def test_of_concurrent_updates_one_wins_and_the_others_see_its_revision(self, backend):
        first = await backend.create(A, b"0")
        writes = (backend.update(A, b"%d" % n, expected=first) for n in range(10))
        results = await asyncio.gather(*writes, return_exceptions=True)
        (won,) = [one for one in results if isinstance(one, int)]
        lost = [one for one in results if isinstance(one, RevisionConflictError)]
        assert len(lost) == 9
        assert {one.actual for one in lost} == {won}

    async def test_concurrent_writes_to_many_keys_all_succeed(self, backend):
        keys = [f"{PODS}ns/p{n:03}" for n in range(200)]
        revisions = await asyncio.gather(*(backend.create(key, key.encode()) for key in keys))
        assert len(set(revisions)) == 200
        page = await backend.list(PODS)
        assert [(record.key, record.value) for record in page.records] == [(key, key.encode()) for key in keys]

    async def test_a_cancelled_writer_hurts_nobody(self, backend):
        async with asyncio.TaskGroup() as group:
            doomed = group.create_task(backend.create(A, b"1"))
            other = group.create_task(backend.create(B, b"1"))
            await asyncio.sleep(0)
            doomed.cancel()
        assert await backend.get(B) == Record(B, b"1", other.result())

    async def test_a_closed_store_refuses_writes(self, backend):
        await backend.close()
        with pytest.raises(StoreUnavailableError):
            await backend.create(A, b"1")

    async def test_closing_finishes_pending_writes(self, backend):
        async with asyncio.TaskGroup() as group:
            write = group.create_task(backend.create(A, b"1"))
            await asyncio.sleep(0)
            await backend.close()
        assert write.result() > 0


class TestLists:
    async def test_keys_come_in_order_and_only_from_under_the_prefix(self, backend):
        for key in (C, A, B, "/registry/core/podtemplates/ns/x", "/registry/core/pod"):
            await backend.create(key, b"1")
        page = await backend.list(PODS)
        assert [record.key for record in page.records] == [A, B, C]
        assert page.revision == backend.revision
        assert not page.more

    async def test_a_limit_tells_what_remains(self, backend):
        for key in (A, B, C):
            await backend.create(key, b"1")
        first = await backend.list(PODS, limit=2)
        assert ([record.key for record in first.records], first.more, first.remaining) == ([A, B], True, 1)
        second = await backend.list(PODS, after=B, limit=2, revision=first.revision)
        assert ([record.key for record in second.records], second.more, second.remaining) == ([C], False, 0)

    async def test_a_list_at_a_revision_shows_what_was_then(self, backend):
        a = await backend.create(A, b"1")
        b = await backend.create(B, b"1")
        await backend.update(A, b"2", expected=a)
        await backend.delete(B, expected=b)
        await backend.create(C, b"1")
        then = await backend.list(PODS, revision=b)
        assert then.records == [Record(A, b"1", a), Record(B, b"1", b)]
        assert then.revision == b
        assert [record.key for record in (await backend.list(PODS)).records] == [A, C]

    async def test_pages_of_an_old_revision_stay_consistent(self, backend):
        revisions = {key: await backend.create(key, b"1") for key in (A, B, C)}
        first = await backend.list(PODS, limit=1)
        await backend.delete(C, expected=revisions[C])
        rest = await backend.list(PODS, after=A, limit=1, revision=first.revision)
        assert ([record.key for record in rest.records], rest.remaining) == ([B], 1)

    async def test_a_future_revision_is_an_error(self, backend):
        with pytest.raises(FutureRevisionError):
            await backend.list(PODS, revision=backend.revision + 100)

    async def test_a_compacted_revision_is_an_error_and_the_current_state_stays(self, backend):
        first = await backend.create(A, b"1")
        second = await backend.update(A, b"2", expected=first)
        third = await backend.update(A, b"3", expected=second)
        await backend.compact(third)
        with pytest.raises(CompactedError) as caught:
            await backend.list(PODS, revision=first)
        assert (caught.value.requested, caught.value.revision) == (first, third)
        assert (await backend.list(PODS)).records == [Record(A, b"3", third)]
        assert (await backend.list(PODS, revision=third)).records == [Record(A, b"3", third)]


class TestWatches:
    async def test_every_change_comes_once_in_order(self, backend):
        a = await backend.create(A, b"1")
        a2 = await backend.update(A, b"2", expected=a)
        b = await backend.create(B, b"1")
        gone = await backend.delete(A, expected=a2)
        expected = [Change(A, a, b"1"), Change(A, a2, b"2"), Change(B, b, b"1"), Change(A, gone, None)]
        assert await collect(backend, PODS, 0, gone) == expected
        assert await collect(backend, PODS, a2, gone) == expected[2:]

    async def test_live_changes_follow_old_ones_without_gap_or_repeat(self, backend):
        keys = [f"{PODS}ns/p{n:03}" for n in range(100)]
        for key in keys[:20]:
            await backend.create(key, b"1")
        last = backend.revision + 80
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(collect(backend, PODS, 0, last))
            for key in keys[20:]:
                await backend.create(key, b"1")
        assert [change.key for change in watching.result()] == keys

    async def test_other_prefixes_are_not_shown(self, backend):
        await backend.create("/registry/core/secrets/ns/s", b"1")
        last = await backend.create(A, b"1")
        assert await collect(backend, PODS, 0, last) == [Change(A, last, b"1")]

    async def test_a_watch_from_a_compacted_revision_is_refused(self, backend):
        first = await backend.create(A, b"1")
        second = await backend.update(A, b"2", expected=first)
        await backend.compact(second)
        with pytest.raises(CompactedError):
            await collect(backend, PODS, first - 1, second)

    async def test_closing_the_backend_ends_its_watches(self, backend):
        async def watch():
            return [batch async for batch in backend.watch(PODS, after=backend.revision)]

        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch())
            await asyncio.sleep(0)
            await backend.close()
        assert all(not batch for batch in watching.result())


class TestExpiry:
    @pytest.fixture
    async def running(self, backend, clock):
        async with asyncio.TaskGroup() as group:
            chores = group.create_task(backend.run())
            while not clock.sleepers:
                await asyncio.sleep(0)
            yield backend
            chores.cancel()

    async def advance(self, backend, clock, seconds, gone):
        await clock.advance(seconds)
        async with asyncio.timeout(10):
            while gone and await backend.get(gone) is not None:
                await asyncio.sleep(0)

    async def test_a_key_with_a_time_to_live_goes_by_itself(self, running, clock):
        revision = await running.create(A, b"1", ttl=60)
        await self.advance(running, clock, 58, "")
        assert await running.get(A) is not None
        await self.advance(running, clock, 4, A)
        assert running.revision > revision

    async def test_an_update_renews_the_time_to_live(self, running, clock):
        first = await running.create(A, b"1", ttl=60)
        await self.advance(running, clock, 50, "")
        await running.update(A, b"2", expected=first, ttl=60)
        await self.advance(running, clock, 50, "")
        assert (await running.get(A)).value == b"2"

    async def test_an_update_without_a_time_to_live_keeps_the_key(self, running, clock):
        first = await running.create(A, b"1", ttl=60)
        await running.update(A, b"2", expected=first)
        await self.advance(running, clock, 120, "")
        assert (await running.get(A)).value == b"2"

    async def test_history_older_than_five_minutes_is_forgotten(self, running, clock):
        first = await running.create(A, b"1")
        second = await running.update(A, b"2", expected=first)
        await running.create(B, b"1")
        async with asyncio.timeout(10):
            while True:
                await clock.advance(60)
                try:
                    await running.list(PODS, revision=first)
                except CompactedError:
                    break
        assert (await running.get(A)) == Record(A, b"2", second)
