"""Objects through the whole request path, over the local transport and over HTTPS."""

import asyncio
import re
import ssl

import orjson
import pytest

from sampan.api import errors
from sampan.api.gvk import GroupVersionResource
from sampan.apiserver.authn.user import User
from sampan.apiserver.local import LocalTransport
from sampan.client.interface import MERGE_PATCH, Request

CONFIGMAPS = GroupVersionResource("", "v1", "configmaps")
NAMESPACES = GroupVersionResource("", "v1", "namespaces")
PODS = GroupVersionResource("", "v1", "pods")


def config(name="a", **metadata):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": {"k": "v"}}


async def create(transport, obj, resource=CONFIGMAPS, **query):
    return await transport.send(Request(verb="create", resource=resource, namespace="default", body=obj, query=query))


async def get(transport, name, resource=CONFIGMAPS):
    return await transport.send(Request(verb="get", resource=resource, namespace="default", name=name))


async def patch(transport, name, body):
    return await transport.send(
        Request(
            verb="patch", resource=CONFIGMAPS, namespace="default", name=name, body=body, content_type=MERGE_PATCH
        )
    )  # fmt: skip


async def delete(transport, name, resource=CONFIGMAPS, **options):
    return await transport.send(
        Request(verb="delete", resource=resource, namespace="default", name=name, body=options or None)
    )


async def test_created_object_has_what_the_system_fills_in(transport):
    made = await create(transport, config())
    metadata = made["metadata"]
    assert re.fullmatch(r"[0-9a-f-]{36}", metadata["uid"])
    assert metadata["namespace"] == "default"
    assert metadata["managedFields"][0]["manager"] == "test"
    assert await get(transport, "a") == made


async def test_name_is_taken_once(transport):
    await create(transport, config())
    with pytest.raises(errors.AlreadyExists, match='configmaps "a" already exists'):
        await create(transport, config())


async def test_generated_names_differ(transport):
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "g-"}}
    names = {(await create(transport, body))["metadata"]["name"] for _ in range(20)}
    assert len(names) == 20
    assert all(re.fullmatch(r"g-[a-z0-9]{5}", name) for name in names)


async def test_dry_run_stores_nothing(transport):
    made = await create(transport, config(), dryRun="All")
    assert "resourceVersion" not in made["metadata"]
    with pytest.raises(errors.NotFound):
        await get(transport, "a")


async def test_update_of_an_outdated_version_conflicts(transport):
    made = await create(transport, config())
    await patch(transport, "a", {"data": {"k": "w"}})
    made["data"] = {"k": "x"}
    with pytest.raises(errors.Conflict, match="the object has been modified"):
        await transport.send(Request(verb="update", resource=CONFIGMAPS, namespace="default", name="a", body=made))


async def test_patch_without_effect_keeps_the_version(transport):
    made = await create(transport, config())
    again = await patch(transport, "a", {"data": {"k": "v"}})
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_racing_patches_all_take_effect(transport):
    await create(transport, config())
    await asyncio.gather(*(patch(transport, "a", {"data": {f"k{i}": str(i)}}) for i in range(20)))
    found = await get(transport, "a")
    assert {f"k{i}": str(i) for i in range(20)}.items() <= found["data"].items()


async def test_finalizers_hold_an_object_until_they_are_gone(transport):
    await create(transport, config(finalizers=["example.com/hold"]))
    marked = await delete(transport, "a")
    assert marked["metadata"]["deletionTimestamp"]
    assert (await get(transport, "a"))["metadata"]["finalizers"] == ["example.com/hold"]
    await patch(transport, "a", {"metadata": {"finalizers": None}})
    with pytest.raises(errors.NotFound):
        await get(transport, "a")


async def test_deletion_with_a_wrong_uid_conflicts(transport):
    await create(transport, config())
    with pytest.raises(errors.Conflict, match="UID in the precondition"):
        await delete(transport, "a", preconditions={"uid": "other"})


async def test_orphaning_leaves_it_to_the_garbage_collector(transport):
    await create(transport, config())
    marked = await delete(transport, "a", propagationPolicy="Orphan")
    assert marked["metadata"]["finalizers"] == ["orphan"]


