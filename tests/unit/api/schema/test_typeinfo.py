"""Type structure: what patches and apply walk."""

import pytest

from sampan.api import schema
from sampan.api.gvk import GroupVersionKind
from sampan.api.schema import data

POD_SPEC = "k8s.io.api.core.v1.PodSpec"


def test_list_types_keys_and_merge_keys_are_known():
    spec = schema.type_named(POD_SPEC).fields
    assert (spec["containers"].list_type, spec["containers"].list_map_keys) == ("map", ("name",))
    assert spec["containers"].patch_strategies == ("merge",)
    assert spec["volumes"].patch_strategies == ("merge", "retainKeys")
    spread = spec["topologySpreadConstraints"]
    assert (spread.list_map_keys, spread.patch_merge_key) == (("topologyKey", "whenUnsatisfiable"), "topologyKey")
    assert spec["tolerations"].list_type == "atomic"
    assert schema.type_named("k8s.io.apimachinery.pkg.apis.meta.v1.ObjectMeta").fields["finalizers"].list_type == "set"


def test_atomic_structs_and_maps_are_known():
    assert schema.type_named(POD_SPEC).fields["nodeSelector"].atomic
    assert schema.type_named("k8s.io.apimachinery.pkg.apis.meta.v1.LabelSelector").atomic
    assert schema.type_named("*k8s.io.apimachinery.pkg.apis.meta.v1.LabelSelector").atomic


def test_defaults_of_map_list_keys_are_known():
    port = schema.type_named("k8s.io.api.core.v1.ContainerPort").fields
    assert (port["protocol"].default, port["containerPort"].default) == ("TCP", 0)
    assert port["containerPort"].required


def test_types_are_spelled_as_go_reflection_does():
    spec = schema.type_named(POD_SPEC).fields
    assert spec["containers"].type.go_type == "[]v1.Container"
    assert spec["priority"].type.go_type == "*int32"
    limits = schema.type_named("k8s.io.api.core.v1.ResourceRequirements").fields["limits"].type
    assert (limits.go_type, limits.kind) == ("v1.ResourceList", "map")
    assert limits.elem is not None
    assert limits.elem.kind == "quantity"


def test_recursive_types_refer_back():
    props = schema.type_named("k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")
    properties = props.fields["properties"].type
    assert properties.elem is props


def test_every_served_type_resolves():
    pending = [schema.type_named(name) for name in data.kinds().values() if name]
    seen = set()
    while pending:
        info = pending.pop()
        if id(info) in seen:
            continue
        seen.add(id(info))
        pending.extend(field.type for field in info.fields.values())
        if info.elem is not None:
            pending.append(info.elem)
    assert len(seen) > 900


def test_unknown_kinds_have_no_type_and_unserved_ones_are_registered():
    with pytest.raises(LookupError):
        schema.type_of(GroupVersionKind("apps", "v1", "Nope"))
    old = GroupVersionKind("apps", "v1beta1", "Deployment")
    assert schema.is_registered(old)
    with pytest.raises(LookupError):
        schema.type_of(old)


def test_descriptions_are_read_type_by_type():
    texts = data.descriptions("io.k8s.api.core.v1.Pod")
    assert texts[""].startswith("Pod is a collection of containers")
    assert texts["spec"].startswith("Specification of the desired behavior of the pod.")
    assert data.descriptions("io.k8s.api.core.v1.Nope") == {}
