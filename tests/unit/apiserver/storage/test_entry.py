from __future__ import annotations

import orjson

from sampan.apiserver.storage.entry import Entry, Kind, _Decoded


def entry(name, size=0):
    obj = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}, "data": {"x": "y" * size}}
    return Entry(f"/registry/core/configmaps/ns/{name}", "ns", name, 1, orjson.dumps(obj))


def test_a_decoded_object_is_shared_and_a_copy_is_not():
    one = entry("a")
    assert one.object is one.object
    assert one.copy() == one.object
    assert one.copy() is not one.object


def test_decoded_objects_are_kept_within_a_bound_of_bytes():
    decoded = _Decoded(10_000)
    entries = [entry(f"c{n}", 3_000) for n in range(10)]
    for one in entries:
        decoded.get(one)
    assert [decoded.peek(one) is not None for one in entries] == [False] * 7 + [True] * 3
    huge = entry("huge", 50_000)
    assert decoded.get(huge) is decoded.peek(huge)


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
