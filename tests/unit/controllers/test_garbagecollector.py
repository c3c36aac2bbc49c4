"""Dependents and their owners."""

import pytest

from sampan.client.resources import CONFIGMAPS, NODES, PODS, REPLICASETS, SECRETS

from .harness import running

NAME = "garbage-collector-controller"


def config_map(name, *owners, block=False, uid=None, finalizers=()):
    metadata = {"name": name, "namespace": "default", "uid": uid or f"uid-of-{name}"}
    if finalizers:
        metadata["finalizers"] = list(finalizers)
    if owners:
        metadata["ownerReferences"] = [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "name": owner,
                "uid": f"uid-of-{owner}",
                "blockOwnerDeletion": block,
            }
            for owner in owners
        ]
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def names(cluster, gvr=CONFIGMAPS):
    return [one["metadata"]["name"] for one in cluster.api.all(gvr)]


async def test_dependents_go_in_the_background_all_the_way_down():
    async with running(NAME) as cluster:
        for one in (config_map("a"), config_map("b", "a"), config_map("c", "b"), config_map("other")):
            cluster.api.add(CONFIGMAPS, one)
        await cluster.settled()
        await cluster.client.resource(CONFIGMAPS, "default").delete("a", propagation="Background")
        await cluster.settled()
        assert names(cluster) == ["other"]


async def test_dependent_with_a_living_owner_stays_and_forgets_the_dead_one():
    async with running(NAME) as cluster:
        for one in (config_map("a"), config_map("b"), config_map("c", "a", "b")):
            cluster.api.add(CONFIGMAPS, one)
        await cluster.settled()
        cluster.api.remove(CONFIGMAPS, "default", "a")
        await cluster.settled()
        owners = cluster.api.get(CONFIGMAPS, "default", "c")["metadata"]["ownerReferences"]
        assert [one["name"] for one in owners] == ["b"]


async def test_owner_of_the_same_name_but_another_uid_does_not_count():
    async with running(NAME) as cluster:
        cluster.api.add(CONFIGMAPS, config_map("a", uid="new-life"))
        await cluster.settled()
        cluster.api.add(CONFIGMAPS, config_map("b", "a"))
        await cluster.settled()
        assert names(cluster) == ["a"]


async def test_owners_that_vanished_before_the_start_are_noticed():
    def prepare(api):
        api.add(CONFIGMAPS, config_map("b", "gone"))
        api.add(CONFIGMAPS, config_map("stays"))

    async with running(NAME, prepare=prepare) as cluster:
        assert names(cluster) == ["stays"]


async def test_orphaning_leaves_dependents_without_the_owner():
    async with running(NAME) as cluster:
        cluster.api.add(CONFIGMAPS, config_map("a"))
        cluster.api.add(CONFIGMAPS, config_map("b", "a"))
        await cluster.settled()
        await cluster.client.resource(CONFIGMAPS, "default").delete("a", propagation="Orphan")
        await cluster.settled()
        assert names(cluster) == ["b"]
        assert not cluster.api.get(CONFIGMAPS, "default", "b")["metadata"].get("ownerReferences")


async def test_foreground_owner_goes_after_its_blocking_dependents():
    async with running(NAME) as cluster:
        cluster.api.add(CONFIGMAPS, config_map("a"))
        cluster.api.add(CONFIGMAPS, config_map("b", "a", block=True, finalizers=["test/hold"]))
        cluster.api.add(CONFIGMAPS, config_map("c", "a", block=False, finalizers=["test/hold"]))
        await cluster.settled()
        await cluster.client.resource(CONFIGMAPS, "default").delete("a", propagation="Foreground")
        await cluster.settled()
        assert names(cluster) == ["a", "b", "c"]
        assert "deletionTimestamp" in cluster.api.get(CONFIGMAPS, "default", "b")["metadata"]
        cluster.api.change(CONFIGMAPS, "default", "b", lambda obj: obj["metadata"].update(finalizers=[]))
        await cluster.settled()
        assert names(cluster) == ["c"]


async def test_foreground_deletion_goes_down_two_levels():
    async with running(NAME) as cluster:
        for one in (config_map("a"), config_map("b", "a", block=True), config_map("c", "b", block=True)):
            cluster.api.add(CONFIGMAPS, one)
        await cluster.settled()
        await cluster.client.resource(CONFIGMAPS, "default").delete("a", propagation="Foreground")
        await cluster.settled()
        assert names(cluster) == []


async def test_circle_of_foreground_deletions_ends():
    async with running(NAME) as cluster:
        cluster.api.add(CONFIGMAPS, config_map("a", "b", block=True))
        cluster.api.add(CONFIGMAPS, config_map("b", "a", block=True))
        await cluster.settled()
        await cluster.client.resource(CONFIGMAPS, "default").delete("a", propagation="Foreground")
        await cluster.settled()
        await cluster.advance(30)
        assert names(cluster) == []


async def test_owner_of_another_kind_and_scope():
    async with running(NAME) as cluster:
        node = cluster.api.add(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": "s",
                "namespace": "default",
                "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": node["metadata"]["uid"]}],
            },
        }
        cluster.api.add(SECRETS, secret)
        await cluster.settled()
        assert names(cluster, SECRETS) == ["s"]
        cluster.api.remove(NODES, "", "n")
        await cluster.settled()
        assert names(cluster, SECRETS) == []


async def test_cluster_scoped_dependent_of_a_namespaced_owner_is_kept_and_reported():
    async with running(NAME) as cluster:
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": "n",
                "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "x"}],
            },
        }
        cluster.api.add(NODES, node)
        await cluster.settled()
        assert names(cluster, NODES) == ["n"]
        assert [event[1] for event in cluster.events()] == ["OwnerRefInvalidNamespace"]


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
async def test_graceful_pods_are_only_asked_once(policy):
    async with running(NAME) as cluster:
        owner = cluster.api.add(
            REPLICASETS,
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {"name": "rs", "namespace": "default"},
                "spec": {},
            },
        )
        reference = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": "rs",
            "uid": owner["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "spec": {"nodeName": "n"},
            "metadata": {"name": "p", "namespace": "default", "ownerReferences": [reference]},
        }
        cluster.api.add(PODS, pod)
        await cluster.settled()
        await cluster.client.resource(REPLICASETS, "default").delete("rs", propagation=policy)
        await cluster.settled()
        deletions = [one for one in cluster.api.writes if one.verb == "delete" and one.resource == PODS]
        assert len(deletions) == 1
        assert names(cluster, REPLICASETS) == (["rs"] if policy == "Foreground" else [])
        cluster.api.remove(PODS, "default", "p")
        await cluster.settled()
        assert names(cluster, REPLICASETS) == []
