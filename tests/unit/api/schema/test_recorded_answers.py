"""What a real API server answered is in normal form already, in JSON and through protobuf."""

import json
from pathlib import Path

import pytest

from sampan.api import schema
from sampan.api.gvk import GroupVersionKind, GroupVersionResource
from sampan.api.schema import data, protobuf
from sampan.api.scheme import builtin

RECORDED = Path(__file__).parents[4] / "tests" / "golden" / "golden"


def objects(value):
    if isinstance(value, dict):
        if isinstance(value.get("kind"), str) and isinstance(value.get("apiVersion"), str) and "metadata" in value:
            yield value
        for item in value.values():
            yield from objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from objects(item)


def without_placeholders(text):
    """Put times where the recordings only say that there was one."""
    text = text.replace("<time>", "2024-01-02T03:04:05Z").replace("<microtime>", "2024-01-02T03:04:05.123456Z")
    return json.loads(text)


def typed_objects(text):
    for obj in objects(without_placeholders(text)):
        gvk = GroupVersionKind.parse(obj["apiVersion"], obj["kind"])
        try:
            yield gvk, obj, schema.decode(gvk, obj)
        except LookupError:
            continue
        except schema.DecodeError:
            continue  # a placeholder in place of a number or a list


def test_bootstrap_objects_survive_protobuf():
    found = without_placeholders(data.read_bytes("fresh-server.json").decode())
    for place, raw in found.items():
        *group_version, resource = place.partition(" ")[0].strip("/").split("/")[1:]
        group, version = ("", *group_version) if len(group_version) == 1 else group_version
        info = builtin().by_resource(GroupVersionResource(group, version, resource))
        assert info is not None
        decoded = schema.decode(info.gvk, raw)
        obj = {"kind": info.kind, "apiVersion": info.gvk.api_version, **decoded.object}
        assert decoded.strict == []
        assert protobuf.decode_body(protobuf.encode_object(obj), info.gvk).object == obj
    assert len(found) > 100


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded answers are not in this tree")
def test_recorded_answers_are_in_normal_form():
    kinds = set()
    for path in sorted(RECORDED.glob("*.json")):
        for gvk, obj, decoded in typed_objects(path.read_text()):
            assert decoded.object == obj, (path.name, gvk)
            kinds.add(gvk.kind)
    assert len(kinds) > 60
