"""Describing PersistentVolumes, their claims and StorageClasses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError
from sampan.kubectl.describe.events import events_of, write_events
from sampan.kubectl.describe.volumes import write_source
from sampan.kubectl.describe.writer import NONE, go_list, rfc1123, since, true_false

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.describe.writer import Writer
    from sampan.kubectl.session import Session

_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def _modes(modes: list[str] | None) -> str:
    return ",".join(short for mode, short in _MODES.items() if mode in (modes or []))


def _lifetime(obj: Object, phase: str) -> str:
    deleted = obj["metadata"].get("deletionTimestamp")
    return f"Terminating (lasts {since(deleted)})" if deleted else phase


async def describe_volume(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe a PersistentVolume."""
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    found = await events_of(session, obj) if events else None
    writer.metadata(obj, namespaced=False)
    writer.write(0, f"Finalizers:\t{go_list(meta.get('finalizers') or [])}\n")
    writer.write(0, f"StorageClass:\t{spec.get('storageClassName', '')}\n")
    writer.write(0, f"Status:\t{_lifetime(obj, status.get('phase', ''))}\n")
    claim = spec.get("claimRef")
    writer.write(0, f"Claim:\t{claim['namespace'] + '/' + claim['name'] if claim else ''}\n")
    writer.write(0, f"Reclaim Policy:\t{spec.get('persistentVolumeReclaimPolicy', '')}\n")
    writer.write(0, f"Access Modes:\t{_modes(spec.get('accessModes'))}\n")
    if spec.get("volumeMode"):
        writer.write(0, f"VolumeMode:\t{spec['volumeMode']}\n")
    writer.write(0, f"Capacity:\t{spec['capacity'].get('storage', '0')}\n")
    _write_affinity(writer, spec.get("nodeAffinity"))
    writer.write(0, f"Message:\t{status.get('message', '')}\n")
    writer.write(0, "Source:\n")
    write_source(writer, spec)
    write_events(writer, found)


def _write_affinity(writer: Writer, affinity: Object | None) -> None:
    if not affinity:
        writer.write(0, f"Node Affinity:\t{NONE}\n")
        return
    writer.write(0, "Node Affinity:\t\n")
    required = affinity.get("required")
    if required is None:
        writer.write(1, f"Required Terms:\t{NONE}\n")
        return
    writer.write(1, "Required Terms:\t\n")
    for index, term in enumerate(required["nodeSelectorTerms"]):
        _write_term(writer, index, term.get("matchExpressions") or [])


def _write_term(writer: Writer, index: int, expressions: list[Object]) -> None:
    if not expressions:
        writer.write(2, f"Term {index}:\t{NONE}\n")
        return
    writer.write(2, f"Term {index}:\t")
    for position, one in enumerate(expressions):
        text = f"{one['key']} {one['operator'].lower()}"
        if one.get("values"):
            text += f" [{', '.join(one['values'])}]"
        writer.write(0, f"{text}\n" if position == 0 else f"\t{text}\n")


async def describe_claim(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe a PersistentVolumeClaim, with the pods that use it."""
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    found = await events_of(session, obj) if events else None
    users = await _users(session, obj)
    writer.write(0, f"Name:\t{meta['name']}\nNamespace:\t{meta['namespace']}\n")
    writer.write(0, f"StorageClass:\t{spec.get('storageClassName') or ''}\n")
    writer.write(0, f"Status:\t{_lifetime(obj, status.get('phase', ''))}\n")
    writer.write(0, f"Volume:\t{spec.get('volumeName', '')}\n")
    writer.labels("Labels", meta.get("labels"))
    writer.annotations("Annotations", meta.get("annotations"))
    writer.write(0, f"Finalizers:\t{go_list(meta.get('finalizers') or [])}\n")
    bound = bool(spec.get("volumeName"))
    capacity = (status.get("capacity") or {}).get("storage", "") if bound else ""
    writer.write(0, f"Capacity:\t{capacity}\n")
    writer.write(0, f"Access Modes:\t{_modes(status.get('accessModes')) if bound else ''}\n")
    if spec.get("volumeMode"):
        writer.write(0, f"VolumeMode:\t{spec['volumeMode']}\n")
    if source := spec.get("dataSource"):
        writer.write(0, "DataSource:\n")
        if source.get("apiGroup"):
            writer.write(1, f"APIGroup:\t{source['apiGroup']}\n")
        writer.write(1, f"Kind:\t{source['kind']}\n")
        writer.write(1, f"Name:\t{source['name']}\n")
    writer.lines("Used By", users)
    _write_claim_conditions(writer, status.get("conditions"))
    write_events(writer, found)


async def _users(session: Session, claim: Object) -> list[str]:
    namespace, name = claim["metadata"]["namespace"], claim["metadata"]["name"]
    try:
        listing = await session.json("GET", f"/api/v1/namespaces/{namespace}/pods")
    except APIStatusError:
        return []
    return [
        pod["metadata"]["name"]
        for pod in listing.get("items") or []
        if any(
            (one.get("persistentVolumeClaim") or {}).get("claimName") == name
            for one in pod["spec"].get("volumes") or []
        )
    ]


def _write_claim_conditions(writer: Writer, conditions: list[Object] | None) -> None:
    if not conditions:
        return
    writer.write(0, "Conditions:\n  Type\tStatus\tLastProbeTime\tLastTransitionTime\tReason\tMessage\n")
    writer.write(1, "----\t------\t-----------------\t------------------\t------\t-------\n")
    for one in conditions:
        writer.write(
            1, f"{one['type']} \t{one['status']} \t{rfc1123(one.get('lastProbeTime'))} \t"
            f"{rfc1123(one.get('lastTransitionTime'))} \t{one.get('reason', '')} \t{one.get('message', '')}\n",
        )  # fmt: skip


async def describe_class(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe a StorageClass."""
    found = await events_of(session, obj) if events else None
    annotations = obj["metadata"].get("annotations") or {}
    writer.write(0, f"Name:\t{obj['metadata']['name']}\n")
    writer.write(0, f"IsDefaultClass:\t{'Yes' if annotations.get(_DEFAULT_CLASS) == 'true' else 'No'}\n")
    writer.write(0, f"Annotations:\t{_pairs(annotations)}\n")
    writer.write(0, f"Provisioner:\t{obj['provisioner']}\n")
    writer.write(0, f"Parameters:\t{_pairs(obj.get('parameters') or {})}\n")
    expands = obj.get("allowVolumeExpansion")
    writer.write(0, f"AllowVolumeExpansion:\t{'<unset>' if expands is None else true_false(expands)}\n")
    options = obj.get("mountOptions") or []
    writer.write(0, "MountOptions:\n" if options else f"MountOptions:\t{NONE}\n")
    for option in options:
        writer.write(1, f"{option}\n")
    writer.write(0, f"ReclaimPolicy:\t{obj.get('reclaimPolicy', '')}\n")
    writer.write(0, f"VolumeBindingMode:\t{obj.get('volumeBindingMode', '')}\n")
    write_events(writer, found)


def _pairs(values: Object) -> str:
    return ",".join(f"{key}={values[key]}" for key in sorted(values)) or NONE
