"""Containers of a pod: regular, init and ephemeral ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.names import is_valid_port_name
from sampan.apiserver.registry.core.podspec import environment, mounts, probes, resources
from sampan.apiserver.registry.core.podspec.securitycontext import container_security_context
from sampan.apiserver.registry.core.podspec.volumes import pull_policy
from sampan.apiserver.registry.validation import names, numbers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.core.podspec.options import PodOptions
    from sampan.apiserver.registry.validation.names import Errors

PROTOCOLS = ("SCTP", "TCP", "UDP")
_RESTART_POLICIES = ("Always", "Never", "OnFailure")
_WITHOUT_ALWAYS = "may not be set for init containers without restartPolicy=Always"
_NOT_EPHEMERAL = "cannot be set for an Ephemeral Container"
_FORBIDDEN_EPHEMERAL = (
    "ports", "resources", "resizePolicy", "restartPolicy", "restartPolicyRules", "livenessProbe", "readinessProbe",
    "startupProbe", "lifecycle",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PodContext:
    """What containers need to know of their pod.

    volumes: the valid ones, by name. claims: names of resource claims. grace: termination grace period, seconds.
    """

    volumes: dict[str, Object]
    claims: Collection[str]
    grace: int | None
    restart_policy: str
    host_users: bool
    os_name: str | None
    options: PodOptions


def regular(errors: Errors, path: Path, items: list[Object], context: PodContext) -> None:
    if not items:
        errors.append(field.required(path))
        return
    seen: set[str] = set()
    for position, container in enumerate(items):
        here = path.index(position)
        _common(errors, here, container, context)
        name = container.get("name", "")
        if name in seen:
            errors.append(field.duplicate(here.child("name"), name))
        seen.add(name)
        _hooks(errors, here, container, context)
        _restart(errors, here, container, _RESTART_POLICIES)
    _host_ports(errors, path, enumerate(items))


def _hooks(errors: Errors, path: Path, container: Object, context: PodContext) -> None:
    if "lifecycle" in container:
        probes.lifecycle(errors, path.child("lifecycle"), container["lifecycle"], context.grace, context.os_name)
    probes.probes(errors, path, container)


def _restart(errors: Errors, path: Path, container: Object, supported: tuple[str, ...]) -> None:
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or ()
    if policy is not None:
        names.one_of(errors, path.child("restartPolicy"), policy, supported)
    if not rules:
        return
    if policy is None:
        detail = "must specify restartPolicy when restart rules are used"
        errors.append(field.required(path.child("restartPolicy"), detail))
    if len(rules) > 20:
        errors.append(field.too_many(path.child("restartPolicyRules"), len(rules), 20))
    for position, rule in enumerate(rules):
        here = path.child("restartPolicyRules").index(position)
        names.one_of(errors, here.child("action"), rule.get("action", ""), ("Restart", "RestartAllContainers"))
        codes = rule.get("exitCodes")
        if codes is None:
            errors.append(field.required(here.child("exitCodes"), "must be specified"))
            continue
        names.one_of(errors, here.child("exitCodes", "operator"), codes.get("operator", ""), ("In", "NotIn"))
        if len(codes.get("values") or ()) > 255:
            errors.append(field.too_many(here.child("exitCodes", "values"), len(codes["values"]), 255))


def init(errors: Errors, path: Path, items: list[Object], regular_items: list[Object], context: PodContext) -> None:
    seen = {one.get("name", "") for one in regular_items}
    for position, container in enumerate(items):
        here = path.index(position)
        _common(errors, here, container, context)
        _restart(errors, here, container, _RESTART_POLICIES)
        name = container.get("name", "")
        if name in seen:
            errors.append(field.duplicate(here.child("name"), name))
        elif name:
            seen.add(name)
        # Init containers run one by one: only a container's own ports can clash.
        _host_ports(errors, path, [(0, container)])
        if container.get("restartPolicy") == "Always":
            _hooks(errors, here, container, context)
        else:
            for kind in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
                if kind in container:
                    errors.append(field.forbidden(here.child(kind), _WITHOUT_ALWAYS))


def ephemeral(errors: Errors, path: Path, spec: Object, context: PodContext) -> None:
    """``ephemeralContainers``; other containers' names are taken."""
    others = {one.get("name", "") for kind in ("containers", "initContainers") for one in spec.get(kind) or ()}
    seen = set(others)
    for position, container in enumerate(spec["ephemeralContainers"]):
        here = path.index(position)
        _common(errors, here, container, context)
        only_for_pod(errors, here, container)
        name, target = container.get("name", ""), container.get("targetContainerName", "")
        if name in seen:
            errors.append(field.duplicate(here.child("name"), name))
        seen.add(name)
        if target and target not in others:
            errors.append(field.not_found(here.child("targetContainerName"), target))
        for kind in _FORBIDDEN_EPHEMERAL:
            if container.get(kind):
                errors.append(field.forbidden(here.child(kind), _NOT_EPHEMERAL))
        for index, mount in enumerate(container.get("volumeMounts") or ()):
            for kind in ("subPath", "subPathExpr"):
                if mount.get(kind):
                    where = here.child("volumeMounts").index(index).child(kind)
                    errors.append(field.forbidden(where, _NOT_EPHEMERAL))


