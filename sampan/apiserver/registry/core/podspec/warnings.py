"""Warnings about pods and pod templates: deprecated fields, and what is probably a mistake (pkg/api/pod, warnings)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.field import Path, go_quote
from sampan.apiserver.registry.core.podspec.hostos import all_containers
from sampan.apiserver.registry.core.podspec.podannotations import APP_ARMOR, SECCOMP_CONTAINER, SECCOMP_POD
from sampan.apiserver.registry.validation.addresses import parse_ip
from sampan.apiserver.registry.validation.names import value_messages
from sampan.apiserver.registry.validation.numbers import is_whole

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.api.object import Object

_NODE_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
}
_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": 'non-functional in v1.16+; use the "priorityClassName" field instead',
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
}
_VOLUMES = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
_VOLUME_PATHS = {"storageos": "storageOS"}
_SECCOMP = 'non-functional in v1.27+; use the "seccompProfile" field instead'
_APP_ARMOR = 'deprecated since v1.30; use the "appArmorProfile" field instead'
_BYTES = ("memory", "ephemeral-storage")


class _Root(Path):
    """The empty root: paths of a pod's own warnings begin with "spec" and "metadata"."""

    def __init__(self) -> None:
        super().__init__("")


def template_warnings(path: Path | None, template: Object) -> list[str]:
    """path: of the template; None for a pod, which is one."""
    root = path or _Root()
    spec, metadata = template.get("spec") or {}, template.get("metadata") or {}
    found: list[str] = []
    here = root.child("spec")
    values = metadata.get("annotations") or {}
    if path is None:
        _app_armor(found, root, spec, values)
    _selectors(found, here, spec)
    for key, message in _ANNOTATIONS.items():
        if key in values:
            found.append(_say(root.child("metadata", "annotations").key(key), message))
    for position, volume in enumerate(spec.get("volumes") or ()):
        for kind, message in _VOLUMES.items():
            if kind in volume:
                where = here.child("volumes").index(position).child(_VOLUME_PATHS.get(kind, kind))
                found.append(_say(where, message))
        if "ephemeral" in volume:
            where = here.child("volumes").index(position).child("ephemeral", "volumeClaimTemplate", "spec")
            found += claim_warnings(where, (volume["ephemeral"].get("volumeClaimTemplate") or {}).get("spec") or {})
    _token_paths(found, here, spec)
    _duplicates(found, here, spec)
    _fractions(found, here.child("overhead"), spec.get("overhead") or {})
    if SECCOMP_POD in values and "seccompProfile" not in (spec.get("securityContext") or {}):
        found.append(_say(root.child("metadata", "annotations").key(SECCOMP_POD), _SECCOMP))
    _containers(found, root, spec, values, is_template=path is not None)
    _ports(found, here, spec)
    _late(found, here, spec)
    return [text.removeprefix(".") for text in found]


def _say(path: Path, message: str) -> str:
    return f"{path}: {message}"


def deprecated_label(key: str) -> str:
    """Tell what replaces a deprecated label of nodes, "" when it is not deprecated."""
    return _NODE_LABELS.get(key, "")


def term_warnings(path: Path, term: Object) -> list[str]:
    """Warnings for one term of a node selector."""
    found = []
    for position, requirement in enumerate(term.get("matchExpressions") or ()):
        key = requirement.get("key", "")
        if message := _NODE_LABELS.get(key):
            where = path.child("matchExpressions").index(position).child("key")
            found.append(f"{where}: {key} is {message}")
        if requirement.get("operator") in ("In", "NotIn"):
            found += _label_values(path.child("matchExpressions").index(position).child("values"), requirement)
    return found


def _label_values(path: Path, requirement: Object) -> list[str]:
    return [
        f"{path.index(position)}: {go_quote(value)} is invalid, {messages[0]}"
        for position, value in enumerate(requirement.get("values") or ())
        if (messages := value_messages(value))
    ]


