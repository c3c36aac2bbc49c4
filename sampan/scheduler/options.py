"""What the scheduler is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_WEIGHTS: Mapping[str, int] = {
    "TaintToleration": 3,
    "NodeAffinity": 2,
    "PodTopologySpread": 2,
    "InterPodAffinity": 2,
    "NodeResourcesFit": 1,
    "NodeResourcesBalancedAllocation": 1,
    "ImageLocality": 1,
}
"""Kubernetes' default score weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerOptions:
    """Options of `Scheduler`; the defaults are kube-scheduler's.

    backoff_initial, backoff_max: seconds a pod waits after its first failed attempt, and at most.
    unschedulable_timeout: seconds after which a waiting pod is tried again though nothing happened. parallel_binds: how
    many bindings may be under way.
    """

    scheduler_name: str = "default-scheduler"
    backoff_initial: float = 1.0
    backoff_max: float = 10.0
    unschedulable_timeout: float = 300.0
    parallel_binds: int = 64
    weights: Mapping[str, int] = field(default_factory=lambda: dict(DEFAULT_WEIGHTS))
