"""Deployments: rollouts, scaling, history, progress."""

import pytest

from sampan.api import errors
from sampan.client.resources import DEPLOYMENTS, PODS, REPLICASETS
from sampan.controllers.revisions import template_hash

from .harness import running

NAMES = ("deployment-controller", "replicaset-controller")
PROGRESSING, AVAILABLE = "Progressing", "Available"


def deployment(replicas=3, strategy=None, **spec):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default", "annotations": {"note": "x"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": strategy or {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 10,
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": "v1"}]},
            },
            **spec,
        },
        "status": {},
    }


def set_image(cluster, image):
    cluster.api.change(DEPLOYMENTS, "default", "web", lambda obj: template_image(obj, image))


def template_image(obj, image):
    obj["spec"]["template"]["spec"]["containers"][0]["image"] = image
    obj["metadata"]["generation"] += 1


def scale(cluster, replicas):
    def change(obj):
        obj["spec"]["replicas"] = replicas
        obj["metadata"]["generation"] += 1

    cluster.api.change(DEPLOYMENTS, "default", "web", change)


def start_one(cluster):
    """What a node would do: start a pod that has not started yet."""
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2023-11-14T22:13:20Z"}
    for pod in cluster.api.all(PODS):
        if not pod.get("status"):
            running = {"phase": "Running", "conditions": [condition]}
            cluster.api.change(
                PODS, "default", pod["metadata"]["name"], lambda obj, running=running: obj.update(status=running)
            )
            return True
    return False


async def roll_out(cluster, observe=lambda: None):
    for _ in range(100):
        observe()
        await cluster.settled()
        observe()
        if not start_one(cluster):
            return
    raise AssertionError("the rollout never ended")


def status(cluster):
    return cluster.api.get(DEPLOYMENTS, "default", "web")["status"]


def condition(cluster, type_):
    return next((one["status"], one["reason"]) for one in status(cluster)["conditions"] if one["type"] == type_)


def images(cluster):
    found = {}
    for one in cluster.api.all(REPLICASETS):
        found[one["spec"]["template"]["spec"]["containers"][0]["image"]] = one["spec"]["replicas"]
    return found


async def test_first_rollout_makes_a_replica_set_and_completes():
    async with running(*NAMES) as cluster:
        cluster.api.add(DEPLOYMENTS, deployment())
        await cluster.settled()
        assert condition(cluster, AVAILABLE) == ("False", "MinimumReplicasUnavailable")
        await roll_out(cluster)
        (made,) = cluster.api.all(REPLICASETS)
        digest = made["metadata"]["labels"]["pod-template-hash"]
        assert made["metadata"]["name"] == f"web-{digest}"
        assert made["spec"]["selector"]["matchLabels"] == {"app": "web", "pod-template-hash": digest}
        assert made["metadata"]["annotations"] == {
            "note": "x",
            "deployment.kubernetes.io/revision": "1",
            "deployment.kubernetes.io/desired-replicas": "3",
            "deployment.kubernetes.io/max-replicas": "4",
        }
        assert (
            cluster.api.get(DEPLOYMENTS, "default", "web")["metadata"]["annotations"][
                "deployment.kubernetes.io/revision"
            ]
            == "1"
        )
        assert condition(cluster, PROGRESSING) == ("True", "NewReplicaSetAvailable")
        assert condition(cluster, AVAILABLE) == ("True", "MinimumReplicasAvailable")
        found = status(cluster)
        assert (found["replicas"], found["updatedReplicas"], found["availableReplicas"]) == (3, 3, 3)
        assert "unavailableReplicas" not in found
        message = f"Scaled up replica set web-{digest} from 0 to 3"
        assert ("Normal", "ScalingReplicaSet", message) in cluster.events()


@pytest.mark.parametrize(("surge", "unavailable"), [(1, 0), (0, 1), ("25%", "25%"), (3, 0), ("100%", "0%")])
async def test_rolling_update_keeps_within_surge_and_availability(surge, unavailable):
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    bounds = {(1, 0): (4, 3), (0, 1): (3, 2), ("25%", "25%"): (4, 3), (3, 0): (6, 3), ("100%", "0%"): (6, 3)}
    most, least = bounds[surge, unavailable]
    async with running(*NAMES) as cluster:
        cluster.api.add(DEPLOYMENTS, deployment(strategy=strategy))
        await roll_out(cluster)
        set_image(cluster, "v2")

        def observe():
            pods = cluster.api.all(PODS)
            up = [one for one in pods if one.get("status")]
            assert len(pods) <= most
            assert len(up) >= least

        await roll_out(cluster, observe)
        assert images(cluster) == {"v1": 0, "v2": 3}
        assert {one["spec"]["containers"][0]["image"] for one in cluster.api.all(PODS)} == {"v2"}
        assert condition(cluster, PROGRESSING) == ("True", "NewReplicaSetAvailable")


async def test_recreate_waits_for_the_old_pods_end():
    async with running(*NAMES) as cluster:
        cluster.api.add(DEPLOYMENTS, deployment(strategy={"type": "Recreate"}))
        await roll_out(cluster)
        for pod in cluster.api.all(PODS):
            name = pod["metadata"]["name"]
            cluster.api.change(PODS, "default", name, lambda obj: obj["spec"].update(nodeName="n"))
        set_image(cluster, "v2")
        await cluster.settled()
        assert images(cluster) == {"v1": 0}
        for pod in cluster.api.all(PODS):
            cluster.api.remove(PODS, "default", pod["metadata"]["name"])
        await cluster.settled()
        assert images(cluster) == {"v1": 0, "v2": 3}


