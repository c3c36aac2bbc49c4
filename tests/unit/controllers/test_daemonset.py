"""DaemonSets: where their pods run, how they are updated."""

import pytest

from sampan.client.resources import CONTROLLERREVISIONS, DAEMONSETS, NODES, PODS
from sampan.controllers.daemonpods import target_node

from .harness import running

NAME = "daemonset-controller"


def daemon_set(strategy=None, **template_spec):
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {
            "name": "agent",
            "namespace": "default",
            "annotations": {"deprecated.daemonset.template.generation": "1"},
        },
        "spec": {
            "selector": {"matchLabels": {"app": "agent"}},
            "updateStrategy": strategy
            or {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
            "revisionHistoryLimit": 10,
            "template": {
                "metadata": {"labels": {"app": "agent"}},
                "spec": {"containers": [{"name": "c", "image": "v1"}], **template_spec},
            },
        },
        "status": {},
    }


def node(name, labels=None, taints=None):
    spec = {"taints": taints} if taints else {}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels or {}}, "spec": spec}


def three_nodes(api):
    for name in ("a", "b", "c"):
        api.add(NODES, node(name, {"kubernetes.io/hostname": name}))


def nodes_of(cluster):
    return sorted(target_node(pod) for pod in cluster.api.all(PODS))


def images(cluster):
    return sorted((target_node(pod), pod["spec"]["containers"][0]["image"]) for pod in cluster.api.all(PODS))


def status(cluster):
    return cluster.api.get(DAEMONSETS, "default", "agent")["status"]


def start(cluster, pod, phase="Running"):
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2023-11-14T22:13:20Z"}
    new = {"phase": phase, "conditions": [condition] if phase == "Running" else []}
    cluster.api.change(PODS, "default", pod["metadata"]["name"], lambda obj: obj.update(status=new))


async def start_all(cluster, observe=lambda: None):
    for _ in range(40):
        await cluster.settled()
        observe()
        waiting = [pod for pod in cluster.api.all(PODS) if not pod.get("status")]
        if not waiting:
            return
        start(cluster, waiting[0])
    raise AssertionError("it never came to an end")


def set_image(cluster, image):
    def act(obj):
        obj["spec"]["template"]["spec"]["containers"][0]["image"] = image
        obj["metadata"]["generation"] += 1
        obj["metadata"]["annotations"]["deprecated.daemonset.template.generation"] = str(obj["metadata"]["generation"])

    cluster.api.change(DAEMONSETS, "default", "agent", act)


async def test_every_node_has_a_pod_new_ones_too():
    async with running(NAME, prepare=three_nodes) as cluster:
        cluster.api.add(DAEMONSETS, daemon_set())
        await start_all(cluster)
        assert nodes_of(cluster) == ["a", "b", "c"]
        pod = cluster.api.all(PODS)[0]
        (revision,) = cluster.api.all(CONTROLLERREVISIONS)
        assert pod["metadata"]["labels"] == {
            "app": "agent",
            "pod-template-generation": "1",
            "controller-revision-hash": revision["metadata"]["labels"]["controller-revision-hash"],
        }
        assert {one["key"].rpartition("/")[2] for one in pod["spec"]["tolerations"]} == {
            "not-ready",
            "unreachable",
            "disk-pressure",
            "memory-pressure",
            "pid-pressure",
            "unschedulable",
        }
        found = status(cluster)
        assert (found["desiredNumberScheduled"], found["numberReady"], found["numberAvailable"]) == (3, 3, 3)
        cluster.api.add(NODES, node("d"))
        await cluster.settled()
        assert nodes_of(cluster) == ["a", "b", "c", "d"]


