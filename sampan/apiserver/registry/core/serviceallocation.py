"""What a service gets from the cluster: IP families, cluster IPs, node ports, a health check port.

Follows kube-apiserver's service storage: values a client leaves out of an update stay, types that need no address give
theirs up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import errors, field
from sampan.api.field import Path
from sampan.apiserver.registry.core import servicerules as rules
from sampan.apiserver.registry.core.allocators import AllocationError, PortOperation, addresses_of, ports_of

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.core.allocators import IPAllocator
    from sampan.apiserver.registry.strategy import Environment, Finish
    from sampan.apiserver.registry.validation.names import Errors

_SPEC = Path("spec")
_POLICY = _SPEC.child("ipFamilyPolicy")


def _refuse(service: Object, found: Errors) -> errors.Invalid:
    return errors.invalid("", "Service", service["metadata"].get("name", ""), found)


class ServiceAllocation:
    """The allocators of one server, and the steps of a service's create and update."""

    def __init__(self, environment: Environment) -> None:
        self._addresses = addresses_of(environment)
        self._ports = ports_of(environment)
        self._primary = next(iter(self._addresses), "IPv4")

    def create(self, service: Object, *, dry_run: bool) -> Finish:
        """Fill in a new service. Raises Invalid, InternalError."""
        normalize_cluster_ips(service, None)
        self._families(service, None)
        taken = self._cluster_ips(service, dry_run=dry_run)
        ports = PortOperation(self._ports, dry_run=dry_run)
        try:
            self._new_ports(service, ports)
        except errors.APIStatusError:
            ports.finish(False)
            self._give_back(taken, dry_run=dry_run)
            raise

        def finish(stored: bool) -> None:  # noqa: FBT001
            ports.finish(stored)
            if not stored:
                self._give_back(taken, dry_run=dry_run)

        return finish

    def update(self, new: Object, old: Object, *, dry_run: bool) -> Finish:
        """Fill in what a change needs. Raises like `create`."""
        patch_allocated(new, old)
        normalize_cluster_ips(new, old)
        self._families(new, old)
        taken, given_up = self._changed_ips(new, old, dry_run=dry_run)
        ports = PortOperation(self._ports, dry_run=dry_run)
        try:
            self._changed_ports(new, old, ports)
        except errors.APIStatusError:
            ports.finish(False)
            self._give_back(taken, dry_run=dry_run)
            raise

        def finish(stored: bool) -> None:  # noqa: FBT001
            ports.finish(stored)
            self._give_back(given_up if stored else taken, dry_run=dry_run)

        return finish

    def release(self, service: Object) -> None:
        """Give back all that a deleted service held."""
        for text in service["spec"].get("clusterIPs") or ():
            for allocator in self._addresses.values():
                allocator.release(text)
        for port in service["spec"].get("ports") or ():
            if port.get("nodePort"):
                self._ports.release(port["nodePort"])
        if service["spec"].get("healthCheckNodePort"):
            self._ports.release(service["spec"]["healthCheckNodePort"])

    def _give_back(self, taken: dict[str, str], *, dry_run: bool) -> None:
        if not dry_run:
            for family, text in taken.items():
                allocator = self._addresses.get(family)
                if allocator is not None:
                    allocator.release(text)

    # Families

    def _families(self, service: Object, old: Object | None) -> None:  # noqa: C901 - one branch a policy
        spec = service["spec"]
        if spec.get("type") == "ExternalName" or _keeps_prefer_dual(service, old):
            return
        self._default_policy(spec, old)
        found: Errors = []
        rules.cluster_ips(found, service)
        if found:
            raise _refuse(service, found)
        if old is not None:
            _reduce(found, spec, old["spec"])
        single = spec["ipFamilyPolicy"] == "SingleStack"
        for key, what in (("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families")):
            if single and len(spec.get(key) or ()) == 2:
                detail = f"must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified"
                found.append(field.invalid(_POLICY, spec["ipFamilyPolicy"], detail))
        self._infer(found, spec)
        if found:
            raise _refuse(service, found)
        if rules.is_headless_without_selector(spec):
            families = spec.setdefault("ipFamilies", [self._primary])
            if len(families) < 2 and not single:
                families.append(_other(families[0]))
            return
        self._configured(found, spec)
        if found:
            raise _refuse(service, found)
        families = spec.setdefault("ipFamilies", [self._primary])
        if not single and len(families) == 1 and len(self._addresses) == 2:
            families.append(_other(families[0]))

    def _default_policy(self, spec: Object, old: Object | None) -> None:
        if spec.get("ipFamilyPolicy"):
            return
        before = (old or {}).get("spec", {}).get("ipFamilyPolicy")
        if before:
            spec["ipFamilyPolicy"] = before
        else:
            spec["ipFamilyPolicy"] = "RequireDualStack" if rules.is_headless_without_selector(spec) else "SingleStack"

    def _infer(self, found: Errors, spec: Object) -> None:
        for position, text in enumerate(spec.get("clusterIPs") or ()):
            if text == "None":
                break
            if position < len(spec.get("ipFamilies") or ()):
                continue
            family = rules.family_of(text)
            if family in self._addresses:
                spec.setdefault("ipFamilies", []).append(family)
            else:
                detail = f"{family} is not configured on this cluster"
                where = _SPEC.child("clusterIPs").index(position)
                found.append(field.invalid(where, spec["clusterIPs"], detail))

    def _configured(self, found: Errors, spec: Object) -> None:
        policy = spec["ipFamilyPolicy"]
        if policy == "RequireDualStack" and len(self._addresses) < 2:
            found.append(field.invalid(_POLICY, policy, "this cluster is not configured for dual-stack services"))
        for position, family in enumerate(spec.get("ipFamilies") or ()):
            if family not in self._addresses:
                where = _SPEC.child("ipFamilies").index(position)
                found.append(field.invalid(where, family, "not configured on this cluster"))

    # Addresses

    def _cluster_ips(self, service: Object, *, dry_run: bool) -> dict[str, str]:
        spec = service["spec"]
        if spec.get("type") == "ExternalName" or rules.is_headless(spec):
            return {}
        wanted = list(spec.get("clusterIPs") or ())
        families = spec.get("ipFamilies") or []
        wanted += [""] * (len(families) - len(wanted))
        taken = self._allocate(service, dict(zip(families, wanted, strict=False)), dry_run=dry_run)
        spec["clusterIPs"] = [taken[family] for family in families]
        if spec["clusterIPs"]:
            spec["clusterIP"] = spec["clusterIPs"][0]
        return taken

    def _allocate(self, service: Object, wanted: dict[str, str], *, dry_run: bool) -> dict[str, str]:
        taken: dict[str, str] = {}
        for family, text in wanted.items():
            try:
                taken[family] = _one(self._addresses[family], text, dry_run=dry_run)
            except AllocationError as error:
                self._give_back(taken, dry_run=dry_run)
                if not text:
                    raise errors.internal(f"failed to allocate a serviceIP: {error}") from error
                detail = f"failed to allocate IP {text}: {error}"
                shown = service["spec"]["clusterIPs"]
                found = [field.invalid(_SPEC.child("clusterIPs"), shown, detail)]
                raise _refuse(service, found) from error
        return taken

    def _changed_ips(self, new: Object, old: Object, *, dry_run: bool) -> tuple[dict[str, str], dict[str, str]]:
        """Tell what was taken, and what is given up once the change is stored."""
        after, before = new["spec"], old["spec"]
        if _keeps_prefer_dual(new, old):
            return {}, {}
        if before.get("type") == "ExternalName" and after.get("type") != "ExternalName":
            return self._cluster_ips(new, dry_run=dry_run), {}
        if rules.is_headless(before):
            return {}, {}
        families, addresses = before.get("ipFamilies") or [], before.get("clusterIPs") or []
        if before.get("type") != "ExternalName" and after.get("type") == "ExternalName":
            return {}, dict(zip(families, addresses, strict=False))
        now = after.get("ipFamilies") or []
        if len(families) == 1 and len(now) == 2:
            listed = [*(after.get("clusterIPs") or ()), ""][:2]
            taken = self._allocate(new, {now[1]: listed[1]}, dry_run=dry_run)
            after["clusterIPs"] = [listed[0], taken[now[1]]]
            return taken, {}
        if len(families) == 2 and len(now) == 1 and len(addresses) == 2:
            return {}, {families[1]: addresses[1]}
        return {}, {}

    # Ports

    def _new_ports(self, service: Object, ports: PortOperation) -> None:
        spec = service["spec"]
        if spec.get("type") in ("NodePort", "LoadBalancer"):
            self._init_ports(service, ports)
        if rules.needs_health_check(spec):
            self._health_check(spec, ports)

    def _init_ports(self, service: Object, ports: PortOperation) -> None:
        items = service["spec"].get("ports") or []
        known: dict[int, int] = {}
        for position, item in enumerate(items):
            if not item.get("nodePort") and not rules.allocates_node_ports(service["spec"]):
                continue
            number = item.get("port", 0)
            allocated = known.get(number, 0)
            if not allocated:
                # Ports of one number, TCP and UDP, share a node port; any of them may name it.
                wanted = next(
                    (one["nodePort"] for one in items if one.get("port") == number and one.get("nodePort")), 0
                )
                item["nodePort"] = known[number] = self._port(service, position, wanted, ports)
            elif not item.get("nodePort"):
                item["nodePort"] = allocated
            elif item["nodePort"] != allocated:
                self._port(service, position, item["nodePort"], ports)

    def _port(self, service: Object, position: int, wanted: int, ports: PortOperation) -> int:
        try:
            if not wanted:
                return ports.allocate_next()
            ports.allocate(wanted)
        except AllocationError as error:
            if not wanted:
                raise errors.internal(f"failed to allocate a nodePort: {error}") from error
            where = _SPEC.child("ports").index(position).child("nodePort")
            raise _refuse(service, [field.invalid(where, wanted, str(error))]) from error
        return wanted

    def _health_check(self, spec: Object, ports: PortOperation) -> None:
        wanted = spec.get("healthCheckNodePort", 0)
        try:
            if wanted:
                ports.allocate(wanted)
            else:
                spec["healthCheckNodePort"] = ports.allocate_next()
        except AllocationError as error:
            what = f"requested HealthCheck NodePort {wanted}" if wanted else "a HealthCheck NodePort 0"
            raise errors.internal(f"failed to allocate {what}: {error}") from error

    def _changed_ports(self, new: Object, old: Object, ports: PortOperation) -> None:
        after, before = new["spec"], old["spec"]
        if after.get("type") in ("NodePort", "LoadBalancer"):
            self._update_ports(new, old, ports)
        elif before.get("type") in ("NodePort", "LoadBalancer"):
            for port in _numbers(before):
                ports.release_later(port)
        needed, needs = rules.needs_health_check(before), rules.needs_health_check(after)
        if needs and not needed:
            self._health_check(after, ports)
        elif needed and not needs:
            if before.get("healthCheckNodePort"):
                ports.release_later(before["healthCheckNodePort"])
            if after.get("healthCheckNodePort") == before.get("healthCheckNodePort"):
                after.pop("healthCheckNodePort", None)

    def _update_ports(self, new: Object, old: Object, ports: PortOperation) -> None:
        before = _numbers(old["spec"])
        taken: set[int] = set()
        seen: set[tuple[str, int]] = set()
        for position, item in enumerate(new["spec"].get("ports") or ()):
            wanted = item.get("nodePort", 0)
            if not wanted and not rules.allocates_node_ports(new["spec"]):
                continue
            if not wanted:
                item["nodePort"] = self._port(new, position, 0, ports)
            elif wanted not in before and wanted not in taken:
                taken.add(self._port(new, position, wanted, ports))
            key = (item.get("protocol", ""), item["nodePort"])
            if key in seen:
                raise errors.internal(f"duplicate nodePort: {{{key[0]} {key[1]}}}")
            seen.add(key)
        now = _numbers(new["spec"])
        for port in before:
            if port not in now:
                ports.release_later(port)


