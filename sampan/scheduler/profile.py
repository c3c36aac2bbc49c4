"""The default profile: Kubernetes' default plugins, in its order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.base.clock import RealClock
from sampan.scheduler.framework import Framework
from sampan.scheduler.plugins.defaultbinder import DefaultBinder
from sampan.scheduler.plugins.images import ImageLocality
from sampan.scheduler.plugins.interpodaffinity import InterPodAffinity
from sampan.scheduler.plugins.nodes import NodeAffinity, NodeName, NodeUnschedulable, TaintToleration
from sampan.scheduler.plugins.ports import NodePorts
from sampan.scheduler.plugins.preemption import DefaultPreemption
from sampan.scheduler.plugins.queuesort import PrioritySort, SchedulingGates
from sampan.scheduler.plugins.resources import NodeResourcesBalancedAllocation, NodeResourcesFit
from sampan.scheduler.plugins.topologyspread import PodTopologySpread
from sampan.scheduler.plugins.volumebinding import VolumeBinding
from sampan.scheduler.plugins.volumelimits import NodeVolumeLimits
from sampan.scheduler.plugins.volumerules import VolumeRestrictions, VolumeZone

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable

    from sampan.api.labels import Selector
    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.client.client import Client
    from sampan.scheduler.interface import Plugin
    from sampan.scheduler.options import SchedulerOptions
    from sampan.scheduler.podinfo import PodInfo
    from sampan.scheduler.volumecaches import VolumeCaches


def default_framework(
    options: SchedulerOptions,
    client: Client,
    budgets: Callable[[str], Iterable[Object]],
    *,
    selector_of: Callable[[PodInfo], Selector | None] | None = None,
    chance: random.Random | None = None,
    volumes: VolumeCaches | None = None,
    clock: Clock | None = None,
) -> Framework:
    """Build the default profile.

    budgets: the PodDisruptionBudgets of a namespace. selector_of: what a pod shares with its like. chance: for ties.
    volumes: None leaves out what concerns volumes.
    """
    preemption = DefaultPreemption(budgets, chance=chance)
    restrictions: list[Plugin] = []
    bindings: list[Plugin] = []
    if volumes is not None:
        restrictions = [VolumeRestrictions(volumes), NodeVolumeLimits(volumes)]
        bindings = [VolumeBinding(volumes, client, clock or RealClock()), VolumeZone(volumes)]
    framework = Framework(
        [
            SchedulingGates(),
            PrioritySort(),
            NodeUnschedulable(),
            NodeName(),
            TaintToleration(),
            NodeAffinity(),
            NodePorts(),
            NodeResourcesFit(),
            *restrictions,
            *bindings,
            PodTopologySpread(selector_of),
            InterPodAffinity(),
            preemption,
            NodeResourcesBalancedAllocation(),
            ImageLocality(),
            DefaultBinder(client),
        ],
        options.weights,
        chance=chance,
    )
    preemption.framework = framework
    return framework
