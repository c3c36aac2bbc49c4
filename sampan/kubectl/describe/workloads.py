"""Describing controllers of pods: ReplicationController, ReplicaSet, Deployment, StatefulSet, DaemonSet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError
from sampan.kubectl.describe.events import events_of, write_events
from sampan.kubectl.describe.pod import write_template
from sampan.kubectl.describe.writer import controlled_by, go_list, rfc1123, selector_text

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.describe.writer import Writer
    from sampan.kubectl.session import Session


async def describe_controller(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe a ReplicationController or ReplicaSet."""
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    found = await events_of(session, obj) if events else None
    writer.write(0, f"Name:\t{meta['name']}\n")
    writer.write(0, f"Namespace:\t{meta['namespace']}\n")
    writer.write(0, f"Selector:\t{_selector(obj)}\n")
    writer.labels("Labels", meta.get("labels"))
    writer.annotations("Annotations", meta.get("annotations"))
    if owner := controlled_by(obj):
        writer.write(0, f"Controlled By:\t{owner}\n")
    writer.write(0, f"Replicas:\t{status.get('replicas', 0)} current / {spec.get('replicas', 0)} desired\n")
    writer.write(0, f"Pods Status:\t{await _pods_status(session, obj)}\n")
    write_template(writer, spec.get("template"))
    _write_conditions(writer, status)
    write_events(writer, found)


def _selector(obj: Object) -> str:
    selector = obj["spec"].get("selector") or {}
    if obj["kind"] == "ReplicationController":
        return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    return selector_text(selector)


async def _pods_status(session: Session, obj: Object) -> str:
    try:
        listing = await session.json(
            "GET", f"/api/v1/namespaces/{obj['metadata']['namespace']}/pods", query={"labelSelector": _selector(obj)}
        )
    except APIStatusError as error:
        return f"error in fetching pods: {error.message}"
    counts = dict.fromkeys(("Running", "Pending", "Succeeded", "Failed"), 0)
    for pod in listing.get("items") or []:
        if not _is_controlled(pod, obj):
            continue
        phase = (pod.get("status") or {}).get("phase", "")
        if phase in counts:
            counts[phase] += 1
    return (
        f"{counts['Running']} Running / {counts['Pending']} Waiting / {counts['Succeeded']} Succeeded / "
        f"{counts['Failed']} Failed"
    )


def _is_controlled(pod: Object, obj: Object) -> bool:
    owners = pod["metadata"].get("ownerReferences") or []
    return any(one.get("controller") and one["uid"] == obj["metadata"]["uid"] for one in owners)


def _write_conditions(writer: Writer, status: Object, *, rule: bool = True) -> None:
    if not status.get("conditions"):
        return
    writer.write(0, "Conditions:\n  Type\tStatus\tReason\n")
    if rule:
        writer.write(1, "----\t------\t------\n")
    for one in status["conditions"]:
        writer.write(1, f"{one['type']} \t{one['status']}\t{one.get('reason', '')}\n")


async def describe_deployment(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe a Deployment, with its replica sets."""
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    found = await events_of(session, obj) if events else None
    writer.write(0, f"Name:\t{meta['name']}\nNamespace:\t{meta['namespace']}\n")
    writer.write(0, f"CreationTimestamp:\t{rfc1123(meta.get('creationTimestamp'))}\n")
    writer.labels("Labels", meta.get("labels"))
    writer.annotations("Annotations", meta.get("annotations"))
    writer.write(0, f"Selector:\t{selector_text(spec.get('selector'))}\n")
    counts = [spec.get("replicas", 1)]
    counts += [status.get(f, 0) for f in ("updatedReplicas", "replicas", "availableReplicas", "unavailableReplicas")]
    words = ("desired", "updated", "total", "available", "unavailable")
    writer.write(0, "Replicas:\t" + " | ".join(f"{n} {w}" for n, w in zip(counts, words, strict=True)) + "\n")
    strategy = spec.get("strategy") or {}
    writer.write(0, f"StrategyType:\t{strategy.get('type', '')}\n")
    writer.write(0, f"MinReadySeconds:\t{spec.get('minReadySeconds', 0)}\n")
    if rolling := strategy.get("rollingUpdate"):
        shown = f"{rolling.get('maxUnavailable', 0)} max unavailable, {rolling.get('maxSurge', 0)} max surge"
        writer.write(0, f"RollingUpdateStrategy:\t{shown}\n")
    write_template(writer, spec.get("template"))
    _write_conditions(writer, status)
    await _write_replica_sets(session, writer, obj)
    write_events(writer, found)


async def _write_replica_sets(session: Session, writer: Writer, obj: Object) -> None:
    old, new = await replica_sets(session, obj)
    if not old and new is None:
        return
    writer.write(0, f"OldReplicaSets:\t{_created(old)}\n")
    writer.write(0, f"NewReplicaSet:\t{_created([new] if new else [])}\n")


def _created(sets: list[Object]) -> str:
    return ", ".join(
        f"{one['metadata']['name']} ({(one.get('status') or {}).get('replicas', 0)}/{one['spec'].get('replicas', 0)} "
        "replicas created)"
        for one in sets
    ) or "<none>"  # fmt: skip


async def replica_sets(session: Session, obj: Object) -> tuple[list[Object], Object | None]:
    """A deployment's replica sets: (those of other templates, that of its own)."""
    try:
        listing = await session.json(
            "GET", f"/apis/apps/v1/namespaces/{obj['metadata']['namespace']}/replicasets",
            query={"labelSelector": selector_text(obj["spec"]["selector"])},
        )  # fmt: skip
    except APIStatusError:
        return [], None
    owned = [one for one in listing.get("items") or [] if _is_controlled(one, obj)]
    owned.sort(key=lambda one: (one["metadata"].get("creationTimestamp", ""), one["metadata"]["name"]))
    wanted = template_without_hash(obj["spec"]["template"])
    new = next((one for one in owned if template_without_hash(one["spec"]["template"]) == wanted), None)
    return [one for one in owned if one is not new], new


def template_without_hash(template: Object) -> Object:
    """A pod template without the label that deployments add."""
    meta = template.get("metadata") or {}
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key != "pod-template-hash"}
    bare = {
        key: value for key, value in meta.items() if value is not None and key not in ("labels", "creationTimestamp")
    }
    return {**template, "metadata": {**bare, "labels": labels}}


