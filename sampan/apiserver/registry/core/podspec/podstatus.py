"""Status of pods: what a kubelet may not report (``ValidatePodStatusUpdate``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.core.podspec import podannotations
from sampan.apiserver.registry.validation import addresses, gotypes, names, numbers

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.core.podspec.options import PodOptions
    from sampan.apiserver.registry.validation.names import Errors

_SYSTEM = frozenset({"PodScheduled", "Ready", "Initialized"})
_ONE_EACH = "may specify no more than one IP for each IP family"


def status_update(errors: Errors, new: Object, old: Object, options: PodOptions) -> None:
    """new, old: the pods."""
    metadata = Path("metadata")
    after, before = new.get("status") or {}, old.get("status") or {}
    current = new["metadata"].get("annotations") or {}
    podannotations.annotation_updates(
        errors, metadata.child("annotations"), current, old["metadata"].get("annotations") or {}
    )
    podannotations.pod_annotations(errors, metadata.child("annotations"), current, new["spec"], options)
    for position, condition in enumerate(after.get("conditions") or ()):
        kind = condition.get("type", "")
        if kind not in _SYSTEM:
            names.qualified_name(errors, metadata.child("conditions").index(position).child("Type"), kind)
    path = Path("status")
    nominated = after.get("nominatedNodeName", "")
    if nominated and nominated != before.get("nominatedNodeName"):
        names.dns_subdomain(errors, path.child("nominatedNodeName"), nominated)
    if after.get("qosClass") != before.get("qosClass"):
        errors.append(field.invalid(path.child("qosClass"), after.get("qosClass", ""), "field is immutable"))
    _transitions(errors, path, after, before, old["spec"])
    _claim_statuses(errors, path.child("resourceClaimStatuses"), after, new["spec"])
    _pod_ips(errors, path.child("podIPs"), after.get("podIPs") or [])
    _host_ips(errors, path.child("hostIPs"), after)
    _users(errors, path, after, new["spec"])


def _transitions(errors: Errors, path: Path, after: Object, before: Object, spec: Object) -> None:
    for kind, source in (
        ("containerStatuses", "containers"), ("initContainerStatuses", "initContainers"),
        ("ephemeralContainerStatuses", ""),
    ):  # fmt: skip
        policy = spec.get("restartPolicy", "Always") if source else "Never"
        if policy == "Always" or not before.get(kind):
            continue
        containers = {one.get("name"): one for one in spec.get(source) or ()}
        for position, status in enumerate(before[kind]):
            terminated = (status.get("state") or {}).get("terminated")
            if terminated is None or (terminated.get("exitCode") and policy == "OnFailure"):
                continue
            container = containers.get(status.get("name"), {})
            if container.get("restartPolicy") in ("Always", "OnFailure") or container.get("restartPolicyRules"):
                continue
            for other in after.get(kind) or ():
                if other.get("name") == status.get("name") and "terminated" not in (other.get("state") or {}):
                    detail = "may not be transitioned to non-terminated state"
                    errors.append(field.forbidden(path.child(kind).index(position).child("state"), detail))


def _claim_statuses(errors: Errors, path: Path, status: Object, spec: Object) -> None:
    known = {one.get("name") for one in spec.get("resourceClaims") or ()}
    seen: set[str] = set()
    for position, one in enumerate(status.get("resourceClaimStatuses") or ()):
        here = path.index(position).child("name")
        name = one.get("name", "")
        if name not in known:
            errors.append(field.invalid(here, name, "must match the name of an entry in `spec.resourceClaims`"))
        if name in seen:
            errors.append(field.duplicate(here, name))
        seen.add(name)
        if "resourceClaimName" in one:
            names.dns_subdomain(errors, here, one["resourceClaimName"])


def _pod_ips(errors: Errors, path: Path, items: list[Object]) -> None:
    for position, one in enumerate(items):
        addresses.valid_ip(errors, path.index(position), one.get("ip", ""))
    if len(items) < 2:
        return
    values = [one.get("ip", "") for one in items]
    if not addresses.dual_stack(values) or len(values) > 2:
        shown = gotypes.internal("[]core.v1.PodIP", items)
        errors.append(field.invalid(path, shown, _ONE_EACH))
    _duplicates(errors, path, items, "core.v1.PodIP")


def _duplicates(errors: Errors, path: Path, items: list[Object], kind: str) -> None:
    seen: set[str] = set()
    for position, one in enumerate(items):
        if one.get("ip", "") in seen:
            errors.append(field.duplicate(path.index(position), gotypes.internal(kind, one)))
        seen.add(one.get("ip", ""))


def _host_ips(errors: Errors, path: Path, status: Object) -> None:
    items = status.get("hostIPs") or []
    if not items:
        return
    first = items[0].get("ip", "")
    if status.get("hostIP", "") != first:
        errors.append(field.invalid(path.index(0).child("ip"), first, "must be equal to `hostIP`"))
    for position, one in enumerate(items):
        addresses.valid_ip(errors, path.index(position), one.get("ip", ""))
    if len(items) > 1:
        _duplicates(errors, path, items, "core.v1.HostIP")
        if not addresses.dual_stack([one.get("ip", "") for one in items]) or len(items) > 2:
            shown = gotypes.internal("[]core.v1.HostIP", items)
            errors.append(field.invalid(path, shown, _ONE_EACH))


def _users(errors: Errors, path: Path, status: Object, spec: Object) -> None:
    windows = (spec.get("os") or {}).get("name") == "windows"
    for kind in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for position, one in enumerate(status.get(kind) or ()):
            linux = (one.get("user") or {}).get("linux")
            here = path.child(kind).index(position).child("linux")
            if linux is None:
                continue
            if windows:
                errors.append(field.forbidden(here, "cannot be set for a windows pod"))
                continue
            numbers.numeric_id(errors, here.child("uid"), linux.get("uid", 0))
            numbers.numeric_id(errors, here.child("gid"), linux.get("gid", 0))
            for index, group in enumerate(linux.get("supplementalGroups") or ()):
                numbers.numeric_id(errors, here.child("supplementalGroups").index(index), group)
