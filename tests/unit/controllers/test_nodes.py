"""Nodes: heartbeats, taints, eviction, address ranges, pods left behind."""

import pytest

from sampan.api import times
from sampan.client.resources import LEASES, NODES, PODS
from sampan.controllers.tainteviction import seconds_tolerated

from .harness import running

LIFECYCLE = ("node-lifecycle-controller", "taint-eviction-controller")


def node(name, ready="True", **spec):
    conditions = [{"type": "Ready", "status": ready, "lastHeartbeatTime": "2023-11-14T22:13:20Z"}]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "spec": spec,
        "status": {"conditions": conditions},
    }


def pod(name, node_name, **spec):
    ready = {"type": "Ready", "status": "True"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"nodeName": node_name, **spec},
        "status": {"phase": "Running", "conditions": [ready]},
    }


def lease(name):
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": "kube-node-lease"},
        "spec": {"holderIdentity": name, "renewTime": "2023-11-14T22:13:20.000000Z"},
    }


def renew(cluster, name):
    now = times.format_micro(cluster.clock.time())
    cluster.api.change(LEASES, "kube-node-lease", name, lambda obj: obj["spec"].update(renewTime=now))


def taints(cluster, name):
    found = cluster.api.get(NODES, "", name)["spec"].get("taints") or []
    return sorted((one["key"].removeprefix("node.kubernetes.io/"), one["effect"]) for one in found)


