"""EndpointSlices of services with a selector.

Behaviour: kube-controller-manager's pkg/controller/endpointslice and k8s.io/endpointslice. Slices hold up to 100
endpoints that share their ports; few are touched per change; a service without endpoints keeps an empty placeholder.
Hints follow spec.trafficDistribution. Not done: the deprecated annotation ``topology-mode: Auto``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from sampan.api.errors import APIStatusError, NotFound
from sampan.api.object import controller_of, name_of, namespace_of, uid_of
from sampan.base.log import logger
from sampan.client.resources import ENDPOINTSLICES, NODES, PODS, SERVICES
from sampan.controllers.podcontrol import is_namespace_terminating
from sampan.controllers.servicepods import (
    HEADLESS_LABEL,
    SERVICE_NAME_LABEL,
    TRIGGER_ANNOTATION,
    ServicePods,
    TriggerTimes,
    is_headless,
)
from sampan.controllers.slicepacking import Key, Plan, endpoint_key, pack
from sampan.controllers.slicetracker import SliceTracker, StaleCacheError
from sampan.runtime import DONE, Controller, Request, Result, add_batched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.object import Object
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext
    from sampan.controllers.servicepods import ServicePod

MANAGED_BY_LABEL = "endpointslice.kubernetes.io/managed-by"
MANAGED_BY = "endpointslice-controller.k8s.io"
_ZONE_LABEL = "topology.kubernetes.io/zone"
_RESERVED = frozenset({SERVICE_NAME_LABEL, MANAGED_BY_LABEL, HEADLESS_LABEL})
_CLOSE = frozenset({"PreferClose", "PreferSameZone", "PreferSameNode"})
_SERVICE_INDEX = "service"

log = logger("controllers.endpointslice")


class _MissingNodesError(Exception):
    """Pods were left out because their node is not known yet; the service is to be looked at again."""


def new(context: ControllerContext) -> Controller:
    """The EndpointSlice controller."""
    return _EndpointSlices(context).controller


class _EndpointSlices:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._limit = context.options.max_endpoints_per_slice
        self._recorder = context.recorder("endpoint-slice-controller")
        self._services = context.informer(SERVICES)
        self._nodes = context.informer(NODES)
        self._slices = context.informer(ENDPOINTSLICES)
        self._join = ServicePods(self._services, pods := context.informer(PODS))
        self._triggers = TriggerTimes()
        self._sizes: dict[Request, int] = {}
        self._tracker = SliceTracker()
        self.controller = Controller(
            "endpointslice-controller", self, clock=context.clock, workers=context.options.concurrent_syncs
        )
        self._queue = self.controller.queue
        self._slices.add_index(_SERVICE_INDEX, _service_of_slice)
        self._services.add_handler(self._on_service)
        pods.add_handler(self._on_pod)
        self._slices.add_handler(self._on_slice)
        self._nodes.add_handler(self._on_node)

    def _on_service(self, old: Stored | None, new: Stored | None) -> None:
        item = new or old
        assert item is not None
        self._queue.add(Request(item.namespace, item.name))

    def _on_pod(self, old: Stored | None, new: Stored | None) -> None:
        for namespace, name in self._join.affected(old, new):
            request = Request(namespace, name)
            add_batched(self._queue, request, self._sizes.get(request, 0))

    def _on_slice(self, old: Stored | None, new: Stored | None) -> None:
        """Somebody else's change of a slice is undone; our own writes are told by the tracker."""
        for item in (old, new):
            if item is not None and item.labels.get(MANAGED_BY_LABEL) == MANAGED_BY:
                obj = item.object
                expected = self._tracker.deletion_seen(obj) if new is None else self._tracker.seen(obj)
                if not expected and (service := item.labels.get(SERVICE_NAME_LABEL)):
                    self._queue.add(Request(item.namespace, service))

    def _on_node(self, old: Stored | None, new: Stored | None) -> None:
        """A node's zone shows in the endpoints on it; a new node may be what pods were waiting for."""
        if old is not None and new is not None and old.labels.get(_ZONE_LABEL) == new.labels.get(_ZONE_LABEL):
            return
        item = new or old
        assert item is not None
        for pod in self._join.views.values():
            if pod.node == item.name and pod.ips:
                for namespace, name in self._join.services_of(pod):
                    self._queue.add(Request(namespace, name))

    async def reconcile(self, request: Request) -> Result:
        """Sync one service's slices."""
        stored = self._services.get(request.namespace, request.name)
        if stored is None:
            self._triggers.forget(request)
            self._sizes.pop(request, None)
            self._tracker.forget(request)
            return DONE
        service = stored.object
        if service["spec"].get("type") == "ExternalName" or service["spec"].get("selector") is None:
            return DONE
        pods = self._join.of_service(service)
        self._sizes[request] = len(pods)
        existing = [
            item.object
            for item in self._slices.by_index(_SERVICE_INDEX, str(request))
            if item.labels.get(MANAGED_BY_LABEL) == MANAGED_BY and "deletionTimestamp" not in item.object["metadata"]
        ]
        if self._tracker.is_stale(request, existing):
            raise StaleCacheError(f"EndpointSlice informer cache is out of date for service {request}")
        trigger = self._triggers.compute(service, pods)
        await self._reconcile(service, pods, existing, trigger)
        return DONE

    async def _reconcile(
        self, service: Object, pods: Sequence[ServicePod], existing: Sequence[Object], trigger: str
    ) -> None:
        types = _address_types(service)
        unsupported = [one for one in existing if one["addressType"] not in types]
        missing: set[str] = set()
        for address_type in types:
            mine = [one for one in existing if one["addressType"] == address_type]
            plan = self._plan(service, pods, mine, address_type, missing)
            _apply_hints(service, plan, mine)
            await self._execute(service, plan, trigger)
        for one in unsupported:
            await self._delete(service, one)
        if missing:
            raise _MissingNodesError(f"nodes not found: {', '.join(sorted(missing))}")

    def _plan(
        self,
        service: Object,
        pods: Sequence[ServicePod],
        existing: Sequence[Object],
        address_type: str,
        missing: set[str],
    ) -> Plan:
        desired = self._desired(service, pods, address_type, missing)
        owned: dict[bytes, list[Object]] = {}
        plan = Plan()
        for one in existing:
            controller = controller_of(one)
            if controller is not None and controller["uid"] == uid_of(service):
                owned.setdefault(_ports_key(one.get("ports") or []), []).append(one)
            else:
                plan.delete.append(one)
        for key, (ports, endpoints) in desired.items():
            template = _new_slice(service, ports, address_type)
            pack(plan, owned.pop(key, []), endpoints, template, limit=self._limit)
        for rest in owned.values():
            plan.delete.extend(rest)
        if len(plan.delete) == len(existing) and not plan.create:
            placeholder = _new_slice(service, [], address_type)
            if len(plan.delete) == 1 and _is_placeholder(plan.delete[0], placeholder):
                plan.delete.clear()
            else:
                plan.create.append(placeholder)
        return plan

    def _desired(
        self, service: Object, pods: Sequence[ServicePod], address_type: str, missing: set[str]
    ) -> dict[bytes, tuple[list[Object], dict[Key, Object]]]:
        """The endpoints that there should be, by their ports. missing: gets the nodes that are not known yet."""
        desired: dict[bytes, tuple[list[Object], dict[Key, Object]]] = {}
        tolerate = service["spec"].get("publishNotReadyAddresses", False)
        for pod in pods:
            if not pod.wanted(terminating=True):
                continue
            ports = _ports(service, pod)
            group = desired.setdefault(_ports_key(ports), (ports, {}))
            node = self._nodes.get("", pod.node)
            if node is None and not tolerate:
                missing.add(pod.node)
                continue
            zone = "" if node is None else node.labels.get(_ZONE_LABEL, "")
            endpoint = _endpoint(service, pod, zone, address_type)
            if endpoint["addresses"]:
                group[1][endpoint_key(endpoint)] = endpoint
        return desired

    async def _execute(self, service: Object, plan: Plan, trigger: str) -> None:
        plan.recycle(uid_of(service))
        resource = self._client.resource(ENDPOINTSLICES, namespace_of(service))
        request = Request(namespace_of(service), name_of(service))
        if "deletionTimestamp" not in service["metadata"]:
            for one in plan.create:
                _set_trigger(one, trigger)
                try:
                    self._tracker.wrote(request, await resource.create(one))
                except APIStatusError as error:
                    if is_namespace_terminating(error):
                        return
                    raise
        for one in plan.update:
            _set_trigger(one, trigger)
            self._tracker.wrote(request, await resource.update(one))
        for one in plan.delete:
            await self._delete(service, one)

    async def _delete(self, service: Object, one: Object) -> None:
        try:
            await self._client.resource(ENDPOINTSLICES, namespace_of(service)).delete(name_of(one))
        except NotFound:
            return
        self._tracker.deleted(Request(namespace_of(service), name_of(service)), one)


