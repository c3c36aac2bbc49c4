from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from sampan.api.gvk import GroupResource
from tests.unit.apiserver.registry.desk import Desk, gvr

if TYPE_CHECKING:
    from sampan.api.object import Object

EVENT: Object = {
    "metadata": {"name": "e"},
    "regarding": {"kind": "Pod", "name": "p", "namespace": "ns"},
    "note": "hello",
    "type": "Normal",
    "reason": "Started",
    "action": "Start",
    "reportingController": "example.com/c",
    "reportingInstance": "c-1",
    "eventTime": "2024-01-01T00:00:00.000000Z",
}


def test_an_event_of_the_new_group_is_stored_as_a_core_one() -> None:
    desk, resource = Desk(), gvr("events.k8s.io/v1", "events")
    strategy = desk.strategy(resource)
    assert strategy.stored_as == GroupResource("", "events")
    obj = desk.decode(resource, EVENT)
    stored = strategy.to_stored(copy.deepcopy(obj))
    assert (stored["apiVersion"], stored["message"]) == ("v1", "hello")
    assert stored["involvedObject"] == {"kind": "Pod", "name": "p", "namespace": "ns"}
    assert stored["reportingComponent"] == "example.com/c"
    back = strategy.from_stored(stored)
    assert {key: back[key] for key in EVENT if key != "metadata"} == {
        key: value for key, value in EVENT.items() if key != "metadata"
    }


def test_an_event_must_lie_in_the_namespace_of_its_object() -> None:
    desk = Desk()
    body: Object = {"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "namespace": "other"}}
    _, errors = desk.create(gvr("v1", "events"), body)
    assert errors == ['involvedObject.namespace: Invalid value: "other": does not match event.namespace']


def test_an_autoscaler_keeps_its_cpu_target_between_versions() -> None:
    desk, resource = Desk(), gvr("autoscaling/v1", "horizontalpodautoscalers")
    strategy = desk.strategy(resource)
    target = {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}
    body: Object = {
        "metadata": {"name": "h"},
        "spec": {"maxReplicas": 3, "targetCPUUtilizationPercentage": 50, "scaleTargetRef": target},
    }
    stored = strategy.to_stored(desk.decode(resource, body))
    assert stored["apiVersion"] == "autoscaling/v2"
    assert stored["spec"]["metrics"] == [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
    ]
    back = strategy.from_stored(stored)
    assert back["spec"]["targetCPUUtilizationPercentage"] == 50
    assert "metrics" not in back["spec"]


def test_metrics_that_v1_lacks_travel_in_annotations() -> None:
    desk = Desk()
    v2, v1 = (gvr(f"autoscaling/{version}", "horizontalpodautoscalers") for version in ("v2", "v1"))
    metric = {"type": "Resource", "resource": {"name": "memory", "target": {"type": "Value", "value": "1Gi"}}}
    target = {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}
    body: Object = {
        "metadata": {"name": "h"},
        "spec": {"maxReplicas": 3, "scaleTargetRef": target, "metrics": [metric]},
    }
    obj = desk.decode(v2, body)
    shown = desk.strategy(v1).from_stored(copy.deepcopy(obj))
    assert "autoscaling.alpha.kubernetes.io/metrics" in shown["metadata"]["annotations"]
    stored = desk.strategy(v1).to_stored(copy.deepcopy(shown))
    assert stored["spec"]["metrics"] == obj["spec"]["metrics"]
    assert "annotations" not in stored["metadata"]