def _selectors(found: list[str], path: Path, spec: Object) -> None:
    found += [
        _say(path.child("nodeSelector").key(key), _NODE_LABELS[key])
        for key in spec.get("nodeSelector") or ()
        if key in _NODE_LABELS
    ]
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    where = path.child("affinity", "nodeAffinity")
    name = "requiredDuringSchedulingIgnoredDuringExecution"
    for position, term in enumerate((affinity.get(name) or {}).get("nodeSelectorTerms") or ()):
        found += term_warnings(where.child(name, "nodeSelectorTerms").index(position), term)
    name = "preferredDuringSchedulingIgnoredDuringExecution"
    for position, term in enumerate(affinity.get(name) or ()):
        found += term_warnings(where.child(name).index(position).child("preference"), term.get("preference") or {})
    for position, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        here = path.child("topologySpreadConstraints").index(position)
        key = constraint.get("topologyKey", "")
        if message := _NODE_LABELS.get(key):
            found.append(_say(here.child("topologyKey"), f"{key} is {message}"))
        if "labelSelector" not in constraint:
            found.append(_say(here.child("labelSelector"), "a null labelSelector results in matching no pod"))


_PROJECTED = {"configMap": "configMap", "secret": "secrets", "downwardAPI": "downwardAPI"}


def _token_paths(found: list[str], path: Path, spec: Object) -> None:
    tokens = {
        source["serviceAccountToken"].get("path", "")
        for volume in spec.get("volumes") or ()
        for source in (volume.get("projected") or {}).get("sources") or ()
        if "serviceAccountToken" in source
    }
    if not tokens:
        return
    for position, volume in enumerate(spec.get("volumes") or ()):
        where = path.child("volumes").index(position).child("projected", "sources")
        for source in (volume.get("projected") or {}).get("sources") or ():
            for kind, one in source.items():
                if kind == "clusterTrustBundle" and one.get("path", "") in tokens:
                    found.append(_clash(where.child("ClusterTrustBundle"), one.get("path", "")))
                elif kind in _PROJECTED:
                    shown = where.child(_PROJECTED[kind])
                    items = enumerate(one.get("items") or ())
                    found += [_clash(shown.index(i), item["path"]) for i, item in items if item.get("path") in tokens]


def _clash(path: Path, value: str) -> str:
    return _say(path, f"has duplicated path with ServiceAccountToken {go_quote(value)}")


def _duplicates(found: list[str], path: Path, spec: Object) -> None:
    for kind, key in (("hostAliases", "ip"), ("imagePullSecrets", "name")):
        seen: set[str] = set()
        for position, item in enumerate(spec.get(kind) or ()):
            value = item.get(key, "")
            if value in seen:
                found.append(_say(path.child(kind).index(position).child(key), f"duplicate {key} {go_quote(value)}"))
            seen.add(value)
    for position, item in enumerate(spec.get("imagePullSecrets") or ()):
        if not item.get("name"):
            where = path.child("imagePullSecrets").index(position).child("name")
            found.append(_say(where, 'invalid empty name ""'))


def _fractions(found: list[str], path: Path, amounts: dict[str, str]) -> None:
    for name in _BYTES:
        value = amounts.get(name)
        if value is not None and not is_whole(value):
            detail = f"fractional byte value {go_quote(value)} is invalid, must be an integer"
            found.append(_say(path.key(name), detail))


def _app_armor(found: list[str], root: Path, spec: Object, values: dict[str, str]) -> None:
    """Of a pod, where the field was filled in from the annotation by now: first of all, said while preparing it."""
    if not values or "appArmorProfile" in (spec.get("securityContext") or {}):
        return
    for container, _ in all_containers(spec, root):
        key = APP_ARMOR + container.get("name", "")
        if key in values:
            found.append(_say(root.child("metadata", "annotations").key(key), _APP_ARMOR))


def _containers(found: list[str], root: Path, spec: Object, values: dict[str, str], *, is_template: bool) -> None:
    context = spec.get("securityContext") or {}
    for container, where in all_containers(spec, root.child("spec")):
        security = container.get("securityContext") or {}
        name = container.get("name", "")
        if "seccompProfile" not in security and SECCOMP_CONTAINER + name in values:
            found.append(_say(root.child("metadata", "annotations").key(SECCOMP_CONTAINER + name), _SECCOMP))
        unsaid = "appArmorProfile" not in context and "appArmorProfile" not in security
        if is_template and APP_ARMOR + name in values and unsaid:
            found.append(_say(root.child("metadata", "annotations").key(APP_ARMOR + name), _APP_ARMOR))
        resources = container.get("resources")
        if resources:
            for byte_name in _BYTES:
                for kind in ("limits", "requests"):
                    value = (resources.get(kind) or {}).get(byte_name)
                    if value is not None and not is_whole(value):
                        _fractions(found, where.child("resources", kind), {byte_name: value})
        env = container.get("env") or ()
        if len(env) > 1:
            _environment(found, where.child("env"), env)


