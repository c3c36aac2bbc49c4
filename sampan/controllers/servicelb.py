"""Addresses for services of type LoadBalancer, from a range that the cluster's owner gave.

What a cloud's service controller does, without a cloud: each such service (without a loadBalancerClass) gets one
address of `load_balancer_cidr` in ``status.loadBalancer.ingress``; ``spec.loadBalancerIP`` and the annotation
``sampan.io/load-balancer-ip`` ask for a certain one. The address stays as long as the service is of that type; it is
free again when the type changes or the service goes (a cloud's finalizer ``load-balancer-cleanup`` is not needed:
nothing outside the API has to be undone). The service proxy makes the address work.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from sampan.client.item import copy_object
from sampan.client.resources import SERVICES
from sampan.runtime import DONE, Controller, Request, Result, enqueue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.api.object import Object
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext

_WANTED_ANNOTATION = "sampan.io/load-balancer-ip"


def new(context: ControllerContext) -> Controller:
    """The controller of load-balancer addresses."""
    return _LoadBalancers(context).controller


class _LoadBalancers:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._recorder = context.recorder("service-controller")
        cidr = context.options.load_balancer_cidr
        self._network = ipaddress.ip_network(cidr, strict=False) if cidr else None
        self._services = context.informer(SERVICES)
        self._owners: dict[str, Request] = {}
        self.controller = Controller("service-lb-controller", self, clock=context.clock, workers=1)
        self._services.add_index("load-balancer-address", _addresses)
        self._services.add_handler(enqueue(self.controller.queue))

    async def reconcile(self, request: Request) -> Result:
        """Sync one service."""
        stored = self._services.get(request.namespace, request.name)
        if stored is None:
            self._release(request)
            return DONE
        service = stored.object
        wanted = service["spec"].get("type") == "LoadBalancer" and not service["spec"].get("loadBalancerClass")
        if not wanted:
            return await self._withdraw(request, service)
        if self._network is None or "deletionTimestamp" in service["metadata"]:
            return DONE
        current = _addresses(stored)
        address = self._choose(request, service, current[0] if current else "")
        if address is None:
            return Result(requeue_after=60)
        if list(current) != [address]:
            await self._write(service, [{"ip": address, "ipMode": "VIP"}])
            if not current:
                self._recorder.event(service, "Normal", "EnsuredLoadBalancer", "Ensured load balancer")
        return DONE

    def _choose(self, request: Request, service: Object, current: str) -> str | None:
        """The service's address: what was asked for, what it has, or the first that is free."""
        assert self._network is not None
        annotations = service["metadata"].get("annotations") or {}
        asked = annotations.get(_WANTED_ANNOTATION) or service["spec"].get("loadBalancerIP") or ""
        if asked:
            return self._claim_asked(request, service, asked)
        if current and self._is_free(current, request) and _in(current, self._network):
            self._claim(request, current)
            return current
        held = next((address for address, owner in self._owners.items() if owner == request), None)
        if held is not None and _in(held, self._network):
            return held
        for address in _hosts(self._network):
            if self._is_free(address, request):
                self._claim(request, address)
                return address
        message = f"Error syncing load balancer: failed to ensure load balancer: no free address in {self._network}"
        self._recorder.event(service, "Warning", "SyncLoadBalancerFailed", message)
        return None

    def _claim_asked(self, request: Request, service: Object, asked: str) -> str | None:
        assert self._network is not None
        problem = ""
        if not _in(asked, self._network):
            problem = f"requested address {asked} is not in {self._network}"
        elif not self._is_free(asked, request):
            problem = f"requested address {asked} is already in use"
        if problem:
            message = f"Error syncing load balancer: failed to ensure load balancer: {problem}"
            self._recorder.event(service, "Warning", "SyncLoadBalancerFailed", message)
            return None
        self._claim(request, asked)
        return asked

    def _is_free(self, address: str, request: Request) -> bool:
        """Whether no other service has the address: by what we gave, and by what the API says."""
        owner = self._owners.get(address)
        if owner is not None and owner != request:
            return False
        holders = self._services.by_index("load-balancer-address", address)
        return all((one.namespace, one.name) == tuple(request) for one in holders)

    def _claim(self, request: Request, address: str) -> None:
        if self._owners.get(address) != request:
            self._release(request)
            self._owners[address] = request

    def _release(self, request: Request) -> None:
        """Free a service's address and look again at those that wait for one."""
        freed = [address for address, owner in self._owners.items() if owner == request]
        for address in freed:
            del self._owners[address]
        if freed:
            for item in self._services.list():
                if item.object["spec"].get("type") == "LoadBalancer" and not _addresses(item):
                    self.controller.queue.add(Request(item.namespace, item.name))

    async def _withdraw(self, request: Request, service: Object) -> Result:
        """A service that is no load balancer (any more) has no address of ours."""
        held = any(owner == request for owner in self._owners.values())
        ingress = (service.get("status") or {}).get("loadBalancer", {}).get("ingress") or []
        ours = self._network is not None and any(_in(one.get("ip", ""), self._network) for one in ingress)
        if ingress and (held or ours) and service["spec"].get("type") != "LoadBalancer":
            await self._write(service, [])
        self._release(request)
        return DONE

    async def _write(self, service: Object, ingress: list[Object]) -> None:
        changed = copy_object(service)
        changed.setdefault("status", {})["loadBalancer"] = {"ingress": ingress} if ingress else {}
        metadata = service["metadata"]
        await self._client.resource(SERVICES, metadata["namespace"]).update_status(changed)


def _addresses(item: Stored) -> tuple[str, ...]:
    status = item.object.get("status") or {}
    ingress = (status.get("loadBalancer") or {}).get("ingress") or ()
    return tuple(one["ip"] for one in ingress if one.get("ip"))


def _in(address: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(address) in network
    except ValueError:
        return False


def _hosts(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Iterator[str]:
    for address in network.hosts():
        yield str(address)
