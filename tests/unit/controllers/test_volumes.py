"""Volumes and claims: binding by either side, loss, reclaiming, provisioning and protection."""

import pytest

from sampan.api.volumes import BETA_STORAGE_PROVISIONER, LOCAL_PATH, STORAGE_PROVISIONER, best_match
from sampan.client.resources import (
    NODES,
    PERSISTENTVOLUMECLAIMS,
    PERSISTENTVOLUMES,
    PODS,
    STORAGECLASSES,
)

from .harness import running

BINDER = "persistentvolume-binder-controller"
CLAIMS = "persistentvolumeclaim-protection-controller"
VOLUMES = "persistentvolume-protection-controller"
PROVISIONER = "local-path-provisioner"
BOUND = {"pv.kubernetes.io/bind-completed": "yes"}


def claim(name="c", size="1Gi", *, annotations=None, storage_class="", **spec):
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
        "storageClassName": storage_class,
        **spec,
    }
    metadata = {"name": name, "namespace": "default", "annotations": annotations or {}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec, "status": {}}


def volume(name="v", size="1Gi", *, phase="Available", **spec):
    spec = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": size}, "hostPath": {"path": "/x"}, **spec}
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
    metadata = {"name": name, "annotations": {}}
    status = {"phase": phase} if phase else {}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec, "status": status}


def storage_class(name, provisioner, *, waits=False, default=False):
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "annotations": annotations},
        "provisioner": provisioner,
        "volumeBindingMode": "WaitForFirstConsumer" if waits else "Immediate",
    }


def pod(name="p", node=""):
    source = {"persistentVolumeClaim": {"claimName": "c"}}
    spec = {"volumes": [{"name": "v", **source}], "containers": []}
    if node:
        spec["nodeName"] = node
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def the_claim(cluster, name="c"):
    return cluster.api.get(PERSISTENTVOLUMECLAIMS, "default", name)


def the_volume(cluster, name="v"):
    return cluster.api.get(PERSISTENTVOLUMES, "", name)


def reasons(cluster):
    return [reason for _, reason, _ in cluster.events()]


async def test_bound_by_the_controller_on_both_sides():
    async with running(BINDER) as cluster:
        cluster.api.add(PERSISTENTVOLUMECLAIMS, claim())
        await cluster.settled()
        assert the_claim(cluster)["status"]["phase"] == "Pending"
        assert reasons(cluster) == ["FailedBinding"]
        cluster.api.add(PERSISTENTVOLUMES, volume(phase=""))
        await cluster.advance(1)
        bound, found = the_claim(cluster), the_volume(cluster)
        assert bound["spec"]["volumeName"] == "v"
        assert set(bound["metadata"]["annotations"]) == {*BOUND, "pv.kubernetes.io/bound-by-controller"}
        assert bound["status"] == {
            "phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
        }  # fmt: skip
        assert found["spec"]["claimRef"]["uid"] == bound["metadata"]["uid"]
        assert found["metadata"]["annotations"] == {"pv.kubernetes.io/bound-by-controller": "yes"}
        assert found["status"]["phase"] == "Bound"


async def test_volume_made_for_a_claim_is_kept_for_it():
    async with running(BINDER) as cluster:
        reference = {"namespace": "default", "name": "mine"}
        cluster.api.add(PERSISTENTVOLUMES, volume("small", claimRef=reference))
        cluster.api.add(PERSISTENTVOLUMECLAIMS, claim("other"))
        await cluster.settled()
        assert the_claim(cluster, "other")["status"]["phase"] == "Pending"
        cluster.api.add(PERSISTENTVOLUMECLAIMS, claim("mine"))
        await cluster.advance(1)
        assert the_claim(cluster, "mine")["spec"]["volumeName"] == "small"
        assert "pv.kubernetes.io/bound-by-controller" not in the_volume(cluster, "small")["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ({"size": "2Gi"}, "requested PV is too small"),
        ({"storage_class": "x"}, "storageClassName does not match"),
        ({"volumeMode": "Block"}, "incompatible volumeMode"),
        ({"accessModes": ["ReadWriteMany"]}, "incompatible accessMode"),
    ],
)
async def test_claim_that_names_a_volume_it_cannot_have(wanted, problem):
    async with running(BINDER) as cluster:
        cluster.api.add(PERSISTENTVOLUMES, volume())
        cluster.api.add(PERSISTENTVOLUMECLAIMS, claim(volumeName="v", **wanted))
        await cluster.settled()
        assert the_claim(cluster)["status"]["phase"] == "Pending"
        assert ("Warning", "VolumeMismatch", f'Cannot bind to requested volume "v": {problem}') in cluster.events()


