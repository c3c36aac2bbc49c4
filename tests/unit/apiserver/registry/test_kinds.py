from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sampan.api import scheme
from sampan.apiserver.registry.strategies import STRATEGIES, strategy_for
from sampan.apiserver.registry.strategy import Strategy
from tests.unit.apiserver.registry.desk import Desk, gvr

if TYPE_CHECKING:
    from sampan.api.object import Object

TEMPLATE: Object = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
SELECTOR: Object = {"matchLabels": {"a": "b"}}


def deployment(**spec: object) -> Object:
    return {"metadata": {"name": "d"}, "spec": {"selector": SELECTOR, "template": TEMPLATE, **spec}}


def test_every_strategy_of_the_table_can_be_made() -> None:
    infos = [info for info in scheme.builtin() if (info.group, info.resource) in STRATEGIES]
    assert len(infos) >= len(STRATEGIES) - 1  # a version of its own counts twice
    for info in infos:
        assert type(strategy_for(info)) is not Strategy, info


@pytest.mark.parametrize(
    ("resource", "body", "path"),
    [
        (gvr("v1", "configmaps"), {"metadata": {"name": "x"}, "immutable": True, "data": {"a": "1"}}, "data/a"),
        (gvr("v1", "secrets"), {"metadata": {"name": "x"}, "immutable": True, "data": {"a": "MQ=="}}, "data/a"),
        (gvr("v1", "secrets"), {"metadata": {"name": "x"}, "type": "Opaque"}, "type"),
        (gvr("apps/v1", "deployments"), deployment(), "spec/selector/matchLabels/a"),
        (
            gvr("storage.k8s.io/v1", "storageclasses"),
            {"metadata": {"name": "x"}, "provisioner": "p.io/x"},
            "provisioner",
        ),
        (
            gvr("rbac.authorization.k8s.io/v1", "clusterrolebindings"),
            {
                "metadata": {"name": "x"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"},
            },
            "roleRef/name",
        ),
        (gvr("scheduling.k8s.io/v1", "priorityclasses"), {"metadata": {"name": "x"}, "value": 1}, "value"),
    ],
)
def test_what_is_immutable_cannot_be_changed(resource: object, body: Object, path: str) -> None:
    desk = Desk()
    old, errors = desk.create(resource, body)  # type: ignore[arg-type]
    assert errors == []
    value: object = 2 if path == "value" else "Yw=="
    _, errors = desk.update(resource, old, {path: value})  # type: ignore[arg-type]
    assert errors


def test_a_deployment_gets_the_defaults_of_a_rolling_update() -> None:
    obj, errors = Desk().create(gvr("apps/v1", "deployments"), deployment())
    assert errors == []
    assert obj["spec"]["replicas"] == 1
    assert obj["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
    }
    assert (obj["spec"]["revisionHistoryLimit"], obj["spec"]["progressDeadlineSeconds"]) == (10, 600)


def test_a_selector_must_match_the_template() -> None:
    _, errors = Desk().create(gvr("apps/v1", "deployments"), deployment(selector={"matchLabels": {"a": "c"}}))
    detail = "`selector` does not match template `labels`"
    assert errors == [f'spec.template.metadata.labels: Invalid value: {{"a":"b"}}: {detail}']


def test_a_job_selects_its_pods_by_its_own_uid() -> None:
    template: Object = {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}
    obj, errors = Desk().create(gvr("batch/v1", "jobs"), {"metadata": {"name": "j"}, "spec": {"template": template}})
    assert errors == []
    assert obj["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": "uid-j"}}
    assert obj["spec"]["template"]["metadata"]["labels"]["job-name"] == "j"


@pytest.mark.parametrize(
    ("schedule", "is_good"),
    [
        ("* * * * *", True),
        ("*/5 0-6 1,15 JAN-MAR MON", True),
        ("@hourly", True),
        ("@every 1h30m", True),
        ("60 * * * *", False),
        ("* * * *", False),
        ("@sometimes", False),
        ("* * 0 * *", False),
    ],
)
def test_cron_schedules_are_read_as_kubernetes_reads_them(schedule: str, *, is_good: bool) -> None:
    template: Object = {"spec": {"template": {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}}}
    body: Object = {"metadata": {"name": "c"}, "spec": {"schedule": schedule, "jobTemplate": template}}
    _, errors = Desk().create(gvr("batch/v1", "cronjobs"), body)
    assert (errors == []) is is_good, errors


