"""HorizontalPodAutoscalers: from metrics to replicas, and how fast."""

import pytest

from sampan.api import times
from sampan.client.resources import DEPLOYMENTS, HORIZONTALPODAUTOSCALERS, PODS
from sampan.controllers.hpa import POD_METRICS
from sampan.controllers.hpabehaviour import History, normalize

from .harness import running

HPA = "horizontal-pod-autoscaler-controller"
NOW = 1_700_000_000.0
LONG_AGO = times.format_time(NOW - 3600)


def metric(**target):
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def autoscaler(*metrics, **spec):
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
    metrics = list(metrics) or [metric(type="Utilization", averageUtilization=50)]
    spec = {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": 10, "metrics": metrics, **spec}
    metadata = {"name": "h", "namespace": "default"}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


def deployment(replicas):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "default"},
        "spec": {"replicas": replicas},
        "status": {"replicas": replicas, "selector": "app=x"},
    }


def pod(number, *, ready=True, requests="100m"):
    condition = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": LONG_AGO}
    resources = {"requests": {"cpu": requests}} if requests else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"p{number}", "namespace": "default", "labels": {"app": "x"}},
        "spec": {"containers": [{"name": "c", "resources": resources}]},
        "status": {"phase": "Running", "startTime": LONG_AGO, "conditions": [condition]},
    }


def usage(number, cpu):
    return {
        "apiVersion": "metrics.k8s.io/v1beta1",
        "kind": "PodMetrics",
        "metadata": {"name": f"p{number}", "namespace": "default", "labels": {"app": "x"}},
        "timestamp": times.format_time(NOW),
        "window": "30s",
        "containers": [{"name": "c", "usage": {"cpu": cpu, "memory": "1Mi"}}],
    }


def fill(api, scaler, usages, **pods):
    api.add(DEPLOYMENTS, deployment(len(usages)))
    for number, cpu in enumerate(usages):
        api.add(PODS, pod(number, **pods))
        if cpu is not None:
            api.add(POD_METRICS, usage(number, cpu))
    api.add(HORIZONTALPODAUTOSCALERS, scaler)


def replicas(cluster):
    return cluster.api.get(DEPLOYMENTS, "default", "d")["spec"]["replicas"]


def conditions(cluster):
    found = cluster.api.get(HORIZONTALPODAUTOSCALERS, "default", "h")["status"]["conditions"]
    return {one["type"]: (one["status"], one["reason"]) for one in found}


async def test_scales_up_in_proportion_and_says_why():
    async with running(HPA, prepare=lambda api: fill(api, autoscaler(), ["100m", "100m"])) as cluster:
        assert replicas(cluster) == 4
        status = cluster.api.get(HORIZONTALPODAUTOSCALERS, "default", "h")["status"]
        assert (status["currentReplicas"], status["desiredReplicas"]) == (2, 4)
        assert status["currentMetrics"][0]["resource"]["current"] == {"averageUtilization": 100, "averageValue": "100m"}
        assert conditions(cluster) == {
            "AbleToScale": ("True", "SucceededRescale"),
            "ScalingActive": ("True", "ValidMetricFound"),
            "ScalingLimited": ("False", "DesiredWithinRange"),
        }
        reason = "cpu resource utilization (percentage of request) above target"
        assert cluster.events() == [("Normal", "SuccessfulRescale", f"New size: 4; reason: {reason}")]


async def test_small_deviations_change_nothing_unless_the_tolerance_says_so():
    async with running(HPA, prepare=lambda api: fill(api, autoscaler(), ["54m", "54m"])) as cluster:
        assert replicas(cluster) == 2
    strict = autoscaler(behavior={"scaleUp": {"tolerance": "0.05"}})
    async with running(HPA, prepare=lambda api: fill(api, strict, ["54m", "54m"])) as cluster:
        assert replicas(cluster) == 3


async def test_scales_down_only_after_the_stabilization_window():
    async with running(HPA, prepare=lambda api: fill(api, autoscaler(), ["5m"] * 4)) as cluster:
        assert replicas(cluster) == 4
        assert conditions(cluster)["AbleToScale"] == ("True", "ScaleDownStabilized")
        for _ in range(25):
            await cluster.advance(15)
        assert replicas(cluster) == 1
        assert cluster.events()[-1][2] == "New size: 1; reason: All metrics below target"


