"""StatefulSets: names, order, claims, updates."""

from sampan.client.resources import CONTROLLERREVISIONS, PERSISTENTVOLUMECLAIMS, PODS, STATEFULSETS

from .harness import running

NAME = "statefulset-controller"


def stateful_set(replicas=3, **spec):
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "podManagementPolicy": "OrderedReady",
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "revisionHistoryLimit": 10,
            "template": {
                "metadata": {"labels": {"app": "db"}},
                "spec": {"containers": [{"name": "c", "image": "v1"}]},
            },
            **spec,
        },
        "status": {"replicas": 0},
    }


CLAIMS = [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}]


def names(cluster, gvr=PODS):
    return [one["metadata"]["name"] for one in cluster.api.all(gvr)]


def images(cluster):
    return {one["metadata"]["name"]: one["spec"]["containers"][0]["image"] for one in cluster.api.all(PODS)}


def start(cluster, name, phase="Running"):
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2023-11-14T22:13:20Z"}
    status = {"phase": phase, "conditions": [condition] if phase == "Running" else []}
    cluster.api.change(PODS, "default", name, lambda obj: obj.update(status=status))


async def start_all(cluster):
    for _ in range(30):
        await cluster.settled()
        waiting = [one["metadata"]["name"] for one in cluster.api.all(PODS) if not one.get("status")]
        if not waiting:
            return
        start(cluster, waiting[0])
    raise AssertionError("it never came to an end")


def change(cluster, **spec):
    def act(obj):
        obj["spec"].update(spec)
        obj["metadata"]["generation"] += 1

    cluster.api.change(STATEFULSETS, "default", "db", act)


def set_image(cluster, image):
    template = stateful_set()["spec"]["template"]
    template["spec"]["containers"][0]["image"] = image
    change(cluster, template=template)


def status(cluster):
    return cluster.api.get(STATEFULSETS, "default", "db")["status"]


async def test_pods_are_made_one_after_the_other_with_their_identity():
    async with running(NAME) as cluster:
        cluster.api.add(STATEFULSETS, stateful_set(volumeClaimTemplates=CLAIMS))
        await cluster.settled()
        assert names(cluster) == ["db-0"]
        start(cluster, "db-0")
        await cluster.settled()
        assert names(cluster) == ["db-0", "db-1"]
        await start_all(cluster)
        pod = cluster.api.get(PODS, "default", "db-2")
        assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("db-2", "db")
        assert pod["spec"]["volumes"] == [{"name": "data", "persistentVolumeClaim": {"claimName": "data-db-2"}}]
        (revision,) = names(cluster, CONTROLLERREVISIONS)
        assert pod["metadata"]["labels"] == {
            "app": "db",
            "statefulset.kubernetes.io/pod-name": "db-2",
            "apps.kubernetes.io/pod-index": "2",
            "controller-revision-hash": revision,
        }
        assert names(cluster, PERSISTENTVOLUMECLAIMS) == ["data-db-0", "data-db-1", "data-db-2"]
        found = status(cluster)
        assert (found["replicas"], found["readyReplicas"], found["currentReplicas"]) == (3, 3, 3)
        assert found["currentRevision"] == found["updateRevision"] == revision
        assert ("Normal", "SuccessfulCreate", "create Pod db-0 in StatefulSet db successful") in cluster.events()


async def test_parallel_sets_make_all_pods_at_once():
    async with running(NAME) as cluster:
        cluster.api.add(STATEFULSETS, stateful_set(podManagementPolicy="Parallel", ordinals={"start": 5}))
        await cluster.settled()
        assert names(cluster) == ["db-5", "db-6", "db-7"]


async def test_scaling_down_goes_from_the_top_and_waits_for_each():
    async with running(NAME) as cluster:
        cluster.api.add(STATEFULSETS, stateful_set(volumeClaimTemplates=CLAIMS))
        await start_all(cluster)
        for name in names(cluster):
            cluster.api.change(PODS, "default", name, lambda obj: obj["spec"].update(nodeName="n"))
        change(cluster, replicas=1)
        await cluster.settled()
        deleting = [one["metadata"]["name"] for one in cluster.api.all(PODS) if "deletionTimestamp" in one["metadata"]]
        assert deleting == ["db-2"]
        cluster.api.remove(PODS, "default", "db-2")
        await cluster.settled()
        cluster.api.remove(PODS, "default", "db-1")
        await cluster.settled()
        assert names(cluster) == ["db-0"]
        assert len(names(cluster, PERSISTENTVOLUMECLAIMS)) == 3


