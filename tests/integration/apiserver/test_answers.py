"""Answers in other forms than the stored one, and writes that meet others under way."""

import asyncio

import orjson
import pytest

from sampan.api.errors import BadRequest, Forbidden, Invalid, NotFound
from sampan.api.gvk import GroupVersionResource
from sampan.api.schema import protobuf
from sampan.apiserver import encode
from sampan.apiserver.negotiate import JSON, PROTOBUF, Accepted
from sampan.apiserver.storage.resourcestore import Selection
from sampan.client import MERGE_PATCH

CONFIGMAPS = GroupVersionResource("", "v1", "configmaps")
DAEMONSETS = GroupVersionResource("apps", "v1", "daemonsets")
FLOWSCHEMAS = GroupVersionResource("flowcontrol.apiserver.k8s.io", "v1", "flowschemas")
NODES = GroupVersionResource("", "v1", "nodes")
PODS = GroupVersionResource("", "v1", "pods")
SERVICE_ACCOUNTS = GroupVersionResource("", "v1", "serviceaccounts")
ROLES = GroupVersionResource("rbac.authorization.k8s.io", "v1", "roles")
SLICES = GroupVersionResource("discovery.k8s.io", "v1", "endpointslices")
DEVICE_CLASSES = GroupVersionResource("resource.k8s.io", "v1", "deviceclasses")
LEVELS = GroupVersionResource("flowcontrol.apiserver.k8s.io", "v1", "prioritylevelconfigurations")
COSTLY = (
    "[1,2,3,4,5,6,7,8,9].all(a, device.attributes.all(b, device.attributes.all(c, device.attributes.all(d, "
    "device.attributes.all(e, b + c + d + e != 'x')))))"
)
GENERATION = "deprecated.daemonset.template.generation"


def config(name, **data):
    return {"metadata": {"name": name}, "data": data}


def registry_of(server, group, version, resource):
    found = server.resources.get((group, version, resource))
    assert found is not None
    return found


async def test_a_list_in_protobuf_holds_what_the_json_one_holds(server, admin):
    for name in ("a", "b"):
        await admin.resource(CONFIGMAPS, "default").create(config(name, x=name))
    registry = registry_of(server, "", "v1", "configmaps")
    found = registry.store.list(Selection(namespace="default"))
    for _ in range(2):  # made, and then remembered
        answer = encode.listing(registry, found, Accepted(PROTOBUF), pretty=False, include=None)
        decoded = protobuf.decode_object(answer.body)
        plain = orjson.loads(encode.listing(registry, found, Accepted(JSON), pretty=False, include=None).body)
        assert decoded["kind"] == plain["kind"] == "ConfigMapList"
        assert decoded["metadata"]["resourceVersion"] == plain["metadata"]["resourceVersion"]
        assert [(one["metadata"]["uid"], one["data"]) for one in decoded["items"]] == [
            (one["metadata"]["uid"], one["data"]) for one in plain["items"]
        ]


async def test_protobuf_shows_the_new_version_after_a_change(server, admin):
    resource = admin.resource(CONFIGMAPS, "default")
    await resource.create(config("a", x="1"))
    registry = registry_of(server, "", "v1", "configmaps")
    assert protobuf.decode_object(encode.entry_protobuf(registry, registry.find("default", "a")))["data"] == {"x": "1"}
    await resource.patch("a", {"data": {"x": "2"}})
    assert protobuf.decode_object(encode.entry_protobuf(registry, registry.find("default", "a")))["data"] == {"x": "2"}


async def test_a_table_hides_the_annotation_that_stands_for_a_field(server, admin):
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    created = await admin.resource(DAEMONSETS, "default").create({"metadata": {"name": "d"}, "spec": spec})
    assert created["metadata"]["annotations"] == {GENERATION: "1"}
    registry = registry_of(server, "apps", "v1", "daemonsets")
    table = encode.table(registry, [created], {}, "v1", None)
    assert "annotations" not in table["rows"][0]["object"]["metadata"]
    assert created["metadata"]["annotations"] == {GENERATION: "1"}


async def test_a_patch_cannot_make_another_kind_of_an_object(admin):
    resource = admin.resource(CONFIGMAPS, "default")
    await resource.create({"metadata": {"name": "a"}})
    with pytest.raises(Invalid, match=r"converting \(v1.Secret\) to \(core.ConfigMap\): unknown conversion"):
        await resource.patch("a", {"kind": "Secret"}, content_type=MERGE_PATCH)
    with pytest.raises(Invalid, match='no kind "Nothing" is registered for version "v1"'):
        await resource.patch("a", {"kind": "Nothing"}, content_type=MERGE_PATCH)
    assert (await resource.patch("a", {"kind": "Secret"}))["kind"] == "ConfigMap"  # strategic: into the type at hand


async def test_a_patch_cannot_move_an_object_to_another_namespace(admin):
    resource = admin.resource(CONFIGMAPS, "default")
    await resource.create({"metadata": {"name": "a"}})
    with pytest.raises(BadRequest, match="the namespace of the provided object does not match the namespace sent on"):
        await resource.patch("a", {"metadata": {"namespace": "other"}})


async def test_concurrent_changes_of_one_object_are_all_made(admin):
    resource = admin.resource(CONFIGMAPS, "default")
    await resource.create({"metadata": {"name": "a"}})
    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(resource.patch("a", {"data": {f"k{number}": "x"}}))
    found = await resource.get("a")
    assert len(found["data"]) == 50


