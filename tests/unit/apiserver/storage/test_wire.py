from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.apiserver.storage import wire

NAMES = st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text)
STRINGS = st.dictionaries(NAMES, st.text(max_size=10), max_size=3)
METADATA = st.fixed_dictionaries(
    {},
    optional={
        "name": NAMES,
        "generateName": NAMES,
        "namespace": NAMES,
        "uid": NAMES,
        "resourceVersion": st.just("4711"),
        "labels": st.dictionaries(st.from_regex(r"[a-z./]{1,8}", fullmatch=True), st.just("uid"), max_size=3),
        "annotations": STRINGS,
        "ownerReferences": st.lists(st.fixed_dictionaries({"uid": NAMES, "resourceVersion": NAMES}), max_size=2),
    },
)
OBJECTS = st.fixed_dictionaries(
    {"kind": st.just("Pod"), "apiVersion": st.just("v1"), "metadata": METADATA},
    optional={"spec": STRINGS, "data": st.fixed_dictionaries({"metadata": STRINGS})},
)


def shuffled(obj, order):
    keys = list(obj)
    order.shuffle(keys)
    return {key: shuffled(obj[key], order) if key == "metadata" else obj[key] for key in keys}


@given(OBJECTS, st.randoms(use_true_random=False))
def test_the_spliced_wire_is_the_object_at_its_revision(obj, order):
    value = wire.encode(shuffled(obj, order))
    metadata = {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}
    assert orjson.loads(value) == {**obj, "metadata": metadata}
    spliced = wire.splice(value, wire.offset(value), 42)
    assert orjson.loads(spliced) == {**obj, "metadata": {**metadata, "resourceVersion": "42"}}
    again = wire.resplice(spliced, 1234567)
    assert orjson.loads(again) == {**obj, "metadata": {**metadata, "resourceVersion": "1234567"}}


@given(OBJECTS, st.randoms(use_true_random=False))
def test_labels_read_without_a_parser_are_the_labels(obj, order):
    value = wire.encode(shuffled(obj, order))
    labels = wire.labels_of(wire.splice(value, wire.offset(value), 7))
    assert labels is None or labels == obj["metadata"].get("labels", {})


def test_the_resource_version_stands_where_go_puts_it():
    obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {}, "uid": "u", "namespace": "ns", "name": "p"}}
    value = wire.encode(obj)
    assert wire.splice(value, wire.offset(value), 5) == (
        b'{"kind":"Pod","apiVersion":"v1","metadata":'
        b'{"name":"p","namespace":"ns","uid":"u","resourceVersion":"5","labels":{}}}'
    )


def test_labels_of_an_ordinary_object_need_no_parser():
    obj = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "uid": "u", "labels": {"app": "web"}},
        "spec": {},
    }
    value = wire.encode(obj)
    assert wire.labels_of(wire.splice(value, wire.offset(value), 5)) == {"app": "web"}


def test_foreign_bytes_are_refused():
    with pytest.raises(ValueError, match="not an object of this store"):
        wire.offset(b'{"spec":{}}')
