"""Rows of the core group's other kinds, and of storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api.tables.text import NONE, UNSET, age, human_duration, since

if TYPE_CHECKING:
    from sampan.api.object import Object

_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
_CLASS = "volume.beta.kubernetes.io/storage-class"


def _name(obj: Object) -> str:
    found: str = obj["metadata"].get("name", "")
    return found


def config_map(obj: Object, now: float) -> list[Any]:
    return [_name(obj), len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), age(obj, now)]


def secret(obj: Object, now: float) -> list[Any]:
    return [_name(obj), obj.get("type", ""), len(obj.get("data") or ()), age(obj, now)]


def service_account(obj: Object, now: float) -> list[Any]:
    return [_name(obj), age(obj, now)]


def namespace(obj: Object, now: float) -> list[Any]:
    return [_name(obj), (obj.get("status") or {}).get("phase", ""), age(obj, now)]


def created_at(obj: Object, _: float) -> list[Any]:
    """Kinds that show when they were made, not their age."""
    return [_name(obj), obj["metadata"].get("creationTimestamp")]


def named(obj: Object, now: float) -> list[Any]:
    """Name and age."""
    return [_name(obj), age(obj, now)]


def component_status(obj: Object, _: float) -> list[Any]:
    status, message, error = "Unknown", "", ""
    for one in obj.get("conditions") or ():
        if one.get("type") == "Healthy":
            status = "Healthy" if one.get("status") == "True" else "Unhealthy"
            message, error = one.get("message", ""), one.get("error", "")
            break
    return [_name(obj), status, message, error]


def node(obj: Object, now: float) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    state = next((one for one in status.get("conditions") or () if one.get("type") == "Ready"), None)
    shown = "Unknown" if state is None else ("Ready" if state.get("status") == "True" else "NotReady")
    if spec.get("unschedulable"):
        shown += ",SchedulingDisabled"
    info = status.get("nodeInfo") or {}
    keys = ("osImage", "kernelVersion", "containerRuntimeVersion")
    return [
        _name(obj),
        shown,
        _roles(obj) or NONE,
        age(obj, now),
        info.get("kubeletVersion", ""),
        _address(status, "InternalIP"),
        _address(status, "ExternalIP"),
        *(info.get(key) or "<unknown>" for key in keys),
    ]


def _roles(obj: Object) -> str:
    roles = set()
    for key, value in (obj["metadata"].get("labels") or {}).items():
        if key.startswith("node-role.kubernetes.io/"):
            role = key.removeprefix("node-role.kubernetes.io/")
            if role:
                roles.add(role)
        elif key == "kubernetes.io/role" and value:
            roles.add(value)
    return ",".join(sorted(roles))


def _address(status: Object, kind: str) -> str:
    for one in status.get("addresses") or ():
        if one.get("type") == kind:
            return one.get("address") or NONE
    return NONE


def persistent_volume(obj: Object, now: float) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    claim = spec.get("claimRef")
    phase = "Terminating" if obj["metadata"].get("deletionTimestamp") else status.get("phase", "")
    return [
        _name(obj),
        (spec.get("capacity") or {}).get("storage", "0"),
        _modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        phase,
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        _class(obj, spec),
        spec.get("volumeAttributesClassName") or UNSET,
        status.get("reason", ""),
        age(obj, now),
        spec.get("volumeMode") or UNSET,
    ]


def persistent_volume_claim(obj: Object, now: float) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    capacity, modes = "", ""
    if spec.get("volumeName"):
        modes = _modes(status.get("accessModes"))
        capacity = (status.get("capacity") or {}).get("storage", "0")
    phase = "Terminating" if obj["metadata"].get("deletionTimestamp") else status.get("phase", "")
    return [
        _name(obj),
        phase,
        spec.get("volumeName", ""),
        capacity,
        modes,
        _class(obj, spec),
        spec.get("volumeAttributesClassName") or UNSET,
        age(obj, now),
        spec.get("volumeMode") or UNSET,
    ]


def _modes(modes: list[str] | None) -> str:
    return ",".join(short for mode, short in _MODES.items() if mode in (modes or ()))


def _class(obj: Object, spec: Object) -> str:
    annotations = obj["metadata"].get("annotations") or {}
    found: str = annotations[_CLASS] if _CLASS in annotations else spec.get("storageClassName") or ""
    return found


def resource_quota(obj: Object, now: float) -> list[Any]:
    status = obj.get("status") or {}
    hard, used = status.get("hard") or {}, status.get("used") or {}
    requests: list[str] = []
    limits: list[str] = []
    for name in sorted(hard):
        shown = f"{name}: {used.get(name, '0')}/{hard[name]}"
        (limits if name.startswith("limits") else requests).append(shown)
    return [_name(obj), ", ".join(requests), ", ".join(limits), age(obj, now)]


def event(obj: Object, now: float) -> list[Any]:
    """An event of either version."""
    involved = obj.get("involvedObject") or obj.get("regarding") or {}
    source = obj.get("source") or obj.get("deprecatedSource") or {}
    first = obj.get("firstTimestamp") or obj.get("deprecatedFirstTimestamp") or obj.get("eventTime")
    last = obj.get("lastTimestamp") or obj.get("deprecatedLastTimestamp")
    series, event_time = obj.get("series"), obj.get("eventTime")
    count = obj.get("count") or obj.get("deprecatedCount") or 0
    if not last:
        last = series.get("lastObservedTime") if series else event_time
    if series:
        count = series.get("count", 0)
    component = source.get("component") or obj.get("reportingComponent") or obj.get("reportingController") or ""
    host = source.get("host") or obj.get("reportingInstance") or ""
    kind, name = involved.get("kind", "").lower(), involved.get("name", "")
    return [
        since(last, now),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{kind}/{name}" if name else kind,
        involved.get("fieldPath", ""),
        f"{component}, {host}" if host else component,
        (obj.get("message") or obj.get("note") or "").strip(),
        since(first, now),
        count or 1,
        _name(obj),
    ]


def storage_class(obj: Object, now: float) -> list[Any]:
    annotations = obj["metadata"].get("annotations") or {}
    keys = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
    name = _name(obj)
    if any(annotations.get(key) == "true" for key in keys):
        name += " (default)"
    return [
        name,
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy") or "Delete",
        obj.get("volumeBindingMode") or "Immediate",
        bool(obj.get("allowVolumeExpansion")),
        age(obj, now),
    ]


def volume_attributes_class(obj: Object, now: float) -> list[Any]:
    key = "storage.alpha.kubernetes.io/is-default-class"
    name = _name(obj)
    if (obj["metadata"].get("annotations") or {}).get(key) == "true":
        name += " (default)"
    return [name, obj.get("driverName", ""), age(obj, now)]


def volume_attachment(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    volume = (spec.get("source") or {}).get("persistentVolumeName") or ""
    attached = bool((obj.get("status") or {}).get("attached"))
    return [_name(obj), spec.get("attacher", ""), volume, spec.get("nodeName", ""), attached, age(obj, now)]


def csi_node(obj: Object, now: float) -> list[Any]:
    return [_name(obj), len((obj.get("spec") or {}).get("drivers") or ()), age(obj, now)]


def csi_driver(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    tokens = ",".join(one.get("audience", "") for one in spec.get("tokenRequests") or ()) or UNSET
    modes = ",".join(spec.get("volumeLifecycleModes") or ()) or NONE
    return [
        _name(obj),
        bool(spec.get("attachRequired", True)),
        bool(spec.get("podInfoOnMount")),
        bool(spec.get("storageCapacity")),
        tokens,
        bool(spec.get("requiresRepublish")),
        modes,
        age(obj, now),
    ]


def signing_request(obj: Object, now: float) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    seconds = spec.get("expirationSeconds")
    duration = NONE if seconds is None else human_duration(seconds)
    conditions = status.get("conditions") or ()
    kinds = [one.get("type") for one in conditions]
    shown = "Approved" if "Approved" in kinds else "Denied" if "Denied" in kinds else "Pending"
    if "Failed" in kinds:
        shown += ",Failed"
    if status.get("certificate"):
        shown += ",Issued"
    return [_name(obj), age(obj, now), spec.get("signerName") or NONE, spec.get("username", ""), duration, shown]
