from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sampan.apiserver.registry.core.qos import pod_qos
from tests.unit.apiserver.registry.desk import Desk, gvr

if TYPE_CHECKING:
    from sampan.api.object import Object

PODS = gvr("v1", "pods")


def pod(**spec: object) -> Object:
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "nginx"}], **spec}}


def made(desk: Desk, **spec: object) -> Object:
    obj, errors = desk.create(PODS, pod(**spec))
    assert errors == []
    return obj


def test_a_minimal_pod_gets_the_defaults() -> None:
    obj = made(Desk())
    assert obj["spec"] == {
        "containers": [
            {
                "name": "c",
                "image": "nginx",
                "resources": {},
                "imagePullPolicy": "Always",
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }
        ],
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
        "schedulerName": "default-scheduler",
        "enableServiceLinks": True,
    }
    assert obj["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


def test_defaulting_twice_changes_nothing() -> None:
    desk = Desk()
    once = made(desk, volumes=[{"name": "v", "secret": {"secretName": "s"}}], hostNetwork=True)
    again = desk.decode(PODS, once)
    assert again == once


@pytest.mark.parametrize(
    ("image", "policy"),
    [("nginx", "Always"), ("nginx:latest", "Always"), ("nginx:1.27", "IfNotPresent"), ("r:5000/nginx", "Always")],
)
def test_the_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    obj = made(Desk(), containers=[{"name": "c", "image": image}])
    assert obj["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_requests_default_to_limits() -> None:
    obj = made(Desk(), containers=[{"name": "c", "image": "i", "resources": {"limits": {"cpu": "1"}}}])
    assert obj["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "1"}


def test_host_ports_default_to_container_ports_on_the_host_network() -> None:
    container = {"name": "c", "image": "i", "ports": [{"containerPort": 80}]}
    obj = made(Desk(), hostNetwork=True, containers=[container])
    assert obj["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"containers": []}, "spec.containers: Required value"),
        ({"containers": [{"name": "c"}]}, "spec.containers[0].image: Required value"),
        (
            {"containers": [{"name": "c", "image": "i"}, {"name": "c", "image": "i"}]},
            'spec.containers[1].name: Duplicate value: "c"',
        ),
        (
            {"restartPolicy": "Sometimes"},
            'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
        ),
        (
            {"containers": [{"name": "c", "image": "i", "volumeMounts": [{"name": "x", "mountPath": "/x"}]}]},
            'spec.containers[0].volumeMounts[0].name: Not found: "x"',
        ),
        (
            {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": 1}, "requests": {"cpu": 2}}}]},
            'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
        ),
        (
            {"terminationGracePeriodSeconds": 1, "activeDeadlineSeconds": 0},
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
        ),
    ],
)
def test_what_is_wrong_with_a_pod_is_said_as_kubernetes_says_it(spec: Object, message: str) -> None:
    _, errors = Desk().create(PODS, pod(**spec))
    assert errors == [message]


def test_images_may_be_changed() -> None:
    desk = Desk()
    new, errors = desk.update(PODS, made(desk), {"spec/containers/0/image": "nginx:2"})
    assert errors == []
    assert new["spec"]["containers"][0]["image"] == "nginx:2"


def test_a_forbidden_change_shows_the_difference_of_the_unversioned_types() -> None:
    desk = Desk()
    _, errors = desk.update(PODS, made(desk), {"spec/containers/0/command": ["sh"]})
    (error,) = errors
    assert error.startswith("spec: Forbidden: pod updates may not change fields other than")
    assert '"Command"' in error


def test_tolerations_may_be_added_but_not_removed() -> None:
    desk = Desk()
    old = made(desk, tolerations=[{"key": "a", "operator": "Exists"}])
    more = [*old["spec"]["tolerations"], {"key": "b", "operator": "Exists"}]
    assert desk.update(PODS, old, {"spec/tolerations": more})[1] == []
    assert desk.update(PODS, old, {"spec/tolerations": more[1:]})[1] != []


def test_a_resize_changes_resources_and_nothing_else() -> None:
    desk = Desk(InPlacePodVerticalScaling=True)
    resources = {"requests": {"cpu": "1"}}
    old = made(desk, containers=[{"name": "c", "image": "i", "resources": resources}])
    change = {"spec/containers/0/resources": {"requests": {"cpu": "2"}}, "spec/containers/0/image": "other"}
    new, errors = desk.update(PODS, old, change, "resize")
    assert errors == []
    assert new["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "2"}
    assert new["spec"]["containers"][0]["image"] == "i"


def test_ephemeral_containers_are_only_added_through_their_subresource() -> None:
    desk = Desk()
    old = made(desk)
    debugger = {"name": "d", "image": "busybox", "targetContainerName": "c"}
    new, errors = desk.update(PODS, old, {"spec/ephemeralContainers": [debugger]}, "ephemeralcontainers")
    assert errors == []
    assert new["spec"]["ephemeralContainers"][0]["name"] == "d"
    _, errors = desk.update(PODS, old, {"spec/ephemeralContainers": [debugger]})
    assert errors != []


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"requests": {"cpu": "1000m", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}}, "Burstable"),
        ({"requests": {"example.com/gpu": "1"}, "limits": {"example.com/gpu": "1"}}, "BestEffort"),
    ],
)
def test_the_quality_of_service_follows_cpu_and_memory(resources: Object, expected: str) -> None:
    assert pod_qos({"containers": [{"name": "c", "resources": resources}]}) == expected


def test_a_pod_can_be_selected_by_node_and_phase() -> None:
    desk = Desk()
    fields = desk.strategy(PODS).selectable_fields(made(desk, nodeName="n1"))
    assert fields["spec.nodeName"] == "n1"
    assert fields["status.phase"] == "Pending"
