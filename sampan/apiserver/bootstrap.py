"""What a server holds before anyone writes: namespaces, RBAC's policy, priority classes, flow control, itself.

Objects come from the facts about a fresh kube-apiserver. Absent ones are created at every start; of RBAC roles and
bindings that still allow it (``rbac.authorization.kubernetes.io/autoupdate``) what was taken away is put back, as
kube-apiserver's reconciliation does.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson

from sampan.api import schema
from sampan.api.gvk import GroupResource
from sampan.api.schema import data
from sampan.apiserver.authn.user import MASTERS, User
from sampan.apiserver.authz import rules as rbac_rules
from sampan.apiserver.registry import metadata as meta
from sampan.apiserver.registry import ownership
from sampan.apiserver.registry.write import Write
from sampan.apiserver.storage.interface import KeyExistsError, KeyNotFoundError, RevisionConflictError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sampan.api.object import Object
    from sampan.apiserver.registry.base import RegistryBase
    from sampan.apiserver.registry.generic import Registry
    from sampan.apiserver.registry.resources import Resources

_AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
_ITSELF = User("system:apiserver", groups=(MASTERS,))
_NAMESPACES = GroupResource("", "namespaces")
_RBAC = "rbac.authorization.k8s.io"
_ABOUT_SERVER = (
    "/api/v1/services", "/api/v1/endpoints", "/apis/discovery.k8s.io/v1/endpointslices",
    "/apis/networking.k8s.io/v1/ipaddresses", "/apis/networking.k8s.io/v1/servicecidrs",
)  # fmt: skip
"""Objects that say where this server is: made from its options instead of from the facts."""


async def bootstrap(resources: Resources, own: Mapping[str, Object], client_ca: bytes) -> None:
    """Create or repair the initial objects. own: those about the server itself, by the same keys as the facts."""
    writes = []
    for key, obj in _wanted(own, client_ca):
        path, _, identity = key.partition(" ")
        registry = _registry(resources, path)
        namespace, _, name = identity.rpartition("/")
        if registry is None:
            continue
        current = registry.store.get(namespace, name)
        if current is None:
            writes.append(create(registry, namespace, name, obj))
        elif registry.info.group == _RBAC and (repaired := _repaired(current.object, obj)) is not None:
            writes.append(_update(registry, namespace, name, repaired))
        elif key in own and (changed := _moved(current.object, obj)) is not None:
            writes.append(_update(registry, namespace, name, changed))
    await asyncio.gather(*writes)


def _wanted(own: Mapping[str, Object], client_ca: bytes) -> Iterator[tuple[str, Object]]:
    facts: Mapping[str, Object] = data.load("fresh-server.json")
    for key, obj in facts.items():
        if key.endswith("kube-system/extension-apiserver-authentication"):
            yield key, {**obj, "data": {"client-ca-file": client_ca.decode()}}
        elif not key.startswith(_ABOUT_SERVER) and not key.endswith("token-tracking"):
            yield key, obj
    yield from own.items()


def _registry(resources: Resources, path: str) -> Registry | None:
    parts = path.strip("/").split("/")
    group, version, resource = ("", parts[1], parts[2]) if parts[0] == "api" else (parts[1], parts[2], parts[3])
    return resources.get((group, version, resource))


async def create(registry: RegistryBase, namespace: str, name: str, obj: Object) -> None:
    """Create a system object, past admission; somebody else may be faster."""
    now = meta.now_text(registry.clock.time())
    raw = orjson.loads(orjson.dumps(obj).replace(b'"<time>"', orjson.dumps(now)))
    raw["metadata"].update(uid=meta.new_uid(), creationTimestamp=now)
    complete = schema.decode_as(registry.type, raw).object
    complete["kind"], complete["apiVersion"] = registry.info.kind, registry.api_version
    registry.strategy.default(complete)
    write = Write(user=_ITSELF, namespace=namespace, name=name, manager="kube-apiserver")
    # Nobody owns what the strategy of namespaces adds; the facts have it already.
    added = {"spec": complete.pop("spec", {})} if registry.group_resource == _NAMESPACES else {}
    ownership.created(registry, write, complete)
    complete.update(added)
    try:
        await registry.store.create(namespace, name, registry.storage_form(complete))
    except KeyExistsError:
        return  # another server of the same store was faster


async def _update(registry: Registry, namespace: str, name: str, obj: Object) -> None:
    current = registry.store.get(namespace, name)
    if current is None:
        return
    try:
        await registry.store.update(current, registry.storage_form(obj))
    except (RevisionConflictError, KeyNotFoundError):
        return  # somebody else changes it right now; the next start looks again


def _repaired(current: Object, wanted: Object) -> Object | None:
    """The current role or binding with what it lacks; None when it lacks nothing or must not be touched."""
    annotations = current["metadata"].get("annotations") or {}
    if annotations.get(_AUTOUPDATE) != "true":
        return None
    changed: Object = {}
    if wanted.get("rules") and "aggregationRule" not in wanted:
        missing = rbac_rules.uncovered(current.get("rules") or [], wanted["rules"])
        if missing:
            changed["rules"] = [*(current.get("rules") or []), *rbac_rules.compact(missing)]
    known = [_subject(one) for one in current.get("subjects") or ()]
    absent = [one for one in wanted.get("subjects") or () if _subject(one) not in known]
    if absent:
        changed["subjects"] = [*(current.get("subjects") or []), *absent]
    labels = {**(current["metadata"].get("labels") or {}), **(wanted["metadata"].get("labels") or {})}
    if labels and labels != current["metadata"].get("labels"):
        changed["metadata"] = {**current["metadata"], "labels": labels}
    return {**current, **changed} if changed else None


def _subject(subject: Object) -> tuple[str, str, str]:
    return subject.get("kind", ""), subject.get("namespace", ""), subject.get("name", "")


def _moved(current: Object, wanted: Object) -> Object | None:
    """The server's own endpoints after its address or port has changed; None when they still hold."""
    changed = {key: value for key, value in wanted.items() if key in ("subsets", "endpoints", "ports")}
    if all(current.get(key) == value for key, value in changed.items()):
        return None
    return {**current, **changed}


