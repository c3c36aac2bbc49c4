"""What the watch cache promises in front of every backend: `storage.resourcestore`."""

from __future__ import annotations

import asyncio
import random

import orjson
import pytest

from sampan.apiserver.storage.interface import (
    CompactedError,
    ContinueExpiredError,
    ContinueTokenError,
    FutureRevisionError,
    KeyExistsError,
    KeyNotFoundError,
    RevisionConflictError,
    StoreUnavailableError,
)
from sampan.apiserver.storage.resourcestore import Selection
from sampan.apiserver.storage.sqlite import SQLiteBackend
from sampan.apiserver.storage.store import Store
from sampan.base.clock import FakeClock


def pod(name, *, namespace="ns", node="", labels=None, **more):
    metadata = {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-of-{name}",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"nodeName": node, **more}}


def node_name(obj):
    return {"spec.nodeName": obj["spec"].get("nodeName", "")}


class Sink:
    """Keeps what it gets as (type, name, resourceVersion)."""

    def __init__(self):
        self.batches = []
        self.marks = []
        self.ended = False
        self.watcher = None

    def events(self, batch):
        self.batches.append(batch)

    def progress(self, revision):
        self.marks.append(revision)

    def expired(self):
        self.ended = True

    @property
    def seen(self):
        return [(kind, entry.name, entry.revision) for batch in self.batches for kind, entry, _ in batch]

    @property
    def short(self):
        return [f"{kind} {name}" for kind, name, _ in self.seen]


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


@pytest.fixture
async def pods(store, clock):
    """A resource whose store is running (a remote one follows its backend)."""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(store.run())
        await until(lambda: clock.sleepers)
        yield store.resource("", "pods", fields=node_name)
        running.cancel()


@pytest.fixture
def write(pods):
    """Writes that return when the cache shows them."""

    class Write:
        async def create(self, name, **more):
            obj = pod(name, **more)
            return await self._seen(await pods.create(obj["metadata"]["namespace"], name, obj))

        async def update(self, name, *, namespace="ns", **more):
            current = pods.get(namespace, name)
            return await self._seen(await pods.update(current, pod(name, namespace=namespace, **more)))

        async def delete(self, name, *, namespace="ns"):
            return await self._seen(await pods.delete(pods.get(namespace, name)))

        async def _seen(self, entry):
            await pods.wait_fresh(entry.revision)
            return entry

    return Write()


def names(listing):
    return [entry.name for entry in listing.entries]


class TestObjects:
    async def test_a_created_object_carries_its_revision_on_the_wire(self, pods, write):
        made = await write.create("a")
        found = pods.get("ns", "a")
        assert found.revision == made.revision == pods.revision
        assert orjson.loads(found.wire)["metadata"]["resourceVersion"] == str(made.revision)
        assert found.wire == made.wire

    async def test_the_given_resource_version_is_not_stored(self, pods, write):
        obj = pod("a")
        obj["metadata"]["resourceVersion"] = "4711"
        made = await pods.create("ns", "a", obj)
        assert made.object["metadata"]["resourceVersion"] == str(made.revision)

    async def test_creating_twice_is_refused(self, pods, write):
        await write.create("a")
        with pytest.raises(KeyExistsError):
            await write.create("a")

    async def test_an_outdated_update_conflicts(self, pods, write):
        old = await write.create("a")
        await write.update("a", node="n1")
        with pytest.raises(RevisionConflictError):
            await pods.update(old, pod("a", node="n2"))
        assert pods.get("ns", "a").fields == {"spec.nodeName": "n1"}

    async def test_an_update_that_changes_nothing_keeps_the_revision(self, pods, write):
        made = await write.create("a", node="n1")
        obj = made.copy()
        assert (await pods.update(made, obj)) is made
        assert pods.revision == made.revision

    async def test_a_deleted_object_is_returned_at_the_revision_of_its_deletion(self, pods, write):
        made = await write.create("a")
        gone = await write.delete("a")
        assert gone.revision > made.revision
        assert gone.object["metadata"]["resourceVersion"] == str(gone.revision)
        assert pods.get("ns", "a") is None

    async def test_a_deletion_can_answer_with_another_last_state(self, pods, write):
        made = await write.create("a")
        last = made.copy()
        last["metadata"]["deletionGracePeriodSeconds"] = 0
        gone = await pods.delete(made, last)
        assert gone.object["metadata"]["deletionGracePeriodSeconds"] == 0
        assert gone.object["metadata"]["resourceVersion"] == str(gone.revision)

    async def test_deleting_twice_is_not_found(self, pods, write):
        made = await write.create("a")
        await write.delete("a")
        with pytest.raises(KeyNotFoundError):
            await pods.delete(made)

    async def test_cluster_scoped_objects_have_no_namespace(self, store, pods):
        nodes = store.resource("", "nodes")
        obj = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "uid": "u"}}
        made = await nodes.create("", "n1", obj)
        await nodes.wait_fresh(made.revision)
        assert nodes.get("", "n1").key == "/registry/core/nodes/n1"
        assert names(nodes.list(Selection())) == ["n1"]

    async def test_a_future_revision_is_waited_for_three_seconds(self, pods, clock):
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(_caught(pods.wait_fresh(pods.revision + 10)))
            await asyncio.sleep(0)
            await clock.advance(2.5)
            assert not waiting.done()
            await clock.advance(1)
        assert isinstance(waiting.result(), FutureRevisionError)

    async def test_a_revision_that_comes_in_time_is_waited_for(self, pods, write):
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(pods.wait_fresh(pods.revision + 1))
            await asyncio.sleep(0)
            await write.create("a")
        assert waiting.done()


