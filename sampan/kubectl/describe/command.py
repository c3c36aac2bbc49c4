"""The command: finds the objects and each one's describer."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from sampan.api.errors import APIStatusError, NotFound
from sampan.kubectl.builder import FILE_FLAGS, SELECT_FLAGS, Failures, Target, from_arguments, from_files
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.fetch import fetch, member, typed_items
from sampan.kubectl.flags import Flag

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.session import Session

_FLAGS = (
    *FILE_FLAGS,
    *(flag for flag in SELECT_FLAGS if flag.name != "field-selector"),
    Flag(name="chunk-size", kind="int", default=500, help="Objects a request; 0 for all at once."),
    Flag(name="show-events", kind="bool", default=True, help="Show the events of each object."),
)
_DESCRIBERS = {
    "pods": "pod:describe_pod",
    "replicationcontrollers": "workloads:describe_controller",
    "replicasets.apps": "workloads:describe_controller",
    "deployments.apps": "workloads:describe_deployment",
    "statefulsets.apps": "workloads:describe_stateful_set",
    "daemonsets.apps": "workloads:describe_daemon_set",
    "jobs.batch": "jobs:describe_job",
    "cronjobs.batch": "jobs:describe_cron_job",
    "services": "network:describe_service",
    "endpoints": "network:describe_endpoints",
    "endpointslices.discovery.k8s.io": "network:describe_endpoint_slice",
    "ingresses.networking.k8s.io": "ingress:describe_ingress",
    "ingressclasses.networking.k8s.io": "ingress:describe_ingress_class",
    "networkpolicies.networking.k8s.io": "networkpolicy:describe_network_policy",
    "nodes": "node:describe_node",
    "namespaces": "namespace:describe_namespace",
    "resourcequotas": "namespace:describe_quota",
    "limitranges": "namespace:describe_limit_range",
    "secrets": "configuration:describe_secret",
    "configmaps": "configuration:describe_config_map",
    "serviceaccounts": "configuration:describe_service_account",
    "priorityclasses.scheduling.k8s.io": "configuration:describe_priority_class",
    "persistentvolumes": "storage:describe_volume",
    "persistentvolumeclaims": "storage:describe_claim",
    "storageclasses.storage.k8s.io": "storage:describe_class",
    "horizontalpodautoscalers.autoscaling": "policy:describe_autoscaler",
    "poddisruptionbudgets.policy": "policy:describe_disruption_budget",
    "certificatesigningrequests.certificates.k8s.io": "policy:describe_signing_request",
    "roles.rbac.authorization.k8s.io": "rbac:describe_role",
    "clusterroles.rbac.authorization.k8s.io": "rbac:describe_role",
    "rolebindings.rbac.authorization.k8s.io": "rbac:describe_binding",
    "clusterrolebindings.rbac.authorization.k8s.io": "rbac:describe_binding",
}
"""Qualified resource -> module:function; every other resource is described by its fields."""


async def run(session: Session, arguments: list[str], dash: int) -> None:
    """Run the command."""
    del dash
    values = session.values
    targets = await (from_files(session) if values.filename else from_arguments(session, arguments))
    if not targets:
        raise KubectlError(
            'You must specify the type of resource to describe. Use "kubectl api-resources" for a complete list of '
            "supported resources."
        )  # fmt: skip
    if values.selector and any(target.name for target in targets) and not values.filename:
        raise KubectlError("name cannot be provided when a selector is specified")
    failures = Failures()
    found = await _objects(session, targets, failures)
    by_prefix = found is None
    if found is None:
        found = await _by_prefix(session, targets[0])
    events = values.show_events and ("show-events" in values.changed or (len(found) < 2 and not by_prefix))
    for index, (target, obj) in enumerate(found):
        text = await describe(session, target, obj, events=events)
        sys.stdout.write(f"{text}\n" if by_prefix else f"\n\n{text}" if index else text)
    if not found and not failures.count:
        where = "" if values.all_namespaces else f" in {session.namespace} namespace."
        print(f"No resources found{where}", file=sys.stderr)
    failures.finish()


async def _objects(session: Session, targets: list[Target], failures: Failures) -> list[tuple[Target, Object]] | None:
    """Fetch all objects; None when the one name that was asked for does not exist but may be the beginning of names."""
    found: list[tuple[Target, Object]] = []
    for target in targets:
        try:
            answer = await fetch(session, target)
        except NotFound as error:
            if len(targets) == 1 and target.name and await _by_prefix(session, target):
                return None
            failures.add(error)
        except APIStatusError as error:
            failures.add(error)
        else:
            found += (
                [(member(target, one), one) for one in typed_items(answer)] if not target.name else [(target, answer)]
            )
    return found


async def _by_prefix(session: Session, target: Target) -> list[tuple[Target, Object]]:
    """What describe takes a name that does not exist for: a beginning of names."""
    listing = await fetch(session, Target(resource=target.resource, namespace=target.namespace))
    return [
        (member(target, one), one) for one in typed_items(listing) if one["metadata"]["name"].startswith(target.name)
    ]


async def describe(session: Session, target: Target, obj: Object, *, events: bool) -> str:
    """Describe one object."""
    from sampan.kubectl.describe.writer import Writer  # noqa: PLC0415 - start-up time

    place = _DESCRIBERS.get(target.resource.qualified, "generic:describe_generic")
    module, _, name = place.partition(":")
    describer: Any = getattr(importlib.import_module(f"sampan.kubectl.describe.{module}"), name)
    writer = Writer()
    await describer(session, writer, obj, events=events)
    return writer.text()


DESCRIBE = Command(
    name="describe",
    short="Show details of an object or group of objects.",
    usage="(-f FILENAME | TYPE [NAME_PREFIX | -l label] | TYPE/NAME)",
    run=run,
    flags=_FLAGS,
)