async def test_average_value_and_the_largest_of_several_metrics():
    two = autoscaler(
        metric(type="AverageValue", averageValue="20m"), metric(type="Utilization", averageUtilization=100)
    )
    async with running(HPA, prepare=lambda api: fill(api, two, ["100m"])) as cluster:
        assert replicas(cluster) == 4  # five are asked for, but 4 at once is the limit
        assert conditions(cluster)["ScalingLimited"] == ("True", "ScaleUpLimit")


async def test_pods_without_metrics_dampen():
    async with running(HPA, prepare=lambda api: fill(api, autoscaler(), ["100m", None, None])) as cluster:
        assert replicas(cluster) == 3


async def test_without_metrics_nothing_happens_and_the_condition_tells():
    async with running(HPA, prepare=lambda api: fill(api, autoscaler(), [None, None])) as cluster:
        assert replicas(cluster) == 2
        assert conditions(cluster)["ScalingActive"] == ("False", "FailedGetResourceMetric")
        assert "FailedComputeMetricsReplicas" in [reason for _, reason, _ in cluster.events()]


async def test_missing_requests_are_named():
    async with running(HPA, prepare=lambda api: fill(api, autoscaler(), ["100m"], requests="")) as cluster:
        found = cluster.api.get(HORIZONTALPODAUTOSCALERS, "default", "h")["status"]["conditions"]
        assert "missing request for cpu in container c of Pod p0" in found[1]["message"]


async def test_zero_replicas_disable_and_limits_hold_without_metrics():
    async with running(HPA, prepare=lambda api: fill(api, autoscaler(), [])) as cluster:
        assert conditions(cluster)["ScalingActive"] == ("False", "ScalingDisabled")
        assert replicas(cluster) == 0
    async with running(HPA, prepare=lambda api: fill(api, autoscaler(maxReplicas=2), [None] * 5)) as cluster:
        assert replicas(cluster) == 2
    async with running(HPA, prepare=lambda api: fill(api, autoscaler(minReplicas=3), [None])) as cluster:
        assert replicas(cluster) == 3


async def test_target_that_is_not_there():
    async with running(HPA, prepare=lambda api: api.add(HORIZONTALPODAUTOSCALERS, autoscaler())) as cluster:
        assert conditions(cluster) == {"AbleToScale": ("False", "FailedGetScale")}
        assert cluster.events()[0][1] == "FailedGetScale"


def policies(direction, *found, **rules):
    listed = [{"type": type_, "value": value, "periodSeconds": period} for type_, value, period in found]
    return {direction: {"policies": listed, "stabilizationWindowSeconds": 0, **rules}}


@pytest.mark.parametrize(
    ("behaviour", "desired", "expected"),
    [
        (policies("scaleUp", ("Pods", 2, 60)), 20, 12),
        (policies("scaleUp", ("Pods", 2, 60), ("Percent", 50, 60)), 20, 15),
        (policies("scaleUp", ("Pods", 2, 60), ("Percent", 50, 60), selectPolicy="Min"), 20, 12),
        (policies("scaleUp", ("Pods", 2, 60), selectPolicy="Disabled"), 20, 10),
        (policies("scaleDown", ("Pods", 2, 60)), 1, 8),
        (policies("scaleDown", ("Percent", 50, 60)), 1, 5),
        (policies("scaleDown", ("Percent", 50, 60), selectPolicy="Disabled"), 1, 10),
    ],
)
def test_policies_bound_the_rate(behaviour, desired, expected):
    verdict = normalize(desired, 10, least=1, most=100, behaviour=behaviour, history=History(), now=NOW)
    assert verdict.replicas == expected


def test_what_was_done_within_the_period_counts():
    behaviour, history = policies("scaleUp", ("Pods", 4, 60)), History()
    history.scaled(3, NOW - 30, behaviour)
    verdict = normalize(50, 13, least=1, most=100, behaviour=behaviour, history=history, now=NOW)
    assert verdict.replicas == 14
    assert verdict.limited[1] == "ScaleUpLimit"