def _service_of_slice(item: Stored) -> tuple[str, ...]:
    service = item.labels.get(SERVICE_NAME_LABEL)
    return (f"{item.namespace}/{service}",) if service else ()


def _address_types(service: Object) -> list[str]:
    """The families of a service; a headless one from before dual stack has those of its cluster IP, else IPv4."""
    families = service["spec"].get("ipFamilies")
    if families:
        return list(families)
    address = service["spec"].get("clusterIP") or ""
    return ["IPv6"] if ":" in address else ["IPv4"]


def _ports(service: Object, pod: ServicePod) -> list[Object]:
    found = []
    spec = service["spec"]
    for port in spec.get("ports") or ():
        number = pod.port_number(port)
        if number is None:
            continue
        entry: Object = {"name": port.get("name", ""), "protocol": port.get("protocol", "TCP"), "port": number}
        if port.get("appProtocol") is not None:
            entry["appProtocol"] = port["appProtocol"]
        found.append(entry)
    return found


def _ports_key(ports: Sequence[Object]) -> bytes:
    return orjson.dumps(sorted(orjson.dumps(port, option=orjson.OPT_SORT_KEYS).decode() for port in ports))


def _endpoint(service: Object, pod: ServicePod, zone: str, address_type: str) -> Object:
    serving = pod.ready
    tolerate = service["spec"].get("publishNotReadyAddresses", False)
    endpoint: Object = {
        "addresses": [ip for ip in pod.ips if (":" in ip) == (address_type == "IPv6")],
        "conditions": {
            "ready": bool(tolerate or (serving and not pod.terminating)),
            "serving": serving,
            "terminating": pod.terminating,
        },
        "targetRef": {"kind": "Pod", "namespace": pod.namespace, "name": pod.name, "uid": pod.uid},
    }
    if pod.node:
        endpoint["nodeName"] = pod.node
    if zone:
        endpoint["zone"] = zone
    if hostname := pod.hostname_for(service):
        endpoint["hostname"] = hostname
    return endpoint