async def _caught(awaitable):
    try:
        await awaitable
    except FutureRevisionError as error:
        return error
    return None


class TestChains:
    async def test_concurrent_changes_of_one_object_chain_without_a_conflict(self, pods, write):
        if not pods.authoritative:
            pytest.skip("only the process that decides writes can chain them")
        await write.create("a", labels={"0": "0"})

        async def label(key):
            newest = pods.newest("ns", "a")
            obj = newest.copy()
            obj["metadata"]["labels"][key] = key
            return await pods.update(newest, obj)

        made = await asyncio.gather(*(label(str(n)) for n in range(1, 10)))
        assert [entry.revision for entry in made] == sorted({entry.revision for entry in made})
        assert pods.get("ns", "a").labels == {str(n): str(n) for n in range(10)}
        assert pods.newest("ns", "a") is pods.get("ns", "a")

    async def test_the_newest_version_of_an_object_being_deleted_is_none(self, pods, write):
        if not pods.authoritative:
            pytest.skip("only the process that decides writes knows pending ones")
        made = await write.create("a")
        async with asyncio.TaskGroup() as group:
            group.create_task(pods.delete(made))
            await asyncio.sleep(0)
            assert pods.get("ns", "a") is made
            assert pods.newest("ns", "a") is None
        assert pods.get("ns", "a") is None

    async def test_settled_returns_when_the_write_is_visible(self, pods, write):
        if not pods.authoritative:
            pytest.skip("only the process that decides writes knows pending ones")
        async with asyncio.TaskGroup() as group:
            group.create_task(pods.create("ns", "a", pod("a")))
            await asyncio.sleep(0)
            await pods.settled("ns", "a")
            assert pods.get("ns", "a") is not None


