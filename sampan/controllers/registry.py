"""The table of all controllers, with kube-controller-manager's names, and how a choice of them is built."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sampan.controllers.context import ControllerContext
    from sampan.runtime.controller import Controller

_TABLE: dict[str, tuple[str, str]] = {
    "serviceaccount-controller": ("serviceaccount", "new"),
    "root-ca-certificate-publisher-controller": ("serviceaccount", "new_root_ca_publisher"),
    "replicationcontroller-controller": ("replicaset", "new_replication_controller"),
    "replicaset-controller": ("replicaset", "new"),
    "deployment-controller": ("deployment", "new"),
    "daemonset-controller": ("daemonset", "new"),
    "job-controller": ("job", "new"),
    "statefulset-controller": ("statefulset", "new"),
    "endpoints-controller": ("endpoints", "new"),
    "endpointslice-controller": ("endpointslice", "new"),
    "endpointslice-mirroring-controller": ("endpointslicemirroring", "new"),
    "cronjob-controller": ("cronjob", "new"),
    "ttl-after-finished-controller": ("ttlafterfinished", "new"),
    "namespace-controller": ("namespace", "new"),
    "resourcequota-controller": ("resourcequota", "new"),
    "garbage-collector-controller": ("garbagecollector", "new"),
    "pod-garbage-collector-controller": ("podgc", "new"),
    "node-ipam-controller": ("nodeipam", "new"),
    "node-lifecycle-controller": ("nodelifecycle", "new"),
    "taint-eviction-controller": ("tainteviction", "new"),
    "service-lb-controller": ("servicelb", "new"),
    "certificatesigningrequest-approving-controller": ("csr", "new_approver"),
    "certificatesigningrequest-signing-controller": ("csr", "new_signer"),
    "certificatesigningrequest-cleaner-controller": ("csr", "new_cleaner"),
    "token-cleaner-controller": ("tokencleaner", "new"),
    "clusterrole-aggregation-controller": ("clusterroleaggregation", "new"),
    "persistentvolume-binder-controller": ("volumebinder", "new"),
    "persistentvolumeclaim-protection-controller": ("volumeprotection", "new_claim_protection"),
    "persistentvolume-protection-controller": ("volumeprotection", "new_volume_protection"),
    "ephemeral-volume-controller": ("ephemeralvolume", "new"),
    "local-path-provisioner": ("localpath", "new"),
    "horizontal-pod-autoscaler-controller": ("hpa", "new"),
    "disruption-controller": ("disruption", "new"),
    "stale-disruption-condition-controller": ("disruption", "new_condition_cleaner"),
}
"""Name to module and factory, in the order of their start: a fresh cluster waits for its ServiceAccounts first."""


def names() -> tuple[str, ...]:
    """The names of all controllers."""
    return tuple(_TABLE)


def chosen(wanted: Sequence[str]) -> list[str]:
    """Resolve ``*``, ``name`` and ``-name`` as kube-controller-manager's ``--controllers``. Raises SampanError."""
    for one in wanted:
        if one != "*" and one.removeprefix("-") not in _TABLE:
            raise SampanError(f"{one.removeprefix('-')!r} is not in the list of known controllers")
    everything = "*" in wanted
    return [name for name in _TABLE if f"-{name}" not in wanted and (everything or name in wanted)]


def import_all() -> None:
    """Import the modules of all controllers, which takes a tenth of a second or two."""
    for module, _ in _TABLE.values():
        import_module(f"sampan.controllers.{module}")


def build(context: ControllerContext) -> list[Controller]:
    """Make the controllers that the context's options ask for."""
    built = []
    for name in chosen(context.options.controllers):
        module, factory = _TABLE[name]
        new: Callable[[ControllerContext], Controller] = getattr(import_module(f"sampan.controllers.{module}"), factory)
        controller = new(context)
        controller.informers = context.taken()
        built.append(controller)
    return built