async def describe_stateful_set(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe a StatefulSet."""
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    found = await events_of(session, obj) if events else None
    writer.write(0, f"Name:\t{meta['name']}\nNamespace:\t{meta['namespace']}\n")
    writer.write(0, f"CreationTimestamp:\t{rfc1123(meta.get('creationTimestamp'))}\n")
    writer.write(0, f"Selector:\t{selector_text(spec.get('selector'))}\n")
    writer.labels("Labels", meta.get("labels"))
    writer.annotations("Annotations", meta.get("annotations"))
    writer.write(0, f"Service Name:\t{spec.get('serviceName', '')}\n")
    writer.write(0, f"Pod Management Policy:\t{spec.get('podManagementPolicy', '')}\n")
    writer.write(0, f"Replicas:\t{spec.get('replicas', 0)} desired | {status.get('replicas', 0)} total\n")
    strategy = spec.get("updateStrategy") or {}
    writer.write(0, f"Update Strategy:\t{strategy.get('type', '')}\n")
    if rolling := strategy.get("rollingUpdate"):
        if "partition" in rolling:
            writer.write(1, f"Partition:\t{rolling['partition']}\n")
        if "maxUnavailable" in rolling:
            writer.write(1, f"MaxUnavailable:\t{rolling['maxUnavailable']}\n")
    if policy := spec.get("persistentVolumeClaimRetentionPolicy"):
        writer.write(0, "Persistent Volume Claim Retention Policy:\n")
        writer.write(1, f"WhenDeleted:\t{policy.get('whenDeleted', '')}\n")
        writer.write(1, f"WhenScaled:\t{policy.get('whenScaled', '')}\n")
    writer.write(0, f"Pods Status:\t{await _pods_status(session, obj)}\n")
    write_template(writer, spec.get("template"))
    _write_claims(writer, spec.get("volumeClaimTemplates"))
    write_events(writer, found)


def _write_claims(writer: Writer, claims: list[Object] | None) -> None:
    if not claims:
        writer.write(0, "Volume Claims:\t<none>\n")
        return
    writer.write(0, "Volume Claims:\n")
    for claim in claims:
        meta, spec = claim["metadata"], claim["spec"]
        writer.write(1, f"Name:\t{meta['name']}\n")
        writer.write(1, f"StorageClass:\t{spec.get('storageClassName') or ''}\n")
        writer.labels("Labels", meta.get("labels"), "  ")
        writer.annotations("  Annotations", meta.get("annotations"))
        capacity = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
        writer.write(1, f"Capacity:\t{capacity or '<default>'}\n")
        writer.write(1, f"Access Modes:\t{go_list(spec.get('accessModes') or [])}\n")


async def describe_daemon_set(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe a DaemonSet."""
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    found = await events_of(session, obj) if events else None
    writer.write(0, f"Name:\t{meta['name']}\nNamespace:\t{meta['namespace']}\n")
    writer.write(0, f"Selector:\t{selector_text(spec.get('selector'))}\n")
    node_selector = spec["template"]["spec"].get("nodeSelector") or {}
    shown = ",".join(f"{key}={value}" for key, value in sorted(node_selector.items())) or "<none>"
    writer.write(0, f"Node-Selector:\t{shown}\n")
    writer.labels("Labels", meta.get("labels"))
    writer.annotations("Annotations", meta.get("annotations"))
    for title, field in (
        ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
        ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
        ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
        ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    ):
        writer.write(0, f"{title}: {status.get(field, 0)}\n")
    writer.write(0, f"Pods Status:\t{await _pods_status(session, obj)}\n")
    write_template(writer, spec.get("template"))
    write_events(writer, found)
