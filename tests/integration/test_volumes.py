"""Volumes from claim to data that is gone: binder, provisioner, protection, scheduler and API server together."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from sampan.api.errors import TooManyRequests
from sampan.client.resources import (
    EVENTS,
    NODES,
    PERSISTENTVOLUMECLAIMS,
    PERSISTENTVOLUMES,
    PODDISRUPTIONBUDGETS,
    PODS,
    SERVICEACCOUNTS,
    STORAGECLASSES,
)
from sampan.scheduler.volumecaches import CSINODES
from sampan.testing import Cluster


async def until(cluster, gvr, condition, namespace="default"):
    """Return the objects of a resource once the condition holds for them."""
    resource = cluster.client.resource(gvr, namespace)
    async with asyncio.timeout(20):
        while True:
            found = await resource.list()
            objects = {item.name: item.object for item in found.items}
            if condition(objects):
                return objects
            async with resource.watch(resource_version=found.resource_version) as events:
                await anext(events)


@asynccontextmanager
async def cluster_of(*nodes):
    async with Cluster() as cluster:
        resource = cluster.client.resource(NODES)
        for name in nodes:
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
            node["metadata"]["labels"] = {"kubernetes.io/hostname": name}
            await resource.create(node)
            amounts = {"cpu": "4", "memory": "8Gi", "pods": "110"}
            ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
            status = {"allocatable": amounts, "capacity": amounts, "conditions": [ready]}
            await resource.patch_status(name, {"status": status})
            await until(cluster, NODES, lambda found, name=name: not found[name]["spec"].get("taints"), "")
        await until(cluster, SERVICEACCOUNTS, lambda found: "default" in found)
        yield cluster


async def make_class(cluster, name="local-path", provisioner="sampan.io/local-path", **fields):
    made = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": provisioner,
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": True,
        **fields,
    }
    await cluster.client.resource(STORAGECLASSES).create(made)


async def make_claim(cluster, name="data", size="1Gi", **spec):
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": wanted}
    return await cluster.client.resource(PERSISTENTVOLUMECLAIMS, "default").create(claim)


async def make_volume(cluster, name, size, *, node="", **spec):
    wanted = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": size},
        "hostPath": {"path": f"/tmp/{name}"},
        **spec,
    }
    if node:
        expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
        wanted["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": wanted}
    await cluster.client.resource(PERSISTENTVOLUMES).create(volume)


async def make_pod(cluster, name, volume):
    container = {"name": "c", "image": "i"}
    spec = {"containers": [container], "volumes": [{"name": "v", **volume}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    await cluster.client.resource(PODS, "default").create(pod)


def uses(claim):
    return {"persistentVolumeClaim": {"claimName": claim}}


async def test_claim_without_class_gets_a_directory_where_its_first_pod_runs_and_it_goes_with_the_claim():
    async with cluster_of("n1") as cluster:
        await make_class(cluster)
        claim = await make_claim(cluster)
        assert claim["spec"]["storageClassName"] == "local-path"
        await until(
            cluster, EVENTS, lambda found: any(one["reason"] == "WaitForFirstConsumer" for one in found.values())
        )
        await make_pod(cluster, "p", uses("data"))
        pods = await until(cluster, PODS, lambda found: found["p"]["spec"].get("nodeName"))
        assert pods["p"]["spec"]["nodeName"] == "n1"
        claims = await until(cluster, PERSISTENTVOLUMECLAIMS, lambda found: found["data"]["status"]["phase"] == "Bound")
        volume = await cluster.client.resource(PERSISTENTVOLUMES).get(claims["data"]["spec"]["volumeName"])
        assert volume["metadata"]["name"] == f"pvc-{claim['metadata']['uid']}"
        assert volume["spec"]["hostPath"]["path"].endswith("_default_data")
        assert claims["data"]["status"]["capacity"] == {"storage": "1Gi"}
        resource = cluster.client.resource(PERSISTENTVOLUMECLAIMS, "default")
        await resource.patch("data", {"spec": {"resources": {"requests": {"storage": "3Gi"}}}})
        await until(
            cluster, PERSISTENTVOLUMECLAIMS, lambda found: found["data"]["status"]["capacity"] == {"storage": "3Gi"}
        )
        await resource.delete("data")  # the pod still uses it
        claims = await until(
            cluster, PERSISTENTVOLUMECLAIMS, lambda found: "deletionTimestamp" in found["data"]["metadata"]
        )
        assert claims["data"]["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
        await cluster.client.resource(PODS, "default").delete("p", grace_period_seconds=0)
        await until(cluster, PERSISTENTVOLUMECLAIMS, lambda found: not found)
        await until(cluster, PERSISTENTVOLUMES, lambda found: not found, "")


async def test_claim_gets_the_smallest_volume_that_suffices_and_retains_it():
    async with cluster_of() as cluster:
        for name, size in (("big", "100Gi"), ("right", "5Gi"), ("small", "1Gi")):
            await make_volume(cluster, name, size)
        await until(
            cluster,
            PERSISTENTVOLUMES,
            lambda found: all(one["status"]["phase"] == "Available" for one in found.values()),
            "",
        )
        await make_claim(cluster, size="2Gi")
        claims = await until(cluster, PERSISTENTVOLUMECLAIMS, lambda found: found["data"]["status"]["phase"] == "Bound")
        assert claims["data"]["spec"]["volumeName"] == "right"
        assert claims["data"]["status"]["capacity"] == {"storage": "5Gi"}
        await until(cluster, PERSISTENTVOLUMES, lambda found: found["right"]["status"]["phase"] == "Bound", "")
        await cluster.client.resource(PERSISTENTVOLUMECLAIMS, "default").delete("data")
        volumes = await until(
            cluster, PERSISTENTVOLUMES, lambda found: found["right"]["status"]["phase"] == "Released", ""
        )
        assert volumes["right"]["spec"]["claimRef"]["name"] == "data"


async def test_pod_follows_its_local_volume_and_others_wait_for_theirs():
    async with cluster_of("n1", "n2") as cluster:
        await make_class(cluster, "local", "kubernetes.io/no-provisioner", allowVolumeExpansion=False)
        await make_volume(cluster, "on-n2", "5Gi", node="n2", storageClassName="local")
        await make_claim(cluster, "one")
        await make_claim(cluster, "two")
        await make_pod(cluster, "first", uses("one"))
        pods = await until(cluster, PODS, lambda found: found["first"]["spec"].get("nodeName"))
        assert pods["first"]["spec"]["nodeName"] == "n2"
        await make_pod(cluster, "second", uses("two"))

        def waits(found):
            conditions = found["second"].get("status", {}).get("conditions") or [{}]
            return "didn't find available persistent volumes to bind" in conditions[0].get("message", "")

        await until(cluster, PODS, waits)
        await make_volume(cluster, "on-n1", "5Gi", node="n1", storageClassName="local")
        pods = await until(cluster, PODS, lambda found: found["second"]["spec"].get("nodeName"))
        assert pods["second"]["spec"]["nodeName"] == "n1"


async def test_ephemeral_volume_gets_a_claim_that_goes_with_its_pod():
    async with cluster_of("n1") as cluster:
        await make_class(cluster)
        template = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
        await make_pod(cluster, "p", {"ephemeral": {"volumeClaimTemplate": template}})
        await until(cluster, PODS, lambda found: found["p"]["spec"].get("nodeName"))
        claims = await until(cluster, PERSISTENTVOLUMECLAIMS, lambda found: "p-v" in found)
        assert claims["p-v"]["metadata"]["ownerReferences"][0]["kind"] == "Pod"
        await cluster.client.resource(PODS, "default").delete("p", grace_period_seconds=0)
        await until(cluster, PERSISTENTVOLUMECLAIMS, lambda found: not found)


async def test_missing_and_lost_claims_are_named():
    async with cluster_of("n1") as cluster:
        await make_pod(cluster, "p", uses("absent"))

        def told(found):
            conditions = found["p"].get("status", {}).get("conditions") or [{}]
            return 'persistentvolumeclaim "absent" not found' in conditions[0].get("message", "")

        await until(cluster, PODS, told)
        await make_volume(cluster, "v", "1Gi")
        await make_claim(cluster, "absent")
        await until(cluster, PODS, lambda found: found["p"]["spec"].get("nodeName"))


async def test_evictions_stop_at_the_budget():
    async with cluster_of("n1") as cluster:
        pods = cluster.client.resource(PODS, "default")
        for name in ("a", "b"):
            spec = {"containers": [{"name": "c", "image": "i"}]}
            await pods.create(
                {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "x"}}, "spec": spec}
            )
            await until(cluster, PODS, lambda found, name=name: found[name]["spec"].get("nodeName"))
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
            await pods.patch_status(name, {"status": {"phase": "Running", "conditions": [ready]}})
        spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}
        budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"}, "spec": spec}
        await cluster.client.resource(PODDISRUPTIONBUDGETS, "default").create(budget)
        await until(
            cluster, PODDISRUPTIONBUDGETS, lambda found: found["b"].get("status", {}).get("disruptionsAllowed") == 1
        )
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"}}
        await pods.create(eviction, name="a", subresource="eviction")
        eviction["metadata"]["name"] = "b"
        with pytest.raises(TooManyRequests, match="Cannot evict pod as it would violate the pod's disruption budget"):
            await pods.create(eviction, name="b", subresource="eviction")


def unschedulable(found, name, text):
    conditions = found[name].get("status", {}).get("conditions") or [{}]
    return text in conditions[0].get("message", "")


async def test_node_attaches_no_more_volumes_than_its_driver_allows():
    async with cluster_of("n1") as cluster:
        driver = {"name": "csi.example.com", "nodeID": "n1", "allocatable": {"count": 1}}
        csi_node = {"apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": "n1"}}
        await cluster.client.resource(CSINODES).create({**csi_node, "spec": {"drivers": [driver]}})
        for name in ("one", "two"):
            source = {"driver": "csi.example.com", "volumeHandle": name}
            reference = {"namespace": "default", "name": name}
            volume = {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": name},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "capacity": {"storage": "1Gi"},
                    "csi": source,
                    "claimRef": reference,
                },
            }
            await cluster.client.resource(PERSISTENTVOLUMES).create(volume)
            await make_claim(cluster, name)
        await until(
            cluster,
            PERSISTENTVOLUMECLAIMS,
            lambda found: all(one["status"]["phase"] == "Bound" for one in found.values()),
        )
        await make_pod(cluster, "first", uses("one"))
        await until(cluster, PODS, lambda found: found["first"]["spec"].get("nodeName"))
        await make_pod(cluster, "second", uses("two"))
        await until(cluster, PODS, lambda found: unschedulable(found, "second", "exceed max volume count"))
        await make_pod(cluster, "sharer", uses("one"))  # attached already
        await until(cluster, PODS, lambda found: found["sharer"]["spec"].get("nodeName"))
        await cluster.client.resource(PODS, "default").delete("first", grace_period_seconds=0)
        await cluster.client.resource(PODS, "default").delete("sharer", grace_period_seconds=0)
        await until(cluster, PODS, lambda found: found["second"]["spec"].get("nodeName"))


async def test_claim_for_one_pod_has_one_and_zones_are_kept_to():
    async with cluster_of("n1", "n2") as cluster:
        for name, zone in (("n1", "a"), ("n2", "b")):
            labels = {"metadata": {"labels": {"topology.kubernetes.io/zone": zone}}}
            await cluster.client.resource(NODES).patch(name, labels)
        volume = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "v", "labels": {"topology.kubernetes.io/zone": "b"}},
            "spec": {
                "accessModes": ["ReadWriteOncePod"],
                "capacity": {"storage": "1Gi"},
                "hostPath": {"path": "/tmp/v"},
            },
        }
        await cluster.client.resource(PERSISTENTVOLUMES).create(volume)
        await make_claim(cluster, accessModes=["ReadWriteOncePod"])
        await until(cluster, PERSISTENTVOLUMECLAIMS, lambda found: found["data"]["status"]["phase"] == "Bound")
        await make_pod(cluster, "first", uses("data"))
        pods = await until(cluster, PODS, lambda found: found["first"]["spec"].get("nodeName"))
        assert pods["first"]["spec"]["nodeName"] == "n2"
        await make_pod(cluster, "second", uses("data"))
        await until(cluster, PODS, lambda found: unschedulable(found, "second", "ReadWriteOncePod access mode"))
        await cluster.client.resource(PODS, "default").delete("first", grace_period_seconds=0)
        await until(cluster, PODS, lambda found: found["second"]["spec"].get("nodeName"))