async def test_what_a_refusal_rests_upon_can_be_read_after_it(server, admin):
    resource = admin.resource(CONFIGMAPS, "default")
    await resource.create({"metadata": {"name": "a"}, "data": {"x": "y"}})
    async with asyncio.TaskGroup() as group:
        group.create_task(resource.patch("a", {"immutable": True}))
        await asyncio.sleep(0)
        with pytest.raises(Invalid, match="field is immutable when `immutable` is set"):
            await resource.patch("a", {"data": {"x": "z"}})
        assert (await resource.get("a"))["immutable"] is True


async def test_a_change_behind_a_deletion_under_way_finds_nothing(admin):
    resource = admin.resource(CONFIGMAPS, "default")
    await resource.create({"metadata": {"name": "a"}})
    async with asyncio.TaskGroup() as group:
        group.create_task(resource.delete("a"))
        await asyncio.sleep(0)
        with pytest.raises(NotFound):
            await resource.patch("a", {"data": {"x": "z"}})


async def test_a_flow_schema_dangles_until_its_priority_level_exists(server, admin):
    schemas, levels = admin.resource(FLOWSCHEMAS), admin.resource(LEVELS)
    spec = {"priorityLevelConfiguration": {"name": "later"}}

    async def status(wanted):
        async with asyncio.timeout(5):
            while True:
                found = await schemas.get("s")
                conditions = (found.get("status") or {}).get("conditions") or []
                if [one["status"] for one in conditions] == [wanted]:
                    return conditions[0]
                await asyncio.sleep(0)

    await schemas.create({"metadata": {"name": "s"}, "spec": spec})
    missing = await status("True")
    assert missing["reason"] == "NotFound"
    assert missing["message"].endswith('object named "later" but there is no such object')
    limited = {"limitResponse": {"type": "Reject"}}
    await levels.create({"metadata": {"name": "later"}, "spec": {"type": "Limited", "limited": limited}})
    assert (await status("False"))["message"].endswith('object named "later" and it exists')


async def test_a_pod_is_not_resized_beyond_its_node(admin):
    def container(cpu, memory):
        return {"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu, "memory": memory}}}

    nodes, resource = admin.resource(NODES), admin.resource(PODS, "default")
    await nodes.create(
        {
            "metadata": {"name": "n", "labels": {"kubernetes.io/os": "linux"}},
            "status": {"allocatable": {"cpu": "2", "memory": "1Gi"}},
        }
    )
    await admin.resource(SERVICE_ACCOUNTS, "default").create({"metadata": {"name": "default"}})
    await resource.create(
        {
            "metadata": {"name": "p"},
            "spec": {"nodeName": "n", "containers": [container("1", "10Mi")]},
        }
    )
    larger = {"spec": {"containers": [container("1500m", "20Mi")]}}
    changed = await resource.patch("p", larger, subresource="resize")
    assert changed["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "1500m", "memory": "20Mi"}
    with pytest.raises(Forbidden) as refused:
        await resource.patch("p", {"spec": {"containers": [container("3", "2Gi")]}}, subresource="resize")
    assert refused.value.message == (
        'pods "p" is forbidden: Node didn\'t have enough allocatable resources: '
        "cpu, requested: 3000, allocatable: 2000; memory, requested: 2147483648, allocatable: 1073741824"
    )
    assert refused.value.details["causes"] == [{"reason": "NodeCapacity"}]
    await nodes.patch("n", {"metadata": {"labels": {"kubernetes.io/os": "plan9"}}})
    with pytest.raises(Forbidden, match='only supported on linux nodes, node "n" is "plan9"'):
        await resource.patch("p", {"spec": {"containers": [container("1", "20Mi")]}}, subresource="resize")


async def test_empty_lists_that_are_always_shown_are_stored_as_null(admin):
    roles = admin.resource(ROLES, "default")
    created = await roles.create({"metadata": {"name": "r"}, "rules": []})
    assert created["rules"] is None
    assert (await roles.get("r"))["rules"] is None
    changed = await roles.update({**created, "rules": []})
    assert changed["metadata"]["resourceVersion"] == created["metadata"]["resourceVersion"]
    slices = admin.resource(SLICES, "default")
    endpoints = [{"addresses": ["10.0.0.1"]}]
    made = await slices.create({"metadata": {"name": "s"}, "addressType": "IPv4", "endpoints": endpoints, "ports": []})
    assert made["ports"] is None
    emptied = await slices.patch("s", {"endpoints": []}, content_type=MERGE_PATCH)
    assert emptied["endpoints"] is None
    assert emptied["metadata"]["generation"] == 2


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ('device.driver == "d" && device.attributes["d"].model == "large"', ""),
        ('device.capacity["d"].memory.compareTo(quantity("2Gi")) >= 0', ""),
        ("device.nope", "compilation failed: ERROR: <input>:1:7: undefined field 'nope'"),
        ("device.driver", "must evaluate to bool or the unknown type, not string"),
        (
            COSTLY,
            "too complex, exceeds cost limit",
        ),
    ],
)
async def test_a_device_selector_must_compile(admin, expression, why):
    body = {"metadata": {"name": "c"}, "spec": {"selectors": [{"cel": {"expression": expression}}]}}
    if not why:
        await admin.resource(DEVICE_CLASSES).create(body)
        return
    with pytest.raises(Invalid) as refused:
        await admin.resource(DEVICE_CLASSES).create(body)
    assert why in refused.value.message
