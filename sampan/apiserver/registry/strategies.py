"""Which strategy serves which resource: an explicit table, its modules imported when a resource is first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from sampan.apiserver.registry.strategy import Strategy

if TYPE_CHECKING:
    from sampan.api.gvk import ResourceInfo

_HERE = "sampan.apiserver.registry"

STRATEGIES: dict[tuple[str, str], str] = {
    ("", "pods"): "core.pod:PodStrategy",
    ("", "services"): "core.service:ServiceStrategy",
    ("", "configmaps"): "core.configuration:ConfigMapStrategy",
    ("", "secrets"): "core.configuration:SecretStrategy",
    ("", "namespaces"): "core.cluster:NamespaceStrategy",
    ("", "nodes"): "core.cluster:NodeStrategy",
    ("", "serviceaccounts"): "core.cluster:ServiceAccountStrategy",
    ("", "events"): "core.events:EventStrategy",
    ("events.k8s.io", "events"): "core.events:NewEventStrategy",
    ("", "endpoints"): "core.endpoints:EndpointsStrategy",
    ("", "replicationcontrollers"): "core.replication:ReplicationControllerStrategy",
    ("", "podtemplates"): "core.replication:PodTemplateStrategy",
    ("", "persistentvolumes"): "core.persistence:PersistentVolumeStrategy",
    ("", "persistentvolumeclaims"): "core.persistence:PersistentVolumeClaimStrategy",
    ("", "limitranges"): "core.quota:LimitRangeStrategy",
    ("", "resourcequotas"): "core.quota:ResourceQuotaStrategy",
    ("apps", "deployments"): "apps.deployment:DeploymentStrategy",
    ("apps", "replicasets"): "apps.deployment:ReplicaSetStrategy",
    ("apps", "statefulsets"): "apps.statefulset:StatefulSetStrategy",
    ("apps", "controllerrevisions"): "apps.statefulset:ControllerRevisionStrategy",
    ("apps", "daemonsets"): "apps.daemonset:DaemonSetStrategy",
    ("batch", "jobs"): "batch.job:JobStrategy",
    ("batch", "cronjobs"): "batch.cronjob:CronJobStrategy",
    ("policy", "poddisruptionbudgets"): "policy.poddisruptionbudget:PodDisruptionBudgetStrategy",
}
"""(group, resource) -> module below this package, and class."""


def strategy_for(info: ResourceInfo) -> Strategy:
    """Build the strategy of a built-in resource; the generic one where nothing is special."""
    return strategy_class(info.group, info.resource, info.version)(info)


def strategy_class(group: str, resource: str, version: str = "") -> type[Strategy]:
    """Find the class; version: only where the versions of a group differ."""
    place = STRATEGIES.get((f"{group}/{version}", resource)) or STRATEGIES.get((group, resource))
    if place is None:
        return Strategy
    module, _, name = place.partition(":")
    found: type[Strategy] = getattr(import_module(f"{_HERE}.{module}"), name)
    return found
