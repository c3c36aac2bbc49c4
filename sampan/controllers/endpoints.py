"""Endpoints of services with a selector, for clients that do not know EndpointSlices.

Behaviour: kube-controller-manager's pkg/controller/endpoint: one object per service, addresses grouped by their ports,
at most 1000 addresses (then annotated ``over-capacity: truncated``), terminating pods left out.
"""

from __future__ import annotations

import ipaddress
import math
from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError, NotFound
from sampan.api.object import name_of, namespace_of
from sampan.client.item import copy_object
from sampan.client.resources import ENDPOINTS, PODS, SERVICES
from sampan.controllers.podcontrol import is_namespace_terminating
from sampan.controllers.servicepods import (
    HEADLESS_LABEL,
    TRIGGER_ANNOTATION,
    ServicePods,
    TriggerTimes,
    is_headless,
)
from sampan.controllers.slicetracker import StaleCacheError
from sampan.runtime import DONE, Controller, Request, Result, add_batched, enqueue

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sampan.api.object import Object
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext
    from sampan.controllers.servicepods import ServicePod

_MANAGED_BY_LABEL = "endpoints.kubernetes.io/managed-by"
_MANAGED_BY = "endpoint-controller"
_OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
_CAPACITY = 1000

_Port = tuple[str, int, str, str]


def new(context: ControllerContext) -> Controller:
    """The Endpoints controller."""
    return _Endpoints(context).controller


class _Endpoints:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._recorder = context.recorder("endpoint-controller")
        self._services = context.informer(SERVICES)
        self._endpoints = context.informer(ENDPOINTS)
        self._join = ServicePods(self._services, pods := context.informer(PODS))
        self._triggers = TriggerTimes()
        self._sizes: dict[Request, int] = {}
        self._stale: dict[Request, str] = {}
        self.controller = Controller(
            "endpoints-controller", self, clock=context.clock, workers=context.options.concurrent_syncs
        )
        self._queue = self.controller.queue
        self._services.add_handler(enqueue(self._queue))
        pods.add_handler(self._on_pod)
        self._endpoints.add_handler(self._on_endpoints)

    def _on_pod(self, old: Stored | None, new: Stored | None) -> None:
        for namespace, name in self._join.affected(old, new):
            request = Request(namespace, name)
            add_batched(self._queue, request, self._sizes.get(request, 0))

    def _on_endpoints(self, old: Stored | None, new: Stored | None) -> None:
        """Make deleted ones again; those found at the start without a service are deleted."""
        if new is None and old is not None:
            self._queue.add(Request(old.namespace, old.name))
        elif old is None and new is not None and self._services.get(new.namespace, new.name) is None:
            self._queue.add(Request(new.namespace, new.name))

    async def reconcile(self, request: Request) -> Result:
        """Sync one service's Endpoints."""
        stored = self._services.get(request.namespace, request.name)
        current = self._endpoints.get(request.namespace, request.name)
        if stored is None:
            self._triggers.forget(request)
            self._sizes.pop(request, None)
            self._stale.pop(request, None)
            if current is not None:
                await self._delete(request, current.object)
            return DONE
        service = stored.object
        if service["spec"].get("type") == "ExternalName" or service["spec"].get("selector") is None:
            return DONE
        pods = self._join.of_service(service)
        self._sizes[request] = len(pods)
        trigger = self._triggers.compute(service, pods)
        subsets = repack(_subsets(service, pods))
        if current is not None and self._stale.get(request) == current.resource_version:
            raise StaleCacheError(f"endpoints informer cache is out of date for {request}")
        await self._write(request, service, subsets, trigger, None if current is None else current.object)
        return DONE

    async def _delete(self, request: Request, current: Object) -> None:
        if "control-plane.alpha.kubernetes.io/leader" in (current["metadata"].get("annotations") or {}):
            return  # a lock of leader election, which has no service
        try:
            await self._client.resource(ENDPOINTS, request.namespace).delete(request.name)
        except NotFound:
            return

    async def _write(
        self, request: Request, service: Object, subsets: list[Object], trigger: str, current: Object | None
    ) -> None:
        labels = _labels(service)
        if current is not None:
            metadata = current["metadata"]
            same = (current.get("subsets") or []) == subsets and (metadata.get("labels") or {}) == labels
            if same and _OVER_CAPACITY not in (metadata.get("annotations") or {}):
                return
            changed = copy_object(current)
        else:
            changed = {
                "apiVersion": "v1",
                "kind": "Endpoints",
                "metadata": {"name": name_of(service), "namespace": namespace_of(service)},
            }
        metadata = changed["metadata"]
        annotations = metadata.setdefault("annotations", {})
        annotations.pop(TRIGGER_ANNOTATION, None)
        annotations.pop(_OVER_CAPACITY, None)
        if trigger:
            annotations[TRIGGER_ANNOTATION] = trigger
        changed["subsets"], truncated = truncate(subsets)
        if truncated:
            annotations[_OVER_CAPACITY] = "truncated"
        metadata["labels"] = labels
        await self._send(request, changed, current)

    async def _send(self, request: Request, changed: Object, current: Object | None) -> None:
        resource = self._client.resource(ENDPOINTS, request.namespace)
        try:
            if current is None:
                await resource.create(changed)
                return
            updated = await resource.update(changed)
            if updated["metadata"]["resourceVersion"] != current["metadata"]["resourceVersion"]:
                self._stale[request] = current["metadata"]["resourceVersion"]
        except APIStatusError as error:
            if current is None and is_namespace_terminating(error):
                return
            if current is None:
                message = f"Failed to create endpoint for service {request}: {error}"
                self._recorder.event(changed, "Warning", "FailedToCreateEndpoint", message)
            else:
                message = f"Failed to update endpoint {request}: {error}"
                self._recorder.event(changed, "Warning", "FailedToUpdateEndpoint", message)
            raise


