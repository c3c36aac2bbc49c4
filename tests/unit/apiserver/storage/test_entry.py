from __future__ import annotations

import orjson

from sampan.apiserver.storage.entry import Entry, Kind, _Kept


def entry(name, size=0):
    obj = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}, "data": {"x": "y" * size}}
    return Entry(f"/registry/core/configmaps/ns/{name}", "ns", name, 1, orjson.dumps(obj))


def test_a_decoded_object_is_shared_and_a_copy_is_not():
    one = entry("a")
    assert one.object is one.object
    assert one.copy() == one.object
    assert one.copy() is not one.object


def test_what_is_made_of_entries_is_kept_within_a_bound_of_bytes():
    kept = _Kept(10_000)
    entries = [entry(f"c{n}") for n in range(10)]
    for one in entries:
        kept.put(one, one.name, 3_000)
    assert [kept.peek(one) is not None for one in entries] == [False] * 7 + [True] * 3
    assert kept.get(entries[7]) == "c7"
    kept.put(entry("next"), "next", 3_000)
    assert [kept.peek(one) is not None for one in entries[7:]] == [True, False, True]
    huge = entry("huge")
    kept.put(huge, "huge", 50_000)
    assert kept.peek(huge) == "huge"


def test_a_message_is_encoded_once_until_the_entry_is_superseded():
    one, made = entry("a"), []

    def encode(obj):
        made.append(obj["metadata"]["name"])
        return b"message"

    assert one.message(encode) == one.message(encode) == b"message"
    assert made == ["a"]
    one.release()
    one.message(encode)
    assert made == ["a", "a"]


def test_fields_are_computed_once_when_asked_for():
    asked = []

    def select(obj):
        asked.append(obj["metadata"]["name"])
        return {"x": "y"}

    one = Entry("k", "ns", "a", 1, b'{"metadata":{"name":"a"}}', kind=Kind(select))
    assert asked == []
    assert one.fields == one.fields == {"x": "y"}
    assert asked == ["a"]


def test_an_object_without_labels_has_none():
    assert dict(entry("a").labels) == {}
