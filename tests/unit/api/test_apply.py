"""Server-side apply: merging, conflicts, giving up, taking over."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.api import apply as ssa
from sampan.api import fieldset, managedfields, typed
from sampan.api.errors import APIStatusError, BadRequest, Conflict
from sampan.api.gvk import GroupVersionKind
from sampan.api.managedfields import Write
from sampan.api.ownership import shape_of
from sampan.api.schema.decode import decode
from sampan.api.schema.typeinfo import type_of

CONFIG_MAP = GroupVersionKind("", "v1", "ConfigMap")
DEPLOYMENT = GroupVersionKind("apps", "v1", "Deployment")
RESET = fieldset.paths_to_fields((("status",),))


def write(manager: str, kind: GroupVersionKind = CONFIG_MAP, now: int = 1) -> Write:
    return Write(manager=manager, api_version=kind.api_version, now=f"2024-01-01T00:00:{now:02d}Z", reset_fields=RESET)


def put(live: Any, config: Any, manager: str, *, force: bool = False, now: int = 1) -> Any:
    """Apply, and bring the outcome to normal form as the server does."""
    kind = GroupVersionKind.parse(config["apiVersion"], config["kind"])
    found = ssa.apply(type_of(kind), kind, live, config, write(manager, kind, now), force=force)
    obj = decode(kind, found.object).object
    obj["apiVersion"], obj["kind"] = config["apiVersion"], config["kind"]
    obj["metadata"]["uid"] = "u"
    return obj


def config_map(data: dict[str, str] | None, **metadata: Any) -> Any:
    found = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", **metadata}}
    return found if data is None else {**found, "data": data}


def deployment(*containers: dict[str, Any]) -> Any:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {"template": {"spec": {"containers": list(containers)}}},
    }


def owners(obj: Any) -> dict[str, Any]:
    return {entry["manager"]: entry["fieldsV1"] for entry in obj["metadata"].get("managedFields") or ()}


def test_what_is_not_applied_any_more_goes_unless_others_own_it() -> None:
    live = put(None, config_map({"a": "1", "b": "2"}), "m1")
    live = put(live, config_map({"a": "1"}), "m1")
    assert live["data"] == {"a": "1"}
    live = put(live, config_map({"a": "1", "z": "3"}), "m2")
    live = put(live, config_map({"z": "3"}), "m1")
    assert live["data"] == {"a": "1", "z": "3"}
    live = put(live, config_map({"z": "3"}), "m2")
    assert live["data"] == {"z": "3"}
    assert owners(live) == {"m1": {"f:data": {"f:z": {}}}, "m2": {"f:data": {"f:z": {}}}}


def test_applying_the_same_again_changes_nothing() -> None:
    live = put(None, config_map({"a": "1"}), "m1")
    assert put(live, config_map({"a": "1"}), "m1", now=9) == live


def test_another_owners_value_is_a_conflict_unless_forced() -> None:
    live = put(None, config_map({"z": "3"}), "m1")
    with pytest.raises(Conflict) as caught:
        put(live, config_map({"z": "4"}), "m2")
    assert caught.value.message == 'Apply failed with 1 conflict: conflict with "m1": .data.z'
    assert caught.value.details == {
        "causes": [{"reason": "FieldManagerConflict", "message": 'conflict with "m1"', "field": ".data.z"}]
    }
    forced = put(live, config_map({"z": "4"}), "m2", force=True)
    assert forced["data"] == {"z": "4"}
    assert owners(forced) == {"m2": {"f:data": {"f:z": {}}}}


def test_conflicts_with_updates_name_version_and_subresource() -> None:
    live = decode(CONFIG_MAP, config_map({"u": "1", "z": "9"}, uid="u")).object
    managedfields.update(type_of(CONFIG_MAP), None, live, write("golden"))
    with pytest.raises(Conflict) as caught:
        put(live, config_map({"u": "2", "z": "4"}), "m2")
    assert caught.value.message == (
        'Apply failed with 2 conflicts: conflicts with "golden" using v1:\n- .data.u\n- .data.z'
    )


def test_list_items_merge_by_key_and_paths_show_it() -> None:
    live = put(None, deployment({"name": "a", "image": "a"}, {"name": "b", "image": "b"}), "m1")
    live = put(live, deployment({"name": "c", "image": "c"}, {"name": "a", "env": [{"name": "E", "value": "1"}]}), "m2")
    containers = live["spec"]["template"]["spec"]["containers"]
    assert [one["name"] for one in containers] == ["c", "a", "b"]
    with pytest.raises(Conflict) as caught:
        put(live, deployment({"name": "a", "image": "x"}), "m3")
    assert caught.value.details is not None
    assert caught.value.details["causes"][0]["field"] == '.spec.template.spec.containers[name="a"].image'
    live = put(live, deployment({"name": "a", "image": "a"}), "m1")
    assert {one["name"] for one in live["spec"]["template"]["spec"]["containers"]} == {"a", "c"}


def test_absent_keys_mean_their_defaults() -> None:
    ports = [{"containerPort": 80, "name": "x"}]
    live = put(None, deployment({"name": "a", "image": "a", "ports": ports}), "m1")
    fields = owners(live)["m1"]["f:spec"]["f:template"]["f:spec"]["f:containers"]['k:{"name":"a"}']["f:ports"]
    assert list(fields) == ['k:{"containerPort":80,"protocol":"TCP"}']


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**config_map({}), "nope": 1}, "(/c; /v1, Kind=ConfigMap): .nope: field not declared in schema"),
        (
            config_map({"a": 5}),  # type: ignore[dict-item]
            "(/c; /v1, Kind=ConfigMap): .data.a: expected string, got &value.valueUnstructured{Value:5}",
        ),
        (
            deployment({"name": "a"}, {"name": "a"}),
            '(/d; apps/v1, Kind=Deployment): .spec.template.spec.containers: duplicate entries for key [name="a"]',
        ),
    ],
)
def test_configurations_that_do_not_fit_the_type_are_refused(config: Any, message: str) -> None:
    with pytest.raises(APIStatusError) as caught:
        put(None, config, "m1")
    assert caught.value.code == 500
    assert caught.value.message == f"failed to create typed patch object {message}"


def test_kind_and_managed_fields_are_checked() -> None:
    kind, info = CONFIG_MAP, type_of(CONFIG_MAP)
    with pytest.raises(BadRequest, match="invalid object type: /v1, Kind=Secret"):
        ssa.apply(info, kind, None, {"apiVersion": "v1", "kind": "Secret"}, write("m"), force=False)
    with pytest.raises(BadRequest, match=r"metadata\.managedFields must be nil"):
        ssa.apply(info, kind, None, config_map({}, managedFields=[{}]), write("m"), force=False)


def test_an_object_that_was_never_applied_to_gets_an_entry_for_what_it_had() -> None:
    live = decode(CONFIG_MAP, config_map({"a": "1"}, uid="u")).object
    live = put(live, config_map({"b": "1"}), "m1")
    assert owners(live) == {"before-first-apply": {"f:data": {".": {}, "f:a": {}}}, "m1": {"f:data": {"f:b": {}}}}


def test_kubectl_takes_over_from_client_side_apply() -> None:
    last = orjson.dumps(config_map({"a": "1"})).decode()
    live = decode(CONFIG_MAP, config_map({"a": "1"}, uid="u", annotations={ssa.LAST_APPLIED: last})).object
    managedfields.update(type_of(CONFIG_MAP), None, live, write("kubectl-client-side-apply"))
    with pytest.raises(Conflict):
        put(live, config_map({"a": "2"}), "someone")
    taken = put(live, config_map({"a": "2"}), "kubectl")
    assert taken["data"] == {"a": "2"}
    assert orjson.loads(taken["metadata"]["annotations"][ssa.LAST_APPLIED])["data"] == {"a": "2"}
    live["data"]["a"] = "changed by hand"
    with pytest.raises(Conflict):
        put(live, config_map({"a": "2"}), "kubectl")


_data = st.dictionaries(st.sampled_from("abc"), st.sampled_from("12"), max_size=3)


_some_data = st.dictionaries(st.sampled_from("abc"), st.sampled_from("12"), min_size=1, max_size=3)


@given(_some_data, _some_data)
@settings(max_examples=60)
def test_applies_of_different_fields_commute(left: dict[str, str], right: dict[str, str]) -> None:
    right = {key.upper(): value for key, value in right.items()}
    one = put(put(None, config_map(left), "l"), config_map(right), "r")
    other = put(put(None, config_map(right), "r"), config_map(left), "l")
    assert one.get("data") == other.get("data")
    assert {name: set(fieldset.paths_of(fields)) for name, fields in owners(one).items()} == {
        name: set(fieldset.paths_of(fields)) for name, fields in owners(other).items()
    }


@given(_data, _data)
@settings(max_examples=60)
def test_one_applier_gets_what_it_states(first: dict[str, str], second: dict[str, str]) -> None:
    live = put(None, config_map(first), "m")
    assert (put(live, config_map(second), "m").get("data") or {}) == second


_names = st.lists(st.text("abcd", min_size=1, max_size=1), unique=True, max_size=4)


@given(_names, _names)
def test_merged_lists_keep_the_configurations_order(live: list[str], config: list[str]) -> None:
    shape = shape_of(type_of(DEPLOYMENT))
    document = deployment(*({"name": name} for name in live))
    before = copy.deepcopy(document)
    merged = typed.merge(shape, document, deployment(*({"name": name} for name in config)))
    found = [one["name"] for one in merged["spec"]["template"]["spec"]["containers"]]
    assert sorted(found) == sorted({*live, *config})
    assert [name for name in found if name in config] == config
    others = [name for name in live if name not in config]
    assert [name for name in found if name in others] == others
    assert document == before
