from __future__ import annotations

from sampan.apiserver.storage.entry import Entry
from sampan.apiserver.storage.history import _AT_LEAST, _BYTES, _SECONDS, History
from sampan.apiserver.storage.resourcestore import Event


def events(count, size=10):
    previous = None
    for revision in range(1, count + 1):
        entry = Entry("k", "ns", "a", revision, b"x" * size)
        yield Event("MODIFIED" if previous else "ADDED", entry, previous)
        previous = entry


def test_history_forgets_what_is_old():
    history = History(0)
    for number, event in enumerate(events(1000)):
        history.append(event, float(number))
    assert len(history) == _SECONDS + 1
    assert history.since(history.oldest)[0].entry.revision == history.oldest + 1


def test_history_is_bounded_by_the_bytes_that_it_keeps_alive():
    history = History(0)
    for event in events(1000, size=_BYTES // 200):
        history.append(event, 0.0)
    assert _AT_LEAST <= len(history) <= 201
    assert history.oldest == 1000 - len(history)


def test_the_last_events_stay_however_old():
    history = History(0)
    for event in events(_AT_LEAST):
        history.append(event, 0.0)
    history.trim(1_000_000.0)
    assert len(history) == _AT_LEAST
    assert history.oldest == 0
