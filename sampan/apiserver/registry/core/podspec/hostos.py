"""What depends on the operating system of the node, and on sharing the host's namespaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.validation.names import Errors

_LINUX_POD = (
    ("appArmorProfile", True), ("seLinuxOptions", True), ("hostUsers", False), ("hostPID", False), ("hostIPC", False),
    ("seccompProfile", True), ("fsGroup", True), ("fsGroupChangePolicy", True), ("sysctls", True),
    ("shareProcessNamespace", False), ("runAsUser", True), ("runAsGroup", True), ("supplementalGroups", True),
    ("supplementalGroupsPolicy", True), ("seLinuxChangePolicy", True),
)  # fmt: skip
_LINUX_CONTAINER = (
    "appArmorProfile", "seLinuxOptions", "seccompProfile", "capabilities", "readOnlyRootFilesystem", "privileged",
    "allowPrivilegeEscalation", "procMount", "runAsUser", "runAsGroup",
)  # fmt: skip


def all_containers(spec: Object, path: Path) -> Iterator[tuple[Object, Path]]:
    """Every container with its path: init, regular, ephemeral, as kube-apiserver visits them."""
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for position, container in enumerate(spec.get(kind) or ()):
            yield container, path.child(kind).index(position)


def operating_system(errors: Errors, path: Path, spec: Object) -> None:
    """``os`` and the fields that the other system does not know. path: of the spec."""
    name = spec["os"].get("name", "")
    if not name:
        errors.append(field.required(path.child("os", "name"), "cannot be empty"))
    elif name == "linux":
        _linux(errors, path, spec)
    elif name == "windows":
        _windows(errors, path, spec)
    else:
        errors.append(field.not_supported(path.child("os"), name, ("linux", "windows")))


def _linux(errors: Errors, path: Path, spec: Object) -> None:
    detail = "windows options cannot be set for a linux pod"
    if "windowsOptions" in (spec.get("securityContext") or {}):
        errors.append(field.forbidden(path.child("securityContext", "windowsOptions"), detail))
    for container, here in all_containers(spec, path):
        if "windowsOptions" in (container.get("securityContext") or {}):
            errors.append(field.forbidden(here.child("securityContext", "windowsOptions"), detail))


def _windows(errors: Errors, path: Path, spec: Object) -> None:
    detail = "cannot be set for a windows pod"
    context = spec.get("securityContext") or {}
    for name, in_context in _LINUX_POD:
        if name in (context if in_context else spec):
            where = path.child("securityContext", name) if in_context else path.child(name)
            errors.append(field.forbidden(where, detail))
    for container, here in all_containers(spec, path):
        security = container.get("securityContext") or {}
        for name in _LINUX_CONTAINER:
            if name in security:
                errors.append(field.forbidden(here.child("securityContext", name), detail))


def host_process(errors: Errors, path: Path, spec: Object) -> None:
    """Windows HostProcess containers: all of a pod's or none, and only on the host's network."""
    of_pod = ((spec.get("securityContext") or {}).get("windowsOptions") or {}).get("hostProcess")
    total = count = 0
    for container, here in all_containers(spec, path):
        total += 1
        own = ((container.get("securityContext") or {}).get("windowsOptions") or {}).get("hostProcess")
        if of_pod is not None and own is not None and of_pod != own:
            shown = "true" if of_pod else "false"
            detail = f"pod hostProcess value must be identical if both are specified, was {shown}"
            where = here.child("securityContext", "windowsOptions", "hostProcess")
            errors.append(field.invalid(where, own, detail))
        if own or (own is None and of_pod):
            count += 1
    if not count:
        return
    if count != total:
        detail = "If pod contains any hostProcess containers then all containers must be HostProcess containers"
        errors.append(field.invalid(path, "", detail))
    if not spec.get("hostNetwork"):
        detail = "hostNetwork must be true if pod contains any hostProcess containers"
        errors.append(field.invalid(path.child("hostNetwork"), False, detail))


def host_users(errors: Errors, path: Path, spec: Object) -> None:
    """A user namespace of its own excludes the host's other namespaces."""
    if spec.get("hostUsers") is not False:
        return
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            errors.append(field.forbidden(path.child(name), "when `hostUsers` is false"))


def host_network_ports(errors: Errors, path: Path, spec: Object, *, is_pod: bool) -> None:
    """On the host's network a host port is the container port; a template may leave it to be defaulted."""
    for position, container in enumerate(spec.get("containers") or ()):
        for index, port in enumerate(container.get("ports") or ()):
            host = port.get("hostPort", 0)
            if (is_pod or host) and host != port.get("containerPort", 0):
                where = path.child("containers").index(position).child("ports").index(index).child("hostPort")
                detail = "must match `containerPort` when `hostNetwork` is true"
                errors.append(field.invalid(where, host, detail))
