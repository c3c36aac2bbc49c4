"""PodDisruptionBudgets' status, and DisruptionTarget conditions that did not come true."""

from sampan.client.resources import DEPLOYMENTS, JOBS, PODDISRUPTIONBUDGETS, PODS, REPLICASETS

from .harness import running

DISRUPTION = "disruption-controller"
STALE = "stale-disruption-condition-controller"
NOW = "2023-11-14T22:13:20Z"


def budget(**spec):
    spec.setdefault("selector", {"matchLabels": {"app": "x"}})
    metadata = {"name": "b", "namespace": "default", "generation": 1}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}


def pod(name, *, ready=True, owner=None, **status):
    metadata = {"name": name, "namespace": "default", "labels": {"app": "x"}}
    if owner:
        version, kind, uid = owner
        metadata["ownerReferences"] = [
            {"apiVersion": version, "kind": kind, "name": "o", "uid": uid, "controller": True}
        ]
    condition = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": NOW}
    status = {"phase": "Running", "conditions": [condition], **status}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"nodeName": "n"}, "status": status}


def status(cluster):
    return cluster.api.get(PODDISRUPTIONBUDGETS, "default", "b")["status"]


def numbers(cluster):
    found = status(cluster)
    return tuple(found[key] for key in ("currentHealthy", "desiredHealthy", "expectedPods", "disruptionsAllowed"))


async def test_min_available_counts_ready_pods():
    async with running(DISRUPTION) as cluster:
        cluster.api.add(PODDISRUPTIONBUDGETS, budget(minAvailable=2))
        for number in range(3):
            cluster.api.add(PODS, pod(f"p{number}"))
        await cluster.settled()
        assert numbers(cluster) == (3, 2, 3, 1)
        assert status(cluster)["observedGeneration"] == 1
        (allowed,) = status(cluster)["conditions"]
        assert (allowed["status"], allowed["reason"], allowed["message"]) == ("True", "SufficientPods", "")
        cluster.api.change(PODS, "default", "p0", lambda obj: obj["status"].update(conditions=[]))
        await cluster.advance(1)
        assert numbers(cluster) == (2, 2, 3, 0)
        (allowed,) = status(cluster)["conditions"]
        assert (allowed["status"], allowed["reason"]) == ("False", "InsufficientPods")


async def test_without_pods_nothing_may_be_evicted_and_an_event_says_so():
    async with running(DISRUPTION) as cluster:
        cluster.api.add(PODDISRUPTIONBUDGETS, budget(minAvailable=0))
        await cluster.settled()
        assert numbers(cluster) == (0, 0, 0, 0)
        assert cluster.events() == [("Normal", "NoPods", "No matching pods found")]


async def test_max_unavailable_is_a_share_of_what_the_deployment_wants():
    async with running(DISRUPTION) as cluster:
        deployment = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "d", "namespace": "default"},
            "spec": {"replicas": 10},
        }
        made = cluster.api.add(DEPLOYMENTS, deployment)
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": made["metadata"]["uid"]}
        replica_set = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"name": "o", "namespace": "default", "ownerReferences": [{**owner, "controller": True}]},
            "spec": {"replicas": 4},
        }
        uid = cluster.api.add(REPLICASETS, replica_set)["metadata"]["uid"]
        for number in range(9):
            cluster.api.add(PODS, pod(f"p{number}", owner=("apps/v1", "ReplicaSet", uid)))
        cluster.api.add(PODDISRUPTIONBUDGETS, budget(maxUnavailable="25%"))
        await cluster.settled()
        assert numbers(cluster) == (9, 7, 10, 2)


async def test_pods_without_scalable_controller_fail_safe():
    async with running(DISRUPTION) as cluster:
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "o", "namespace": "default"}, "spec": {}}
        uid = cluster.api.add(JOBS, job)["metadata"]["uid"]
        cluster.api.add(PODS, pod("p", owner=("example.com/v1", "Absent", uid)))
        cluster.api.add(PODDISRUPTIONBUDGETS, budget(maxUnavailable=1))
        await cluster.advance(1)
        assert status(cluster)["disruptionsAllowed"] == 0
        (allowed,) = status(cluster)["conditions"]
        assert (allowed["reason"], allowed["message"]) == ("SyncFailed", 'found no controllers for pod "p"')
        assert cluster.events()[0][1] == "CalculateExpectedPodCountFailed"


async def test_unmanaged_pods_are_told_of():
    async with running(DISRUPTION) as cluster:
        cluster.api.add(PODS, pod("p"))
        cluster.api.add(PODDISRUPTIONBUDGETS, budget(maxUnavailable=1))
        await cluster.settled()
        assert numbers(cluster) == (1, 0, 0, 0)
        ((kind, reason, message),) = cluster.events()
        assert (kind, reason) == ("Warning", "UnmanagedPods")
        assert "&LabelSelector{MatchLabels:map[string]string{app: x,},MatchExpressions:[]Label" in message


async def test_evicted_pod_counts_again_when_it_is_not_deleted():
    async with running(DISRUPTION) as cluster:
        made = budget(minAvailable=1)
        made["status"] = {"disruptedPods": {"p0": NOW, "gone": NOW}}
        cluster.api.add(PODDISRUPTIONBUDGETS, made)
        cluster.api.add(PODS, pod("p0"))
        cluster.api.add(PODS, pod("p1"))
        await cluster.settled()
        assert status(cluster)["disruptedPods"] == {"p0": NOW}
        assert numbers(cluster) == (1, 1, 2, 0)
        await cluster.advance(125)
        assert "disruptedPods" not in status(cluster)
        assert numbers(cluster) == (2, 1, 2, 1)
        assert cluster.events() == [
            ("Warning", "NotDeleted", "Pod was expected by PDB default/b to be deleted but it wasn't")
        ]


async def test_disruption_condition_that_did_not_come_true_is_taken_back():
    async with running(STALE) as cluster:
        target = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
        cluster.api.add(PODS, pod("p", conditions=[{**target, "lastTransitionTime": NOW}]))
        await cluster.advance(119)
        assert cluster.api.get(PODS, "default", "p")["status"]["conditions"][0]["status"] == "True"
        await cluster.advance(2)
        assert cluster.api.get(PODS, "default", "p")["status"]["conditions"][0]["status"] == "False"
