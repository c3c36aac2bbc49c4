"""Describing Nodes, with what runs on them and how much of them is spoken for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import pods, quantity
from sampan.api.errors import APIStatusError
from sampan.kubectl.describe.events import events_of, write_events
from sampan.kubectl.describe.writer import rfc1123, since

if TYPE_CHECKING:
    from decimal import Decimal

    from sampan.api.object import Object
    from sampan.kubectl.describe.writer import Writer
    from sampan.kubectl.session import Session

_ROLE = "node-role.kubernetes.io/"
_SYSTEM = (
    ("Machine ID", "machineID"),
    ("System UUID", "systemUUID"),
    ("Boot ID", "bootID"),
    ("Kernel Version", "kernelVersion"),
    ("OS Image", "osImage"),
    ("Operating System", "operatingSystem"),
    ("Architecture", "architecture"),
    ("Container Runtime Version", "containerRuntimeVersion"),
    ("Kubelet Version", "kubeletVersion"),
)


async def describe_node(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe a Node."""
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    writer.write(0, f"Name:\t{meta['name']}\n")
    labels = meta.get("labels") or {}
    roles = {key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE)} - {""}
    roles |= {value for key, value in labels.items() if key == "kubernetes.io/role" and value}
    writer.write(0, f"Roles:\t{','.join(sorted(roles)) or '<none>'}\n")
    writer.labels("Labels", labels)
    writer.annotations("Annotations", meta.get("annotations"))
    writer.write(0, f"CreationTimestamp:\t{rfc1123(meta.get('creationTimestamp'))}\n")
    taints = sorted(spec.get("taints") or [], key=lambda one: (one["effect"], one["key"]))
    writer.lines("Taints", [_taint(one) for one in taints])
    writer.write(0, f"Unschedulable:\t{str(bool(spec.get('unschedulable'))).lower()}\n")
    await _write_lease(session, writer, meta["name"])
    _write_conditions(writer, status.get("conditions"))
    writer.write(0, "Addresses:\n")
    for one in status.get("addresses") or []:
        writer.write(1, f"{one['type']}:\t{one['address']}\n")
    for field in ("capacity", "allocatable"):
        if amounts := status.get(field):
            writer.write(0, f"{field.capitalize()}:\n")
            for name in sorted(amounts):
                writer.write(1, f"{name}:\t{amounts[name]}\n")
    writer.write(0, "System Info:\n")
    for title, field in _SYSTEM:
        writer.write(1, f"{title}:\t{(status.get('nodeInfo') or {}).get(field, '')}\n")
    if spec.get("podCIDR"):
        writer.write(0, f"PodCIDR:\t{spec['podCIDR']}\n")
    if spec.get("podCIDRs"):
        writer.write(0, f"PodCIDRs:\t{','.join(spec['podCIDRs'])}\n")
    if spec.get("providerID"):
        writer.write(0, f"ProviderID:\t{spec['providerID']}\n")
    await _write_pods(session, writer, obj)
    if events:
        found = await events_of(session, obj, uid=meta["name"]) + await events_of(session, obj)
        write_events(writer, found)


def _taint(one: Object) -> str:
    return f"{one['key']}={one['value']}:{one['effect']}" if one.get("value") else f"{one['key']}:{one['effect']}"


async def _write_lease(session: Session, writer: Writer, name: str) -> None:
    path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{name}"
    try:
        spec = (await session.json("GET", path)).get("spec") or {}
    except APIStatusError as error:
        writer.write(0, f"Lease:\tFailed to get lease: {error.message}\n")
        return
    writer.write(0, "Lease:\n")
    writer.write(1, f"HolderIdentity:\t{spec.get('holderIdentity', '<unset>')}\n")
    for title, field in (("AcquireTime", "acquireTime"), ("RenewTime", "renewTime")):
        writer.write(1, f"{title}:\t{rfc1123(spec[field]) if spec.get(field) else '<unset>'}\n")


def _write_conditions(writer: Writer, conditions: list[Object] | None) -> None:
    if not conditions:
        return
    writer.write(0, "Conditions:\n  Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage\n")
    writer.write(1, "----\t------\t-----------------\t------------------\t------\t-------\n")
    for one in conditions:
        writer.write(
            1, f"{one['type']} \t{one['status']} \t{rfc1123(one.get('lastHeartbeatTime'))} \t"
            f"{rfc1123(one.get('lastTransitionTime'))} \t{one.get('reason', '')} \t{one.get('message', '')}\n",
        )  # fmt: skip


async def _write_pods(session: Session, writer: Writer, node: Object) -> None:
    query = {"fieldSelector": f"spec.nodeName={node['metadata']['name']},status.phase!=Succeeded,status.phase!=Failed"}
    try:
        listing = await session.json("GET", "/api/v1/pods", query={**query, "limit": "500"})
    except APIStatusError:
        writer.write(0, "Pods:\tnot authorized\n")
        return
    items = listing.get("items") or []
    allocatable = node["status"].get("allocatable") or node["status"].get("capacity") or {}
    writer.write(0, f"Non-terminated Pods:\t({len(items)} in total)\n")
    writer.write(1, "Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge\n")
    writer.write(1, "---------\t----\t\t------------\t----------\t---------------\t-------------\t---\n")
    totals: tuple[dict[str, Decimal], dict[str, Decimal]] = ({}, {})
    for pod in items:
        requests, limits = _amounts(pods.requests(pod, use_status=True)), _amounts(pods.limits(pod, use_status=True))
        for total, more in zip(totals, (requests, limits), strict=True):
            for name, amount in more.items():
                total[name] = total.get(name, quantity.parse("0")) + amount
        cells = [_share(name, one.get(name), allocatable) for name in ("cpu", "memory") for one in (requests, limits)]
        meta = pod["metadata"]
        writer.write(1, f"{meta['namespace']}\t{meta['name']}\t\t" + "\t".join(cells))
        writer.write(0, f"\t{since(meta.get('creationTimestamp'))}\n")
    _write_totals(writer, totals, allocatable)


def _amounts(amounts: object) -> dict[str, Decimal]:
    return {str(name): getattr(amount, "value", amount) for name, amount in amounts.items()}  # type: ignore[attr-defined]


def _write_totals(writer: Writer, totals: tuple[dict[str, Decimal], dict[str, Decimal]], allocatable: Object) -> None:
    writer.write(0, "Allocated resources:\n  (Total limits may be over 100 percent, i.e., overcommitted.)\n")
    writer.write(1, "Resource\tRequests\tLimits\n")
    writer.write(1, "--------\t--------\t------\n")
    names = ["cpu", "memory", "ephemeral-storage", *sorted(one for one in allocatable if one.startswith("hugepages-"))]
    for name in names:
        cells = [_share(name, one.get(name), allocatable) for one in totals]
        writer.write(1, f"{name}\t{cells[0]}\t{cells[1]}\n")
    standard = {*names, "pods"}
    for name in sorted(one for one in allocatable if one not in standard):
        cells = [_spelled(name, one.get(name)) for one in totals]
        writer.write(1, f"{name}\t{cells[0]}\t{cells[1]}\n")


def _share(name: str, amount: Decimal | None, allocatable: Object) -> str:
    whole = quantity.parse(allocatable.get(name, "0"))
    percent = int((amount or 0) / whole * 100) if whole else 0
    return f"{_spelled(name, amount)} ({percent}%)"


def _spelled(name: str, amount: Decimal | None) -> str:
    if not amount:
        return "0"
    return quantity.of(amount, "BinarySI" if name == "memory" or name.startswith("hugepages-") else "DecimalSI")