def _new_slice(service: Object, ports: Sequence[Object], address_type: str) -> Object:
    name = name_of(service)
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": f"{name}-",
            "namespace": namespace_of(service),
            "labels": _slice_labels(service),
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "name": name,
                    "uid": uid_of(service),
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "addressType": address_type,
        "endpoints": [],
        "ports": list(ports),
    }


def _slice_labels(service: Object) -> dict[str, str]:
    """The service's own labels and those that say whose slice it is and who manages it."""
    labels = {key: value for key, value in (service["metadata"].get("labels") or {}).items() if key not in _RESERVED}
    if is_headless(service):
        labels[HEADLESS_LABEL] = ""
    labels[SERVICE_NAME_LABEL] = name_of(service)
    labels[MANAGED_BY_LABEL] = MANAGED_BY
    return labels


def _is_placeholder(existing: Object, placeholder: Object) -> bool:
    same_labels = existing["metadata"].get("labels") == placeholder["metadata"]["labels"]
    return bool(
        same_labels
        and not existing.get("endpoints")
        and not existing.get("ports")
        and existing["addressType"] == placeholder["addressType"]
        and (controller_of(existing) or {}).get("uid") == controller_of(placeholder)["uid"]  # type: ignore[index]
    )


def _set_trigger(one: Object, trigger: str) -> None:
    annotations = dict(one["metadata"].get("annotations") or {})
    annotations.pop(TRIGGER_ANNOTATION, None)
    if trigger:
        annotations[TRIGGER_ANNOTATION] = trigger
    one["metadata"]["annotations"] = annotations


def _apply_hints(service: Object, plan: Plan, existing: Sequence[Object]) -> None:
    """Set or remove hints by spec.trafficDistribution, also on slices that need no other change."""
    wanted = service["spec"].get("trafficDistribution", "")
    by_zone, by_node = wanted in _CLOSE, wanted == "PreferSameNode"
    touched = {name_of(one) for one in (*plan.update, *plan.delete)}
    for one in existing:
        if name_of(one) in touched:
            continue
        hinted = [_with_hints(endpoint, by_zone=by_zone, by_node=by_node) for endpoint in one.get("endpoints") or ()]
        if hinted != (one.get("endpoints") or []):
            plan.change(one, hinted)
    for one in (*plan.create, *plan.update):
        one["endpoints"] = [_with_hints(endpoint, by_zone=by_zone, by_node=by_node) for endpoint in one["endpoints"]]


def _with_hints(endpoint: Object, *, by_zone: bool, by_node: bool) -> Object:
    if by_zone and not endpoint["conditions"].get("ready"):
        return endpoint
    hints: Object = {}
    if by_zone and endpoint.get("zone"):
        hints["forZones"] = [{"name": endpoint["zone"]}]
    if by_node and endpoint.get("nodeName"):
        hints["forNodes"] = [{"name": endpoint["nodeName"]}]
    plain = {key: value for key, value in endpoint.items() if key != "hints"}
    return {**plain, "hints": hints} if hints else plain
