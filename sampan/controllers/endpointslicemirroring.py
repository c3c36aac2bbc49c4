"""EndpointSlices for Endpoints that somebody else writes: services without a selector.

Behaviour: kube-controller-manager's endpointslicemirroring-controller: addresses of each subset become endpoints, ready
or not, up to 1000 a subset; slices follow the Endpoints' labels and annotations and go with it. Endpoints labelled
``endpointslice.kubernetes.io/skip-mirror: "true"``, those of leader election and those of services with a selector are
not mirrored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from sampan.api.errors import NotFound
from sampan.api.object import annotations_of, controller_of, name_of, namespace_of, uid_of
from sampan.client.resources import ENDPOINTS, ENDPOINTSLICES, SERVICES
from sampan.controllers.endpointslice import MANAGED_BY_LABEL
from sampan.controllers.servicepods import SERVICE_NAME_LABEL, TRIGGER_ANNOTATION
from sampan.controllers.slicepacking import Plan, endpoint_key, pack
from sampan.controllers.slicetracker import SliceTracker, StaleCacheError
from sampan.runtime import DONE, Controller, Request, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.object import Object
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext
    from sampan.controllers.slicepacking import Key

_MANAGED_BY = "endpointslicemirroring-controller.k8s.io"
_SKIP_LABEL = "endpointslice.kubernetes.io/skip-mirror"
_LEADER_ANNOTATION = "control-plane.alpha.kubernetes.io/leader"
_APPLIED_ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
_SUBSET_LIMIT = 1000
_SLICE_LIMIT = 100
_INDEX = "mirrored"


def new(context: ControllerContext) -> Controller:
    """The EndpointSlice mirroring controller."""
    return _Mirroring(context).controller


class _Mirroring:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._endpoints = context.informer(ENDPOINTS)
        self._services = context.informer(SERVICES)
        self._slices = context.informer(ENDPOINTSLICES)
        self._tracker = SliceTracker()
        self.controller = Controller("endpointslice-mirroring-controller", self, clock=context.clock, workers=5)
        self._queue = self.controller.queue
        self._slices.add_index(_INDEX, _service_of)
        self._endpoints.add_handler(self._on_object)
        self._services.add_handler(self._on_object)
        self._slices.add_handler(self._on_slice)

    def _on_object(self, old: Stored | None, new: Stored | None) -> None:
        item = new or old
        assert item is not None
        self._queue.add(Request(item.namespace, item.name))

    def _on_slice(self, old: Stored | None, new: Stored | None) -> None:
        item = new or old
        assert item is not None
        if item.labels.get(MANAGED_BY_LABEL) != _MANAGED_BY:
            return
        expected = self._tracker.deletion_seen(item.object) if new is None else self._tracker.seen(item.object)
        if not expected and item.labels.get(SERVICE_NAME_LABEL):
            self._queue.add(Request(item.namespace, item.labels[SERVICE_NAME_LABEL]))

    async def reconcile(self, request: Request) -> Result:
        """Sync one Endpoints object."""
        endpoints = self._endpoints.get(request.namespace, request.name)
        service = self._services.get(request.namespace, request.name)
        existing = [item.object for item in self._slices.by_index(_INDEX, str(request))]
        existing = [one for one in existing if "deletionTimestamp" not in one["metadata"]]
        mirrored = endpoints is not None and _is_mirrored(endpoints.object)
        if not mirrored or service is None or service.object["spec"].get("selector") is not None:
            for one in existing:
                await self._delete(request, one)
            if service is None and not existing:
                self._tracker.forget(request)
            return DONE
        assert endpoints is not None
        if self._tracker.is_stale(request, existing):
            raise StaleCacheError(f"EndpointSlice informer cache is out of date for {request}")
        plan = self._plan(endpoints.object, existing)
        plan.recycle(uid_of(endpoints.object))
        resource = self._client.resource(ENDPOINTSLICES, request.namespace)
        for one in plan.create:
            self._tracker.wrote(request, await resource.create(one))
        for one in plan.update:
            self._tracker.wrote(request, await resource.update(one))
        for one in plan.delete:
            await self._delete(request, one)
        return DONE

    def _plan(self, endpoints: Object, existing: Sequence[Object]) -> Plan:
        plan = Plan()
        owned: dict[tuple[str, bytes], list[Object]] = {}
        for one in existing:
            owner = controller_of(one)
            if owner is not None and owner["uid"] == uid_of(endpoints):
                owned.setdefault((one["addressType"], _ports_key(one.get("ports") or [])), []).append(one)
            else:
                plan.delete.append(one)
        for (address_type, key), (ports, desired) in _desired(endpoints).items():
            template = _new_slice(endpoints, address_type, ports)
            pack(plan, owned.pop((address_type, key), []), desired, template, limit=_SLICE_LIMIT)
        for rest in owned.values():
            plan.delete.extend(rest)
        return plan

    async def _delete(self, request: Request, one: Object) -> None:
        try:
            await self._client.resource(ENDPOINTSLICES, request.namespace).delete(name_of(one))
        except NotFound:
            return
        self._tracker.deleted(request, one)


def _service_of(item: Stored) -> tuple[str, ...]:
    if item.labels.get(MANAGED_BY_LABEL) != _MANAGED_BY or not item.labels.get(SERVICE_NAME_LABEL):
        return ()
    return (f"{item.namespace}/{item.labels[SERVICE_NAME_LABEL]}",)


def _is_mirrored(endpoints: Object) -> bool:
    labels = endpoints["metadata"].get("labels") or {}
    if labels.get(_SKIP_LABEL) == "true" or labels.get("endpoints.kubernetes.io/managed-by") == "endpoint-controller":
        return False
    return _LEADER_ANNOTATION not in annotations_of(endpoints)


def _desired(endpoints: Object) -> dict[tuple[str, bytes], tuple[list[Object], dict[Key, Object]]]:
    """The endpoints that there should be, by address family and ports."""
    found: dict[tuple[str, bytes], tuple[list[Object], dict[Key, Object]]] = {}
    for subset in endpoints.get("subsets") or ():
        ports = [_port(port) for port in subset.get("ports") or ()]
        room = _SUBSET_LIMIT
        for key, ready in (("addresses", True), ("notReadyAddresses", False)):
            for address in (subset.get(key) or ())[: max(room, 0)]:
                room -= 1
                address_type = "IPv6" if ":" in address["ip"] else "IPv4"
                group = found.setdefault((address_type, _ports_key(ports)), (ports, {}))
                endpoint = _endpoint(address, ready=ready)
                group[1][endpoint_key(endpoint)] = endpoint
    return found


def _endpoint(address: Object, *, ready: bool) -> Object:
    endpoint: Object = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    for key in ("hostname", "nodeName", "targetRef"):
        if address.get(key):
            endpoint[key] = address[key]
    return endpoint


def _port(port: Object) -> Object:
    found: Object = {"name": port.get("name", ""), "protocol": port.get("protocol", "TCP"), "port": port["port"]}
    if port.get("appProtocol"):
        found["appProtocol"] = port["appProtocol"]
    return found


def _ports_key(ports: Sequence[Object]) -> bytes:
    return orjson.dumps(sorted(orjson.dumps(port, option=orjson.OPT_SORT_KEYS).decode() for port in ports))


def _new_slice(endpoints: Object, address_type: str, ports: Sequence[Object]) -> Object:
    name, metadata = name_of(endpoints), endpoints["metadata"]
    labels = {**(metadata.get("labels") or {}), SERVICE_NAME_LABEL: name, MANAGED_BY_LABEL: _MANAGED_BY}
    dropped = (TRIGGER_ANNOTATION, _APPLIED_ANNOTATION)
    annotations = {key: value for key, value in annotations_of(endpoints).items() if key not in dropped}
    made: Object = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": f"{name}-",
            "namespace": namespace_of(endpoints),
            "labels": labels,
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "Endpoints",
                    "name": name,
                    "uid": uid_of(endpoints),
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "addressType": address_type,
        "endpoints": [],
        "ports": list(ports),
    }
    if annotations:
        made["metadata"]["annotations"] = annotations
    return made