class TestLists:
    async def test_all_namespaces_come_in_the_order_of_keys(self, pods, write):
        for namespace, name in (("b", "x"), ("a", "z"), ("a-b", "y"), ("a", "b")):
            await write.create(name, namespace=namespace)
        listing = pods.list(Selection())
        assert [entry.key for entry in listing.entries] == sorted(entry.key for entry in listing.entries)
        assert listing.revision == pods.revision
        assert names(pods.list(Selection(namespace="a"))) == ["b", "z"]
        assert names(pods.list(Selection(namespace="nope"))) == []

    @pytest.mark.parametrize("count", [10, 200])
    async def test_selections_match_labels_fields_names_and_predicates(self, pods, write, count):
        for n in range(count):
            await write.create(f"p{n:03}", node=f"n{n % 3}", labels={"app": "web" if n % 2 else "db"})
        every = range(count)
        web = pods.list(Selection(labels=(("app", "web"),)))
        assert names(web) == [f"p{n:03}" for n in every if n % 2]
        assert names(pods.list(Selection(fields=(("spec.nodeName", "n1"),)))) == [
            f"p{n:03}" for n in every if n % 3 == 1
        ]
        both = Selection(labels=(("app", "db"),), fields=(("spec.nodeName", "n0"),))
        assert names(pods.list(both)) == [f"p{n:03}" for n in every if n % 2 == 0 and n % 3 == 0]
        assert names(pods.list(Selection(name="p003"))) == ["p003"]
        odd = Selection(matches=lambda entry: entry.labels["app"] != "db")
        assert names(pods.list(odd)) == names(web)
        assert names(pods.list(Selection(labels=(("app", "nope"),)))) == []

    async def test_indexes_follow_changes(self, pods, write):
        for n in range(100):
            await write.create(f"p{n:03}", labels={"app": "web"}, node="n1")
        web, on_n1 = Selection(labels=(("app", "web"),)), Selection(fields=(("spec.nodeName", "n1"),))
        assert len(pods.list(web).entries) == len(pods.list(on_n1).entries) == 100
        await write.update("p000", labels={"app": "db"}, node="n2")
        await write.delete("p001")
        await write.update("p002", node="n1")
        assert names(pods.list(web)) == [f"p{n:03}" for n in range(3, 100)]
        assert names(pods.list(on_n1)) == [f"p{n:03}" for n in range(2, 100)]
        assert names(pods.list(Selection(labels=(("app", "db"),)))) == ["p000"]
        newest = pods.list(Selection(labels=(("app", "web"),), name="p003")).entries[0]
        assert newest is pods.get("ns", "p003")

    async def test_pages_join_to_the_whole_list(self, pods, write):
        for n in range(25):
            await write.create(f"p{n:02}", namespace=f"ns{n % 3}")
        found, token, remaining = [], "", []
        while True:
            page = await pods.list_page(Selection(), limit=10, continue_token=token)
            found += [entry.key for entry in page.entries]
            remaining.append(page.remaining)
            if not (token := page.continue_token):
                break
        assert found == [entry.key for entry in pods.list(Selection()).entries]
        assert remaining == [15, 5, 0]

    async def test_later_pages_show_the_revision_of_the_first(self, pods, write):
        for n in range(6):
            await write.create(f"p{n}", node="n1")
        first = await pods.list_page(Selection(namespace="ns"), limit=2)
        before = pods.list(Selection(namespace="ns")).entries
        await write.delete("p5")
        await write.create("p30")
        await write.update("p3", node="n2")
        await write.create("p9", namespace="other")
        second = await pods.list_page(Selection(namespace="ns"), limit=2, continue_token=first.continue_token)
        third = await pods.list_page(Selection(namespace="ns"), limit=2, continue_token=second.continue_token)
        got = [*first.entries, *second.entries, *third.entries]
        assert [(e.name, e.wire) for e in got] == [(e.name, e.wire) for e in before]
        assert (second.remaining, third.remaining, third.continue_token) == (2, 0, "")
        assert first.revision == second.revision == third.revision < pods.revision

    async def test_a_token_promises_keys_not_matches(self, pods, write):
        for n in range(4):
            await write.create(f"p{n}", labels={"even": str(n % 2 == 0)})
        even = Selection(namespace="ns", labels=(("even", "True"),))
        page = await pods.list_page(even, limit=2)
        assert names(page) == ["p0", "p2"]
        assert page.continue_token
        assert page.remaining is None
        last = await pods.list_page(even, limit=2, continue_token=page.continue_token)
        assert (names(last), last.continue_token) == ([], "")

    async def test_a_named_object_leaves_nothing_to_continue(self, pods, write):
        for n in range(3):
            await write.create(f"p{n}")
        page = await pods.list_page(Selection(namespace="ns", name="p1"), limit=1)
        assert (names(page), page.continue_token) == (["p1"], "")

    async def test_an_exact_revision_shows_what_was_then(self, pods, write):
        await write.create("a", node="n1")
        then = await write.create("b")
        await write.update("a", node="n2")
        await write.delete("b")
        await write.create("c")
        listing = await pods.list_page(Selection(namespace="ns"), exact_revision=then.revision)
        assert [(entry.name, entry.fields["spec.nodeName"]) for entry in listing.entries] == [("a", "n1"), ("b", "")]
        assert listing.revision == then.revision
        on_n1 = Selection(fields=(("spec.nodeName", "n1"),))
        assert names(await pods.list_page(on_n1, exact_revision=then.revision)) == ["a"]
        assert names(pods.list(on_n1)) == []

    async def test_what_the_cache_has_forgotten_comes_from_the_backend(self, pods, write):
        for n in range(4):
            await write.create(f"p{n}", labels={"even": str(n % 2 == 0)})
        first = await pods.list_page(Selection(namespace="ns"), limit=1)
        then = pods.revision
        await write.delete("p3")
        pods.history.restart(pods.revision)
        second = await pods.list_page(Selection(namespace="ns"), limit=2, continue_token=first.continue_token)
        assert (names(second), second.remaining) == (["p1", "p2"], 1)
        third = await pods.list_page(Selection(namespace="ns"), limit=2, continue_token=second.continue_token)
        assert (names(third), third.continue_token) == (["p3"], "")
        odd = Selection(namespace="ns", labels=(("even", "False"),))
        assert names(await pods.list_page(odd, exact_revision=then)) == ["p1", "p3"]

    async def test_a_token_older_than_all_history_offers_an_inconsistent_one(self, store, pods, write):
        for n in range(4):
            await write.create(f"p{n}")
        first = await pods.list_page(Selection(namespace="ns"), limit=2)
        await write.delete("p3")
        await write.create("p5")
        pods.history.restart(pods.revision)
        await store.backend.compact(pods.revision)
        with pytest.raises(ContinueExpiredError) as caught:
            await pods.list_page(Selection(namespace="ns"), limit=1, continue_token=first.continue_token)
        rest = await pods.list_page(Selection(namespace="ns"), limit=9, continue_token=caught.value.token)
        assert names(rest) == ["p2", "p5"]
        with pytest.raises(CompactedError):
            await pods.list_page(Selection(), exact_revision=first.revision)

    async def test_malformed_tokens_are_told_apart(self, pods):
        with pytest.raises(ContinueTokenError, match="continue key is not valid: invalid character 'h' looking for"):
            await pods.list_page(Selection(), limit=1, continue_token="aGVsbG8")

    async def test_random_histories_are_rebuilt_exactly(self, pods, write):
        chance = random.Random(7)
        seen = {}
        for _ in range(150):
            name, namespace = f"p{chance.randrange(12)}", f"ns{chance.randrange(2)}"
            if pods.get(namespace, name) is None:
                await write.create(name, namespace=namespace, node=str(chance.random()))
            elif chance.random() < 0.4:
                await write.delete(name, namespace=namespace)
            else:
                await write.update(name, namespace=namespace, node=str(chance.random()))
            seen[pods.revision] = [entry.wire for entry in pods.list(Selection()).entries]
        for revision, wires in seen.items():
            listing = await pods.list_page(Selection(), exact_revision=revision)
            assert [entry.wire for entry in listing.entries] == wires
            found, page = [], await pods.list_page(Selection(), exact_revision=revision, limit=5)
            found += page.entries
            while page.continue_token:
                assert page.remaining == len(wires) - len(found)
                page = await pods.list_page(Selection(), limit=5, continue_token=page.continue_token)
                found += page.entries
            assert [entry.wire for entry in found] == wires


