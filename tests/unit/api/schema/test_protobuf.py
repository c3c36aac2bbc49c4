"""Protobuf and JSON stand for the same objects."""

import contextlib
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sampan.api import schema
from sampan.api.errors import BadRequest
from sampan.api.gvk import GroupVersionKind
from sampan.api.schema import protobuf

POD = GroupVersionKind("", "v1", "Pod")
CONFIG_MAP = GroupVersionKind("", "v1", "ConfigMap")
WORDS = st.text("abcxyz-", min_size=1, max_size=6)

LEAVES = {
    "string": WORDS,
    "bool": st.booleans(),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float64": st.floats(allow_nan=False, allow_infinity=False),
    "bytes": st.sampled_from(["aGk=", "AAEC"]),
    "quantity": st.sampled_from(["1", "100m", "2Gi", "1.5G"]),
    "time": st.sampled_from(["2024-01-02T03:04:05Z", "1969-12-31T23:59:59Z"]),
    "microtime": st.sampled_from(["2024-01-02T03:04:05.000006Z"]),
    "intorstring": st.integers(-5, 70000) | WORDS,
    "any": st.sampled_from([{"a": [1, {"b": None}]}, "x", 5]),
    "fields": st.sampled_from([{"f:spec": {".": {}, 'k:{"name":"x"}': {}}}]),
}


def values(info, depth):
    if info.kind == "list":
        return st.lists(values(info.elem, depth - 1), min_size=1, max_size=2)
    if info.kind == "map":
        return st.dictionaries(WORDS, values(info.elem, depth - 1), min_size=1, max_size=2)
    if info.name.endswith(("OrArray", "OrBool", "OrStringArray")):
        return st.just({"type": "string"})
    if info.kind != "struct":
        return LEAVES[info.kind]
    return structs(info, depth)


@st.composite
def structs(draw, info, depth):
    names = [name for name in info.fields if name not in {"apiVersion", "kind"}]
    if depth <= 0:
        return {}
    chosen = draw(st.lists(st.sampled_from(names), max_size=4, unique=True)) if names else []
    return {name: draw(values(info.fields[name].type, depth - 1)) for name in chosen}


KINDS = [
    POD,
    CONFIG_MAP,
    GroupVersionKind("", "v1", "Secret"),
    GroupVersionKind("", "v1", "Service"),
    GroupVersionKind("", "v1", "PersistentVolume"),
    GroupVersionKind("", "v1", "Event"),
    GroupVersionKind("apps", "v1", "Deployment"),
    GroupVersionKind("batch", "v1", "Job"),
    GroupVersionKind("coordination.k8s.io", "v1", "Lease"),
    GroupVersionKind("networking.k8s.io", "v1", "Ingress"),
    GroupVersionKind("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration"),
    GroupVersionKind("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
    GroupVersionKind("resource.k8s.io", "v1", "ResourceClaim"),
    GroupVersionKind("authorization.k8s.io", "v1", "SubjectAccessReview"),
]


@pytest.mark.parametrize("gvk", KINDS, ids=lambda gvk: gvk.kind)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_objects_survive_the_round_trip(gvk, data):
    raw = data.draw(structs(schema.type_of(gvk), 6))
    obj = {"kind": gvk.kind, "apiVersion": gvk.api_version, **schema.decode(gvk, raw).object}
    back = protobuf.decode_body(protobuf.encode_object(obj), gvk).object
    assert without_empty(back) == without_empty(obj)


def without_empty(value):
    """Protobuf cannot tell an empty list or map from none, in Go either."""
    if isinstance(value, dict):
        return {key: without_empty(item) for key, item in value.items() if item not in (None, {}, [])}
    return [without_empty(item) for item in value] if isinstance(value, list) else value


def test_bytes_are_those_of_the_wire_format():
    obj = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "c"}, "data": {"k": "v"}}
    message = b"\x0a\x03\x0a\x01c" + b"\x12\x06\x0a\x01k\x12\x01v"
    type_meta = b"\x0a\x02v1\x12\x09ConfigMap"
    expected = b"k8s\x00" + b"\x0a" + bytes([len(type_meta)]) + type_meta + b"\x12" + bytes([len(message)]) + message
    assert protobuf.encode_object(obj) == expected + b"\x1a\x00\x22\x00"


def test_explicit_zeros_as_go_writes_them_give_the_same_object():
    port = b"\x0a\x00" + b"\x10\x00" + b"\x18\x50" + b"\x22\x00" + b"\x2a\x00"
    container = b"\x0a\x01c" + b"\x12\x00" + b"\x32" + bytes([len(port)]) + port + b"\x80\x01\x00"
    spec = b"\x12" + bytes([len(container)]) + container
    message = b"\x0a\x00" + b"\x12" + bytes([len(spec)]) + spec
    found = protobuf.decode_body(protobuf.envelope(POD, message), POD).object
    assert found["spec"] == {"containers": [{"name": "c", "ports": [{"containerPort": 80}], "resources": {}}]}


def test_packed_and_unpacked_numbers_are_read():
    for groups in (b"\x20\x05\x20\x06", b"\x22\x02\x05\x06"):
        context = b"\x72" + bytes([len(groups)]) + groups
        message = b"\x12" + bytes([len(context)]) + context
        found = protobuf.decode_body(protobuf.envelope(POD, message), POD).object
        assert found["spec"]["securityContext"]["supplementalGroups"] == [5, 6]


def test_lists_are_made_of_item_messages():
    gvk = GroupVersionKind("", "v1", "ConfigMapList")
    items = [{"metadata": {"name": name}} for name in ("a", "b")]
    body = protobuf.encode_list(gvk, {"resourceVersion": "7"}, [protobuf.encode_message(CONFIG_MAP, o) for o in items])
    found = protobuf.decode_object(body)
    assert found == {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": items}
    assert list(protobuf.decode_items(body)) == items


def test_watch_frames_carry_type_and_object():
    obj = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "c"}}
    frame = protobuf.watch_frame("ADDED", protobuf.encode_object(obj))
    (size,) = struct.unpack(">I", frame[:4])
    assert size == len(frame) - 4
    assert protobuf.read_watch_frame(frame[4:]) == ("ADDED", obj)


def test_status_and_options_have_messages():
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 404,
              "details": {"name": "x", "causes": [{"reason": "r", "message": "m", "field": "f"}]}}  # fmt: skip
    assert protobuf.decode_object(protobuf.encode_object(status)) == status
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0, "preconditions": {"uid": "u"}}
    assert protobuf.decode_object(protobuf.encode_object(options)) == options


def test_table_has_no_message():
    with pytest.raises(LookupError):
        protobuf.encode_object({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "rows": []})


def test_bodies_without_the_magic_are_unrecognized():
    with pytest.raises(BadRequest) as caught:
        protobuf.decode_body(b"{}", CONFIG_MAP)
    why = "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0] ({})"
    assert str(caught.value) == f"the object provided is unrecognized (must be of type ConfigMap): {why}"


@given(st.binary(max_size=60))
def test_any_message_is_decoded_or_refused(message):
    with contextlib.suppress(BadRequest):
        protobuf.decode_body(protobuf.envelope(POD, message), POD)


@pytest.mark.parametrize("gvk", KINDS[:6], ids=lambda gvk: gvk.kind)
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_normal_form_is_a_fixed_point(gvk, data):
    once = schema.decode(gvk, data.draw(structs(schema.type_of(gvk), 6))).object
    again = schema.decode(gvk, once)
    assert again.object == once
    assert list(again.object) == list(once)
    assert again.strict == []