async def test_update_goes_from_the_top_one_at_a_time():
    async with running(NAME) as cluster:
        cluster.api.add(STATEFULSETS, stateful_set())
        await start_all(cluster)
        set_image(cluster, "v2")
        await cluster.settled()
        assert images(cluster) == {"db-0": "v1", "db-1": "v1", "db-2": "v2"}
        await start_all(cluster)
        assert set(images(cluster).values()) == {"v2"}
        found = status(cluster)
        assert found["currentRevision"] == found["updateRevision"]
        assert found["updatedReplicas"] == 3


async def test_partition_keeps_lower_pods_even_when_they_are_made_again():
    partition = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    async with running(NAME) as cluster:
        cluster.api.add(STATEFULSETS, stateful_set(updateStrategy=partition))
        await start_all(cluster)
        set_image(cluster, "v2")
        await start_all(cluster)
        assert images(cluster) == {"db-0": "v1", "db-1": "v1", "db-2": "v2"}
        cluster.api.remove(PODS, "default", "db-0")
        await start_all(cluster)
        assert images(cluster)["db-0"] == "v1"
        assert status(cluster)["currentRevision"] != status(cluster)["updateRevision"]


async def test_on_delete_updates_only_what_somebody_deletes():
    async with running(NAME) as cluster:
        cluster.api.add(STATEFULSETS, stateful_set(updateStrategy={"type": "OnDelete"}))
        await start_all(cluster)
        set_image(cluster, "v2")
        await start_all(cluster)
        assert set(images(cluster).values()) == {"v1"}
        cluster.api.remove(PODS, "default", "db-1")
        await start_all(cluster)
        assert images(cluster) == {"db-0": "v1", "db-1": "v2", "db-2": "v1"}


async def test_failed_pod_is_replaced_under_its_name():
    async with running(NAME) as cluster:
        cluster.api.add(STATEFULSETS, stateful_set(replicas=1))
        await start_all(cluster)
        uid = cluster.api.get(PODS, "default", "db-0")["metadata"]["uid"]
        start(cluster, "db-0", "Failed")
        await start_all(cluster)
        assert cluster.api.get(PODS, "default", "db-0")["metadata"]["uid"] != uid


async def test_going_back_reuses_the_revision_and_history_is_limited():
    async with running(NAME) as cluster:
        cluster.api.add(STATEFULSETS, stateful_set(replicas=1, revisionHistoryLimit=1))
        await start_all(cluster)
        for image in ("v2", "v1", "v3", "v4"):
            set_image(cluster, image)
            await start_all(cluster)
        assert len(names(cluster, CONTROLLERREVISIONS)) == 2
        revisions = sorted(one["revision"] for one in cluster.api.all(CONTROLLERREVISIONS))
        assert revisions == [4, 5]


async def test_claims_follow_the_retention_policy():
    policy = {"whenDeleted": "Delete", "whenScaled": "Delete"}
    async with running(NAME, "garbage-collector-controller") as cluster:
        wanted = stateful_set(volumeClaimTemplates=CLAIMS, persistentVolumeClaimRetentionPolicy=policy)
        cluster.api.add(STATEFULSETS, wanted)
        await start_all(cluster)
        owners = cluster.api.get(PERSISTENTVOLUMECLAIMS, "default", "data-db-0")["metadata"]["ownerReferences"]
        assert [one["kind"] for one in owners] == ["StatefulSet"]
        change(cluster, replicas=2)
        await start_all(cluster)
        assert names(cluster, PERSISTENTVOLUMECLAIMS) == ["data-db-0", "data-db-1"]
        cluster.api.remove(STATEFULSETS, "default", "db")
        await cluster.settled()
        assert names(cluster, PERSISTENTVOLUMECLAIMS) == []


async def test_min_ready_seconds_hold_up_the_next_pod():
    async with running(NAME) as cluster:
        cluster.api.add(STATEFULSETS, stateful_set(replicas=2, minReadySeconds=30))
        await cluster.settled()
        start(cluster, "db-0")
        await cluster.settled()
        assert names(cluster) == ["db-0"]
        await cluster.advance(31)
        assert names(cluster) == ["db-0", "db-1"]
