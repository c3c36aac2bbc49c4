"""Rules over arrays against the same rules stated plainly, on random clusters."""

from __future__ import annotations

import math
import random
from statistics import pstdev

import numpy as np
import pytest

from sampan.api.affinity import preference, required_matches
from sampan.api.labels import from_object
from sampan.api.taints import is_tolerated
from sampan.scheduler.interface import CycleState
from sampan.scheduler.nodetable import NodeTable
from sampan.scheduler.options import DEFAULT_WEIGHTS, SchedulerOptions
from sampan.scheduler.podinfo import PodInfo
from sampan.scheduler.profile import default_framework

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
MEGABYTE = 1024 * 1024


def random_node(chance: random.Random, number: int):
    labels = {"kubernetes.io/hostname": f"n{number}", "disk": chance.choice(["ssd", "hdd"])}
    if chance.random() < 0.9:
        labels["zone"] = chance.choice("abc")
    effects = chance.sample(["NoSchedule", "PreferNoSchedule", "NoExecute"], chance.choice([0, 0, 0, 1, 2]))
    return {
        "metadata": {"name": f"n{number}", "labels": labels},
        "spec": {
            "taints": [{"key": "t", "value": "v", "effect": one} for one in effects],
            **({"unschedulable": True} if chance.random() < 0.1 else {}),
        },
        "status": {
            "allocatable": {"cpu": str(chance.randint(1, 8)), "memory": f"{chance.randint(1, 16)}Gi", "pods": "12"},
            "images": [{"names": ["big:1"], "sizeBytes": 700 * MEGABYTE}] if chance.random() < 0.5 else [],
        },
    }


def random_pod(chance: random.Random, number: int):
    labels = {"app": chance.choice(["x", "y"])}
    selector = {"matchLabels": {"app": chance.choice(["x", "y"])}}
    spec: dict = {"containers": [{"name": "c", "image": chance.choice(["big:1", "small"]), "resources": {}}]}
    requests = {}
    if chance.random() < 0.8:
        requests["cpu"] = f"{chance.randint(1, 20) * 100}m"
    if chance.random() < 0.6:
        requests["memory"] = f"{chance.randint(1, 20) * 100}Mi"
    if requests:
        spec["containers"][0]["resources"]["requests"] = requests
    if chance.random() < 0.3:
        spec["tolerations"] = [{"key": "t", "operator": "Exists", "effect": chance.choice(["", "NoSchedule"])}]
    if chance.random() < 0.2:
        spec["nodeSelector"] = {"disk": "ssd"}
    affinity: dict = {}
    if chance.random() < 0.2:
        weighted = [{"weight": chance.randint(1, 9), "preference": _zone_in(chance)} for _ in range(2)]
        affinity["nodeAffinity"] = {PREFERRED: weighted}
    term = {"labelSelector": selector, "topologyKey": chance.choice(["zone", "kubernetes.io/hostname"])}
    if chance.random() < 0.25:
        kind = chance.choice(["podAffinity", "podAntiAffinity"])
        soft = {PREFERRED: [{"weight": chance.randint(1, 50), "podAffinityTerm": term}]}
        affinity[kind] = soft if chance.random() < 0.6 else {REQUIRED: [term]}
    if affinity:
        spec["affinity"] = affinity
    if chance.random() < 0.3:
        constraint = {
            "maxSkew": chance.randint(1, 2),
            "topologyKey": chance.choice(["zone", "kubernetes.io/hostname"]),
            "whenUnsatisfiable": chance.choice(["DoNotSchedule", "ScheduleAnyway"]),
            "labelSelector": selector,
        }
        spec["topologySpreadConstraints"] = [constraint]
    return {"metadata": {"name": f"p{number}", "namespace": "default", "labels": labels}, "spec": spec}


def _zone_in(chance: random.Random):
    return {"matchExpressions": [{"key": "zone", "operator": "In", "values": [chance.choice("abc")]}]}