async def test_selector_and_taints_decide_where():
    def prepare(api):
        api.add(NODES, node("ssd", {"disk": "ssd"}))
        api.add(NODES, node("hdd", {"disk": "hdd"}))
        api.add(NODES, node("tainted", {"disk": "ssd"}, [{"key": "k", "value": "v", "effect": "NoSchedule"}]))
        cordoned = [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]
        api.add(NODES, node("cordoned", {"disk": "ssd"}, cordoned))

    async with running(NAME, prepare=prepare) as cluster:
        cluster.api.add(DAEMONSETS, daemon_set(nodeSelector={"disk": "ssd"}))
        await cluster.settled()
        assert nodes_of(cluster) == ["cordoned", "ssd"]
        cluster.api.change(NODES, "", "hdd", lambda obj: obj["metadata"].update(labels={"disk": "ssd"}))
        await cluster.settled()
        assert nodes_of(cluster) == ["cordoned", "hdd", "ssd"]
        taint = [{"key": "k", "effect": "NoExecute"}]
        cluster.api.change(NODES, "", "hdd", lambda obj: obj["spec"].update(taints=taint))
        cluster.api.change(NODES, "", "ssd", lambda obj: obj["metadata"].update(labels={}))
        await cluster.settled()
        assert nodes_of(cluster) == ["cordoned"]


async def test_failed_pod_is_replaced_with_back_off():
    async with running(NAME, prepare=lambda api: api.add(NODES, node("a"))) as cluster:
        cluster.api.add(DAEMONSETS, daemon_set())
        await cluster.settled()
        first = cluster.api.all(PODS)[0]
        start(cluster, first, "Failed")
        await cluster.settled()
        second = cluster.api.all(PODS)[0]
        assert second["metadata"]["uid"] != first["metadata"]["uid"]
        start(cluster, second, "Failed")
        await cluster.settled()
        assert cluster.api.all(PODS)[0]["metadata"]["uid"] == second["metadata"]["uid"]
        await cluster.advance(2)
        assert cluster.api.all(PODS)[0]["metadata"]["uid"] != second["metadata"]["uid"]
        assert "FailedDaemonPod" in [event[1] for event in cluster.events()]


@pytest.mark.parametrize(("unavailable", "least"), [(1, 2), (2, 1), ("50%", 1)])
async def test_rolling_update_keeps_enough_pods_available(unavailable, least):
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": 0}}
    async with running(NAME, prepare=three_nodes) as cluster:
        cluster.api.add(DAEMONSETS, daemon_set(strategy))
        await start_all(cluster)
        set_image(cluster, "v2")

        def observe():
            assert sum(bool(pod.get("status")) for pod in cluster.api.all(PODS)) >= least

        await start_all(cluster, observe)
        assert images(cluster) == [("a", "v2"), ("b", "v2"), ("c", "v2")]
        assert status(cluster)["updatedNumberScheduled"] == 3


async def test_surge_starts_the_new_pod_before_the_old_one_goes():
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    async with running(NAME, prepare=three_nodes) as cluster:
        cluster.api.add(DAEMONSETS, daemon_set(strategy))
        await start_all(cluster)
        set_image(cluster, "v2")

        def observe():
            pods = cluster.api.all(PODS)
            assert len(pods) <= 4
            assert sum(bool(pod.get("status")) for pod in pods) >= 3

        await start_all(cluster, observe)
        assert images(cluster) == [("a", "v2"), ("b", "v2"), ("c", "v2")]


async def test_on_delete_waits_for_somebody_to_delete():
    async with running(NAME, prepare=three_nodes) as cluster:
        cluster.api.add(DAEMONSETS, daemon_set({"type": "OnDelete"}))
        await start_all(cluster)
        set_image(cluster, "v2")
        await start_all(cluster)
        assert {image for _, image in images(cluster)} == {"v1"}
        victim = next(pod for pod in cluster.api.all(PODS) if target_node(pod) == "b")
        cluster.api.remove(PODS, "default", victim["metadata"]["name"])
        await start_all(cluster)
        assert images(cluster) == [("a", "v1"), ("b", "v2"), ("c", "v1")]
