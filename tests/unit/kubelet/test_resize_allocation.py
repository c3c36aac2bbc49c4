"""In-place resize: what is allocated, what waits, what is refused."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sampan.kubelet import podresize
from sampan.kubelet.cgroups import _is_higher

ALLOCATABLE = {"cpu": "2", "memory": "1Gi", "pods": "10"}


def pod(cpu, name="p"):
    container = {"name": "c", "resources": {"requests": {"cpu": cpu}}}
    return {"metadata": {"name": name, "namespace": "d"}, "spec": {"containers": [container]}}


def resized(wanted, *others):
    retries = []
    worker = SimpleNamespace(
        pod=pod(wanted), resize=podresize.begin(pod("100m")), node=SimpleNamespace(allocatable=ALLOCATABLE),
        others=lambda: others, retry_in=retries.append,
    )  # fmt: skip
    podresize.allocate(worker)
    return worker, retries


def test_what_fits_is_allocated():
    worker, _ = resized("1500m")
    assert worker.resize.pending is None
    assert worker.resize.allocated == {"c": {"requests": {"cpu": "1500m"}}}


@pytest.mark.parametrize(
    ("wanted", "others", "reason", "retried"),
    [("3", (), "Infeasible", 0), ("1500m", (pod("1", "other"),), "Deferred", 1)],
)
def test_what_does_not_fit_keeps_its_allocation(wanted, others, reason, retried):
    worker, retries = resized(wanted, *others)
    assert worker.resize.pending[0] == reason
    assert len(retries) == retried
    shown = podresize.allocated(worker.pod, worker.resize)
    assert shown["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "100m"}}
    assert [c[:3] for c in podresize.conditions(worker.resize)] == [("PodResizePending", True, reason)]


def test_a_restarted_agent_goes_by_what_was_reported():
    known = {**pod("1"), "status": {"containerStatuses": [{"name": "c", "resources": {"requests": {"cpu": "1m"}}}]}}
    assert podresize.begin(known).allocated == {"c": {"requests": {"cpu": "1m"}}}


@pytest.mark.parametrize(
    ("before", "after", "higher"),
    [
        ("200 100000\n", "100 100000", True),
        ("100", "200", False),
        ("max 100000", "5 100000", True),
        ("-1\n", "5", True),
    ],
)
def test_growing_leaves_higher_limits_alone(before, after, higher):
    assert _is_higher(before, after) is higher
