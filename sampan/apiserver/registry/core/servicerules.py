"""Rules of services: what each type needs, and what is valid (``ValidateService``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.core.podspec.containers import PROTOCOLS
from sampan.apiserver.registry.validation import addresses, gotypes, names, numbers, selectors

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.validation.names import Errors

_SPEC = Path("spec")
_CLUSTER_IPS = _SPEC.child("clusterIPs")
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_HINTS, _MODE = "service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"
_ONLY_LB = "may only be used when `type` is 'LoadBalancer'"
_MAX_AFFINITY = 86400


def is_headless(spec: Object) -> bool:
    return bool(spec.get("clusterIPs") == ["None"])


def is_headless_without_selector(spec: Object) -> bool:
    return spec.get("clusterIP") == "None" and not spec.get("selector")


def family_of(text: str) -> str:
    return "IPv6" if addresses.is_ipv6(text) else "IPv4"


def needs_cluster_ip(spec: Object) -> bool:
    return spec.get("type") in ("ClusterIP", "NodePort", "LoadBalancer")


def needs_node_port(spec: Object) -> bool:
    kind = spec.get("type")
    return kind == "NodePort" or (kind == "LoadBalancer" and allocates_node_ports(spec))


def allocates_node_ports(spec: Object) -> bool:
    """Whether ports without a number get one."""
    kind = spec.get("type")
    return kind == "NodePort" or (kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False)


def is_external(spec: Object) -> bool:
    """Whether the service can be reached from outside."""
    kind = spec.get("type")
    return kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and bool(spec.get("externalIPs")))


def needs_health_check(spec: Object) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def service(errors: Errors, obj: Object, old: Object | None = None) -> None:
    """old: of an update; addresses that it had may stay spelled as they are."""
    spec, values = obj["spec"], obj["metadata"].get("annotations") or {}
    if _HINTS in values and _MODE in values and values[_HINTS] != values[_MODE]:
        where = Path("metadata").child("annotations").key(_MODE)
        errors.append(field.invalid(where, values[_MODE], f"must match annotations[{_HINTS}] when both are specified"))
    ports, kind = spec.get("ports") or [], spec.get("type", "")
    if not ports and not is_headless(spec) and kind != "ExternalName":
        errors.append(field.required(_SPEC.child("ports")))
    _by_type(errors, spec, kind)
    seen: set[str] = set()
    for position, port in enumerate(ports):
        _port(errors, _SPEC.child("ports").index(position), port, seen, named=len(ports) > 1)
    selectors.labels(errors, _SPEC.child("selector"), spec.get("selector"))
    _affinity(errors, spec)
    cluster_ips(errors, obj, old)
    _external_ips(errors, spec, old)
    names.one_of_required(errors, _SPEC.child("type"), kind, _TYPES)
    _port_clashes(errors, ports, kind)
    _source_ranges(errors, spec, values, kind, old)
    _load_balancer(errors, spec, kind)
    _load_balancer_class(errors, spec, kind)
    _traffic(errors, spec, kind)


def _by_type(errors: Errors, spec: Object, kind: str) -> None:
    if kind in ("LoadBalancer", "NodePort") and is_headless(spec):
        detail = f"may not be set to 'None' for {kind} services"
        errors.append(field.invalid(_CLUSTER_IPS.index(0), spec["clusterIPs"][0], detail))
    if kind != "ExternalName":
        return
    for key in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if spec.get(key):
            errors.append(field.forbidden(_SPEC.child(key), "may not be set for ExternalName services"))
    name = spec.get("externalName", "").removesuffix(".")
    names.required_subdomain(errors, _SPEC.child("externalName"), name)


def _port(errors: Errors, path: Path, port: Object, seen: set[str], *, named: bool) -> None:
    name = port.get("name", "")
    if named and not name:
        errors.append(field.required(path.child("name")))
    elif name:
        names.dns_label(errors, path.child("name"), name)
        if name in seen:
            errors.append(field.duplicate(path.child("name"), name))
        seen.add(name)
    numbers.port(errors, path.child("port"), port.get("port", 0))
    names.one_of_required(errors, path.child("protocol"), port.get("protocol", ""), PROTOCOLS)
    numbers.port_or_name(errors, path.child("targetPort"), port.get("targetPort", 0))
    if "appProtocol" in port:
        names.qualified_name(errors, path.child("appProtocol"), port["appProtocol"])


def _affinity(errors: Errors, spec: Object) -> None:
    affinity, config = spec.get("sessionAffinity", ""), spec.get("sessionAffinityConfig")
    names.one_of_required(errors, _SPEC.child("sessionAffinity"), affinity, ("ClientIP", "None"))
    path = _SPEC.child("sessionAffinityConfig")
    if affinity == "ClientIP":
        detail = "when session affinity type is ClientIP"
        if config is None:
            errors.append(field.required(path, detail))
            return
        client = config.get("clientIP")
        if client is None:
            errors.append(field.required(path.child("clientIP"), detail))
            return
        timeout = client.get("timeoutSeconds")
        where = path.child("clientIP", "timeoutSeconds")
        if timeout is None:
            errors.append(field.required(where, detail))
        elif not 0 < timeout <= _MAX_AFFINITY:
            errors.append(field.invalid(where, timeout, f"must be greater than 0 and less than {_MAX_AFFINITY}"))
    elif affinity == "None" and config is not None:
        errors.append(field.forbidden(path, "must not be set when session affinity is None"))


def cluster_ips(errors: Errors, obj: Object, old: Object | None = None) -> None:  # noqa: C901, PLR0912 - one rule each
    """``ValidateServiceClusterIPsRelatedFields``: clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy together."""
    spec = obj["spec"]
    if spec.get("type") == "ExternalName":
        return
    single, several = spec.get("clusterIP", ""), spec.get("clusterIPs") or []
    families = spec.get("ipFamilies") or []
    if single:
        if not several:
            errors.append(field.required(_CLUSTER_IPS))
        elif several[0] != single:
            errors.append(field.invalid(_CLUSTER_IPS, several, "first value must match `clusterIP`"))
    elif several:
        errors.append(field.invalid(_CLUSTER_IPS, several, "must be empty when `clusterIP` is not specified"))
    seen: set[str] = set()
    for position, family in enumerate(families):
        where = _SPEC.child("ipFamilies").index(position)
        names.one_of(errors, where, family, ("IPv4", "IPv6"))
        if family in seen:
            errors.append(field.duplicate(where, family))
        seen.add(family)
    if spec.get("ipFamilyPolicy") is not None:
        names.one_of(errors, _SPEC.child("ipFamilyPolicy"), spec["ipFamilyPolicy"], _POLICIES)
    if _bad_ips(errors, several, _kept(old, "clusterIPs")):
        return
    if len(several) > 1 and not addresses.dual_stack(several):
        errors.append(field.invalid(_CLUSTER_IPS, several, "may specify no more than one IP for each IP family"))
    if is_headless(spec):
        return
    for position, (text, family) in enumerate(zip(several, families, strict=False)):
        if family in ("IPv4", "IPv6") and family_of(text) != family:
            detail = f"expected an {family} value as indicated by `ipFamilies[{position}]`"
            errors.append(field.invalid(_CLUSTER_IPS.index(position), text, detail))


def _kept(old: Object | None, key: str) -> list[str]:
    found: list[str] = (old or {}).get("spec", {}).get(key) or []
    return found


def _bad_ips(errors: Errors, several: list[str], kept: list[str]) -> bool:
    bad = False
    for position, text in enumerate(several):
        if position == 0 and text == "None":
            if len(several) > 1:
                bad = True
                errors.append(field.invalid(_CLUSTER_IPS, several, "'None' must be the first and only value"))
            continue
        strict = text not in kept
        bad = not addresses.valid_ip(errors, _CLUSTER_IPS.index(position), text, strict=strict) or bad
    if len(several) > 2:
        errors.append(field.invalid(_CLUSTER_IPS, several, "may only hold up to 2 values"))
    return bad


def _external_ips(errors: Errors, spec: Object, old: Object | None) -> None:
    kept = _kept(old, "externalIPs")
    for position, text in enumerate(spec.get("externalIPs") or ()):
        where = _SPEC.child("externalIPs").index(position)
        if addresses.valid_ip(errors, where, text, strict=text not in kept):
            addresses.not_special(errors, where, text)


def _port_clashes(errors: Errors, ports: list[Object], kind: str) -> None:
    path = _SPEC.child("ports")
    if kind == "ClusterIP":
        for position, port in enumerate(ports):
            if port.get("nodePort"):
                detail = "may not be used when `type` is 'ClusterIP'"
                errors.append(field.forbidden(path.index(position).child("nodePort"), detail))
    seen: set[tuple[str, str, int]] = set()
    for position, port in enumerate(ports):
        key = ("node", port.get("protocol", ""), port.get("nodePort", 0))
        if key[2] and key in seen:
            errors.append(field.duplicate(path.index(position).child("nodePort"), key[2]))
        seen.add(key)
    for position, port in enumerate(ports):
        key = ("port", port.get("protocol", ""), port.get("port", 0))
        if key in seen:
            shown = gotypes.internal("core.v1.ServicePort", {"protocol": key[1], "port": key[2]})
            errors.append(field.duplicate(path.index(position), shown))
        seen.add(key)


def _source_ranges(errors: Errors, spec: Object, values: dict[str, str], kind: str, old: Object | None) -> None:
    ranges = spec.get("loadBalancerSourceRanges") or []
    if ranges:
        path = _SPEC.child("LoadBalancerSourceRanges")
        if kind != "LoadBalancer":
            errors.append(field.forbidden(path, _ONLY_LB))
        kept = _kept(old, "loadBalancerSourceRanges")
        for position, text in enumerate(ranges):
            addresses.valid_cidr(errors, path.index(position), text.strip(), strict=text not in kept)
    elif _RANGES in values:
        path = Path("metadata").child("annotations").key(_RANGES)
        if kind != "LoadBalancer":
            errors.append(field.forbidden(path, _ONLY_LB))
        text = values[_RANGES].strip()
        for one in text.split(",") if text else ():
            addresses.valid_cidr(errors, path, one.strip())


def _load_balancer(errors: Errors, spec: Object, kind: str) -> None:
    allocate = spec.get("allocateLoadBalancerNodePorts")
    if allocate is not None and kind != "LoadBalancer":
        errors.append(field.forbidden(_SPEC.child("allocateLoadBalancerNodePorts"), _ONLY_LB))
    if allocate is None and kind == "LoadBalancer":
        errors.append(field.required(Path("allocateLoadBalancerNodePorts")))


def _load_balancer_class(errors: Errors, spec: Object, kind: str) -> None:
    value = spec.get("loadBalancerClass")
    if value is None:
        return
    path = _SPEC.child("loadBalancerClass")
    if kind == "LoadBalancer":
        names.qualified_name(errors, path, value)
    else:
        errors.append(field.forbidden(path, _ONLY_LB))


def _traffic(errors: Errors, spec: Object, kind: str) -> None:
    external, path = spec.get("externalTrafficPolicy", ""), _SPEC.child("externalTrafficPolicy")
    if not is_external(spec):
        if external:
            errors.append(field.invalid(path, external, "may only be set for externally-accessible services"))
    else:
        names.one_of_required(errors, path, external, ("Cluster", "Local"))
    port, path = spec.get("healthCheckNodePort", 0), _SPEC.child("healthCheckNodePort")
    if not needs_health_check(spec):
        if port:
            detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
            errors.append(field.invalid(path, port, detail))
    elif not port:
        errors.append(field.required(path))
    else:
        numbers.port(errors, path, port)
    internal, path = spec.get("internalTrafficPolicy"), _SPEC.child("internalTrafficPolicy")
    if internal is None:
        if kind in ("NodePort", "LoadBalancer", "ClusterIP"):
            errors.append(field.required(path))
    else:
        names.one_of(errors, path, internal, ("Cluster", "Local"))
    if "trafficDistribution" in spec:
        names.one_of(errors, _SPEC.child("trafficDistribution"), spec["trafficDistribution"], _DISTRIBUTIONS)


def update(errors: Errors, new: Object, old: Object) -> None:
    """What cannot change: the primary address and family, the load balancer's class."""
    after, before = new["spec"], old["spec"]
    if "ExternalName" not in (after.get("type"), before.get("type")):
        _changed_ips(errors, after, before)
        _changed_families(errors, after, before)
    if after.get("type") == before.get("type") == "LoadBalancer":
        value = after.get("loadBalancerClass")
        if value != before.get("loadBalancerClass"):
            errors.append(field.invalid(_SPEC.child("loadBalancerClass"), value, "may not change once set"))
    # Kubernetes looks at the class twice, as a change and as a value.
    _load_balancer_class(errors, after, after.get("type", ""))
    port = "healthCheckNodePort"
    if needs_health_check(before) and needs_health_check(after) and after.get(port) != before.get(port):
        errors.append(field.forbidden(_SPEC.child("healthCheckNodePort"), "field is immutable"))