def _labels(service: Object) -> dict[str, str]:
    labels = dict(service["metadata"].get("labels") or {})
    labels.pop(HEADLESS_LABEL, None)
    labels[_MANAGED_BY_LABEL] = _MANAGED_BY
    if is_headless(service):
        labels[HEADLESS_LABEL] = ""
    return labels


def _subsets(service: Object, pods: Sequence[ServicePod]) -> Iterable[tuple[Object, _Port | None, bool]]:
    """One (address, port, ready) per pod and port; a headless service may have no ports."""
    spec = service["spec"]
    tolerate = spec.get("publishNotReadyAddresses", False)
    for pod in pods:
        address = _address(service, pod) if pod.wanted(terminating=tolerate) else None
        if address is None:
            continue
        ready = tolerate or pod.ready
        ports = spec.get("ports") or ()
        if not ports:
            if is_headless(service):
                yield address, None, ready
            continue
        for port in ports:
            number = pod.port_number(port)
            if number is not None:
                name, protocol = port.get("name", ""), port.get("protocol", "TCP")
                yield address, (name, number, protocol, port.get("appProtocol") or ""), ready


def _address(service: Object, pod: ServicePod) -> Object | None:
    families = service["spec"].get("ipFamilies")
    if families:
        wants_ipv6 = families[0] == "IPv6"
    else:
        cluster_ip = service["spec"].get("clusterIP") or ""
        wants_ipv6 = ":" in (pod.ips[0] if cluster_ip in ("", "None") else cluster_ip)
    ip = next((one for one in pod.ips if (":" in one) == wants_ipv6), None)
    if ip is None:
        return None
    address: Object = {"ip": ip}
    if pod.node:
        address["nodeName"] = pod.node
    if hostname := pod.hostname_for(service):
        address["hostname"] = hostname
    address["targetRef"] = {"kind": "Pod", "namespace": pod.namespace, "name": pod.name, "uid": pod.uid}
    return address


def repack(found: Iterable[tuple[Object, _Port | None, bool]]) -> list[Object]:
    """Group addresses that have the same ports into subsets, in canonical order; not ready wins over ready."""
    addresses: dict[tuple[str, str], Object] = {}
    ports: dict[tuple[str, str], set[_Port]] = {}
    ready: dict[tuple[str, str], bool] = {}
    for address, port, is_ready in found:
        key = (address["ip"], address["targetRef"]["uid"])
        addresses[key] = address
        own = ports.setdefault(key, set())
        if port is not None:
            own.add(port)
        ready[key] = ready.get(key, True) and is_ready
    groups: dict[tuple[_Port, ...], list[tuple[str, str]]] = {}
    for key in sorted(addresses, key=lambda one: (ipaddress.ip_address(one[0]).packed, one[1])):
        groups.setdefault(tuple(sorted(ports[key])), []).append(key)
    return [_subset(group, keys, addresses, ready) for group, keys in sorted(groups.items())]


def _subset(
    group: tuple[_Port, ...],
    keys: Sequence[tuple[str, str]],
    addresses: dict[tuple[str, str], Object],
    ready: dict[tuple[str, str], bool],
) -> Object:
    subset: Object = {}
    if here := [addresses[key] for key in keys if ready[key]]:
        subset["addresses"] = here
    if absent := [addresses[key] for key in keys if not ready[key]]:
        subset["notReadyAddresses"] = absent
    if group:
        subset["ports"] = [_port(port) for port in group]
    return subset


def _port(port: _Port) -> Object:
    name, number, protocol, application = port
    found: Object = {"port": number, "protocol": protocol}
    if name:
        found["name"] = name
    if application:
        found["appProtocol"] = application
    return found


def truncate(subsets: list[Object]) -> tuple[list[Object], bool]:
    """Leave at most 1000 addresses, ready ones first, in proportion over the subsets."""
    ready = sum(len(one.get("addresses") or ()) for one in subsets)
    absent = sum(len(one.get("notReadyAddresses") or ()) for one in subsets)
    if ready + absent <= _CAPACITY:
        return subsets, False
    cut = "addresses" if ready > _CAPACITY else "notReadyAddresses"
    room, total = (_CAPACITY, ready) if cut == "addresses" else (_CAPACITY - ready, absent)
    left, result = room, []
    for one in subsets:
        here = one.get(cut) or []
        share = min(math.ceil(len(here) / total * room), left)
        left -= min(share, len(here))
        changed = {**one, cut: here[:share]}
        if cut == "addresses":
            changed.pop("notReadyAddresses", None)
        if not changed[cut]:
            del changed[cut]
        result.append(changed)
    return result, True
