"""Pure rules of pods, taints and affinity."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sampan.api import affinity, pods, taints


def container(name: str = "c", *, restart: str = "", **amounts: Any) -> Any:
    found = {"name": name, "resources": amounts}
    return {**found, "restartPolicy": restart} if restart else found


def pod(*containers: Any, init: Any = (), **spec: Any) -> Any:
    return {"metadata": {}, "spec": {"containers": list(containers), "initContainers": list(init), **spec}}


BOTH = {"cpu": "1", "memory": "1Gi"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (pod(container()), "BestEffort"),
        (pod(container(requests={"cpu": "0"})), "BestEffort"),
        (pod(container(requests={"example.com/gpu": "1"})), "BestEffort"),
        (pod(container(requests={"cpu": "1"})), "Burstable"),
        (pod(container(requests=BOTH, limits=BOTH)), "Guaranteed"),
        (pod(container(requests={"cpu": "1000m", "memory": "1024Mi"}, limits=BOTH)), "Guaranteed"),
        (pod(container(requests=BOTH, limits=BOTH), container("d")), "Burstable"),
        (pod(container(requests=BOTH, limits=BOTH), init=[container("i")]), "Burstable"),
        (pod(container(), resources={"requests": BOTH, "limits": BOTH}), "Guaranteed"),
        (pod(container(), resources={"requests": BOTH}), "Burstable"),
    ],
)
def test_qos_class(spec: Any, expected: str) -> None:
    assert pods.qos_class(spec) == expected


def test_requests_count_init_containers_sidecars_and_overhead() -> None:
    spec = pod(
        container("a", requests={"cpu": "100m", "memory": "1Gi"}),
        container("b", requests={"cpu": "100m"}),
        init=[
            container("first", requests={"cpu": "1"}),
            container("sidecar", restart="Always", requests={"cpu": "300m"}),
            container("second", requests={"cpu": "800m"}),
        ],
        overhead={"cpu": "10m"},
    )
    assert pods.requests(spec) == {"cpu": Decimal("1.11"), "memory": Decimal(2**30)}
    assert pods.requests(spec, overhead=False)["cpu"] == Decimal("1.1")


def test_pod_level_requests_win() -> None:
    spec = pod(container(requests={"cpu": "100m", "ephemeral-storage": "1"}), resources={"requests": {"cpu": "2"}})
    assert pods.requests(spec) == {"cpu": 2, "ephemeral-storage": 1}


def test_limits_count_overhead_only_where_there_is_a_limit() -> None:
    spec = pod(container(limits={"cpu": "1"}), overhead={"cpu": "10m", "memory": "1Mi"})
    assert pods.limits(spec) == {"cpu": Decimal("1.01")}


def test_a_resize_counts_what_is_more() -> None:
    spec = pod(container(requests={"cpu": "1"}))
    spec["status"] = {
        "containerStatuses": [
            {"name": "c", "resources": {"requests": {"cpu": "2"}}, "allocatedResources": {"cpu": "1500m"}}
        ]
    }
    assert pods.requests(spec, use_status=True) == {"cpu": 2}
    assert pods.requests(spec) == {"cpu": 1}


def test_readiness_and_availability() -> None:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:01:40Z"}
    found = {"metadata": {}, "spec": {}, "status": {"phase": "Running", "conditions": [ready]}}
    assert pods.is_ready(found)
    assert pods.is_active(found)
    assert not pods.is_available(found, 10, 105)
    assert pods.is_available(found, 10, 110)
    assert pods.available_in(found, 10, 105) == 5


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "k", "operator": "Exists"}, True),
        ({"key": "k", "value": "v"}, True),
        ({"key": "k", "operator": "Equal", "value": "v", "effect": "NoExecute"}, True),
        ({"key": "k", "value": "other"}, False),
        ({"key": "k", "operator": "Exists", "effect": "NoSchedule"}, False),
        ({"key": "x", "operator": "Exists"}, False),
    ],
)
def test_tolerations(toleration: Any, tolerated: bool) -> None:  # noqa: FBT001
    taint = {"key": "k", "value": "v", "effect": "NoExecute"}
    assert taints.tolerates(toleration, taint) is tolerated
    assert (taints.untolerated([taint], [toleration]) is None) is tolerated


def test_the_shortest_toleration_counts() -> None:
    assert taints.toleration_seconds([{}, {"tolerationSeconds": 30}, {"tolerationSeconds": 5}]) == 5
    assert taints.toleration_seconds([{"tolerationSeconds": -1}]) == 0
    assert taints.toleration_seconds([{}]) is None
    assert taints.matching_tolerations([{"key": "a", "effect": "NoExecute"}], []) is None


@pytest.mark.parametrize(
    ("key", "operator", "values", "matches"),
    [
        ("zone", "In", ["a", "b"], True),
        ("zone", "NotIn", ["a"], False),
        ("absent", "NotIn", ["a"], True),
        ("zone", "Exists", [], True),
        ("absent", "DoesNotExist", [], True),
        ("n", "Gt", ["4"], True),
        ("n", "Lt", ["5"], False),
        ("zone", "Gt", ["1"], False),
        ("zone", "Nope", ["a"], False),
    ],
)
def test_node_selector_requirements(key: str, operator: str, values: list[str], matches: bool) -> None:  # noqa: FBT001
    requirement = {"key": key, "operator": operator, "values": values}
    assert affinity.requirement_matches(requirement, {"zone": "a", "n": "5"}) is matches


def test_required_node_affinity_is_any_term_and_the_node_selector() -> None:
    node = {"metadata": {"name": "n1", "labels": {"zone": "a"}}}
    in_zone = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]}
    by_name = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [in_zone, by_name, {}]}}
    spec: Any = {"affinity": {"nodeAffinity": required}}
    assert affinity.required_matches(spec, node)
    assert not affinity.required_matches({**spec, "nodeSelector": {"zone": "b"}}, node)
    required["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"] = [{}]
    assert not affinity.required_matches(spec, node)
    assert affinity.required_matches({}, node)


def test_preferences_add_up() -> None:
    node = {"metadata": {"name": "n1", "labels": {"zone": "a"}}}
    term = {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}
    preferred = [{"weight": 3, "preference": term}, {"weight": 4, "preference": term}, {"weight": 5, "preference": {}}]
    spec = {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}}
    assert affinity.preference(spec, node) == 7
