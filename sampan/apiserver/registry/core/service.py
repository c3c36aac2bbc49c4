"""Services (pkg/registry/core/service): the strategy around `serviceallocation` and `servicerules`."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path, go_quote
from sampan.apiserver.registry.core import servicerules as rules
from sampan.apiserver.registry.core.podspec.warnings import ip_warnings
from sampan.apiserver.registry.core.serviceallocation import ServiceAllocation
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import addresses, names

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import Environment, Finish, WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_INGRESS = Path("status").child("loadBalancer", "ingress")


class ServiceStrategy(Strategy):
    """Services; addresses and ports are allocated when they are written."""

    allow_create_on_update = True
    tracks_generation = False
    name_kind = "label"
    selectable = ("spec.clusterIP", "spec.type")
    _allocation: ServiceAllocation

    def attach(self, environment: Environment) -> None:
        self._allocation = ServiceAllocation(environment)

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        _default_affinity(spec)
        kind = spec.setdefault("type", "ClusterIP")
        for port in spec.get("ports") or ():
            port.setdefault("protocol", "TCP")
            if not port.get("targetPort"):
                port["targetPort"] = port.get("port", 0)
        if rules.is_external(spec):
            spec.setdefault("externalTrafficPolicy", "Cluster")
        if kind in ("NodePort", "LoadBalancer", "ClusterIP"):
            spec.setdefault("internalTrafficPolicy", "Cluster")
        if kind == "LoadBalancer":
            spec.setdefault("allocateLoadBalancerNodePorts", True)
            for ingress in ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ():
                if ingress.get("ip"):
                    ingress.setdefault("ipMode", "VIP")

    def begin_create(self, ctx: WriteContext, obj: Object) -> Finish | None:
        return self._allocation.create(obj, dry_run=ctx.dry_run)

    def begin_update(self, ctx: WriteContext, new: Object, old: Object) -> Finish | None:
        return self._allocation.update(new, old, dry_run=ctx.dry_run)

    def after_delete(self, ctx: WriteContext, obj: Object) -> None:
        self._allocation.release(obj)

    def prepare_for_update(self, ctx: WriteContext, new: Object, old: Object) -> None:
        _drop_what_the_type_lost(new["spec"], old["spec"])

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        rules.service(errors, obj)
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        rules.update(errors, new, old)
        rules.service(errors, new, old)
        return errors

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        ingress = ((new.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
        if ingress and new["spec"].get("type") != "LoadBalancer":
            errors.append(field.forbidden(_INGRESS, "may only be used when `spec.type` is 'LoadBalancer'"))
            return errors
        for position, one in enumerate(ingress):
            load_balancer_ingress(errors, _INGRESS.index(position), one)
        return errors

    def warnings_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        return _warnings(obj, None)

    def warnings_on_update(self, ctx: WriteContext, new: Object, old: Object) -> list[str]:
        return _warnings(new, old) if not ctx.subresource else []

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        spec = obj.get("spec") or {}
        return {"spec.clusterIP": spec.get("clusterIP", ""), "spec.type": spec.get("type", "")}


def load_balancer_ingress(errors: Errors, path: Path, one: Object) -> None:
    """One address of a service's load balancer."""
    address, mode, host = one.get("ip", ""), one.get("ipMode"), one.get("hostname", "")
    if address:
        addresses.valid_ip(errors, path.child("ip"), address)
    if mode is None:
        if address:
            errors.append(field.required(path.child("ipMode"), "must be specified when `ip` is set"))
    elif not address:
        errors.append(field.forbidden(path.child("ipMode"), "may not be specified when `ip` is not set"))
    else:
        names.one_of(errors, path.child("ipMode"), mode, ("Proxy", "VIP"))
    if host:
        names.dns_subdomain(errors, path.child("hostname"), host)
        if addresses.parse_ip(host) is not None:
            errors.append(field.invalid(path.child("hostname"), host, "must be a DNS name, not an IP address"))


def _default_affinity(spec: Object) -> None:
    affinity = spec.setdefault("sessionAffinity", "None")
    if affinity == "None":
        spec.pop("sessionAffinityConfig", None)
    elif affinity == "ClientIP":
        client = (spec.get("sessionAffinityConfig") or {}).get("clientIP")
        if not client or client.get("timeoutSeconds") is None:
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 10800}}


def _drop_what_the_type_lost(after: Object, before: Object) -> None:  # noqa: C901 - one branch a field
    """A field that the old type needed and the new one refuses goes, unless the user changed it himself."""

    def drop(*keys: str) -> None:
        for key in keys:
            if after.get(key) == before.get(key):
                after.pop(key, None)

    if rules.needs_cluster_ip(before) and not rules.needs_cluster_ip(after):
        if all(after.get(key) == before.get(key) for key in ("clusterIP", "clusterIPs")):
            drop("clusterIP", "clusterIPs")
        drop("ipFamilies", "ipFamilyPolicy")
    if rules.needs_node_port(before) and not rules.needs_node_port(after):
        numbers = [[port.get("nodePort", 0) for port in spec.get("ports") or ()] for spec in (after, before)]
        if numbers[0] == numbers[1]:
            for port in after.get("ports") or ():
                port.pop("nodePort", None)
    if rules.needs_health_check(before) and not rules.needs_health_check(after):
        drop("healthCheckNodePort")
    if before.get("type") == "LoadBalancer" and after.get("type") != "LoadBalancer":
        drop("allocateLoadBalancerNodePorts", "loadBalancerClass")
    if rules.is_external(before) and not rules.is_external(after):
        drop("externalTrafficPolicy")


def _warnings(obj: Object, old: Object | None) -> list[str]:  # noqa: C901 - one branch a field
    spec, found = obj["spec"], []
    if "service.kubernetes.io/topology-aware-hints" in (obj["metadata"].get("annotations") or {}):
        found.append(
            "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use "
            "service.kubernetes.io/topology-mode instead"
        )
    if spec.get("externalIPs") and not rules.is_headless(spec):
        found.append("spec.externalIPs is deprecated and may no longer be implemented in some clusters")
    if rules.is_headless(spec):
        if spec.get("loadBalancerIP"):
            found.append("spec.loadBalancerIP is ignored for headless services")
        if spec.get("externalIPs"):
            found.append("spec.externalIPs is ignored for headless services")
        if spec.get("sessionAffinity") != "None":
            found.append("spec.SessionAffinity is ignored for headless services")
    for key in ("clusterIPs", "externalIPs"):
        for position, text in enumerate(spec.get(key) or ()):
            if text != "None":
                found += ip_warnings(Path("spec").child(key).index(position), text)
    if spec.get("loadBalancerIP"):
        found += ip_warnings(Path("spec").child("loadBalancerIP"), spec["loadBalancerIP"])
    if spec.get("trafficDistribution") == "PreferClose":
        found.append(
            f"spec.trafficDistribution: {go_quote('PreferClose')} is deprecated; use {go_quote('PreferSameZone')}"
        )
    del old
    return found
