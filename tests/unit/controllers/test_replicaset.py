"""ReplicaSet and ReplicationController on one engine."""

import pytest

from sampan.api import errors
from sampan.client.resources import PODS, REPLICASETS, REPLICATIONCONTROLLERS

from .harness import running


def controller(kind="ReplicationController", replicas=3, name="kubia"):
    selector = {"app": "kubia"}
    api_version = "v1"
    if kind == "ReplicaSet":
        api_version, selector = "apps/v1", {"matchLabels": selector}
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": selector,
            "template": {
                "metadata": {"labels": {"app": "kubia"}},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
        },
        "status": {"replicas": 0},
    }


KINDS = [
    ("replicationcontroller-controller", REPLICATIONCONTROLLERS, "ReplicationController"),
    ("replicaset-controller", REPLICASETS, "ReplicaSet"),
]


def make_ready(api, pod, clock=None):
    def change(obj):
        obj["status"] = {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2023-11-14T22:13:20Z"}],
        }

    api.change(PODS, "default", pod["metadata"]["name"], change)


@pytest.mark.parametrize(("name", "gvr", "kind"), KINDS)
async def test_missing_pods_are_made_and_counted(name, gvr, kind):
    async with running(name) as cluster:
        cluster.api.add(gvr, controller(kind))
        await cluster.settled()
        pods = cluster.api.all(PODS)
        assert len(pods) == 3
        owner = pods[0]["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["controller"], owner["blockOwnerDeletion"]) == (kind, True, True)
        assert pods[0]["metadata"]["generateName"] == "kubia-"
        status = cluster.api.get(gvr, "default", "kubia")["status"]
        assert (status["replicas"], status["fullyLabeledReplicas"], status["observedGeneration"]) == (3, 3, 1)
        for pod in pods:
            make_ready(cluster.api, pod)
        await cluster.settled()
        status = cluster.api.get(gvr, "default", "kubia")["status"]
        assert (status["readyReplicas"], status["availableReplicas"]) == (3, 3)
        assert ("Normal", "SuccessfulCreate", f"Created pod: {pods[0]['metadata']['name']}") in cluster.events()


@pytest.mark.parametrize(("name", "gvr", "kind"), KINDS)
async def test_scaling_down_removes_the_cheapest_pods(name, gvr, kind):
    async with running(name) as cluster:
        cluster.api.add(gvr, controller(kind))
        await cluster.settled()
        ready = cluster.api.all(PODS)[1]
        make_ready(cluster.api, ready)
        await cluster.settled()
        cluster.api.change(gvr, "default", "kubia", lambda obj: obj["spec"].update(replicas=1))
        await cluster.settled()
        assert [pod["metadata"]["name"] for pod in cluster.api.all(PODS)] == [ready["metadata"]["name"]]


async def test_deleted_pod_is_replaced_and_extra_pod_removed():
    async with running(KINDS[0][0]) as cluster:
        cluster.api.add(REPLICATIONCONTROLLERS, controller())
        await cluster.settled()
        cluster.api.remove(PODS, "default", cluster.api.all(PODS)[0]["metadata"]["name"])
        await cluster.settled()
        assert len(cluster.api.all(PODS)) == 3
        extra = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "extra", "namespace": "default", "labels": {"app": "kubia"}},
            "spec": {},
        }
        cluster.api.add(PODS, extra)
        await cluster.settled()
        assert len(cluster.api.all(PODS)) == 3


async def test_matching_orphan_is_adopted_and_relabelled_pod_released():
    orphan = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "orphan", "namespace": "default", "labels": {"app": "kubia"}},
        "spec": {},
    }
    async with running(KINDS[1][0], prepare=lambda api: api.add(PODS, orphan)) as cluster:
        cluster.api.add(REPLICASETS, controller("ReplicaSet", replicas=1))
        await cluster.settled()
        (pod,) = cluster.api.all(PODS)
        assert pod["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet"
        cluster.api.change(PODS, "default", "orphan", lambda obj: obj["metadata"].update(labels={"app": "other"}))
        await cluster.settled()
        pods = {pod["metadata"]["name"]: pod for pod in cluster.api.all(PODS)}
        assert len(pods) == 2
        assert not pods["orphan"]["metadata"].get("ownerReferences")


async def test_failed_creations_stop_early_and_show_in_status():
    async with running(KINDS[1][0]) as cluster:

        def refuse(request):
            if request.verb == "create" and request.resource == PODS:
                raise errors.forbidden(PODS.group_resource, "", "exceeded quota")

        cluster.api.react = refuse
        cluster.api.add(REPLICASETS, controller("ReplicaSet", replicas=50))
        await cluster.settled()
        attempts = [one for one in cluster.api.writes if one.verb == "create" and one.resource == PODS]
        assert len(attempts) <= 2  # the status update is one more reason to try
        (condition,) = cluster.api.get(REPLICASETS, "default", "kubia")["status"]["conditions"]
        assert (condition["type"], condition["status"], condition["reason"]) == (
            "ReplicaFailure",
            "True",
            "FailedCreate",
        )
        assert ("Warning", "FailedCreate", "Error creating: pods is forbidden: exceeded quota") in cluster.events()
        cluster.api.react = lambda _: None
        await cluster.advance(5)
        assert len(cluster.api.all(PODS)) == 50
        assert not cluster.api.get(REPLICASETS, "default", "kubia")["status"].get("conditions")


async def test_min_ready_seconds_delay_availability():
    async with running(KINDS[1][0]) as cluster:
        owner = controller("ReplicaSet", replicas=1)
        owner["spec"]["minReadySeconds"] = 30
        cluster.api.add(REPLICASETS, owner)
        await cluster.settled()
        make_ready(cluster.api, cluster.api.all(PODS)[0])
        await cluster.settled()
        assert "availableReplicas" not in cluster.api.get(REPLICASETS, "default", "kubia")["status"]
        await cluster.advance(31)
        assert cluster.api.get(REPLICASETS, "default", "kubia")["status"]["availableReplicas"] == 1


async def test_lost_watch_and_restart_do_not_make_more_pods():
    async with running(KINDS[0][0]) as cluster:
        cluster.api.add(REPLICATIONCONTROLLERS, controller(replicas=10))
        await cluster.settled()
        cluster.api.compact()
        await cluster.advance(60)
        assert len(cluster.api.all(PODS)) == 10
        made = [one for one in cluster.api.writes if one.verb == "create" and one.resource == PODS]
        assert len(made) == 10
