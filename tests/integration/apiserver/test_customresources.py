"""Custom resources on a real server: from the definition to the last instance."""

import asyncio

import pytest

from sampan.api.errors import AlreadyExists, Invalid, NotFound, UnsupportedMediaType
from sampan.api.gvk import GroupVersionResource
from sampan.client.interface import MERGE_PATCH, STRATEGIC_MERGE_PATCH, Request

CRDS = GroupVersionResource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
WIDGETS = GroupVersionResource("example.com", "v1", "widgets")
SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "n": {"type": "integer", "default": 1, "maximum": 5},
                "s": {"type": "string", "maxLength": 9},
            },
            "x-kubernetes-validations": [{"rule": "!has(oldSelf.s) || self.s == oldSelf.s", "message": "s stays"}],
        },
        "status": {"type": "object", "properties": {"n": {"type": "integer"}}},
    },
}


def definition(plural="widgets", **spec):
    kind = plural[:-1].capitalize()
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": SCHEMA},
        "subresources": {"status": {}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "versions": [version],
            "names": {"plural": plural, "kind": kind, "shortNames": ["w"]}, **spec,
        },
    }  # fmt: skip


def widget(name="a", **spec):
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec}


async def until(check):
    async with asyncio.timeout(10):
        while True:
            found = await check()
            if found:
                return found
            await asyncio.sleep(0)


async def send(transport, verb, resource=WIDGETS, name="", **more):
    namespace = "default" if resource is WIDGETS else ""
    return await transport.send(Request(verb=verb, resource=resource, namespace=namespace, name=name, **more))


@pytest.fixture
async def served(server, transport):
    await send(transport, "create", CRDS, body=definition())

    async def is_served():
        return server.discovery.legacy("/apis/example.com/v1")

    await until(is_served)
    return transport


async def test_objects_are_defaulted_pruned_and_validated(served):
    created = await send(served, "create", body=widget(s="x", zz=1))
    assert created["spec"] == {"s": "x", "n": 1}
    with pytest.raises(Invalid, match=r"spec\.n: Invalid value: 9: spec\.n in body should be less than or equal to 5"):
        await send(served, "create", body=widget("b", n=9))


async def test_transition_rules_compare_with_the_old_object(served):
    await send(served, "create", body=widget(s="x"))
    await send(served, "patch", name="a", body={"spec": {"n": 2}}, content_type=MERGE_PATCH)
    with pytest.raises(Invalid, match="spec: Invalid value: s stays"):
        await send(served, "patch", name="a", body={"spec": {"s": "y"}}, content_type=MERGE_PATCH)


async def test_status_is_apart_and_generation_counts_the_rest(served):
    await send(served, "create", body={**widget(), "status": {"n": 1}})
    patched = await send(
        served,
        "patch",
        name="a",
        subresource="status",
        body={"status": {"n": 2}, "spec": {"n": 4}},
        content_type=MERGE_PATCH,
    )
    assert (patched["spec"], patched["status"], patched["metadata"]["generation"]) == ({"n": 1}, {"n": 2}, 1)


async def test_strategic_merge_is_refused(served):
    await send(served, "create", body=widget())
    with pytest.raises(UnsupportedMediaType):
        await send(served, "patch", name="a", body={}, content_type=STRATEGIC_MERGE_PATCH)


async def test_documents_show_what_is_served(server, served):
    assert b'"widgets/status"' in server.discovery.legacy("/apis/example.com/v1").body
    assert b"com.example.v1.Widget" in server.openapi.v2().body
    assert b"com.example.v1.WidgetList" in server.openapi.v3("apis/example.com/v1").body


async def test_names_that_are_taken_are_not_accepted(served):
    await send(served, "create", CRDS, body=definition("gadgets"))

    async def refused():
        found = await send(served, "get", CRDS, name="gadgets.example.com")
        return {one["type"]: one for one in found["status"]["conditions"] or ()}

    conditions = await until(refused)
    assert conditions["NamesAccepted"]["reason"] == "ShortNamesConflict"
    assert conditions["NamesAccepted"]["message"] == '"w" is already in use'
    assert conditions["Established"]["status"] == "False"


async def test_deleting_the_definition_deletes_the_instances_first(server, served):
    await send(served, "create", body={**widget(), "metadata": {"name": "a", "finalizers": ["example.com/wait"]}})
    await send(served, "delete", CRDS, name="widgets.example.com")

    async def marked():
        return (await send(served, "get", name="a"))["metadata"].get("deletionTimestamp")

    await until(marked)
    with pytest.raises(Exception, match="create not allowed while custom resource definition is terminating"):
        await send(served, "create", body=widget("b"))
    await send(served, "patch", name="a", body={"metadata": {"finalizers": None}}, content_type=MERGE_PATCH)

    async def gone():
        try:
            await send(served, "get", CRDS, name="widgets.example.com")
        except NotFound:
            return True
        return False

    await until(gone)

    async def unserved():
        return server.discovery.legacy("/apis/example.com/v1") is None

    await until(unserved)
    with pytest.raises(NotFound):
        await send(served, "get", name="a")


async def test_a_changed_schema_holds_for_stored_objects(served):
    await send(served, "create", body=widget(s="x"))
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"new": {"type": "string", "default": "d"}}}},
    }
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    body = {"spec": {"versions": [version]}}
    await send(served, "patch", CRDS, name="widgets.example.com", body=body, content_type=MERGE_PATCH)
    assert (await send(served, "get", name="a"))["spec"] == {"new": "d"}


async def test_creating_twice_conflicts(served):
    await send(served, "create", body=widget())
    with pytest.raises(AlreadyExists):
        await send(served, "create", body=widget())
