"""Describing pods, and the pod templates of controllers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.pods import qos_class_of
from sampan.kubectl.describe.containers import write_containers, write_resources
from sampan.kubectl.describe.events import events_of, write_events
from sampan.kubectl.describe.volumes import write_volumes
from sampan.kubectl.describe.writer import controlled_by, rfc1123, selector_text, since

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.describe.writer import Writer
    from sampan.kubectl.session import Session


async def describe_pod(session: Session, writer: Writer, pod: Object, *, events: bool) -> None:
    """Describe a pod."""
    found = await events_of(session, pod) if events else None
    spec, status = pod["spec"], pod.get("status") or {}
    _write_head(writer, pod)
    _write_phase(writer, pod)
    _write_addresses(writer, status)
    if owner := controlled_by(pod):
        writer.write(0, f"Controlled By:\t{owner}\n")
    if status.get("nominatedNodeName"):
        writer.write(0, f"NominatedNodeName:\t{status['nominatedNodeName']}\n")
    if spec.get("resources"):
        writer.write(0, "Resources:\n")
        write_resources(writer, spec["resources"], 1)
    if spec.get("initContainers"):
        write_containers(writer, "Init Containers", spec["initContainers"],
                         statuses=status.get("initContainerStatuses"), pod=pod)  # fmt: skip
    write_containers(writer, "Containers", spec["containers"], statuses=status.get("containerStatuses"), pod=pod)
    if spec.get("ephemeralContainers"):
        write_containers(writer, "Ephemeral Containers", spec["ephemeralContainers"],
                         statuses=status.get("ephemeralContainerStatuses"), pod=pod)  # fmt: skip
    _write_conditions(writer, spec, status)
    write_volumes(writer, spec.get("volumes"))
    writer.write(0, f"QoS Class:\t{qos_class_of(pod)}\n")
    writer.labels("Node-Selectors", spec.get("nodeSelector"))
    write_tolerations(writer, "Tolerations", spec.get("tolerations"))
    _write_spread(writer, spec.get("topologySpreadConstraints"))
    write_events(writer, found)


def _write_head(writer: Writer, pod: Object) -> None:
    meta, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    writer.write(0, f"Name:\t{meta['name']}\n")
    writer.write(0, f"Namespace:\t{meta['namespace']}\n")
    if "priority" in spec:
        writer.write(0, f"Priority:\t{spec['priority']}\n")
    for title, field in (("Priority Class Name", "priorityClassName"), ("Runtime Class Name", "runtimeClassName"),
                         ("Service Account", "serviceAccountName")):  # fmt: skip
        if spec.get(field):
            writer.write(0, f"{title}:\t{spec[field]}\n")
    node = spec.get("nodeName")
    writer.write(0, f"Node:\t{node}/{status.get('hostIP', '')}\n" if node else "Node:\t<none>\n")
    if status.get("startTime"):
        writer.write(0, f"Start Time:\t{rfc1123(status['startTime'])}\n")
    writer.labels("Labels", meta.get("labels"))
    writer.annotations("Annotations", meta.get("annotations"))


def _write_phase(writer: Writer, pod: Object) -> None:
    meta, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    phase = status.get("phase", "")
    if meta.get("deletionTimestamp") and phase not in ("Failed", "Succeeded"):
        writer.write(0, f"Status:\tTerminating (lasts {since(meta['deletionTimestamp'])})\n")
        writer.write(0, f"Termination Grace Period:\t{meta.get('deletionGracePeriodSeconds', 0)}s\n")
    else:
        writer.write(0, f"Status:\t{phase}\n")
    for field in ("reason", "message"):
        if status.get(field):
            writer.write(0, f"{field.capitalize()}:\t{status[field]}\n")
    if profile := (spec.get("securityContext") or {}).get("seccompProfile"):
        writer.write(0, f"SeccompProfile:\t{profile['type']}\n")
        if profile["type"] == "Localhost":
            writer.write(0, f"LocalhostProfile:\t{profile.get('localhostProfile', '')}\n")


def _write_addresses(writer: Writer, status: Object) -> None:
    writer.write(0, f"IP:\t{status.get('podIP', '')}\n")
    addresses = status.get("podIPs") or []
    writer.write(0, "IPs:\n" if addresses else "IPs:\t<none>\n")
    for one in addresses:
        writer.write(1, f"IP:\t{one['ip']}\n")


def _write_conditions(writer: Writer, spec: Object, status: Object) -> None:
    conditions = status.get("conditions") or []
    if gates := spec.get("readinessGates"):
        known = {one["type"]: one["status"] for one in conditions}
        writer.write(0, "Readiness Gates:\n  Type\tStatus\n")
        for gate in gates:
            writer.write(1, f"{gate['conditionType']} \t{known.get(gate['conditionType'], '<none>')} \n")
    if conditions:
        writer.write(0, "Conditions:\n  Type\tStatus\n")
        for one in conditions:
            writer.write(1, f"{one['type']} \t{one['status']} \n")


def write_tolerations(writer: Writer, title: str, tolerations: list[Object] | None) -> None:
    """Write tolerations, one a line."""
    writer.lines(title, [_toleration(one) for one in sorted(tolerations or [], key=lambda one: one.get("key", ""))])


def _toleration(one: Object) -> str:
    text: str = one.get("key", "")
    if one.get("value"):
        text += f"={one['value']}"
    if one.get("effect"):
        text += f":{one['effect']}"
    if one.get("operator") == "Exists" and not one.get("value"):
        text += " op=Exists" if one.get("key") or one.get("effect") else "op=Exists"
    elif one.get("operator") in ("Lt", "Gt"):
        text = f"{one.get('key', '')} {one['operator']} {one.get('value', '')}:{one.get('effect', '')}"
    if one.get("tolerationSeconds") is not None:
        text += f" for {one['tolerationSeconds']}s"
    return text


def _write_spread(writer: Writer, constraints: list[Object] | None, indent: str = "") -> None:
    if not constraints:
        return
    lines = []
    for one in sorted(constraints, key=lambda one: one["topologyKey"]):
        line = f"{one['topologyKey']}:{one['whenUnsatisfiable']} when max skew {one['maxSkew']} is exceeded"
        if one.get("labelSelector") is not None:
            line += f" for selector {selector_text(one['labelSelector'])}"
        lines.append(line)
    writer.lines(f"{indent}Topology Spread Constraints", lines)


def write_template(writer: Writer, template: Object | None) -> None:
    """Write a controller's pod template."""
    writer.write(0, "Pod Template:\n")
    if template is None:
        writer.write(1, "<unset>\n")
        return
    meta, spec = template.get("metadata") or {}, template["spec"]
    writer.labels("  Labels", meta.get("labels"))
    if meta.get("annotations"):
        writer.annotations("  Annotations", meta["annotations"])
    if spec.get("serviceAccountName"):
        writer.write(0, f"  Service Account:\t{spec['serviceAccountName']}\n")
    if spec.get("initContainers"):
        write_containers(writer, "Init Containers", spec["initContainers"], space="  ")
    write_containers(writer, "Containers", spec.get("containers"), space="  ")
    write_volumes(writer, spec.get("volumes"), "  ")
    _write_spread(writer, spec.get("topologySpreadConstraints"), "  ")
    if spec.get("priorityClassName"):
        writer.write(0, f"  Priority Class Name:\t{spec['priorityClassName']}\n")
    writer.labels("  Node-Selectors", spec.get("nodeSelector"))
    write_tolerations(writer, "  Tolerations", spec.get("tolerations"))