def _environment(found: list[str], path: Path, items: Iterable[Object]) -> None:
    seen: set[str] = set()
    for position, item in enumerate(items):
        name = item.get("name", "")
        if name not in seen:
            seen.add(name)
            continue
        reference, value = f"$({name})", item.get("value", "")
        if "valueFrom" in item or value == reference or reference not in value:
            detail = f"hides previous definition of {go_quote(name)}, which may be dropped when using apply"
            found.append(_say(path.index(position), detail))


def _ports(found: list[str], path: Path, spec: Object) -> None:
    known: dict[tuple[int, str], list[tuple[Path, Object]]] = {}
    for container, where in all_containers(spec, path):
        for position, port in enumerate(container.get("ports") or ()):
            here = where.child("ports").index(position)
            host, address = port.get("hostPort", 0), port.get("hostIP", "")
            if address and not host:
                found.append(_say(here, f"hostIP set without hostPort: {_go_port(port)}"))
            if address:
                found += ip_warnings(here.child("hostIP"), address)
            key = (port.get("containerPort", 0), port.get("protocol", ""))
            for other_path, other in known.get(key, ()):
                if (address, host) == (other.get("hostIP", ""), other.get("hostPort", 0)):
                    found.append(_say(here, f"duplicate port definition with {str(other_path).removeprefix('.')}"))
                elif not host or not other.get("hostPort", 0):
                    found.append(_say(here, f"overlapping port definition with {str(other_path).removeprefix('.')}"))
                elif (not address or not other.get("hostIP", "")) and host == other.get("hostPort", 0):
                    what = f"dangerously ambiguous port definition with {str(other_path).removeprefix('.')}"
                    found.append(_say(here, what))
            known.setdefault(key, []).append((here, port))


def _go_port(port: Object) -> str:
    values = (port.get("name", ""), port.get("hostPort", 0), port.get("containerPort", 0))
    shown = "{{Name:{} HostPort:{} ContainerPort:{} Protocol:{} HostIP:{}}}"
    return shown.format(*values, port.get("protocol", ""), port.get("hostIP", ""))


def _late(found: list[str], path: Path, spec: Object) -> None:
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is not None and grace < 0:
        where = path.child("terminationGracePeriodSeconds")
        found.append(_say(where, "must be >= 0; negative values are invalid and will be treated as 1"))
    for position, server in enumerate((spec.get("dnsConfig") or {}).get("nameservers") or ()):
        found.extend(ip_warnings(path.child("dnsConfig", "nameservers").index(position), server))
    for position, alias in enumerate(spec.get("hostAliases") or ()):
        found.extend(ip_warnings(path.child("hostAliases").index(position).child("ip"), alias.get("ip", "")))


def ip_warnings(path: Path, value: str) -> list[str]:
    """Warnings about an address that is spelled in a way that other programs read differently."""
    address = parse_ip(value)
    if address is None or str(address) == value:
        return []
    if ":" in value:
        if address.version == 4:
            return [_say(path, f"IPv4-mapped IPv6 address {go_quote(value)} should not be used")]
        shown = f"IPv6 address {go_quote(value)} should be in RFC 5952 canonical format ({go_quote(str(address))})"
        return [_say(path, shown)]
    return [_say(path, f"non-standard IP address {go_quote(value)} will be considered invalid in a future "
                       f"Kubernetes release: use {go_quote(str(address))}")]  # fmt: skip


_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"


def claim_warnings(path: Path, spec: Object) -> list[str]:
    """Warnings about a claim's spec."""
    found: list[str] = []
    resources = spec.get("resources") or {}
    for kind in ("requests", "limits"):
        value = (resources.get(kind) or {}).get("storage")
        if value is not None and not is_whole(value):
            where = path.child("resources", kind).key("storage")
            found.append(_say(where, f"fractional byte value {go_quote(value)} is invalid, must be an integer"))
    return found
