"""Containers of pods and of pod templates."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

from sampan.api import quantity
from sampan.kubectl.describe.writer import NONE, go_list, rfc1123, true_false

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.api.object import Object
    from sampan.kubectl.describe.writer import Writer


def write_containers(
    writer: Writer,
    label: str,
    containers: list[Object] | None,
    *,
    statuses: list[Object] | None = None,
    pod: Object | None = None,
    space: str = "",
) -> None:
    """Write containers under a label. pod: where field references are looked up; none for templates."""
    known = {one["name"]: one for one in statuses or []}
    if not containers:
        writer.write(0, f"{space}{label}: {NONE}\n")
        return
    writer.write(0, f"{space}{label}:\n")
    indent = " " if space else ""
    for container in containers:
        writer.write(1, f"{indent}{container['name']}:\n")
        _write_container(writer, container, known.get(container["name"]), pod)


def _write_container(writer: Writer, container: Object, status: Object | None, pod: Object | None) -> None:  # noqa: C901
    if status is not None:
        writer.write(2, f"Container ID:\t{status.get('containerID', '')}\n")
    writer.write(2, f"Image:\t{container.get('image', '')}\n")
    if status is not None:
        writer.write(2, f"Image ID:\t{status.get('imageID', '')}\n")
    _write_ports(writer, container.get("ports") or [])
    if profile := (container.get("securityContext") or {}).get("seccompProfile"):
        writer.write(2, f"SeccompProfile:\t{profile['type']}\n")
        if profile["type"] == "Localhost":
            writer.write(3, f"LocalhostProfile:\t{profile.get('localhostProfile', '')}\n")
    for field in ("command", "args"):
        if words := container.get(field):
            writer.write(2, f"{field.capitalize()}:\n")
            for word in words:
                for line in word.split("\n"):
                    writer.write(3, f"{line}\n")
    if status is not None:
        _write_status(writer, status)
    write_resources(writer, container.get("resources"), 2)
    for field, title in (("livenessProbe", "Liveness"), ("readinessProbe", "Readiness"), ("startupProbe", "Startup")):
        if probe := container.get(field):
            writer.write(2, f"{title}:\t{_probe(probe)}\n")
    _write_env_from(writer, container.get("envFrom") or [])
    _write_env(writer, container, pod)
    _write_mounts(writer, container)


def _write_ports(writer: Writer, ports: list[Object]) -> None:
    for title, field in (("Port", "containerPort"), ("Host Port", "hostPort")):
        shown = ", ".join(
            f"{one.get(field, 0)}/{one.get('protocol', 'TCP')}" + (f" ({one['name']})" if one.get("name") else "")
            for one in ports
        )
        writer.write(2, f"{title}s:\t{shown}\n" if "," in shown else f"{title}:\t{shown or NONE}\n")


def _write_status(writer: Writer, status: Object) -> None:
    _write_state(writer, "State", status.get("state") or {})
    if (last := status.get("lastState") or {}).get("terminated"):
        _write_state(writer, "Last State", last)
    writer.write(2, f"Ready:\t{true_false(status.get('ready'))}\n")
    writer.write(2, f"Restart Count:\t{status.get('restartCount', 0)}\n")


def _write_state(writer: Writer, title: str, state: Object) -> None:
    if running := state.get("running"):
        writer.write(2, f"{title}:\tRunning\n")
        writer.write(3, f"Started:\t{rfc1123(running.get('startedAt'))}\n")
    elif ended := state.get("terminated"):
        writer.write(2, f"{title}:\tTerminated\n")
        for field in ("reason", "message"):
            if ended.get(field):
                writer.write(3, f"{field.capitalize()}:\t{ended[field]}\n")
        writer.write(3, f"Exit Code:\t{ended.get('exitCode', 0)}\n")
        if ended.get("signal"):
            writer.write(3, f"Signal:\t{ended['signal']}\n")
        writer.write(3, f"Started:\t{rfc1123(ended.get('startedAt'))}\n")
        writer.write(3, f"Finished:\t{rfc1123(ended.get('finishedAt'))}\n")
    else:
        writer.write(2, f"{title}:\tWaiting\n")
        if reason := (state.get("waiting") or {}).get("reason"):
            writer.write(3, f"Reason:\t{reason}\n")


def write_resources(writer: Writer, resources: Object | None, level: int) -> None:
    """Write limits and requests."""
    for field in ("limits", "requests"):
        if amounts := (resources or {}).get(field):
            writer.write(level, f"{field.capitalize()}:\n")
            for name in sorted(amounts):
                writer.write(level + 1, f"{name}:\t{amounts[name]}\n")


def _probe(probe: Object) -> str:
    times = (
        f"delay={probe.get('initialDelaySeconds', 0)}s timeout={probe.get('timeoutSeconds', 0)}s "
        f"period={probe.get('periodSeconds', 0)}s successThreshold={probe.get('successThreshold', 0)} "
        f"failureThreshold={probe.get('failureThreshold', 0)}"
    )
    if action := probe.get("exec"):
        return f"exec {go_list(action.get('command') or [])} {times}"
    if action := probe.get("httpGet"):
        path = action.get("path", "")
        slash = "" if path.startswith("/") or not path else "/"
        address = f"{action.get('scheme', '').lower()}://{action.get('host', '')}:{action['port']}"
        return f"http-get {address}{slash}{path} {times}"
    if action := probe.get("tcpSocket"):
        return f"tcp-socket {action.get('host', '')}:{action['port']} {times}"
    if action := probe.get("grpc"):
        return f"grpc <pod>:{action['port']} {action.get('service') or ''} {times}"
    return f"unknown {times}"


def _write_env_from(writer: Writer, sources: list[Object]) -> None:
    if not sources:
        return
    writer.write(2, "Environment Variables from:\n")
    for one in sources:
        kind, source = ("ConfigMap", one["configMapRef"]) if "configMapRef" in one else ("Secret", one["secretRef"])
        optional = str(bool(source.get("optional"))).lower()
        prefix = f" with prefix '{one['prefix']}'" if one.get("prefix") else ""
        writer.write(3, f"{source.get('name', '')}\t{kind}{prefix}\tOptional: {optional}\n")


def _write_env(writer: Writer, container: Object, pod: Object | None) -> None:
    variables = container.get("env") or []
    writer.write(2, "Environment:\n" if variables else f"Environment:\t{NONE}\n")
    for one in variables:
        name, source = one["name"], one.get("valueFrom")
        if source is None:
            for index, line in enumerate(one.get("value", "").split("\n")):
                writer.write(3, f"{name}:\t{line}\n" if index == 0 else f"\t{line}\n")
        elif ref := source.get("fieldRef"):
            value = _field(pod, ref["fieldPath"]) if pod is not None else ""
            writer.write(3, f"{name}:\t{value} ({ref.get('apiVersion', '')}:{ref['fieldPath']})\n")
        elif ref := source.get("resourceFieldRef"):
            writer.write(3, f"{name}:\t{_resource(ref, container)} ({ref['resource']})\n")
        elif ref := source.get("secretKeyRef"):
            optional = str(bool(ref.get("optional"))).lower()
            where = f"<set to the key '{ref['key']}' in secret '{ref.get('name', '')}'>"
            writer.write(3, f"{name}:\t{where}\tOptional: {optional}\n")
        elif ref := source.get("configMapKeyRef"):
            optional = str(bool(ref.get("optional"))).lower()
            where = f"<set to the key '{ref['key']}' of config map '{ref.get('name', '')}'>"
            writer.write(3, f"{name}:\t{where}\tOptional: {optional}\n")


def _field(pod: Object, path: str) -> str:
    """A downward API field of the pod; only metadata can be told without its node."""
    meta = pod["metadata"]
    section, _, key = path.partition("['")
    key = key.removesuffix("']")
    if section in ("metadata.labels", "metadata.annotations"):
        members: Mapping[str, str] = meta.get(section.partition(".")[2]) or {}
        return members.get(key, "") if key else "\n".join(f'{k}="{v}"' for k, v in sorted(members.items()))
    if path in ("metadata.name", "metadata.namespace", "metadata.uid"):
        return str(meta.get(path.partition(".")[2], ""))
    return ""


def _resource(ref: Object, container: Object) -> str:
    group, _, name = ref["resource"].partition(".")
    amounts: Mapping[str, Any] = (container.get("resources") or {}).get(group) or {}
    amount = quantity.parse(amounts.get(name, "0"))
    divisor = quantity.parse(ref.get("divisor") or "0") or quantity.parse("1")
    value = ceil(amount / divisor)
    if value == 0 and ref["resource"] in ("limits.cpu", "limits.memory"):
        return "node allocatable"
    return str(value)


def _write_mounts(writer: Writer, container: Object) -> None:
    mounts = container.get("volumeMounts") or []
    writer.write(2, "Mounts:\n" if mounts else f"Mounts:\t{NONE}\n")
    for mount in sorted(mounts, key=lambda one: one["mountPath"]):
        flags = ["ro" if mount.get("readOnly") else "rw"]
        if mount.get("subPath"):
            flags.append(f'path="{mount["subPath"]}"')
        writer.write(3, f"{mount['mountPath']} from {mount['name']} ({','.join(flags)})\n")
    if devices := container.get("volumeDevices"):
        writer.write(2, "Devices:\n")
        for device in sorted(devices, key=lambda one: one["devicePath"]):
            writer.write(3, f"{device['devicePath']} from {device['name']}\n")