class Plain:
    """The rules by loops over nodes and pods."""

    def __init__(self, nodes, placed) -> None:
        self.nodes = nodes
        self.placed = placed

    def pods_on(self, node):
        return [pod for pod, name in self.placed if name == node["metadata"]["name"]]

    def used(self, node):
        infos = [PodInfo(one) for one in self.pods_on(node)]
        return [sum(one.requests.get(name, 0) for one in infos) for name in ("cpu", "memory")]

    def feasible(self, pod):
        return [node for node in self.nodes if self.fits(pod, node)]

    def fits(self, pod, node) -> bool:
        info, spec = PodInfo(pod), pod["spec"]
        if node["spec"].get("unschedulable"):
            return False
        tolerations = spec.get("tolerations") or []
        for taint in node["spec"]["taints"]:
            if taint["effect"] != "PreferNoSchedule" and not is_tolerated(taint, tolerations):
                return False
        if not required_matches(spec, node) or len(self.pods_on(node)) + 1 > 12:
            return False
        for used, name in zip(self.used(node), ("cpu", "memory"), strict=True):
            wanted = info.requests.get(name, 0)
            if wanted and used + wanted > self.capacity(node)[name]:
                return False
        return self.spread_allows(pod, node) and self.neighbours_allow(pod, node)

    def capacity(self, node):
        amounts = node["status"]["allocatable"]
        return {"cpu": int(amounts["cpu"]) * 1000, "memory": int(amounts["memory"][:-2]) << 30}

    def domain(self, node, key):
        return node["metadata"]["labels"].get(key)

    def matching(self, selector, nodes):
        matcher = from_object(selector)
        names = {one["metadata"]["name"] for one in nodes}
        return sum(name in names and matcher.matches(pod["metadata"]["labels"]) for pod, name in self.placed)

    def spread_allows(self, pod, node) -> bool:
        for one in pod["spec"].get("topologySpreadConstraints") or ():
            if one["whenUnsatisfiable"] != "DoNotSchedule":
                continue
            key = one["topologyKey"]
            if self.domain(node, key) is None:
                return False
            counts: dict[str, int] = {}
            for other in self.nodes:
                domain = self.domain(other, key)
                if domain is not None and required_matches(pod["spec"], other):
                    counts[domain] = counts.get(domain, 0) + self.matching(one["labelSelector"], [other])
            own = from_object(one["labelSelector"]).matches(pod["metadata"]["labels"])
            lowest = min(counts.values(), default=0)
            if counts.get(self.domain(node, key), 0) + own - lowest > one["maxSkew"]:
                return False
        return True

    def same_domain(self, node, key):
        domain = self.domain(node, key)
        return [one for one in self.nodes if domain is not None and self.domain(one, key) == domain]

    def neighbours_allow(self, pod, node) -> bool:
        affinity = pod["spec"].get("affinity") or {}
        for term in (affinity.get("podAffinity") or {}).get(REQUIRED, ()):
            if self.domain(node, term["topologyKey"]) is None:
                return False
            if self.matching(term["labelSelector"], self.same_domain(node, term["topologyKey"])):
                continue
            labelled = [one for one in self.nodes if self.domain(one, term["topologyKey"]) is not None]
            first = not self.matching(term["labelSelector"], labelled)
            if not (first and from_object(term["labelSelector"]).matches(pod["metadata"]["labels"])):
                return False
        for term in (affinity.get("podAntiAffinity") or {}).get(REQUIRED, ()):
            if self.matching(term["labelSelector"], self.same_domain(node, term["topologyKey"])):
                return False
        for other, name in self.placed:
            for term in ((other["spec"].get("affinity") or {}).get("podAntiAffinity") or {}).get(REQUIRED, ()):
                near = {one["metadata"]["name"] for one in self.same_domain(node, term["topologyKey"])}
                if name in near and from_object(term["labelSelector"]).matches(pod["metadata"]["labels"]):
                    return False
        return True

    def scores(self, pod, nodes):
        parts = {
            "TaintToleration": self.taint_scores(pod, nodes),
            "NodeAffinity": self.affinity_scores(pod, nodes),
            "NodeResourcesFit": [self.free_share(pod, node) for node in nodes],
            "NodeResourcesBalancedAllocation": [self.balance(pod, node) for node in nodes],
            "ImageLocality": [self.image_share(pod, node) for node in nodes],
            "InterPodAffinity": self.neighbour_scores(pod, nodes),
            "PodTopologySpread": self.spread_scores(pod, nodes),
        }
        return [sum(DEFAULT_WEIGHTS[name] * values[at] for name, values in parts.items()) for at in range(len(nodes))]

    def taint_scores(self, pod, nodes):
        soft = [one for one in pod["spec"].get("tolerations") or () if not one["effect"]]
        counts = [
            sum(one["effect"] == "PreferNoSchedule" and not is_tolerated(one, soft) for one in node["spec"]["taints"])
            for node in nodes
        ]
        most = max(counts)
        return [100 - 100 * one // most if most else 100 for one in counts]

    def affinity_scores(self, pod, nodes):
        if not ((pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}).get(PREFERRED):
            return [0] * len(nodes)
        sums = [preference(pod["spec"], node) for node in nodes]
        return [100 * one // max(sums) if max(sums) else 0 for one in sums]

    def free_share(self, pod, node):
        cpu = PodInfo(pod).nonzero[0] + sum(PodInfo(one).nonzero[0] for one in self.pods_on(node))
        memory = PodInfo(pod).nonzero[1] + sum(PodInfo(one).nonzero[1] for one in self.pods_on(node))
        capacity = self.capacity(node)
        shares = [
            (has - used) * 100 // has if used <= has else 0
            for used, has in ((cpu, capacity["cpu"]), (memory, capacity["memory"]))
        ]
        return sum(shares) // 2

    def balance(self, pod, node):
        info, capacity = PodInfo(pod), self.capacity(node)
        if not info.requests:
            return 0
        shares = [
            min((used + info.requests.get(name, 0)) / capacity[name], 1)
            for used, name in zip(self.used(node), ("cpu", "memory"), strict=True)
        ]
        return int((1 - pstdev(shares)) * 100)

    def image_share(self, pod, node):
        if pod["spec"]["containers"][0]["image"] != "big:1" or not node["status"]["images"]:
            return 0
        share = sum(bool(one["status"]["images"]) for one in self.nodes) / len(self.nodes)
        size = min(max(int(700 * MEGABYTE * share), 23 * MEGABYTE), 1000 * MEGABYTE)
        return 100 * (size - 23 * MEGABYTE) // (977 * MEGABYTE)

    def neighbour_scores(self, pod, nodes):
        raw, any_term = [0] * len(nodes), False
        affinity = pod["spec"].get("affinity") or {}
        for kind, sign in (("podAffinity", 1), ("podAntiAffinity", -1)):
            for one in (affinity.get(kind) or {}).get(PREFERRED, ()):
                any_term = True
                term = one["podAffinityTerm"]
                for at, node in enumerate(nodes):
                    near = self.same_domain(node, term["topologyKey"])
                    raw[at] += sign * one["weight"] * self.matching(term["labelSelector"], near)
        for other, name in self.placed:
            theirs = other["spec"].get("affinity") or {}
            weighted = [
                (sign * one["weight"], one["podAffinityTerm"])
                for kind, sign in (("podAffinity", 1), ("podAntiAffinity", -1))
                for one in (theirs.get(kind) or {}).get(PREFERRED, ())
            ] + [(1, one) for one in (theirs.get("podAffinity") or {}).get(REQUIRED, ())]
            for weight, term in weighted:
                if from_object(term["labelSelector"]).matches(pod["metadata"]["labels"]):
                    any_term = True
                    for at, node in enumerate(nodes):
                        near = {one["metadata"]["name"] for one in self.same_domain(node, term["topologyKey"])}
                        raw[at] += weight * (name in near)
        spread = max(raw) - min(raw)
        return [int(100 * ((one - min(raw)) / spread)) if any_term and spread else 0 for one in raw]

    def spread_scores(self, pod, nodes):
        soft = [
            one
            for one in pod["spec"].get("topologySpreadConstraints") or ()
            if one["whenUnsatisfiable"] == "ScheduleAnyway"
        ]
        if not soft:
            return [0] * len(nodes)
        key = soft[0]["topologyKey"]
        scored = [self.domain(node, key) is not None for node in nodes]
        if not any(scored):
            return [0] * len(nodes)
        size = len({self.domain(node, key) for node, counts in zip(nodes, scored, strict=True) if counts})
        raw = []
        for node in nodes:
            near = [one for one in self.same_domain(node, key) if required_matches(pod["spec"], one)]
            found = self.matching(soft[0]["labelSelector"], near)
            raw.append(math.floor(found * math.log(size + 2) + soft[0]["maxSkew"] - 1 + 0.5))
        kept = [one for one, counts in zip(raw, scored, strict=True) if counts]
        if max(kept) == 0:
            return [100 * counts for counts in scored]
        return [
            100 * (max(kept) + min(kept) - one) // max(kept) if counts else 0
            for one, counts in zip(raw, scored, strict=True)
        ]


@pytest.mark.parametrize("seed", range(25))
def test_placement_equals_that_of_plain_loops(seed):
    chance = random.Random(seed)
    nodes = [random_node(chance, number) for number in range(chance.randint(1, 14))]
    table = NodeTable()
    for one in nodes:
        table.set_node(one)
    framework = default_framework(SchedulerOptions(), None, lambda _: [], chance=chance)
    placed: list = []
    for number in range(40):
        pod = random_pod(chance, number)
        info, state, plain = PodInfo(pod), CycleState(), Plain(nodes, placed)
        outcome, status = framework.run_filters(state, info, table)
        assert status.is_success
        expected = plain.feasible(pod)
        rows = np.nonzero(outcome.feasible)[0]
        assert {table.by_row[row].name for row in rows} == {one["metadata"]["name"] for one in expected}
        for one in nodes:
            single = framework.filter_node(info, table.nodes[one["metadata"]["name"]], table)
            assert single.is_success == (one in expected)
        if not expected:
            continue
        scores = dict(
            zip((table.by_row[row].name for row in rows), framework.scores(state, info, table, rows), strict=True)
        )
        names = [one["metadata"]["name"] for one in expected]
        assert {name: int(scores[name]) for name in names} == dict(zip(names, plain.scores(pod, expected), strict=True))
        node = framework.pick(state, info, table, outcome)
        table.set_pod(info, node.name)
        placed.append((pod, node.name))
        if placed and chance.random() < 0.2:
            gone, _ = placed.pop(chance.randrange(len(placed)))
            table.remove_pod(f"default/{gone['metadata']['name']}")
        if chance.random() < 0.1:
            at = chance.randrange(len(nodes))
            nodes[at] = random_node(chance, at)
            table.set_node(nodes[at])