def tolerate(seconds):
    keys = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
    return [{"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds} for key in keys]


async def test_silent_node_becomes_unknown_its_pods_unready_and_after_a_while_evicted():
    def prepare(api):
        for name in ("a", "b"):
            api.add(NODES, node(name))
            api.add(LEASES, lease(name))
        api.add(PODS, pod("p", "b", tolerations=tolerate(300)))

    async with running(*LIFECYCLE, prepare=prepare) as cluster:
        for _ in range(11):
            await cluster.advance(5)
            renew(cluster, "a")
        ready = cluster.api.get(NODES, "", "b")["status"]["conditions"][0]
        assert (ready["status"], ready["reason"]) == ("Unknown", "NodeStatusUnknown")
        assert taints(cluster, "b") == [("unreachable", "NoExecute"), ("unreachable", "NoSchedule")]
        assert taints(cluster, "a") == []
        (condition,) = cluster.api.get(PODS, "default", "p")["status"]["conditions"]
        assert condition["status"] == "False"
        assert ("Normal", "NodeNotReady", "Node b status is now: NodeNotReady") in cluster.events()
        for _ in range(58):
            await cluster.advance(5)
            renew(cluster, "a")
        assert "deletionTimestamp" not in cluster.api.get(PODS, "default", "p")["metadata"]
        for _ in range(5):
            await cluster.advance(5)
            renew(cluster, "a")
        assert "deletionTimestamp" in cluster.api.get(PODS, "default", "p")["metadata"]
        assert ("Normal", "TaintManagerEviction", "Marking for deletion Pod default/p") in cluster.events()


async def test_node_that_comes_back_loses_its_taints_and_keeps_its_pods():
    def prepare(api):
        for name in ("a", "b"):
            api.add(NODES, node(name))
            api.add(LEASES, lease(name))
        api.add(PODS, pod("p", "b", tolerations=tolerate(300)))

    async with running(*LIFECYCLE, prepare=prepare) as cluster:
        for _ in range(12):
            await cluster.advance(5)
            renew(cluster, "a")
        assert taints(cluster, "b")
        cluster.api.change(
            NODES, "", "b", lambda obj: obj["status"].update(conditions=node("b")["status"]["conditions"])
        )
        renew(cluster, "b")
        await cluster.advance(5)
        assert taints(cluster, "b") == []
        assert ("Normal", "TaintManagerEviction", "Cancelling deletion of Pod default/p") in cluster.events()
        for _ in range(80):
            renew(cluster, "a")
            renew(cluster, "b")
            await cluster.advance(5)
        assert "deletionTimestamp" not in cluster.api.get(PODS, "default", "p")["metadata"]


async def test_nobody_is_evicted_while_every_node_is_silent():
    def prepare(api):
        for name in ("a", "b"):
            api.add(NODES, node(name))
        api.add(PODS, pod("p", "b"))

    async with running(*LIFECYCLE, prepare=prepare) as cluster:
        for _ in range(20):
            await cluster.advance(5)
        assert taints(cluster, "a") == [("unreachable", "NoSchedule")]
        assert "deletionTimestamp" not in cluster.api.get(PODS, "default", "p")["metadata"]


async def test_cordoned_and_unready_nodes_get_their_taints_at_once():
    async with running(*LIFECYCLE) as cluster:
        cluster.api.add(NODES, node("a", ready="False"))
        cluster.api.add(NODES, node("b", unschedulable=True))
        cluster.api.add(NODES, node("c"))
        await cluster.settled()
        assert ("not-ready", "NoSchedule") in taints(cluster, "a")
        assert taints(cluster, "b") == [("unschedulable", "NoSchedule")]
        cluster.api.change(NODES, "", "b", lambda obj: obj["spec"].pop("unschedulable"))
        await cluster.settled()
        assert taints(cluster, "b") == []


@pytest.mark.parametrize(
    ("tolerations", "expected"),
    [
        ([], 0),
        ([{"operator": "Exists"}], None),
        ([{"key": "k", "operator": "Equal", "value": "v", "effect": "NoExecute"}], None),
        ([{"key": "k", "operator": "Equal", "value": "other"}], 0),
        ([{"key": "k", "operator": "Exists", "tolerationSeconds": 30}], 30),
        ([{"key": "k", "operator": "Exists", "tolerationSeconds": -1}], 0),
        ([{"key": "k", "operator": "Exists", "effect": "NoSchedule"}], 0),
    ],
)
def test_tolerations(tolerations, expected):
    assert seconds_tolerated([{"key": "k", "value": "v", "effect": "NoExecute"}], tolerations) == expected


async def test_nodes_get_address_ranges_and_free_them():
    async with running("node-ipam-controller", cluster_cidrs=("10.244.0.0/22",)) as cluster:
        cluster.api.add(NODES, node("taken", podCIDR="10.244.1.0/24", podCIDRs=["10.244.1.0/24"]))
        for name in ("a", "b", "c"):
            cluster.api.add(NODES, node(name))
        cluster.api.add(NODES, node("d"))
        await cluster.settled()
        given = {one["metadata"]["name"]: one["spec"].get("podCIDR") for one in cluster.api.all(NODES)}
        assert sorted(filter(None, given.values())) == [f"10.244.{part}.0/24" for part in range(4)]
        assert given["taken"] == "10.244.1.0/24"
        (left_out,) = [name for name, part in given.items() if part is None]
        assert "CIDRNotAvailable" in [event[1] for event in cluster.events()]
        cluster.api.remove(NODES, "", "taken")
        await cluster.advance(20)
        assert cluster.api.get(NODES, "", left_out)["spec"]["podCIDR"] == "10.244.1.0/24"


async def test_pods_of_absent_nodes_are_failed_and_deleted_after_the_quarantine():
    async with running("pod-garbage-collector-controller") as cluster:
        cluster.api.add(PODS, pod("p", "gone"))
        await cluster.advance(20)
        assert len(cluster.api.all(PODS)) == 1
        await cluster.advance(60)
        assert cluster.api.all(PODS) == []
        (patch,) = [one for one in cluster.api.writes if one.subresource == "status"]
        assert patch.body["status"]["phase"] == "Failed"
        assert patch.body["status"]["conditions"][0]["reason"] == "DeletionByPodGC"


async def test_finished_pods_over_the_threshold_go_oldest_first():
    async with running("pod-garbage-collector-controller", terminated_pod_gc_threshold=2) as cluster:
        for number in range(4):
            one = pod(f"p{number}", "")
            one["metadata"]["creationTimestamp"] = f"2023-11-14T22:13:2{number}Z"
            one["status"]["phase"] = "Succeeded"
            cluster.api.add(PODS, one)
        await cluster.advance(40)
        assert [one["metadata"]["name"] for one in cluster.api.all(PODS)] == ["p2", "p3"]