def only_for_pod(errors: Errors, path: Path, container: Object) -> None:
    """What templates may have and pods may not."""
    image = container.get("image", "")
    if image != image.strip():
        errors.append(field.invalid(path.child("image"), image, "must not have leading or trailing whitespace"))


def _common(errors: Errors, path: Path, container: Object, context: PodContext) -> None:  # noqa: C901, PLR0912 - one check a field
    name = container.get("name", "")
    if not name:
        errors.append(field.required(path.child("name")))
    elif messages := names.label_messages(name):
        names.report(errors, path.child("name"), name, messages)
    if not container.get("image"):
        errors.append(field.required(path.child("image")))
    policy = container.get("terminationMessagePolicy", "")
    if policy != "File":
        supported = ("File", "FallbackToLogsOnError")
        names.one_of_required(errors, path.child("terminationMessagePolicy"), policy, supported)
    if "ports" in container:
        _ports(errors, path.child("ports"), container["ports"])
    if "env" in container:
        environment.variables(errors, path.child("env"), container["env"], context.volumes)
    if "envFrom" in container:
        environment.bulk_sources(errors, path.child("envFrom"), container["envFrom"])
    if "volumeMounts" in container:
        mounts.mounts(errors, path.child("volumeMounts"), container, context.volumes)
    if "volumeDevices" in container:
        mounts.devices(errors, path.child("volumeDevices"), container, context.volumes)
    pull = container.get("imagePullPolicy", "")
    if pull not in ("IfNotPresent", "Always"):
        pull_policy(errors, path.child("imagePullPolicy"), pull)
    if needs := container.get("resources"):
        resources.container_resources(errors, path.child("resources"), needs, context.claims, context.options)
    if "resizePolicy" in container:
        here = path.child("resizePolicy")
        resources.resize_policy(errors, here, container["resizePolicy"], context.restart_policy)
    if security := container.get("securityContext"):
        container_security_context(errors, path.child("securityContext"), security, host_users=context.host_users)


def _ports(errors: Errors, path: Path, items: list[Object]) -> None:
    seen: set[str] = set()
    for position, port in enumerate(items):
        here = path.index(position)
        if name := port.get("name", ""):
            if messages := is_valid_port_name(name):
                names.report(errors, here.child("name"), name, messages)
            elif name in seen:
                errors.append(field.duplicate(here.child("name"), name))
            else:
                seen.add(name)
        number = port.get("containerPort", 0)
        if number == 0:
            errors.append(field.required(here.child("containerPort")))
        else:
            numbers.port(errors, here.child("containerPort"), number)
        if host := port.get("hostPort", 0):
            numbers.port(errors, here.child("hostPort"), host)
        names.one_of_required(errors, here.child("protocol"), port.get("protocol", ""), PROTOCOLS)


def _host_ports(errors: Errors, path: Path, items: Iterable[tuple[int, Object]]) -> None:
    seen: set[str] = set()
    for position, container in items:
        for index, port in enumerate(container.get("ports") or ()):
            number = port.get("hostPort", 0)
            if not number:
                continue
            key = f"{port.get('protocol', '')}/{port.get('hostIP', '')}/{number}"
            if key in seen:
                where = path.index(position).child("ports").index(index).child("hostPort")
                errors.append(field.duplicate(where, key))
            seen.add(key)
