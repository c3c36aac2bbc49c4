"""Ownership after creates, updates, patches and subresource writes."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sampan.api import fieldset, managedfields, scalefields
from sampan.api.field import Path
from sampan.api.gvk import GroupVersionKind
from sampan.api.managedfields import Write
from sampan.api.ownership import compare, owned, shape_of
from sampan.api.schema.decode import decode
from sampan.api.schema.typeinfo import type_of
from sampan.api.schema.types import FieldInfo, TypeInfo

POD = GroupVersionKind("", "v1", "Pod")
CONFIG_MAP = GroupVersionKind("", "v1", "ConfigMap")
STATUS = fieldset.paths_to_fields((("status",),))
SPEC = fieldset.paths_to_fields((("spec",),))


def write(manager: str = "m", *, now: int = 1, subresource: str = "", reset: Any = STATUS) -> Write:
    return Write(
        manager=manager,
        api_version="v1",
        now=f"2024-01-01T00:00:{now:02d}Z",
        subresource=subresource,
        reset_fields=reset,
    )


def config_map(data: dict[str, str] | None = None, **metadata: Any) -> Any:
    return decode(CONFIG_MAP, {"metadata": {"name": "c", "uid": "u", **metadata}, "data": data or {}}).object


def pod(**spec: Any) -> Any:
    return decode(POD, {"metadata": {"name": "p", "uid": "u"}, "spec": spec}).object


def created(obj: Any, by: Write) -> Any:
    managedfields.update(type_of(CONFIG_MAP if "spec" not in obj else POD), None, obj, by)
    return obj


def updated(live: Any, new: Any, by: Write) -> Any:
    kind = type_of(CONFIG_MAP if "spec" not in live else POD)
    new = copy.deepcopy(new)
    new["metadata"].setdefault("managedFields", copy.deepcopy(live["metadata"].get("managedFields")))
    managedfields.update(kind, live, new, by)
    return new


def owners(obj: Any) -> dict[str, Any]:
    return {entry["manager"]: entry["fieldsV1"] for entry in obj["metadata"].get("managedFields") or ()}


def test_a_creator_owns_what_it_set_but_not_what_is_always_there() -> None:
    obj = created(pod(containers=[{"name": "a", "image": "i", "args": ["x"]}], nodeSelector={"k": "v"}), write())
    assert owners(obj)["m"] == {
        "f:spec": {
            "f:containers": {
                'k:{"name":"a"}': {".": {}, "f:args": {}, "f:image": {}, "f:name": {}, "f:resources": {}},
            },
            "f:nodeSelector": {},
        }
    }
    entry = obj["metadata"]["managedFields"][0]
    assert list(entry) == ["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1"]


def test_an_update_moves_what_it_changes_and_forgets_what_it_removes() -> None:
    live = created(config_map({"a": "1", "b": "1"}), write("one"))
    live = updated(live, config_map({"a": "2", "c": "1"}), write("two", now=2))
    assert owners(live) == {"one": {"f:data": {}}, "two": {"f:data": {"f:a": {}, "f:c": {}}}}


def test_a_write_without_effect_keeps_the_entries() -> None:
    live = created(config_map({"a": "1"}), write("one"))
    new = updated(live, config_map({"a": "1"}), write("two", now=2))
    assert new["metadata"]["managedFields"] == live["metadata"]["managedFields"]


def test_only_a_change_moves_the_time() -> None:
    live = created(config_map({"a": "1"}), write())
    live = updated(live, config_map({"a": "1", "b": "1"}), write(now=9))
    assert [entry["time"] for entry in live["metadata"]["managedFields"]] == ["2024-01-01T00:00:09Z"]
    shrunk = updated(live, config_map({"a": "1"}), write(now=11))
    assert [entry["time"] for entry in shrunk["metadata"]["managedFields"]] == ["2024-01-01T00:00:09Z"]


def test_subresources_have_their_own_entries_and_cannot_take_what_they_cannot_write() -> None:
    live = created(pod(containers=[{"name": "a", "image": "i"}]), write("kubectl"))
    new = copy.deepcopy(live)
    new["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastProbeTime": None}]}
    new["spec"]["containers"][0]["image"] = "other"
    new = updated(live, new, write("kubelet", subresource="status", reset=SPEC))
    entry = next(one for one in new["metadata"]["managedFields"] if one["manager"] == "kubelet")
    assert entry["subresource"] == "status"
    assert entry["fieldsV1"] == {
        "f:status": {
            "f:conditions": {
                ".": {},
                'k:{"type":"Ready"}': {".": {}, "f:lastProbeTime": {}, "f:status": {}, "f:type": {}},
            },
            "f:phase": {},
        }
    }
    assert owners(new)["kubectl"] == owners(live)["kubectl"]


def test_sets_are_owned_by_value() -> None:
    live = created(config_map(finalizers=["x/b", "x/a"]), write())
    assert owners(live)["m"] == {"f:metadata": {"f:finalizers": {".": {}, 'v:"x/a"': {}, 'v:"x/b"': {}}}}
    live = updated(live, config_map(finalizers=["x/b"]), write("two"))
    assert owners(live) == {"m": {"f:metadata": {"f:finalizers": {".": {}, 'v:"x/b"': {}}}}}


def test_objects_without_managed_fields_stay_without() -> None:
    live = created(config_map({"a": "1"}), write())
    reset = updated(live, config_map({"a": "1"}, managedFields=[{}]), write())
    assert "managedFields" not in reset["metadata"]
    assert "managedFields" not in updated(reset, config_map({"a": "2"}), write())["metadata"]


def test_managed_fields_that_make_no_sense_count_as_not_sent() -> None:
    live = created(config_map({"a": "1"}), write())
    sent = [
        {"manager": "x", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"q": {}}}
    ]
    new = updated(live, config_map({"a": "1"}, managedFields=sent), write())
    assert new["metadata"]["managedFields"] == live["metadata"]["managedFields"]


def test_clients_may_rewrite_managed_fields() -> None:
    live = created(config_map({"a": "1"}), write())
    fields = {"f:data": {"f:a": {}}}
    sent = [{"manager": "x", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields}]
    assert owners(updated(live, config_map({"a": "1"}, managedFields=sent), write())) == {"x": fields}


def test_the_oldest_updaters_are_merged_beyond_ten() -> None:
    live = created(config_map({"k0": "1"}), write("m0", now=0))
    data = {"k0": "1"}
    for number in range(1, 12):
        data[f"k{number}"] = "1"
        live = updated(live, config_map(dict(data)), write(f"m{number}", now=number))
    assert len(live["metadata"]["managedFields"]) == 10
    assert owners(live)["ancient-changes"]["f:data"].keys() >= {"f:k0", "f:k1"}
    assert "m11" in owners(live)


def test_settle_ignores_times_but_nothing_else() -> None:
    old = created(config_map({"a": "1"}), write(now=1))
    new = copy.deepcopy(old)
    new["metadata"]["managedFields"][0]["time"] = "2024-01-01T00:00:30Z"
    managedfields.settle(new, old)
    assert new == old
    new["data"]["a"] = "2"
    new["metadata"]["managedFields"] = [{**old["metadata"]["managedFields"][0], "time": "2024-01-01T00:00:30Z"}]
    managedfields.settle(new, old)
    assert new["metadata"]["managedFields"][0]["time"] == "2024-01-01T00:00:30Z"


def test_managers_are_named_by_parameter_or_user_agent() -> None:
    assert managedfields.manager_of("me", "curl/8") == "me"
    assert managedfields.manager_of("", "curl/8 (x)") == "curl"
    assert managedfields.manager_of("", "") == "unknown"
    assert managedfields.manager_of("", "\x01\x02/1") == "unknown"


def test_entries_are_validated_with_kubernetes_messages() -> None:
    entries = [{"operation": "X", "fieldsType": "Y", "manager": "m" * 129, "subresource": "s" * 257}]
    assert [str(error) for error in managedfields.validate(entries, Path("metadata").child("managedFields"))] == [
        'metadata.managedFields[0].operation: Invalid value: "X": must be `Apply` or `Update`',
        'metadata.managedFields[0].fieldsType: Invalid value: "Y": must be `FieldsV1`',
        "metadata.managedFields[0].manager: Too long: may not be more than 128 bytes",
        "metadata.managedFields[0].subresource: Too long: may not be more than 256 bytes",
    ]


def test_scales_carry_the_ownership_of_replicas() -> None:
    paths = {"apps/v1": ("spec", "replicas")}
    parent = [
        {
            "manager": "m1",
            "operation": "Apply",
            "apiVersion": "apps/v1",
            "fieldsType": "FieldsV1",
            "time": "2024-01-01T00:00:00Z",
            "fieldsV1": {"f:spec": {"f:paused": {}, "f:replicas": {}}},
        }
    ]
    scale = scalefields.to_scale(parent, paths)
    assert scale[0]["fieldsV1"] == {"f:spec": {"f:replicas": {}}}
    assert scale[0]["apiVersion"] == "autoscaling/v1"
    taken = [{**scale[0], "manager": "scaler", "subresource": "scale"}]
    back = scalefields.to_parent(parent, taken, paths, "apps/v1")
    assert {entry["manager"]: entry["fieldsV1"] for entry in back} == {
        "m1": {"f:spec": {"f:paused": {}}},
        "scaler": {"f:spec": {"f:replicas": {}}},
    }
    assert scalefields.to_parent(parent, scale, paths, "apps/v1") == parent


def custom_type(*, atomic: bool) -> TypeInfo:
    text = TypeInfo("string")
    inner = TypeInfo("map", elem=text)
    spec = TypeInfo("struct", fields={"m": FieldInfo("m", inner, atomic=atomic)})
    metadata = type_of(CONFIG_MAP).fields["metadata"]
    return TypeInfo("struct", name="Widget", fields={"metadata": metadata, "spec": FieldInfo("spec", spec)})


def test_owners_of_parts_own_all_once_the_schema_makes_it_atomic() -> None:
    live: Any = {"metadata": {"name": "w", "uid": "u"}, "spec": {"m": {"a": "1"}}}
    managedfields.update(custom_type(atomic=False), None, live, write("one"))
    assert owners(live)["one"] == {"f:spec": {".": {}, "f:m": {".": {}, "f:a": {}}}}
    new = copy.deepcopy(live)
    new["metadata"]["labels"] = {"x": "y"}
    managedfields.update(custom_type(atomic=True), live, new, write("two"))
    assert owners(new)["one"] == {"f:spec": {".": {}, "f:m": {}}}


def test_undeclared_fields_that_are_kept_are_owned_by_their_shape() -> None:
    loose = TypeInfo("struct", fields={}, preserve_unknown=True)
    metadata = type_of(CONFIG_MAP).fields["metadata"]
    info = TypeInfo("struct", name="Widget", fields={"metadata": metadata, "spec": FieldInfo("spec", loose)})
    obj: Any = {"metadata": {"name": "w"}, "spec": {"a": {"b": [1, {"c": 2}]}, "d": 1}}
    managedfields.update(info, None, obj, write())
    assert owners(obj)["m"] == {"f:spec": {".": {}, "f:a": {".": {}, "f:b": {}}, "f:d": {}}}


_elements = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"', "i:0"])
_nodes = st.recursive(
    st.just({}),
    lambda below: (
        st.dictionaries(_elements, below, min_size=1, max_size=3)
        | st.dictionaries(_elements, below, min_size=1, max_size=2).map(lambda node: {".": {}, **node})
    ),
    max_leaves=8,
)
_sets = st.dictionaries(_elements, _nodes, max_size=3)


def members(fields: Any) -> set[str]:
    return set(fieldset.paths_of(fields))


@given(_sets, _sets)
def test_set_operations_are_those_of_their_members(left: Any, right: Any) -> None:
    assert members(fieldset.merge_roots(left, right)) == members(left) | members(right)
    assert members(fieldset.subtract(left, right)) == members(left) - members(right)
    if left and right:
        assert members(fieldset.intersection(left, right) or {}) == members(left) & members(right)


@given(_sets)
def test_decoding_and_ordering_keep_a_set(fields: Any) -> None:
    assert members(fieldset.decode(fields)) == members(fields)
    assert fieldset.ordered(fields) == fields


_data = st.dictionaries(st.sampled_from("abc"), st.sampled_from("123"), max_size=3)


@given(_data, _data)
def test_a_comparison_names_exactly_what_differs(old: dict[str, str], new: dict[str, str]) -> None:
    shape = shape_of(type_of(CONFIG_MAP))
    found = compare(shape, {"data": old}, {"data": new})
    changed = {f".data.{key}" for key, value in new.items() if old.get(key) != value}
    removed = {f".data.{key}" for key in old if key not in new}
    assert members(found.changed) == changed
    assert members(found.removed) == removed
    assert members({"f:data": owned(shape.child("data"), new)}) == {".data", *(f".data.{key}" for key in new)}
