"""Decoding brings objects to the form that Go structs would give back."""

import pytest

from sampan.api import schema
from sampan.api.gvk import GroupVersionKind

POD = GroupVersionKind("", "v1", "Pod")
CONFIG_MAP = GroupVersionKind("", "v1", "ConfigMap")
DEPLOYMENT = GroupVersionKind("apps", "v1", "Deployment")
CRD = GroupVersionKind("apiextensions.k8s.io", "v1", "CustomResourceDefinition")


def normal(gvk, raw):
    return schema.decode(gvk, raw).object


def test_structs_without_value_appear_and_empty_optional_values_vanish():
    raw = {"metadata": {"name": "p", "labels": {}}, "spec": {"containers": [{"name": "c", "image": "", "args": []}]}}
    assert normal(POD, raw) == {
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "resources": {}}]},
        "status": {},
    }


def test_required_lists_and_pointers_are_null_when_absent():
    found = normal(DEPLOYMENT, {"spec": {"template": {"spec": {}}}})
    assert found["spec"]["template"]["spec"] == {"containers": None}
    assert found["spec"]["selector"] is None
    assert found["spec"]["strategy"] == {}


def test_pointers_keep_zero_and_plain_numbers_do_not():
    found = normal(POD, {"spec": {"terminationGracePeriodSeconds": 0, "hostNetwork": False, "priority": 0}})
    assert found["spec"] == {"terminationGracePeriodSeconds": 0, "priority": 0, "containers": None}


def test_zero_times_are_null_except_where_omitted():
    event = normal(GroupVersionKind("", "v1", "Event"), {"metadata": {"creationTimestamp": None}})
    assert event["metadata"] == {}
    assert event["firstTimestamp"] is None
    assert event["eventTime"] is None


def test_null_means_absent_and_null_elements_are_zero():
    found = normal(POD, {"spec": {"nodeSelector": None, "containers": [None]}, "metadata": {"labels": {"a": None}}})
    assert found["spec"] == {"containers": [{"name": "", "resources": {}}]}
    assert found["metadata"] == {"labels": {"a": ""}}


def test_quantities_times_and_base64_are_spelled_canonically():
    limits = {"cpu": "1000m", "memory": "1024Mi", "x/y": 3}
    container = {"name": "c", "resources": {"limits": limits}}
    raw = {"metadata": {"creationTimestamp": "2024-01-02T04:04:05+01:00"}, "spec": {"containers": [container]}}
    found = normal(POD, raw)
    assert found["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "1", "memory": "1Gi", "x/y": "3"}
    assert found["metadata"]["creationTimestamp"] == "2024-01-02T03:04:05Z"
    secret = normal(GroupVersionKind("", "v1", "Secret"), {"data": {"a": "aGk\n="}})
    assert secret["data"] == {"a": "aGk="}


def test_fields_come_in_declaration_order():
    found = normal(CONFIG_MAP, {"data": {"a": "b"}, "metadata": {"uid": "u", "name": "c"}, "immutable": True})
    assert list(found) == ["metadata", "immutable", "data"]
    assert list(found["metadata"]) == ["name", "uid"]


def test_maps_come_sorted_as_go_writes_them():
    found = normal(CONFIG_MAP, {"data": {"b": "1", "a": "2"}, "binaryData": {"d": "", "c": ""}})
    assert list(found["data"]) == ["a", "b"]
    assert list(found["binaryData"]) == ["c", "d"]


def test_input_shares_no_container_with_the_result():
    raw = {"metadata": {"labels": {"a": "b"}}, "data": {"k": "v"}}
    found = normal(CONFIG_MAP, raw)
    found["data"]["k"] = "changed"
    found["metadata"]["labels"]["a"] = "changed"
    assert raw == {"metadata": {"labels": {"a": "b"}}, "data": {"k": "v"}}


def test_embedded_structs_lie_in_their_owner():
    probe = {"httpGet": {"port": "http"}, "periodSeconds": 5}
    found = normal(POD, {"spec": {"containers": [{"name": "c", "livenessProbe": probe}]}})
    assert found["spec"]["containers"][0]["livenessProbe"] == probe


def test_self_describing_schemas_keep_their_alternatives():
    props = {"items": {"type": "string"}, "additionalProperties": True, "enum": [1, None], "default": {"x": [1]}}
    schema_ = {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"a": props}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema_}}
    found = normal(CRD, {"spec": {"versions": [version]}})
    assert found["spec"]["versions"][0]["schema"]["openAPIV3Schema"] == schema_


def test_fields_behind_a_closed_gate_are_dropped_silently():
    decoded = schema.decode(POD, {"spec": {"schedulingGroup": {"podGroupName": "x"}}})
    assert decoded.object["spec"] == {"containers": None}
    assert decoded.strict == []


def test_many_shapes_of_one_type_stay_right():
    for number in range(600):
        raw = {"metadata": {"name": "x"}, f"unknown{number}": 1}
        decoded = schema.decode(CONFIG_MAP, raw)
        assert decoded.object == {"metadata": {"name": "x"}}
        assert decoded.strict == [f'unknown field "unknown{number}"']


@pytest.mark.parametrize("kind", ["DeleteOptions", "CreateOptions", "PatchOptions"])
def test_option_kinds_exist_in_every_group(kind):
    assert schema.type_of(GroupVersionKind("apps", "v1", kind)).name.endswith(f"meta.v1.{kind}")