async def test_namespace_ends_in_two_steps_and_takes_nothing_new(transport):
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}
    await transport.send(Request(verb="create", resource=NAMESPACES, body=body))
    ending = await transport.send(Request(verb="delete", resource=NAMESPACES, name="n"))
    assert ending["status"]["phase"] == "Terminating"
    with pytest.raises(errors.Forbidden, match="because it is being terminated"):
        await transport.send(Request(verb="create", resource=CONFIGMAPS, namespace="n", body=config()))
    ending["spec"]["finalizers"] = []
    await transport.send(Request(verb="update", resource=NAMESPACES, name="n", subresource="finalize", body=ending))
    with pytest.raises(errors.NotFound):
        await transport.send(Request(verb="get", resource=NAMESPACES, name="n"))


async def test_local_transport_is_authorized_like_any_client(server):
    bob = LocalTransport(server, User("bob", groups=("system:authenticated",)))
    with pytest.raises(errors.Forbidden, match='User "bob" cannot get resource "configmaps"'):
        await get(bob, "a")


async def test_watch_delivers_changes_in_order_then_ends(transport):
    listed = await transport.list(Request(verb="list", resource=CONFIGMAPS, namespace="default"))
    query = {"resourceVersion": listed.resource_version, "timeoutSeconds": "5"}
    seen = []
    async with transport.watch(Request(verb="watch", resource=CONFIGMAPS, namespace="default", query=query)) as batches:
        await create(transport, config())
        await patch(transport, "a", {"data": {"k": "w"}})
        await delete(transport, "a")
        async for batch in batches:
            seen += [(event.type, event.item.name) for event in batch]
            if len(seen) == 3:
                break
    assert seen == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


async def http(server, head, body=b""):
    """One raw exchange over TLS; status line, headers and body."""
    context = ssl.create_default_context(cadata=server.ca.decode())
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    writer.write(head.encode() + b"\r\nHost: x\r\nConnection: close\r\n\r\n" + body)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    block, _, content = answer.partition(b"\r\n\r\n")
    return block.decode(), content


async def test_health_is_open_to_anyone(server):
    block, content = await http(server, "GET /readyz HTTP/1.1")
    assert block.startswith("HTTP/1.1 200 ")
    assert content == b"ok"


async def test_anonymous_is_forbidden_and_wrong_tokens_are_unauthorized(server):
    block, content = await http(server, "GET /api/v1/pods HTTP/1.1")
    assert block.startswith("HTTP/1.1 403 ")
    assert 'User "system:anonymous" cannot list resource "pods"' in orjson.loads(content)["message"]
    block, content = await http(server, "GET /api/v1/pods HTTP/1.1\r\nAuthorization: Bearer nope")
    assert orjson.loads(content)["reason"] == "Unauthorized"


async def test_service_account_token_authenticates_until_its_account_goes(server, transport):
    accounts = GroupVersionResource("", "v1", "serviceaccounts")
    body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}
    await create(transport, body, accounts)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    issued = await transport.send(
        Request(
            verb="create", resource=accounts, namespace="default", name="robot", subresource="token", body=request
        )
    )  # fmt: skip
    head = f"GET /api/v1/pods HTTP/1.1\r\nAuthorization: Bearer {issued['status']['token']}"
    _, content = await http(server, head)
    assert 'User "system:serviceaccount:default:robot" cannot list' in orjson.loads(content)["message"]


async def test_metrics_count_requests(server, transport):
    assert b"apiserver_request_total" in server.metrics.render()


async def test_pod_gets_its_service_account_mounted_and_tolerations(transport):
    accounts = GroupVersionResource("", "v1", "serviceaccounts")
    await create(transport, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}, accounts)
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }  # fmt: skip
    made = await create(transport, pod, PODS)
    assert made["spec"]["volumes"][0]["name"].startswith("kube-api-access-")
    assert len(made["spec"]["tolerations"]) == 2
    assert made["spec"]["priority"] == 0