class TestWatches:
    async def test_a_watch_from_zero_begins_with_the_current_state_and_a_mark(self, pods, write):
        await write.create("b")
        await write.create("a")
        sink = Sink()
        watcher = pods.watch(Selection(namespace="ns"), sink, after=0)
        assert watcher.delivered == 0
        await until(lambda: sink.marks)
        assert sink.short == ["ADDED a", "ADDED b"]
        assert sink.marks == [pods.revision] == [watcher.delivered]

    async def test_a_watch_from_a_revision_shows_what_came_after(self, pods, write):
        first = await write.create("a")
        await write.update("a", node="n1")
        sink = Sink()
        pods.watch(Selection(), sink, after=first.revision)
        await write.delete("a")
        await until(lambda: len(sink.seen) == 2)
        assert sink.short == ["MODIFIED a", "DELETED a"]
        assert sink.marks == []

    async def test_events_of_a_turn_come_in_one_batch_and_are_encoded_once(self, pods, write):
        sinks = [Sink(), Sink()]
        for sink in sinks:
            pods.watch(Selection(), sink, after=pods.revision)
        await asyncio.gather(*(write.create(f"p{n}") for n in range(5)))
        await until(lambda: all(len(sink.seen) == 5 for sink in sinks))
        if pods.authoritative:
            assert len(sinks[0].batches) == 1
        assert sinks[0].batches[0] is sinks[1].batches[0]
        lines = sinks[0].batches[0].lines()
        assert sinks[1].batches[0].lines() is lines
        kind, entry, _ = sinks[0].batches[0][0]
        assert orjson.loads(lines.splitlines()[0]) == {"type": kind, "object": entry.object}

    async def test_beginning_and_ceasing_to_match_are_shown_as_added_and_deleted(self, pods, write):
        first = await write.create("a", node="")
        await write.update("a", node="n1")
        await write.update("a", node="n1", phase="Running")
        left = await write.update("a", node="n2")
        gone = await write.delete("a")
        expected = {
            "": [("DELETED", 2)],
            "n1": [("ADDED", 2), ("MODIFIED", 3), ("DELETED", 4)],
            "n2": [("ADDED", 4), ("DELETED", 5)],
        }
        for node, events in expected.items():
            sink = Sink()
            pods.watch(Selection(fields=(("spec.nodeName", node),)), sink, after=first.revision)
            await until(lambda sink=sink, events=events: len(sink.seen) == len(events))
            assert [(kind, entry - first.revision + 1) for kind, _, entry in sink.seen] == events
            kind, entry, event = sink.batches[0][-1]
            assert kind == "DELETED"
            assert entry.object["spec"]["nodeName"] == node
            assert orjson.loads(event.line(kind, entry))["object"]["metadata"]["resourceVersion"] == str(entry.revision)
        assert gone.revision == left.revision + 1

    async def test_live_watchers_get_only_what_concerns_them(self, pods, write):
        selections = {
            "all": Selection(),
            "namespace": Selection(namespace="other"),
            "name": Selection(namespace="ns", name="a"),
            "label": Selection(labels=(("app", "web"),)),
            "field": Selection(fields=(("spec.nodeName", "n1"),)),
            "both": Selection(labels=(("app", "web"),), fields=(("spec.nodeName", "n1"),)),
            "predicate": Selection(matches=lambda entry: "app" in entry.labels),
        }
        sinks = {key: Sink() for key in selections}
        watchers = [pods.watch(selection, sinks[key], after=pods.revision) for key, selection in selections.items()]
        await write.create("a")
        await write.create("a", namespace="other")
        await write.update("a", labels={"app": "web"})
        await write.update("a", labels={"app": "web"}, node="n1")
        await write.update("a", node="n1")
        await until(lambda: len(sinks["all"].seen) == 5)
        assert {key: sink.short for key, sink in sinks.items()} == {
            "all": ["ADDED a", "ADDED a", "MODIFIED a", "MODIFIED a", "MODIFIED a"],
            "namespace": ["ADDED a"],
            "name": ["ADDED a", "MODIFIED a", "MODIFIED a", "MODIFIED a"],
            "label": ["ADDED a", "MODIFIED a", "DELETED a"],
            "field": ["ADDED a", "MODIFIED a"],
            "both": ["ADDED a", "DELETED a"],
            "predicate": ["ADDED a", "MODIFIED a", "DELETED a"],
        }
        for watcher in watchers:
            assert watcher.delivered == pods.revision
            watcher.close()
        assert len(pods.watchers) == 0
        await write.delete("a")
        assert len(sinks["all"].seen) == 5

    async def test_a_watch_from_forgotten_history_is_refused_with_both_revisions(self, pods, write):
        first = await write.create("a")
        await write.update("a", node="n1")
        pods.history.restart(pods.revision)
        with pytest.raises(CompactedError) as caught:
            pods.watch(Selection(), Sink(), after=first.revision)
        assert (caught.value.requested, caught.value.revision) == (first.revision, pods.revision)

    async def test_a_watch_from_the_future_shows_only_what_comes_after_it(self, pods, write):
        sink = Sink()
        start = pods.revision
        pods.watch(Selection(), sink, after=start + 2)
        for name in "abc":
            await write.create(name)
        await until(lambda: sink.seen)
        assert sink.short == ["ADDED c"]

    async def test_a_paused_watcher_catches_up_when_it_resumes(self, pods, write):
        sink = Sink()
        watcher = pods.watch(Selection(), sink, after=0)
        await write.create("a")
        await until(lambda: sink.seen)
        watcher.pause()
        at = watcher.delivered
        await write.create("b")
        await write.delete("a")
        await asyncio.sleep(0)
        assert (sink.short, watcher.delivered) == (["ADDED a"], at)
        watcher.resume()
        await write.create("c")
        await until(lambda: len(sink.seen) == 4)
        assert sink.short == ["ADDED a", "ADDED b", "DELETED a", "ADDED c"]
        assert watcher.delivered == pods.revision

    async def test_a_watcher_that_resumes_too_late_has_expired(self, pods, write):
        slow, other = Sink(), Sink()
        watcher = pods.watch(Selection(), slow, after=0)
        pods.watch(Selection(), other, after=0)
        await until(lambda: slow.marks)
        watcher.pause()
        await write.create("a")
        pods.history.restart(pods.revision)
        watcher.resume()
        await until(lambda: slow.ended)
        assert slow.seen == []
        assert other.short == ["ADDED a"]
        assert not other.ended

    async def test_a_sink_that_fails_is_closed_and_the_others_go_on(self, pods, write):
        class Broken(Sink):
            def events(self, batch):
                raise RuntimeError("no")

        good = Sink()
        pods.watch(Selection(), Broken(), after=0)
        pods.watch(Selection(), good, after=0)
        await write.create("a")
        await until(lambda: good.seen)
        assert len(pods.watchers) == 1

    async def test_idle_watchers_hear_of_progress_every_minute(self, pods, store, write, clock):
        sink = Sink()
        pods.watch(Selection(), sink, after=0)
        await until(lambda: sink.marks)
        others = store.resource("", "configmaps")
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "ns", "uid": "u"}}
        made = await others.create("ns", "c", obj)
        await others.wait_fresh(made.revision)
        await clock.advance(61)
        assert sink.marks[-1] == made.revision
        assert sink.seen == []

    async def test_closing_the_store_ends_its_watches(self, pods, store):
        sink = Sink()
        pods.watch(Selection(), sink, after=0)
        await store.close()
        assert sink.ended

    async def test_every_watcher_can_rebuild_the_listed_state(self, pods, write):
        chance = random.Random(11)
        states = []
        for _ in range(120):
            if chance.random() < 0.3:
                replica, sink = {}, Sink()
                states.append((replica, sink, pods.watch(Selection(namespace="ns"), sink, after=0)))
            if states and chance.random() < 0.3:
                _, _, watcher = chance.choice(states)
                chance.choice([watcher.pause, watcher.resume])()
            name = f"p{chance.randrange(8)}"
            if pods.get("ns", name) is None:
                await write.create(name)
            elif chance.random() < 0.4:
                await write.delete(name)
            else:
                await write.update(name, node=str(chance.random()))
        for _, _, watcher in states:
            watcher.resume()
        await until(lambda: all(watcher.delivered == pods.revision for _, _, watcher in states))
        await asyncio.sleep(0)
        listed = {entry.name: entry.revision for entry in pods.list(Selection(namespace="ns")).entries}
        for replica, sink, _ in states:
            last = 0
            for kind, name, revision in sink.seen:
                assert kind == "ADDED" or revision > last
                last = max(last, revision)
                if kind == "DELETED":
                    del replica[name]
                else:
                    replica[name] = revision
            assert replica == listed


