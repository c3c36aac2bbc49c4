from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sampan.api import tables
from sampan.api.gvk import GroupVersionResource

if TYPE_CHECKING:
    from sampan.api.object import Object

PODS = GroupVersionResource("", "v1", "pods")
NOW = 1_700_000_000.0
CREATED = "2023-11-14T22:03:20Z"  # ten minutes before NOW


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (200, "3m20s"),
        (599, "9m59s"),
        (600, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 120, "3h2m"),
        (8 * 3600, "8h"),
        (48 * 3600 - 1, "47h"),
        (48 * 3600, "2d"),
        (49 * 3600, "2d1h"),
        (8 * 86400, "8d"),
        (2 * 365 * 86400, "2y"),
        (3 * 365 * 86400 + 5 * 86400, "3y5d"),
        (8 * 365 * 86400 + 86400, "8y"),
    ],
)
def test_ages_are_spelled_as_kubectl_spells_them(seconds: int, text: str) -> None:
    assert tables.human_duration(seconds) == text


def pod(status: Object, *, count: int = 1, **metadata: object) -> Object:
    containers = [{"name": f"c{number}", "image": "i"} for number in range(count)]
    return {
        "metadata": {"name": "p", "creationTimestamp": CREATED, **metadata},
        "spec": {"containers": containers},
        "status": status,
    }


def running(*, ready: bool = True, restarts: int = 0) -> Object:
    return {
        "name": "c0",
        "ready": ready,
        "restartCount": restarts,
        "state": {"running": {"startedAt": CREATED}},
    }


def waiting(reason: str) -> Object:
    return {"name": "c0", "ready": False, "restartCount": 0, "state": {"waiting": {"reason": reason}}}


def ended(code: int, reason: str = "") -> Object:
    state = {"terminated": {"exitCode": code, "reason": reason, "finishedAt": CREATED}}
    return {"name": "c0", "ready": False, "restartCount": 0, "state": state}


@pytest.mark.parametrize(
    ("status", "ready", "shown"),
    [
        ({"phase": "Pending"}, "0/1", "Pending"),
        ({"phase": "Running", "containerStatuses": [running()]}, "1/1", "Running"),
        ({"phase": "Pending", "containerStatuses": [waiting("ContainerCreating")]}, "0/1", "ContainerCreating"),
        ({"phase": "Running", "containerStatuses": [waiting("CrashLoopBackOff")]}, "0/1", "CrashLoopBackOff"),
        ({"phase": "Succeeded", "containerStatuses": [ended(0, "Completed")]}, "0/1", "Completed"),
        ({"phase": "Failed", "containerStatuses": [ended(2)]}, "0/1", "ExitCode:2"),
        ({"phase": "Failed", "reason": "Evicted"}, "0/1", "Evicted"),
    ],
)
def test_a_pod_row_tells_its_state(status: Object, ready: str, shown: str) -> None:
    cells = tables.row(PODS, pod(status), NOW)
    assert cells[:3] == ["p", ready, shown]
    assert cells[4] == "10m"


def test_a_pod_that_goes_away_is_terminating() -> None:
    obj = pod({"phase": "Running", "containerStatuses": [running()]}, deletionTimestamp=CREATED)
    assert tables.row(PODS, obj, NOW)[2] == "Terminating"


def test_restarts_tell_when_the_last_one_was() -> None:
    status = running(restarts=3)
    status["lastState"] = {"terminated": {"exitCode": 1, "finishedAt": CREATED}}
    cells = tables.row(PODS, pod({"phase": "Running", "containerStatuses": [status]}), NOW)
    assert cells[3] == "3 (10m ago)"


def test_init_containers_are_counted_while_they_run() -> None:
    obj = pod({"phase": "Pending", "initContainerStatuses": [{**waiting("PodInitializing"), "name": "i"}]})
    obj["spec"]["initContainers"] = [{"name": "i", "image": "i"}, {"name": "j", "image": "i"}]
    assert tables.row(PODS, obj, NOW)[2] == "Init:0/2"


@pytest.mark.parametrize(
    "resource",
    [
        PODS,
        GroupVersionResource("", "v1", "services"),
        GroupVersionResource("", "v1", "nodes"),
        GroupVersionResource("apps", "v1", "deployments"),
        GroupVersionResource("batch", "v1", "jobs"),
        GroupVersionResource("networking.k8s.io", "v1", "ingresses"),
        GroupVersionResource("coordination.k8s.io", "v1", "leases"),
    ],
)
def test_a_row_has_a_cell_for_every_column(resource: GroupVersionResource) -> None:
    obj: Object = {"metadata": {"name": "x", "namespace": "ns", "creationTimestamp": CREATED}, "spec": {}, "status": {}}
    assert len(tables.row(resource, obj, NOW)) == len(tables.columns(resource))


def test_a_column_is_described_by_the_field_that_it_shows() -> None:
    name = tables.columns(PODS)[0]
    assert (name["name"], name["type"], name["format"], name["priority"]) == ("Name", "string", "name", 0)
    assert name["description"].startswith("Name must be unique within a namespace.")