def own_objects(address: str, port: int, service_address: str, cidrs: tuple[str, ...]) -> dict[str, Object]:
    """The objects about the server itself: the ``kubernetes`` service, its endpoints, the service range.

    address: where clients in the cluster reach the server.
    """
    family = "IPv6" if ":" in service_address else "IPv4"
    ports = [{"name": "https", "port": port, "protocol": "TCP"}]
    service = {
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": port}],
            "clusterIP": service_address, "clusterIPs": [service_address], "type": "ClusterIP",
            "sessionAffinity": "None", "ipFamilies": [family], "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
        },
        "status": {"loadBalancer": {}},
    }  # fmt: skip
    mirrored = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    ready = {
        "type": "Ready", "status": "True", "lastTransitionTime": "<time>", "reason": "",
        "message": "Kubernetes default Service CIDR is ready",
    }  # fmt: skip
    return {
        "/api/v1/services default/kubernetes": service,
        "/api/v1/endpoints default/kubernetes": {
            "metadata": {"name": "kubernetes", "namespace": "default", "labels": mirrored},
            "subsets": [{"addresses": [{"ip": address}], "ports": ports}],
        },
        "/apis/discovery.k8s.io/v1/endpointslices default/kubernetes": {
            "metadata": {
                "name": "kubernetes", "namespace": "default", "generation": 1,
                "labels": {"kubernetes.io/service-name": "kubernetes"},
            },
            "addressType": "IPv6" if ":" in address else "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}], "ports": ports,
        },
        "/apis/networking.k8s.io/v1/servicecidrs kubernetes": {
            "metadata": {"name": "kubernetes"}, "spec": {"cidrs": list(cidrs)}, "status": {"conditions": [ready]},
        },
    }  # fmt: skip
