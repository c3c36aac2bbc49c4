from __future__ import annotations

import pytest

from sampan.apiserver.storage import dispatch
from sampan.apiserver.storage.dispatch import Dispatcher
from sampan.apiserver.storage.entry import Entry
from sampan.apiserver.storage.history import History
from sampan.apiserver.storage.resourcestore import Event, Selection


class Sink:
    def __init__(self):
        self.names = []

    def events(self, batch):
        self.names += [entry.name for _, entry, _ in batch]

    def progress(self, revision):
        pass

    def expired(self):
        raise AssertionError


@pytest.fixture
def dispatcher():
    return Dispatcher(History(0), lambda: 1, lambda one: None)


@pytest.fixture
def looks(monkeypatch):
    """The selections that events are held against."""
    seen = []
    original = dispatch._Group.seen

    def counted(group, event):
        seen.append(group.selection)
        return original(group, event)

    monkeypatch.setattr(dispatch._Group, "seen", counted)
    return seen


def pod(name, node, revision):
    return Entry(f"/registry/core/pods/ns/{name}", "ns", name, revision, b"{}", {}, {"spec.nodeName": node})


def test_an_event_is_held_only_against_the_watchers_of_its_node(dispatcher, looks):
    sinks = {f"n{number}": Sink() for number in range(1000)}
    for node, sink in sinks.items():
        dispatcher.add(Selection(fields=(("spec.nodeName", node),)), sink, after=1, current=())
    dispatcher.flush()
    dispatcher.offer(Event("ADDED", pod("a", "n7", 2), None))
    dispatcher.flush()
    assert len(looks) == 1
    assert sinks["n7"].names == ["a"]
    assert sum(len(sink.names) for sink in sinks.values()) == 1


def test_a_pod_that_moves_concerns_both_nodes(dispatcher, looks):
    sinks = {node: Sink() for node in ("n1", "n2", "n3")}
    for node, sink in sinks.items():
        dispatcher.add(Selection(fields=(("spec.nodeName", node),)), sink, after=1, current=())
    dispatcher.flush()
    before, after = pod("a", "n1", 2), pod("a", "n2", 3)
    after.wire = before.wire = b'{"metadata":{"resourceVersion":"2"}}'
    dispatcher.offer(Event("MODIFIED", after, before))
    dispatcher.flush()
    assert {node: sink.names for node, sink in sinks.items()} == {"n1": ["a"], "n2": ["a"], "n3": []}
    assert len(looks) == 2


def test_watchers_of_one_selection_share_the_evaluation(dispatcher, looks):
    sinks = [Sink() for _ in range(100)]
    for sink in sinks:
        dispatcher.add(Selection(namespace="ns", labels=(("app", "web"),)), sink, after=1, current=())
    dispatcher.flush()
    entry = Entry("/registry/core/pods/ns/a", "ns", "a", 2, b"{}", {"app": "web"})
    dispatcher.offer(Event("ADDED", entry, None))
    dispatcher.flush()
    assert len(looks) == 1
    assert all(sink.names == ["a"] for sink in sinks)


def test_closing_the_last_watcher_of_a_selection_leaves_nothing(dispatcher):
    watchers = [dispatcher.add(Selection(name=f"p{n % 3}"), Sink(), after=1, current=()) for n in range(9)]
    for watcher in watchers:
        watcher.close()
        watcher.close()
    assert len(dispatcher) == 0
    assert dispatcher._groups == {}
    assert dispatcher._indexed == {}