class TestForeignValues:
    async def test_a_store_with_values_of_another_program_is_refused(self, tmp_path):
        clock = FakeClock()
        backend = SQLiteBackend(tmp_path / "s.db", clock)
        await backend.start()
        await backend.create("/registry/core/pods/ns/a", b"k8s\0 protobuf")
        await backend.close()
        store = Store(SQLiteBackend(tmp_path / "s.db", clock), clock)
        with pytest.raises(StoreUnavailableError, match="/registry/core/pods/ns/a was not written by sampan"):
            await store.start()
        again = SQLiteBackend(tmp_path / "s.db", clock)  # the refused one has let go of the file
        await again.start()
        await again.close()

    async def test_a_change_that_cannot_be_taken_hurts_no_other(self, store, pods, write):
        await store.backend.create("/registry/core/pods/ns/bad", b"not an object")
        await write.create("a")
        assert pods.get("ns", "bad") is None
        assert pods.get("ns", "a") is not None


class TestRestart:
    async def test_a_new_process_finds_everything_and_no_history(self, tmp_path):
        clock = FakeClock()
        first = Store(SQLiteBackend(tmp_path / "s.db", clock), clock)
        await first.start()
        pods = first.resource("", "pods", fields=node_name)
        for n in range(5):
            await pods.create("ns", f"p{n}", pod(f"p{n}", node="n1", labels={"app": "web"}))
        early = pods.get("ns", "p0").revision
        await pods.delete(pods.get("ns", "p4"))
        before = [entry.wire for entry in pods.list(Selection()).entries]
        await first.close()

        second = Store(SQLiteBackend(tmp_path / "s.db", clock), clock)
        await second.start()
        pods = second.resource("", "pods", fields=node_name)
        assert [entry.wire for entry in pods.list(Selection()).entries] == before
        selected = pods.list(Selection(fields=(("spec.nodeName", "n1"),), labels=(("app", "web"),)))
        assert names(selected) == ["p0", "p1", "p2", "p3"]
        assert second.revision == first.revision
        with pytest.raises(CompactedError):
            pods.watch(Selection(), Sink(), after=early)
        old = await pods.list_page(Selection(), exact_revision=second.revision - 1)
        assert names(old) == ["p0", "p1", "p2", "p3", "p4"]
        made = await pods.create("ns", "p9", pod("p9"))
        assert made.revision > first.revision
        await second.close()