async def test_claims_that_lost_their_volume():
    async with running(BINDER) as cluster:
        cluster.api.add(PERSISTENTVOLUMECLAIMS, claim("gone", annotations=BOUND, volumeName="absent"))
        cluster.api.add(PERSISTENTVOLUMECLAIMS, claim("blank", annotations=BOUND))
        reference = {"namespace": "default", "name": "owner", "uid": "someone"}
        cluster.api.add(PERSISTENTVOLUMES, volume(phase="Bound", claimRef=reference))
        cluster.api.add(PERSISTENTVOLUMECLAIMS, claim("second", annotations=BOUND, volumeName="v"))
        await cluster.settled()
        assert {the_claim(cluster, name)["status"]["phase"] for name in ("gone", "blank", "second")} == {"Lost"}
        assert sorted(reasons(cluster)) == ["ClaimLost", "ClaimLost", "ClaimMisbound"]


async def test_volume_is_released_when_its_claim_goes_and_fails_without_a_deleter():
    async with running(BINDER) as cluster:
        for name, policy in (("keep", "Retain"), ("drop", "Delete")):
            reference = {"namespace": "default", "name": name, "uid": "gone"}
            made = volume(name, phase="Bound", claimRef=reference, persistentVolumeReclaimPolicy=policy)
            cluster.api.add(PERSISTENTVOLUMES, made)
        await cluster.settled()
        assert the_volume(cluster, "keep")["status"]["phase"] == "Released"
        assert the_volume(cluster, "drop")["status"]["phase"] == "Failed"
        assert reasons(cluster) == ["VolumeFailedDelete"]


async def test_claim_without_class_gets_a_default_that_comes_later():
    async with running(BINDER) as cluster:
        made = claim()
        del made["spec"]["storageClassName"]
        cluster.api.add(PERSISTENTVOLUMECLAIMS, made)
        await cluster.settled()
        cluster.api.add(STORAGECLASSES, storage_class("fast", "example.com/disk", default=True))
        await cluster.advance(1)
        found = the_claim(cluster)
        assert found["spec"]["storageClassName"] == "fast"
        assert found["metadata"]["annotations"][STORAGE_PROVISIONER] == "example.com/disk"
        assert found["metadata"]["annotations"][BETA_STORAGE_PROVISIONER] == "example.com/disk"
        assert reasons(cluster) == ["FailedBinding", "ExternalProvisioning"]


async def test_unknown_class_is_named():
    async with running(BINDER) as cluster:
        cluster.api.add(PERSISTENTVOLUMECLAIMS, claim(storage_class="none"))
        await cluster.settled()
        message = 'storageclass.storage.k8s.io "none" not found'
        assert cluster.events() == [("Warning", "ProvisioningFailed", message)]


async def test_claims_that_wait_say_for_what():
    async with running(BINDER) as cluster:
        cluster.api.add(STORAGECLASSES, storage_class("local", "kubernetes.io/no-provisioner", waits=True))
        cluster.api.add(PERSISTENTVOLUMES, volume(storageClassName="local"))
        cluster.api.add(PERSISTENTVOLUMECLAIMS, claim(storage_class="local"))
        await cluster.settled()
        assert "volumeName" not in the_claim(cluster)["spec"]
        assert cluster.events()[0][1:] == (
            "WaitForFirstConsumer", "waiting for first consumer to be created before binding",
        )  # fmt: skip
        cluster.api.add(PODS, pod())
        cluster.api.change(
            PERSISTENTVOLUMECLAIMS, "default", "c", lambda obj: obj["metadata"].update(labels={"look": "again"})
        )
        await cluster.settled()
        assert cluster.events()[-1][1:] == ("WaitForPodScheduled", "waiting for pod p to be scheduled")


