"""`sampan.testing.Cluster`: a control plane in the test's process."""

from __future__ import annotations

import asyncio

import pytest

from sampan.api.errors import Forbidden, NotFound
from sampan.client.client import Client
from sampan.client.https import HTTPSTransport
from sampan.client.resources import CONFIGMAPS, NODES, PODS, REPLICATIONCONTROLLERS, SERVICEACCOUNTS
from sampan.testing import Cluster


@pytest.fixture
async def cluster():
    async with Cluster() as started:
        yield started


def config_map(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def until(condition, seconds=10):
    async with asyncio.timeout(seconds):
        while not (value := await condition()):
            await asyncio.sleep(0.01)
        return value


async def test_objects_are_stored_defaulted_and_found(cluster):
    config_maps = cluster.client.resource(CONFIGMAPS, "default")
    made = await config_maps.create(config_map("one", a="b"))
    assert made["metadata"]["uid"]
    assert (await config_maps.get("one"))["data"] == {"a": "b"}
    with pytest.raises(NotFound, match='configmaps "two" not found'):
        await config_maps.get("two")


async def test_default_service_account_is_there(cluster):
    accounts = cluster.client.resource(SERVICEACCOUNTS, "default")

    async def found():
        return (await accounts.list()).items

    assert await until(found)


async def test_replication_controller_makes_pods_and_the_scheduler_gives_them_nodes(cluster):
    node = {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"},
        "status": {
            "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"},
            "capacity": {"cpu": "4", "memory": "8Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }  # fmt: skip
    nodes = cluster.client.resource(NODES)
    made = await nodes.create(node)
    await nodes.patch("n1", {"spec": {"taints": None}}, content_type="application/merge-patch+json")
    await nodes.patch_status("n1", node["status"] and {"status": node["status"]})
    assert made["metadata"]["name"] == "n1"
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "registry.example/app:1"}]},
    }
    controller = {
        "apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "web"},
        "spec": {"replicas": 3, "selector": {"app": "web"}, "template": template},
    }  # fmt: skip
    await cluster.client.resource(REPLICATIONCONTROLLERS, "default").create(controller)
    pods = cluster.client.resource(PODS, "default")

    async def scheduled():
        listed = (await pods.list(label_selector="app=web")).items
        return len(listed) == 3 and all(item.object["spec"].get("nodeName") == "n1" for item in listed)

    assert await until(scheduled)


async def test_other_users_are_authorized(cluster):
    with pytest.raises(Forbidden, match='User "nobody" cannot list resource "configmaps"'):
        await cluster.client_of("nobody").resource(CONFIGMAPS, "default").list()


async def test_kubeconfig_serves_clients_over_https(cluster):
    transport = HTTPSTransport(cluster.config)
    try:
        listed = await Client(transport).resource(CONFIGMAPS, "kube-system").list()
        assert listed.resource_version
    finally:
        await transport.close()


async def test_two_clusters_live_side_by_side(cluster):
    async with Cluster(controllers=(), scheduler=False) as other:
        await other.client.resource(CONFIGMAPS, "default").create(config_map("only-here"))
        with pytest.raises(NotFound):
            await cluster.client.resource(CONFIGMAPS, "default").get("only-here")
