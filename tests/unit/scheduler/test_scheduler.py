"""The scheduler against a fake API: placing, waiting, saying why."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager

import pytest

from sampan.api.errors import ServiceUnavailable
from sampan.base.clock import FakeClock
from sampan.base.tasks import start
from sampan.client.client import Client
from sampan.client.resources import EVENTS, NODES, PODS, SERVICES
from sampan.runtime.events import EventBroadcaster
from sampan.scheduler import Scheduler, SchedulerOptions
from sampan.testing.fake import FakeTransport


def node(name: str, *, cpu: str = "4", memory: str = "8Gi", pods: str = "110", labels=None, **spec):
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
        "spec": spec,
        "status": {"allocatable": {"cpu": cpu, "memory": memory, "pods": pods}},
    }


def pod(name: str, *, cpu: str = "", memory: str = "", labels=None, namespace: str = "default", ports=(), **spec):
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    container = {"name": "c", "image": "i", "resources": {"requests": requests} if requests else {}}
    if ports:
        container["ports"] = [{"containerPort": one, "hostPort": one, "protocol": "TCP"} for one in ports]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels or {}},
        "spec": {"containers": [container], "schedulerName": "default-scheduler", **spec},
        "status": {"phase": "Pending"},
    }


class Bench:
    """A scheduler running against a fake API that binds as the real one does."""

    def __init__(self, transport, scheduler, clock) -> None:
        self.api = transport
        self.scheduler = scheduler
        self.clock = clock

    async def settle(self, seconds: float = 0.0) -> None:
        await self.clock.advance(seconds, turns=200)

    def node_of(self, name: str) -> str:
        return self.api.get(PODS, "default", name)["spec"].get("nodeName", "")

    def condition(self, name: str):
        conditions = self.api.get(PODS, "default", name)["status"].get("conditions") or []
        return next((one for one in conditions if one["type"] == "PodScheduled"), None)

    def events(self, reason: str) -> list[str]:
        return [one["message"] for one in self.api.all(EVENTS) if one["reason"] == reason]


class BindingTransport(FakeTransport):
    """Carries out bindings."""

    refuse = False

    async def send(self, request):
        if request.subresource == "binding":
            if self.refuse:
                raise ServiceUnavailable("not now")
            target = request.body["target"]["name"]

            def bind(obj) -> None:
                obj["spec"]["nodeName"] = target

            return self.change(PODS, request.namespace, request.name, bind)
        return await super().send(request)


@asynccontextmanager
async def running(*objects, **options):
    clock = FakeClock()
    api = BindingTransport(clock)
    for one in objects:
        api.add(NODES if one["kind"] == "Node" else PODS, one)
    client = Client(api)
    broadcaster = EventBroadcaster(client, clock=clock)
    recorder = broadcaster.recorder("default-scheduler")
    scheduler = Scheduler(SchedulerOptions(**options), client, recorder, clock, chance=random.Random(1))
    async with asyncio.TaskGroup() as group:
        events = group.create_task(broadcaster.run())
        task = group.create_task(start(group, scheduler.run, name="scheduler"))
        await task
        bench = Bench(api, scheduler, clock)
        await bench.settle()
        yield bench
        events.cancel()
        for one in list(group._tasks):
            one.cancel()


async def test_pod_is_bound_to_a_node_that_fits_and_the_event_says_so():
    async with running(node("small", cpu="1"), node("large", cpu="8"), pod("a", cpu="2")) as bench:
        assert bench.node_of("a") == "large"
        assert bench.events("Scheduled") == ["Successfully assigned default/a to large"]


async def test_pods_spread_over_equal_nodes_by_what_is_left():
    pods = [pod(f"p{number}", cpu="500m", memory="256Mi") for number in range(6)]
    async with running(node("a"), node("b"), node("c"), *pods) as bench:
        placed = [bench.node_of(one["metadata"]["name"]) for one in pods]
        assert sorted(placed) == ["a", "a", "b", "b", "c", "c"]


async def test_unschedulable_pod_has_the_reasons_of_every_node_in_event_and_condition():
    tainted = node("t", taints=[{"key": "k", "effect": "NoSchedule"}])
    async with running(tainted, node("a", cpu="1"), node("b", cpu="1"), pod("p", cpu="2")) as bench:
        expected = (
            "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu. "
            "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
        )
        assert bench.events("FailedScheduling") == [expected]
        condition = bench.condition("p")
        assert (condition["status"], condition["reason"], condition["message"]) == ("False", "Unschedulable", expected)


async def test_full_nodes_are_told_from_nodes_that_are_too_small():
    async with running(node("a", cpu="1"), pod("first", cpu="1"), pod("second", cpu="1")) as bench:
        waiting = "second" if bench.node_of("first") else "first"
        assert bench.condition(waiting)["message"] == (
            "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: "
            "1 No preemption victims found for incoming pod."
        )


async def test_without_nodes_the_message_is_kubernetes_own():
    async with running(pod("p")) as bench:
        assert bench.events("FailedScheduling") == ["no nodes available to schedule pods"]
        bench.api.add(NODES, node("a"))
        await bench.settle(2)
        assert bench.node_of("p") == "a"


async def test_waiting_pod_is_placed_when_another_leaves():
    async with running(node("a", cpu="1"), pod("first", cpu="1")) as bench:
        bench.api.add(PODS, pod("second", cpu="1"))
        await bench.settle()
        assert bench.node_of("second") == ""
        bench.api.remove(PODS, "default", "first")
        await bench.settle()
        assert bench.node_of("second") == "a"


async def test_event_that_cannot_help_leaves_the_pod_waiting():
    async with running(node("a", cpu="1"), pod("p", nodeSelector={"disk": "ssd"})) as bench:
        item = bench.scheduler.queue._waiting["default/p"]
        bench.api.add(NODES, node("b"))
        await bench.settle(5)
        assert item.attempts == 1
        bench.api.add(NODES, node("c", labels={"disk": "ssd"}))
        await bench.settle(5)
        assert bench.node_of("p") == "c"


async def test_gated_pod_waits_until_its_gates_are_gone():
    async with running(node("a"), pod("p", schedulingGates=[{"name": "example.com/hold"}])) as bench:
        assert bench.node_of("p") == ""
        assert not bench.events("FailedScheduling")
        bench.api.change(PODS, "default", "p", lambda obj: obj["spec"].pop("schedulingGates"))
        await bench.settle()
        assert bench.node_of("p") == "a"


async def test_failed_binding_gives_the_room_back_and_is_tried_again():
    async with running(node("a", cpu="1")) as bench:
        bench.api.refuse = True
        bench.api.add(PODS, pod("p", cpu="1"))
        await bench.settle()
        assert bench.scheduler.nodes.nodes["a"].pods == {}
        bench.api.refuse = False
        await bench.settle(1.5)
        assert bench.node_of("p") == "a"


async def test_host_port_is_given_once_per_node():
    pods = [pod(f"p{number}", ports=(80,)) for number in range(3)]
    async with running(node("a"), node("b"), *pods) as bench:
        placed = sorted(bench.node_of(one["metadata"]["name"]) for one in pods)
        assert placed == ["", "a", "b"]
        reason = "2 node(s) didn't have free ports for the requested pod ports."
        assert bench.events("FailedScheduling")[0].startswith(f"0/2 nodes are available: {reason}")


async def test_cordoned_and_tainted_nodes_take_only_pods_that_tolerate():
    taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    tolerating = pod("daemon", tolerations=[{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}])
    async with running(node("a", unschedulable=True, taints=[taint]), pod("plain"), tolerating) as bench:
        assert bench.node_of("daemon") == "a"
        assert bench.events("FailedScheduling")[0].startswith("0/1 nodes are available: 1 node(s) were unschedulable.")


async def test_higher_priority_evicts_the_fewest_and_lowest_and_is_nominated():
    lows = [pod("low1", cpu="1", priority=1, nodeName="a"), pod("low2", cpu="1", priority=2, nodeName="a")]
    other = pod("other", cpu="2", priority=5, nodeName="b")
    async with running(node("a", cpu="2"), node("b", cpu="2"), *lows, other) as bench:
        bench.api.add(PODS, pod("high", cpu="1", priority=10))
        await bench.settle()
        leaving = [one for one in bench.api.all(PODS) if "deletionTimestamp" in one["metadata"]]
        assert [one["metadata"]["name"] for one in leaving] == ["low1"]
        assert leaving[0]["status"]["conditions"][-1]["reason"] == "PreemptionByScheduler"
        assert bench.api.get(PODS, "default", "high")["status"]["nominatedNodeName"] == "a"
        bench.api.add(PODS, pod("sneaky", cpu="1", priority=9, preemptionPolicy="Never"))
        await bench.settle()
        bench.api.remove(PODS, "default", "low1")
        await bench.settle(2)
        assert bench.node_of("high") == "a"
        assert bench.node_of("sneaky") == ""
        assert bench.events("Preempted")


async def test_pod_affinity_and_anti_affinity_hold_over_topologies():
    term = {"labelSelector": {"matchLabels": {"app": "db"}}, "topologyKey": "zone"}
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    nodes = [node("a", labels={"zone": "1"}), node("b", labels={"zone": "2"})]
    db = pod("db", labels={"app": "db"}, nodeName="a")
    near = pod("near", affinity={"podAffinity": {required: [term]}})
    far = pod("far", affinity={"podAntiAffinity": {required: [term]}})
    async with running(*nodes, db, near, far) as bench:
        assert bench.node_of("near") == "a"
        assert bench.node_of("far") == "b"
        db2 = pod("db2", labels={"app": "db"}, nodeSelector={"zone": "2"})
        bench.api.add(PODS, db2)
        await bench.settle()
        message = bench.condition("db2")["message"]
        assert "1 node(s) didn't satisfy existing pods anti-affinity rules" in message


async def test_topology_spread_keeps_the_skew():
    constraint = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "x"}},
    }
    nodes = [node(name, labels={"zone": zone}) for name, zone in (("a", "1"), ("b", "1"))]
    nodes.append(node("c", labels={"zone": "2"}, cpu="100"))
    pods = [pod(f"p{n}", labels={"app": "x"}, topologySpreadConstraints=[constraint]) for n in range(6)]
    async with running(*nodes, *pods) as bench:
        zones = [bench.node_of(one["metadata"]["name"]) == "c" for one in pods]
        assert zones.count(True) == 3


async def test_pod_pinned_to_a_node_says_so_of_all_others():
    field = {"key": "metadata.name", "operator": "In", "values": ["a"]}
    required = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    tainted = node("t", taints=[{"key": "k", "effect": "NoSchedule"}])
    async with running(node("a", cpu="1"), node("b"), tainted, pod("p", cpu="2", affinity=affinity)) as bench:
        assert bench.condition("p")["message"].startswith(
            "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]. "
        )
        fits = pod("fits", affinity=affinity)
        bench.api.add(PODS, fits)
        await bench.settle()
        assert bench.node_of("fits") == "a"


async def test_pods_of_one_service_spread_over_hosts_by_default():
    busy = pod("busy", cpu="1", nodeName="a")
    async with running(node("a"), node("b"), busy) as bench:
        spec = {"selector": {"app": "x"}, "clusterIP": "10.96.0.1", "ports": [{"port": 80}]}
        metadata = {"name": "x", "namespace": "default"}
        bench.api.add(SERVICES, {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
        await bench.settle()
        for number in range(4):
            bench.api.add(PODS, pod(f"p{number}", labels={"app": "x"}, cpu="10m"))
            await bench.settle()
        assert sorted(bench.node_of(f"p{number}") for number in range(4)) == ["a", "a", "b", "b"]


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [("In", ["1", "2"], "b"), ("NotIn", ["5"], "b"), ("Gt", ["4"], "a"), ("Exists", [], "ab")],
)
async def test_node_affinity_operators(operator, values, expected):
    expression = {"key": "n", "operator": operator, "values": values}
    required = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    nodes = [node("a", labels={"n": "5"}), node("b", labels={"n": "2"})]
    async with running(*nodes, pod("p", affinity=affinity)) as bench:
        assert bench.node_of("p") in expected