async def test_going_back_reuses_the_old_replica_set_with_a_new_revision():
    async with running(*NAMES) as cluster:
        cluster.api.add(DEPLOYMENTS, deployment(replicas=1))
        await roll_out(cluster)
        set_image(cluster, "v2")
        await roll_out(cluster)
        set_image(cluster, "v1")
        await roll_out(cluster)
        assert images(cluster) == {"v1": 1, "v2": 0}
        first = next(one for one in cluster.api.all(REPLICASETS) if one["spec"]["replicas"] == 1)
        annotations = first["metadata"]["annotations"]
        assert annotations["deployment.kubernetes.io/revision"] == "3"
        assert annotations["deployment.kubernetes.io/revision-history"] == "1"


async def test_history_limit_deletes_the_oldest_revisions():
    async with running(*NAMES) as cluster:
        cluster.api.add(DEPLOYMENTS, deployment(replicas=1, revisionHistoryLimit=1))
        for image in ("v1", "v2", "v3", "v4"):
            if image != "v1":
                set_image(cluster, image)
            await roll_out(cluster)
            await cluster.advance(1)
        await cluster.settled()
        assert sorted(images(cluster)) == ["v3", "v4"]


async def test_paused_deployment_scales_but_does_not_roll_on():
    async with running(*NAMES) as cluster:
        cluster.api.add(DEPLOYMENTS, deployment())
        await roll_out(cluster)
        cluster.api.change(DEPLOYMENTS, "default", "web", lambda obj: obj["spec"].update(paused=True))
        set_image(cluster, "v2")
        scale(cluster, 5)
        await roll_out(cluster)
        assert images(cluster) == {"v1": 5}
        assert condition(cluster, PROGRESSING) == ("Unknown", "DeploymentPaused")
        cluster.api.change(DEPLOYMENTS, "default", "web", lambda obj: obj["spec"].pop("paused"))
        await roll_out(cluster)
        assert images(cluster) == {"v1": 0, "v2": 5}


async def test_scaling_in_the_middle_of_a_rollout_is_proportional():
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    async with running(*NAMES) as cluster:
        cluster.api.add(DEPLOYMENTS, deployment(replicas=10, strategy=strategy))
        await roll_out(cluster)
        set_image(cluster, "broken")
        await cluster.settled()
        assert images(cluster) == {"v1": 8, "broken": 5}
        scale(cluster, 15)
        await cluster.settled()
        assert images(cluster) == {"v1": 11, "broken": 7}


async def test_rollout_without_progress_times_out_and_recovers():
    async with running(*NAMES) as cluster:
        cluster.api.add(DEPLOYMENTS, deployment(progressDeadlineSeconds=30))
        await cluster.settled()
        await cluster.advance(29)
        assert condition(cluster, PROGRESSING)[0] == "True"
        await cluster.advance(4)
        assert condition(cluster, PROGRESSING) == ("False", "ProgressDeadlineExceeded")
        await roll_out(cluster)
        assert condition(cluster, PROGRESSING) == ("True", "NewReplicaSetAvailable")


async def test_taken_name_counts_as_collision_and_another_is_found():
    wanted = deployment()
    taken = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": f"web-{template_hash(wanted['spec']['template'], None)}", "namespace": "default"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}},
        },
        "status": {"replicas": 0},
    }
    async with running(*NAMES, prepare=lambda api: api.add(REPLICASETS, taken)) as cluster:
        cluster.api.add(DEPLOYMENTS, wanted)
        await cluster.advance(2)
        assert status(cluster)["collisionCount"] == 1
        assert len(cluster.api.all(REPLICASETS)) == 2


async def test_failed_pods_and_failed_replica_sets_show_in_conditions():
    async with running(*NAMES) as cluster:

        def refuse(request):
            if request.verb == "create" and request.resource == PODS:
                raise errors.forbidden(PODS.group_resource, "", "exceeded quota")

        cluster.api.react = refuse
        cluster.api.add(DEPLOYMENTS, deployment())
        await cluster.settled()
        assert condition(cluster, "ReplicaFailure") == ("True", "FailedCreate")

    async with running(*NAMES) as cluster:

        def refuse_sets(request):
            if request.verb == "create" and request.resource == REPLICASETS:
                raise errors.forbidden(REPLICASETS.group_resource, "", "exceeded quota")

        cluster.api.react = refuse_sets
        cluster.api.add(DEPLOYMENTS, deployment())
        await cluster.settled()
        assert condition(cluster, PROGRESSING) == ("False", "ReplicaSetCreateError")


async def test_matching_orphan_replica_set_is_adopted():
    wanted = deployment(replicas=1)
    orphan = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "orphan", "namespace": "default", "labels": {"app": "web"}},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": wanted["spec"]["template"]},
        "status": {"replicas": 0},
    }
    async with running(*NAMES, prepare=lambda api: api.add(REPLICASETS, orphan)) as cluster:
        cluster.api.add(DEPLOYMENTS, wanted)
        await roll_out(cluster)
        (found,) = cluster.api.all(REPLICASETS)
        assert found["metadata"]["ownerReferences"][0]["name"] == "web"