def _changed_ips(errors: Errors, after: Object, before: Object) -> None:
    if is_headless(before) and is_headless(after):
        return
    now: list[Any] = after.get("clusterIPs") or []
    earlier: list[Any] = before.get("clusterIPs") or []
    shown = now or None
    if len(now) == len(earlier):
        for position, text in enumerate(earlier):
            if text != now[position]:
                errors.append(field.invalid(_CLUSTER_IPS.index(position), now, "may not change once set"))
        return
    if len(earlier) > len(now) and not now:
        errors.append(field.invalid(_CLUSTER_IPS.index(0), shown, "primary clusterIP can not be unset"))
    if earlier and now and now[0] != earlier[0]:
        errors.append(field.invalid(_CLUSTER_IPS.index(0), now, "may not change once set"))
    if len(earlier) > len(now) == 1:
        _needs_single_stack(errors, after, "clusterIP")


def _needs_single_stack(errors: Errors, after: Object, what: str) -> None:
    policy = after.get("ipFamilyPolicy")
    if policy != "SingleStack":
        detail = f"must be set to 'SingleStack' when releasing the secondary {what}"
        errors.append(field.invalid(_SPEC.child("ipFamilyPolicy"), policy, detail))


def _changed_families(errors: Errors, after: Object, before: Object) -> None:
    if is_headless(before) or is_headless(after):
        return
    path = _SPEC.child("ipFamilies").index(0)
    now: list[str] = after.get("ipFamilies") or []
    earlier: list[str] = before.get("ipFamilies") or []
    if len(now) == len(earlier):
        errors += [
            field.invalid(path, now, "may not change once set") for a, b in zip(now, earlier, strict=True) if a != b
        ]
        return
    if len(earlier) > len(now) and not after.get("clusterIPs"):
        errors.append(field.invalid(path, now or None, "primary ipFamily can not be unset"))
    if earlier and now and now[0] != earlier[0]:
        errors.append(field.invalid(path, after.get("clusterIPs"), "may not change once set"))
    if len(earlier) > len(now) == 1:
        _needs_single_stack(errors, after, "ipFamily")
