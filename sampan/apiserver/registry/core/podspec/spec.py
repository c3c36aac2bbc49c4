"""A pod's spec as a whole (``ValidatePodSpec``): its parts in kube-apiserver's order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.apiserver.registry.core.podspec import containers, hostos, podlevel, resources, scheduling, securitycontext
from sampan.apiserver.registry.core.podspec.affinity import affinity
from sampan.apiserver.registry.core.podspec.volumes import volumes
from sampan.apiserver.registry.validation import addresses, gotypes, names, numbers, selectors

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.core.podspec.options import PodOptions
    from sampan.apiserver.registry.validation.names import Errors

RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_PREEMPTION = ("PreemptLowerPriority", "Never")
_CLAIM_KINDS = ("resourceClaimName", "resourceClaimTemplateName")


def pod_spec(errors: Errors, path: Path, spec: Object, options: PodOptions, *, pod_name: str = "") -> None:
    """pod_name: of a real pod; "" for templates."""
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is None:
        errors.append(field.required(path.child("terminationGracePeriodSeconds")))
    items = spec.get("volumes")
    good = volumes(errors, path.child("volumes"), items, pod_name, options) if items else {}
    context = containers.PodContext(
        volumes=good,
        claims=_resource_claims(errors, path, spec),
        grace=grace,
        restart_policy=spec.get("restartPolicy", ""),
        host_users=spec.get("hostUsers") is not False,
        os_name=(spec.get("os") or {}).get("name"),
        options=options,
    )
    regular = spec.get("containers") or []
    containers.regular(errors, path.child("containers"), regular, context)
    if "initContainers" in spec:
        containers.init(errors, path.child("initContainers"), spec["initContainers"], regular, context)
    if "ephemeralContainers" in spec:
        containers.ephemeral(errors, path.child("ephemeralContainers"), spec, context)
    if "resources" in spec:
        here = path.child("resources")
        resources.pod_resources(errors, here, spec["resources"], options)
        podlevel.validate_consistency(errors, here, spec)
    _policies(errors, path, spec, options)
    _scheduling(errors, path, spec, options)
    _names(errors, path, spec)
    if "overhead" in spec:
        limits = {"limits": spec["overhead"]}
        resources.container_resources(errors, path.child("overhead"), limits, (), options)
    if "os" in spec:
        hostos.operating_system(errors, path, spec)
    if "hostnameOverride" in spec:
        _hostname_override(errors, path, spec)


def _policies(errors: Errors, path: Path, spec: Object, options: PodOptions) -> None:
    if spec.get("hostNetwork"):
        hostos.host_network_ports(errors, path, spec, is_pod=options.resource_is_pod)
    restart, dns = spec.get("restartPolicy", ""), spec.get("dnsPolicy", "")
    if restart not in RESTART_POLICIES:
        names.one_of_required(errors, path.child("restartPolicy"), restart, RESTART_POLICIES)
    if dns not in _DNS_POLICIES:
        names.one_of_required(errors, path.child("dnsPolicy"), dns, _DNS_POLICIES)
    if "nodeSelector" in spec:
        selectors.labels(errors, path.child("nodeSelector"), spec["nodeSelector"])
    if spec.get("securityContext"):
        securitycontext.pod_security_context(errors, path.child("securityContext"), spec, options)
    if "shareProcessNamespace" in spec:
        securitycontext.share_process_namespace(errors, path.child("securityContext"), spec)


def _scheduling(errors: Errors, path: Path, spec: Object, options: PodOptions) -> None:
    if "affinity" in spec:
        affinity(errors, path.child("affinity"), spec["affinity"], options)
    if "dnsConfig" in spec or spec.get("dnsPolicy") == "None":
        _dns_config(errors, path.child("dnsConfig"), spec)
    for position, gate in enumerate(spec.get("readinessGates") or ()):
        where = path.child("readinessGates").index(position).child("conditionType")
        names.qualified_name(errors, where, gate.get("conditionType", ""))
    if "schedulingGates" in spec:
        scheduling.scheduling_gates(errors, path.child("schedulingGates"), spec["schedulingGates"])
    if "topologySpreadConstraints" in spec:
        here = path.child("topologySpreadConstraints")
        scheduling.topology_spread(errors, here, spec["topologySpreadConstraints"], options)
    hostos.host_process(errors, path, spec)
    hostos.host_users(errors, path, spec)


def _names(errors: Errors, path: Path, spec: Object) -> None:  # noqa: C901 - one check a field
    if account := spec.get("serviceAccountName"):
        names.dns_subdomain(errors, path.child("serviceAccountName"), account)
    if node := spec.get("nodeName"):
        names.dns_subdomain(errors, path.child("nodeName"), node)
    if "activeDeadlineSeconds" in spec:
        deadline = spec["activeDeadlineSeconds"]
        numbers.between(errors, path.child("activeDeadlineSeconds"), deadline, 1, numbers.MAX_INT32)
    if hostname := spec.get("hostname"):
        names.dns_label(errors, path.child("hostname"), hostname)
    if subdomain := spec.get("subdomain"):
        names.dns_label(errors, path.child("subdomain"), subdomain)
    if "tolerations" in spec:
        scheduling.tolerations(errors, path.child("tolerations"), spec["tolerations"])
    for position, alias in enumerate(spec.get("hostAliases") or ()):
        here = path.child("hostAliases").index(position)
        addresses.valid_ip(errors, here.child("ip"), alias.get("ip", ""))
        for index, hostname in enumerate(alias.get("hostnames") or ()):
            names.dns_subdomain(errors, here.child("hostnames").index(index), hostname)
    if priority_class := spec.get("priorityClassName"):
        names.dns_subdomain(errors, path.child("priorityClassName"), priority_class)
    if "runtimeClassName" in spec:
        names.dns_subdomain(errors, path.child("runtimeClassName"), spec["runtimeClassName"])
    if "preemptionPolicy" in spec:
        here = path.child("preemptionPolicy")
        names.one_of_required(errors, here, spec["preemptionPolicy"], _PREEMPTION)


def _hostname_override(errors: Errors, path: Path, spec: Object) -> None:
    value = spec["hostnameOverride"]
    here = path.child("hostnameOverride")
    if not value:
        errors.append(field.required(here))
        return
    names.dns_subdomain(errors, here, value)
    if len(value) > 64:
        errors.append(field.too_long(here, value, 64))
    if spec.get("setHostnameAsFQDN"):
        errors.append(field.forbidden(here, "when `setHostnameAsFQDN` is true"))
    if spec.get("hostNetwork"):
        errors.append(field.forbidden(here, "when `hostNetwork` is true"))


def _resource_claims(errors: Errors, path: Path, spec: Object) -> set[str]:
    items = spec.get("resourceClaims")
    if not items:
        return set()
    seen: set[str] = set()
    for position, claim in enumerate(items):
        here = path.child("resourceClaims").index(position)
        name = claim.get("name", "")
        if name and name in seen:
            errors.append(field.duplicate(here.child("name"), name))
        else:
            names.required_dns_label(errors, here.child("name"), name)
            seen.add(name)
        given = [kind for kind in _CLAIM_KINDS if kind in claim]
        if len(given) != 1:
            shown = gotypes.internal("core.v1.PodResourceClaim", claim)
            detail = (
                "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
                if given
                else "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            )
            errors.append(field.invalid(here, shown, detail))
        for kind in given:
            names.dns_subdomain(errors, here.child(kind), claim[kind])
    return seen - {""}


def _dns_config(errors: Errors, path: Path, spec: Object) -> None:  # noqa: C901 - one check a field
    config = spec.get("dnsConfig")
    if spec.get("dnsPolicy") == "None":
        if config is None:
            errors.append(field.required(path, "must provide `dnsConfig` when `dnsPolicy` is None"))
            return
        if not config.get("nameservers"):
            detail = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            errors.append(field.required(path.child("nameservers"), detail))
            return
    if config is None:
        return
    servers, searches = config.get("nameservers") or [], config.get("searches") or []
    if len(servers) > 3:
        errors.append(field.invalid(path.child("nameservers"), servers, "must not have more than 3 nameservers"))
    for position, server in enumerate(servers):
        addresses.valid_ip(errors, path.child("nameservers").index(position), server)
    if len(searches) > 32:
        errors.append(field.invalid(path.child("searches"), searches, "must not have more than 32 search paths"))
    if len(" ".join(searches)) > 2048:
        detail = "must not have more than 2048 characters (including spaces) in the search list"
        errors.append(field.invalid(path.child("searches"), searches, detail))
    for position, search in enumerate(searches):
        if search != ".":
            value = search.removesuffix(".")
            names.dns_subdomain_with_underscore(errors, path.child("searches").index(position), value)
    for position, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            errors.append(field.required(path.child("options").index(position), "must not be empty"))
