"""JSON, merge and strategic merge patches."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.api import jsonpatch, mergepatch, strategicdiff, strategicmerge
from sampan.api.errors import APIStatusError, BadRequest, Invalid, RequestEntityTooLarge
from sampan.api.gvk import GroupVersionKind
from sampan.api.schema.typeinfo import type_of

CONFIG_MAP = type_of(GroupVersionKind("", "v1", "ConfigMap"))
DEPLOYMENT = type_of(GroupVersionKind("apps", "v1", "Deployment"))
SERVICE = type_of(GroupVersionKind("", "v1", "Service"))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=4),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text("ab/~", max_size=3), below, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text("abc", min_size=1, max_size=2), json_values, max_size=4)


def patch(document: Any, *operations: dict[str, Any]) -> Any:
    return jsonpatch.apply(document, jsonpatch.decode(list(operations)))


@pytest.mark.parametrize(
    ("operation", "result"),
    [
        ({"op": "add", "path": "/d/n", "value": "v"}, {"d": {"a": "1", "n": "v"}, "l": [1, 2]}),
        ({"op": "add", "path": "/l/0", "value": 0}, {"d": {"a": "1"}, "l": [0, 1, 2]}),
        ({"op": "add", "path": "/l/-", "value": 3}, {"d": {"a": "1"}, "l": [1, 2, 3]}),
        ({"op": "add", "path": "/l/-1", "value": 3}, {"d": {"a": "1"}, "l": [1, 2, 3]}),
        ({"op": "add", "path": "/d/n"}, {"d": {"a": "1", "n": None}, "l": [1, 2]}),
        ({"op": "remove", "path": "/l/-1"}, {"d": {"a": "1"}, "l": [1]}),
        ({"op": "replace", "path": "/d/absent", "value": 1}, {"d": {"a": "1", "absent": 1}, "l": [1, 2]}),
        ({"op": "copy", "from": "/d/a", "path": "/d/b"}, {"d": {"a": "1", "b": "1"}, "l": [1, 2]}),
        ({"op": "move", "from": "/d/a", "path": "/d/b"}, {"d": {"b": "1"}, "l": [1, 2]}),
        ({"op": "test", "path": "/d/a", "value": "1"}, {"d": {"a": "1"}, "l": [1, 2]}),
        ({"op": "test", "path": "/d/absent", "value": None}, {"d": {"a": "1"}, "l": [1, 2]}),
        ({"op": "replace", "path": "", "value": {}}, {}),
    ],
)
def test_json_patch_operations(operation: dict[str, Any], result: Any) -> None:
    document = {"d": {"a": "1"}, "l": [1, 2]}
    before = copy.deepcopy(document)
    assert patch(document, operation) == result
    assert document == before


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/d/absent"},
        {"op": "add", "path": "/x/y", "value": 1},
        {"op": "add", "path": "/l/3", "value": 1},
        {"op": "add", "path": "/l/x", "value": 1},
        {"op": "test", "path": "/d/a", "value": "2"},
        {"op": "test", "path": "/t", "value": 1},
        {"op": "nope", "path": "/d/a"},
        {"op": "add", "value": 1},
        {"op": "copy", "path": "/d/b"},
        {"op": "add", "path": "", "value": {}},
    ],
)
def test_a_json_patch_that_does_not_apply_is_unprocessable(operation: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        patch({"d": {"a": "1"}, "l": [1, 2], "t": True}, operation)
    assert caught.value.message == "the server rejected our request due to an error in our request"
    assert caught.value.details == {}


def test_json_patch_keys_are_unescaped() -> None:
    assert patch({"a/b": {"c~d": 1}}, {"op": "replace", "path": "/a~1b/c~0d", "value": 2}) == {"a/b": {"c~d": 2}}


def test_json_patch_body_is_checked() -> None:
    with pytest.raises(BadRequest, match=r"cannot unmarshal object into Go value of type \[\]handlers.jsonPatchOp"):
        jsonpatch.decode({})
    wrong = r"json: cannot unmarshal number into Go struct field jsonPatchOp\.op of type string"
    with pytest.raises(BadRequest, match=wrong):
        jsonpatch.decode([{"op": 1}])
    with pytest.raises(RequestEntityTooLarge, match="maximum operations in a JSON patch is 10000, got 10001"):
        jsonpatch.decode([{"op": "test", "path": ""}] * 10001)


def test_copies_are_limited() -> None:
    document = {"a": "x" * 1_100_000}
    with pytest.raises(Invalid):
        patch(document, *({"op": "copy", "from": "/a", "path": f"/b{number}"} for number in range(3)))


@given(objects, st.lists(st.sampled_from(["add", "remove", "replace"]), max_size=4), st.data())
def test_json_patch_never_changes_the_document(document: Any, actions: list[str], data: st.DataObject) -> None:
    before = orjson.dumps(document)
    path = st.lists(st.sampled_from(["a", "b", "0", "-"]), min_size=1, max_size=3).map(
        lambda parts: "/" + "/".join(parts)
    )
    operations = [{"op": action, "path": data.draw(path), "value": data.draw(json_values)} for action in actions]
    with contextlib.suppress(Invalid):
        patch(document, *operations)
    assert orjson.dumps(document) == before


def test_merge_patch_sets_merges_and_removes() -> None:
    document = {"a": {"b": 1, "c": 2}, "l": [1]}
    assert mergepatch.apply(document, {"a": {"b": None, "d": 3}, "l": [2], "n": {"x": None}}) == {
        "a": {"c": 2, "d": 3},
        "l": [2],
        "n": {},
    }
    with pytest.raises(BadRequest, match=r"cannot unmarshal array into Go value of type map\[string\]interface \{\}"):
        mergepatch.check([])


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value


@given(objects, objects)
@settings(max_examples=200)
def test_merge_patch_of_a_difference_leads_from_old_to_new(old: Any, new: Any) -> None:
    new = _without_nulls(new)
    assert mergepatch.apply(old, mergepatch.diff(old, new)) == new


@pytest.mark.parametrize(
    ("patch_", "finalizers"),
    [
        ({"finalizers": ["c", "a"]}, ["c", "a", "b"]),
        ({"$deleteFromPrimitiveList/finalizers": ["b"]}, ["a"]),
        ({"$setElementOrder/finalizers": ["b", "a"]}, ["b", "a"]),
        ({"$setElementOrder/finalizers": ["c", "b", "a"], "finalizers": ["c"]}, ["c", "b", "a"]),
        ({"finalizers": None}, None),
    ],
)
def test_strategic_merge_of_primitive_lists(patch_: dict[str, Any], finalizers: list[str] | None) -> None:
    document = {"metadata": {"finalizers": ["a", "b"]}}
    merged = strategicmerge.apply(CONFIG_MAP, document, {"metadata": patch_})
    assert merged["metadata"].get("finalizers") == finalizers
    assert document == {"metadata": {"finalizers": ["a", "b"]}}


def test_strategic_merge_of_lists_goes_by_merge_key_and_keeps_order() -> None:
    ports = [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]
    patch_ = {"spec": {"ports": [{"port": 80, "targetPort": 8080}, {"port": 82, "name": "c"}]}}
    merged = strategicmerge.apply(SERVICE, {"spec": {"ports": ports}}, patch_)
    assert [port["port"] for port in merged["spec"]["ports"]] == [80, 82, 81]
    assert merged["spec"]["ports"][0] == {"port": 80, "name": "a", "targetPort": 8080}


def test_strategic_merge_directives() -> None:
    ports = [{"port": 80}, {"port": 81}]
    delete = {"spec": {"ports": [{"port": 80, "$patch": "delete"}]}}
    assert strategicmerge.apply(SERVICE, {"spec": {"ports": ports}}, delete) == {"spec": {"ports": [{"port": 81}]}}
    replace = {"spec": {"ports": [{"$patch": "replace"}, {"port": 82}]}}
    assert strategicmerge.apply(SERVICE, {"spec": {"ports": ports}}, replace) == {"spec": {"ports": [{"port": 82}]}}
    strategy = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    retain = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert strategicmerge.apply(DEPLOYMENT, strategy, retain) == {"spec": {"strategy": {"type": "Recreate"}}}
    whole = {"$patch": "replace", "data": {"x": "y"}}
    assert strategicmerge.apply(CONFIG_MAP, {"data": {"a": "b"}}, whole) == {"data": {"x": "y"}}
    assert strategicmerge.apply(CONFIG_MAP, {"data": {"a": "b"}}, {"data": {"$patch": "delete"}}) == {"data": {}}


def test_new_values_lose_directives_and_nulls() -> None:
    patch_ = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate", "rollingUpdate": None}}}
    assert strategicmerge.apply(DEPLOYMENT, {}, patch_) == {"spec": {"strategy": {"type": "Recreate"}}}


@pytest.mark.parametrize(
    ("patch_", "code", "message"),
    [
        (
            {"metadata": {"ownerReferences": [{"name": "q"}]}},
            500,
            "map: map[name:q] does not contain declared merge key: uid",
        ),
        ({"data": {"$patch": "foo"}}, 500, "unknown patch type: foo in map: map[$patch:foo]"),
        ({"metadata": {"$deleteFromPrimitiveListx": []}}, 400, "invalid patch format of primitive list"),
        ({"metadata": {"$setElementOrder/finalizers": [{}], "finalizers": ["a"]}}, 422, jsonpatch.REJECTED),
        ({"data": {"$retainKeys": "x"}}, 400, "invalid patch format of retainKeys"),
        ({"data": {"$retainKeys": ["a"], "b": "c"}}, 400, "invalid patch format of retainKeys"),
    ],
)
def test_wrong_strategic_merges_are_refused(patch_: dict[str, Any], code: int, message: str) -> None:
    document = {"metadata": {"ownerReferences": [{"uid": "u"}]}, "data": {"a": "b"}}
    with pytest.raises(APIStatusError) as caught:
        strategicmerge.apply(CONFIG_MAP, document, patch_)
    assert (caught.value.code, caught.value.message) == (code, message)


_names = st.lists(st.text("abc", min_size=1, max_size=2), unique=True, max_size=4)


@given(_names, _names)
def test_merged_lists_hold_every_item_once_and_are_stable(live: list[str], wanted: list[str]) -> None:
    document = {"spec": {"template": {"spec": {"containers": [{"name": name, "image": "old"} for name in live]}}}}
    patch_ = {"spec": {"template": {"spec": {"containers": [{"name": name, "image": "new"} for name in wanted]}}}}
    once = strategicmerge.apply(DEPLOYMENT, document, patch_)
    found = [container["name"] for container in once["spec"]["template"]["spec"]["containers"]]
    assert sorted(found) == sorted({*live, *wanted})
    assert [name for name in found if name in wanted] == wanted
    assert strategicmerge.apply(DEPLOYMENT, once, patch_) == once


def test_client_side_apply_sends_what_differs_and_what_was_dropped() -> None:
    def spec(**more: Any) -> Any:
        return {"spec": {"template": {"spec": more}}}

    original = spec(containers=[{"name": "a", "image": "1"}, {"name": "b", "image": "1"}], nodeSelector={"x": "y"})
    modified = spec(containers=[{"name": "a", "image": "2"}, {"name": "c", "image": "1"}])
    extra = {"name": "injected", "image": "i"}
    live = spec(
        containers=[{"name": "a", "image": "1", "tty": True}, {"name": "b", "image": "1"}, extra],
        nodeSelector={"x": "y"},
    )
    patch_ = strategicdiff.three_way(DEPLOYMENT, original, modified, live)
    assert patch_ == spec(
        **{
            "containers": [
                {"name": "a", "image": "2"},
                {"name": "c", "image": "1"},
                {"name": "b", "$patch": "delete"},
            ],
            "$setElementOrder/containers": [{"name": "a"}, {"name": "c"}],
            "nodeSelector": None,
        }
    )
    assert strategicmerge.apply(DEPLOYMENT, live, patch_) == spec(
        containers=[{"name": "a", "image": "2", "tty": True}, {"name": "c", "image": "1"}, extra]
    )


def test_fields_that_retain_keys_say_so() -> None:
    old = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    new = {"spec": {"strategy": {"type": "Recreate"}}}
    patch_ = strategicdiff.two_way(DEPLOYMENT, old, new)
    assert patch_ == {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate", "rollingUpdate": None}}}
    assert strategicmerge.apply(DEPLOYMENT, old, patch_) == new


def test_custom_resources_take_the_three_way_merge_patch() -> None:
    patch_ = mergepatch.three_way(
        {"a": 1, "d": {"x": 1}}, {"b": 2, "d": {"y": 2}}, {"a": 1, "b": 1, "c": 3, "d": {"x": 1}}
    )
    assert patch_ == {"a": None, "b": 2, "d": {"x": None, "y": 2}}


_container = st.fixed_dictionaries(
    {"image": st.sampled_from("xy")},
    optional={
        "env": st.lists(st.sampled_from("pq"), unique=True).map(
            lambda found: [{"name": name, "value": name} for name in found]
        ),
        "resources": st.dictionaries(
            st.just("limits"), st.dictionaries(st.sampled_from(["cpu"]), st.sampled_from("12"))
        ),
        "args": st.lists(st.sampled_from("uv"), max_size=2),
    },
)
_deployments = st.fixed_dictionaries(
    {"containers": st.dictionaries(st.sampled_from("abc"), _container, max_size=3)},
    optional={"labels": st.dictionaries(st.sampled_from("kl"), st.sampled_from("12"), min_size=1)},
).map(
    lambda found: {
        "metadata": {"labels": found.get("labels", {"z": "z"}), "finalizers": sorted(found.get("labels", {}))},
        "spec": {
            "template": {
                "spec": {"containers": [{"name": name, **one} for name, one in found["containers"].items()]},
            },
        },
    }
)


@given(_deployments, _deployments)
@settings(max_examples=150)
def test_the_strategic_difference_of_two_objects_leads_from_one_to_the_other(old: Any, new: Any) -> None:
    patch_ = strategicdiff.two_way(DEPLOYMENT, old, new)
    assert strategicmerge.apply(DEPLOYMENT, old, patch_) == new
    assert (patch_ == {}) == (old == new)


_directives = st.sampled_from(
    [
        "$patch",
        "$retainKeys",
        "$setElementOrder/ports",
        "$deleteFromPrimitiveList/ports",
        "ports",
        "selector",
        "spec",
        "port",
    ]
)
_wild = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["delete", "replace", "merge", "x"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(_directives, below, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(_directives, _wild, max_size=3))
@settings(max_examples=300)
def test_any_strategic_merge_is_applied_or_refused(patch_: Any) -> None:
    document = {"spec": {"ports": [{"port": 1}, {"port": 2}], "selector": {"port": "x"}}}
    before = orjson.dumps(document)
    with contextlib.suppress(APIStatusError):
        strategicmerge.apply(SERVICE, document, patch_)
    assert orjson.dumps(document) == before