def test_a_daemon_set_counts_changes_of_its_template() -> None:
    desk, resource = Desk(), gvr("apps/v1", "daemonsets")
    key = "deprecated.daemonset.template.generation"
    obj, errors = desk.create(resource, deployment())
    assert (errors, obj["metadata"]["annotations"][key]) == ([], "1")
    new, _ = desk.update(resource, obj, {"spec/template/metadata/labels/x": "y"})
    assert new["metadata"]["annotations"][key] == "2"


def definition(**spec: object) -> Object:
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    names = {"plural": "foos", "kind": "Foo"}
    base = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    return {"metadata": {"name": "foos.example.com"}, "spec": {**base, **spec}}


CRDS = gvr("apiextensions.k8s.io/v1", "customresourcedefinitions")


def test_a_definition_starts_with_its_storage_version_and_no_names() -> None:
    obj, errors = Desk().create(CRDS, definition())
    assert errors == []
    assert obj["spec"]["names"] == {"plural": "foos", "singular": "foo", "kind": "Foo", "listKind": "FooList"}
    assert obj["spec"]["conversion"] == {"strategy": "None"}
    assert obj["status"]["storedVersions"] == ["v1"]
    assert obj["status"]["acceptedNames"] == {"plural": "", "kind": ""}


def test_a_definition_without_versions_has_none_to_store() -> None:
    _, errors = Desk().create(CRDS, definition(versions=[]))
    assert errors == [
        "spec.versions: Invalid value: []: must have exactly one version marked as storage version",
        "status.storedVersions: Invalid value: null: must have at least one stored version",
    ]


def test_groups_of_kubernetes_need_an_approval() -> None:
    body = definition(group="x.k8s.io")
    body["metadata"]["name"] = "foos.x.k8s.io"
    (error,) = Desk().create(CRDS, body)[1]
    assert error.startswith("metadata.annotations[api-approved.kubernetes.io]: Required value")


def with_schema(**properties: object) -> Object:
    schema = {"type": "object", "properties": properties}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return definition(versions=[version])


@pytest.mark.parametrize(
    "field",
    [
        {"x-kubernetes-int-or-string": True},
        {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
        {"x-kubernetes-preserve-unknown-fields": True},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "string", "pattern": r"^\p{L}[[:alpha:]]+\z"},
        {"type": "object", "properties": {"b": {"type": "string"}}, "anyOf": [{"required": ["b"]}]},
        {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
    ],
)
def test_structural_schemas_are_taken(field: Object) -> None:
    assert Desk().create(CRDS, with_schema(a=field))[1] == []


_TOO_SMALL = "default: Invalid value: 0:  in body should be greater than or equal to 1"
_BAD_PATTERN = (
    'pattern: Invalid value: "(": must be a valid regular expression, but isn\'t: error parsing regexp: '
    "missing closing ): `(`"
)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({}, "type: Required value: must not be empty for specified object fields"),
        ({"type": "array"}, "items: Required value: must be specified"),
        (
            {"type": "array", "items": {}},
            "items.type: Required value: must not be empty for specified array items",
        ),
        ({"type": "object", "$ref": "#/x"}, "$ref: Forbidden: $ref is not supported"),
        ({"type": "integer", "default": 0, "minimum": 1}, _TOO_SMALL),
        ({"type": "string", "pattern": "("}, _BAD_PATTERN),
        ({"type": "string", "not": {"title": "x"}}, "not.title: Forbidden: must be empty to be structural"),
    ],
)
def test_schemas_that_are_not_structural_are_refused(field: Object, message: str) -> None:
    _, errors = Desk().create(CRDS, with_schema(a=field))
    assert errors == [f"spec.validation.openAPIV3Schema.properties[a].{message}"]


def test_a_field_that_is_only_validated_is_missing_from_the_structure() -> None:
    body = with_schema(a={"type": "string"})
    schema = body["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["anyOf"] = [{"properties": {"b": {"minimum": 1}}}]
    path = "spec.validation.openAPIV3Schema"
    where = f"{path}.anyOf[0].properties[b]"
    assert Desk().create(CRDS, body)[1] == [f"{path}.properties[b]: Required value: because it is defined in {where}"]
