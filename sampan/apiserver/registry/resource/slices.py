"""Resource slices: pools, devices, attributes, taints."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.names import is_c_identifier
from sampan.apiserver.registry.core.podspec.affinity import node_selector
from sampan.apiserver.registry.resource.devices import driver_name
from sampan.apiserver.registry.validation import names

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.validation.names import Errors

_MAX_DEVICES = 128
_MAX_ATTRIBUTES = 32
_MAX_TAINTS = 16
_MAX_TEXT = 64
_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?"
)
_PLACES = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")
_KINDS = ("int", "bool", "string", "version")


def resource_slice(errors: Errors, path: Path, spec: Object) -> None:
    """The spec of a slice."""
    driver_name(errors, path.child("driver"), spec.get("driver", ""))
    _pool(errors, path.child("pool"), spec.get("pool") or {})
    _places(errors, path, spec)
    devices = spec.get("devices") or []
    if len(devices) > _MAX_DEVICES:
        errors.append(field.too_many(path.child("devices"), len(devices), _MAX_DEVICES))
    seen: set[str] = set()
    for position, device in enumerate(devices):
        here, name = path.child("devices").index(position), device.get("name", "")
        names.required_dns_label(errors, here.child("name"), name)
        if name in seen:
            errors.append(field.duplicate(here, name))
        seen.add(name)
        _device(errors, here, device)


def _pool(errors: Errors, path: Path, pool: Object) -> None:
    name, where = pool.get("name", ""), path.child("name")
    if not name:
        errors.append(field.required(where))
    else:
        if len(name) > 253:
            errors.append(field.too_long(where, name, 253))
        for part in name.split("/"):
            names.dns_subdomain(errors, where, part)
    count, generation = pool.get("resourceSliceCount", 0), pool.get("generation", 0)
    if count <= 0:
        errors.append(field.invalid(path.child("resourceSliceCount"), count, "must be greater than zero"))
    if generation < 0:
        errors.append(field.invalid(path.child("generation"), generation, "must be greater than or equal to zero"))


def _places(errors: Errors, path: Path, spec: Object) -> None:
    given = [key for key in _PLACES if spec.get(key)]
    if spec.get("nodeName"):
        names.dns_subdomain(errors, path.child("nodeName"), spec["nodeName"])
    if spec.get("nodeSelector"):
        node_selector(errors, path.child("nodeSelector"), spec["nodeSelector"])
        if len(spec["nodeSelector"].get("nodeSelectorTerms") or ()) != 1:
            where = path.child("nodeSelector", "nodeSelectorTerms")
            detail = "must have exactly one node selector term"
            errors.append(field.invalid(where, spec["nodeSelector"].get("nodeSelectorTerms"), detail))
    wanted = ", ".join(f"`{key}`" for key in _PLACES)
    if not given:
        errors.append(field.required(path, f"exactly one of {wanted} is required"))
    elif len(given) > 1:
        listed = "{" + ", ".join(f"`{key}`" for key in given) + "}"
        errors.append(field.invalid(path, listed, f"exactly one of {wanted} is required, but multiple fields are set"))


def _device(errors: Errors, path: Path, device: Object) -> None:
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    total = len(attributes) + len(capacity)
    if total > _MAX_ATTRIBUTES:
        detail = f"the total number of attributes and capacities must not exceed {_MAX_ATTRIBUTES}"
        errors.append(field.invalid(path, total, detail))
    for name, value in attributes.items():
        here = path.child("attributes").key(name)
        _qualified(errors, here, name)
        _attribute(errors, here, value)
    for name in capacity:
        _qualified(errors, path.child("capacity").key(name), name)
    taints = device.get("taints") or []
    if len(taints) > _MAX_TAINTS:
        errors.append(field.too_many(path.child("taints"), len(taints), _MAX_TAINTS))
    for position, taint in enumerate(taints):
        here = path.child("taints").index(position)
        names.label_name(errors, here.child("key"), taint.get("key", ""))
        if taint.get("value"):
            names.label_value(errors, here.child("value"), taint["value"])
        effects = ("NoExecute", "NoSchedule", "None")
        names.one_of_required(errors, here.child("effect"), taint.get("effect", ""), effects)


def _qualified(errors: Errors, path: Path, name: str) -> None:
    domain, slash, identifier = name.partition("/")
    if slash:
        driver_name(errors, path, domain)
    else:
        identifier = name
    if len(identifier) > 32:
        errors.append(field.too_long(path, identifier, 32))
    names.report(errors, path, identifier, is_c_identifier(identifier))


def _attribute(errors: Errors, path: Path, value: Object) -> None:
    given = [kind for kind in _KINDS if value.get(kind) is not None]
    if len(given) != 1:
        detail = "exactly one value must be specified"
        errors.append(field.required(path, detail) if not given else field.invalid(path, value, detail))
        return
    kind, text = given[0], value[given[0]]
    if kind == "string" and len(text) > _MAX_TEXT:
        errors.append(field.too_long(path.child("string"), text, _MAX_TEXT))
    if kind == "version":
        if _SEMVER.fullmatch(text) is None:
            detail = "must be a string compatible with semver.org spec 2.0.0"
            errors.append(field.invalid(path.child("version"), text, detail))
        if len(text) > _MAX_TEXT:
            errors.append(field.too_long(path.child("version"), text, _MAX_TEXT))