def _numbers(spec: Object) -> list[int]:
    return [port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")]


def _one(allocator: IPAllocator, text: str, *, dry_run: bool) -> str:
    if not text:
        return allocator.allocate_next(dry_run=dry_run)
    allocator.allocate(text, dry_run=dry_run)
    return text


def _other(family: str) -> str:
    return "IPv6" if family == "IPv4" else "IPv4"


def _keeps_prefer_dual(new: Object, old: Object | None) -> bool:
    """A PreferDualStack service is neither up- nor downgraded by a change that does not say so."""
    if old is None:
        return False
    after, before = new["spec"], old["spec"]
    if before.get("type") == "ExternalName" or after.get("type") == "ExternalName":
        return False
    return bool(
        after.get("ipFamilyPolicy") == before.get("ipFamilyPolicy") == "PreferDualStack"
        and after.get("clusterIPs") == before.get("clusterIPs")
        and after.get("ipFamilies") == before.get("ipFamilies")
    )


def _reduce(found: Errors, spec: Object, before: Object) -> None:
    for key, what in (("clusterIPs", "cluster IP"), ("ipFamilies", "IP family")):
        after, earlier = spec.get(key) or [], before.get(key) or []
        if spec["ipFamilyPolicy"] == "SingleStack":
            if after == earlier and len(after) > 1:
                spec[key] = after[:1]
        elif after and len(after) == 1 and len(earlier) == 2 and after[0] == earlier[0]:
            detail = f"must be 'SingleStack' to release the secondary {what}"
            found.append(field.invalid(_POLICY, spec["ipFamilyPolicy"], detail))


def patch_allocated(new: Object, old: Object) -> None:
    """Put back allocated values that a client left out, so that what was applied before can be applied again."""
    after, before = new["spec"], old["spec"]
    if rules.needs_cluster_ip(before) and rules.needs_cluster_ip(after):
        if not after.get("clusterIP") and before.get("clusterIP"):
            after["clusterIP"] = before["clusterIP"]
        if not after.get("clusterIPs") and after.get("clusterIP") == before.get("clusterIP"):
            _copy(after, before, "clusterIPs")
    if rules.needs_node_port(before) and rules.needs_node_port(after):
        used = set(_numbers(before)) & set(_numbers(after))
        by_name = {port.get("name", ""): port.get("nodePort", 0) for port in before.get("ports") or ()}
        for port in after.get("ports") or ():
            known = by_name.get(port.get("name", ""), 0)
            if not port.get("nodePort") and known and known not in used:
                port["nodePort"] = known
                used.add(known)
    if rules.needs_health_check(before) and rules.needs_health_check(after) and not after.get("healthCheckNodePort"):
        _copy(after, before, "healthCheckNodePort")


def _copy(after: Object, before: Object, key: str) -> None:
    if before.get(key):
        after[key] = list(before[key]) if isinstance(before[key], list) else before[key]


def normalize_cluster_ips(new: Object, old: Object | None) -> None:
    """Keep clusterIP and clusterIPs in step for clients that know only one of them."""
    spec = new["spec"]
    single, several = spec.get("clusterIP", ""), spec.get("clusterIPs") or []
    if old is None:
        if single and not several:
            spec["clusterIPs"] = [single]
        return
    before = old["spec"]
    was, were = before.get("clusterIP", ""), before.get("clusterIPs") or []
    if was and not single and several == were:
        spec.pop("clusterIPs", None)
    elif single and single != was and several == were:
        spec["clusterIPs"] = [single]