def provisioned(size="1Gi", **fields):
    annotations = {STORAGE_PROVISIONER: LOCAL_PATH, "volume.kubernetes.io/selected-node": "n1"}
    return claim(size=size, annotations=annotations, storage_class="local-path", **fields)


async def test_provisioner_makes_expands_and_deletes():
    async with running(BINDER, PROVISIONER) as cluster:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "annotations": {LOCAL_PATH: "/data"}}}
        cluster.api.add(NODES, node)
        cluster.api.add(STORAGECLASSES, storage_class("local-path", LOCAL_PATH, waits=True))
        uid = cluster.api.add(PERSISTENTVOLUMECLAIMS, provisioned())["metadata"]["uid"]
        await cluster.advance(2)
        name = f"pvc-{uid}"
        assert the_claim(cluster)["status"]["phase"] == "Bound"
        assert the_volume(cluster, name)["spec"]["hostPath"]["path"] == f"/data/{name}_default_c"
        cluster.api.change(
            PERSISTENTVOLUMECLAIMS, "default", "c",
            lambda obj: obj["spec"]["resources"].update(requests={"storage": "5Gi"}),
        )  # fmt: skip
        await cluster.advance(2)
        assert the_claim(cluster)["status"]["capacity"] == {"storage": "5Gi"}
        assert the_volume(cluster, name)["spec"]["capacity"] == {"storage": "5Gi"}
        assert {"ProvisioningSucceeded", "VolumeResizeSuccessful"} <= set(reasons(cluster))
        cluster.api.remove(PERSISTENTVOLUMECLAIMS, "default", "c")
        await cluster.advance(2)
        assert the_volume(cluster, name) is None


async def test_provisioner_gives_back_a_node_that_is_gone_and_refuses_what_it_cannot():
    async with running(PROVISIONER) as cluster:
        cluster.api.add(STORAGECLASSES, storage_class("local-path", LOCAL_PATH, waits=True))
        cluster.api.add(PERSISTENTVOLUMECLAIMS, provisioned())
        await cluster.settled()
        assert "volume.kubernetes.io/selected-node" not in the_claim(cluster)["metadata"]["annotations"]
        cluster.api.add(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
        cluster.api.remove(PERSISTENTVOLUMECLAIMS, "default", "c")
        cluster.api.add(PERSISTENTVOLUMECLAIMS, provisioned(volumeMode="Block"))
        await cluster.settled()
        assert cluster.api.all(PERSISTENTVOLUMES) == []
        assert "only the volume mode Filesystem is supported" in cluster.events()[-1][2]


async def test_used_claims_and_bound_volumes_are_kept():
    async with running(CLAIMS, VOLUMES) as cluster:
        cluster.api.add(PERSISTENTVOLUMECLAIMS, claim())
        cluster.api.add(PERSISTENTVOLUMES, volume(phase="Bound"))
        cluster.api.add(PODS, pod("user", "n1"))
        cluster.api.add(PODS, pod("waiting"))
        await cluster.settled()
        assert the_claim(cluster)["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
        await cluster.client.resource(PERSISTENTVOLUMECLAIMS, "default").delete("c")
        await cluster.client.resource(PERSISTENTVOLUMES).delete("v")
        await cluster.settled()
        assert "deletionTimestamp" in the_claim(cluster)["metadata"]
        assert the_volume(cluster) is not None
        cluster.api.remove(PODS, "default", "user")
        cluster.api.change(PERSISTENTVOLUMES, "", "v", lambda obj: obj["status"].update(phase="Released"))
        await cluster.settled()
        assert the_claim(cluster) is None
        assert the_volume(cluster) is None


def test_smallest_volume_with_the_fewest_modes_and_matching_labels():
    both = volume("both", "1Gi", accessModes=["ReadWriteOnce", "ReadWriteMany"])
    sizes = [volume("big", "9Gi"), volume("right", "3Gi"), both]
    assert best_match(claim(size="2Gi"), sizes)["metadata"]["name"] == "right"
    assert best_match(claim(), [*sizes])["metadata"]["name"] == "right"
    assert best_match(claim(), sizes, taken={"right"})["metadata"]["name"] == "big"
    assert best_match(claim(), sizes, delayed=True) is None
    assert best_match(claim(selector={"matchLabels": {"a": "b"}}), sizes) is None
