"""Pod address ranges for nodes: each node gets a part of every cluster CIDR.

Behaviour: kube-controller-manager's node-ipam-controller with the range allocator. Parts once given stay with the node
until it is deleted; a cluster CIDR without a free part gives the event ``CIDRNotAvailable``.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from sampan.base.log import logger
from sampan.client.resources import NODES
from sampan.runtime import DONE, Controller, Request, Result

if TYPE_CHECKING:
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext

log = logger("controllers.nodeipam")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def new(context: ControllerContext) -> Controller:
    """The node IPAM controller."""
    return _NodeIPAM(context).controller


class CIDRSet:
    """The parts of one cluster CIDR, by number. size: prefix length of a part."""

    def __init__(self, network: Network, size: int) -> None:
        if size < network.prefixlen or size > network.max_prefixlen:
            raise ValueError(f"node CIDR mask size {size} does not fit the cluster CIDR {network}")
        self.network = network
        self._size = size
        self._shift = network.max_prefixlen - size
        self._count = 1 << (size - network.prefixlen)
        self._used: set[int] = set()
        self._next = 0

    def occupy(self, part: Network) -> None:
        """Mark a part (and whatever overlaps it) as taken; parts of other networks are ignored."""
        for number in self._numbers(part):
            self._used.add(number)

    def release(self, part: Network) -> None:
        """Free a part."""
        for number in self._numbers(part):
            self._used.discard(number)

    def allocate(self) -> Network | None:
        """Take the next free part; None when there is none."""
        for offset in range(self._count):
            number = (self._next + offset) % self._count
            if number not in self._used:
                self._used.add(number)
                self._next = (number + 1) % self._count
                base = int(self.network.network_address) + (number << self._shift)
                return (
                    ipaddress.ip_network((base, self._size)) if self.network.version == 6 else _ipv4(base, self._size)
                )
        return None

    def _numbers(self, part: Network) -> range:
        if part.version != self.network.version or not part.overlaps(self.network):
            return range(0)
        start = (int(part.network_address) - int(self.network.network_address)) >> self._shift
        end = (int(part.broadcast_address) - int(self.network.network_address)) >> self._shift
        return range(max(start, 0), min(end, self._count - 1) + 1)


class _NodeIPAM:
    def __init__(self, context: ControllerContext) -> None:
        options = context.options
        self._client = context.client
        self._recorder = context.recorder("cidrAllocator")
        self._nodes = context.informer(NODES)
        self._sets = []
        for text in options.cluster_cidrs:
            network = ipaddress.ip_network(text, strict=False)
            size = options.node_cidr_mask_size_ipv4 if network.version == 4 else options.node_cidr_mask_size_ipv6
            self._sets.append(CIDRSet(network, size))
        for text in options.service_cidrs:
            for one in self._sets:
                one.occupy(ipaddress.ip_network(text, strict=False))
        self._given: dict[str, tuple[Network, ...]] = {}
        self.controller = Controller("node-ipam-controller", self, clock=context.clock, workers=1)
        self._nodes.add_handler(self._on_node)

    def _on_node(self, _: Stored | None, new: Stored | None) -> None:
        """Record what nodes have before any is given: handlers run for all nodes before the first reconcile."""
        if new is not None:
            parts = _parts(new)
            if parts and self._given.get(new.name) != parts:
                self._release(new.name)
                self._occupy(new.name, parts)
        if _ is not None or new is not None:
            item = new or _
            assert item is not None
            self.controller.queue.add(Request("", item.name))

    async def reconcile(self, request: Request) -> Result:
        """Sync one node."""
        stored = self._nodes.get("", request.name)
        if stored is None:
            self._release(request.name)
            return DONE
        if not self._sets or _parts(stored):
            return DONE
        parts = self._given.get(request.name) or self._allocate(request.name)
        if parts is None:
            self._recorder.event(
                stored.object, "Normal", "CIDRNotAvailable", f"Node {request.name} status is now: CIDRNotAvailable"
            )
            return Result(requeue=True)
        texts = [str(part) for part in parts]
        patch = {
            "spec": {"podCIDR": texts[0], "podCIDRs": texts},
            "metadata": {"uid": stored.object["metadata"]["uid"]},
        }
        await self._client.resource(NODES).patch(request.name, patch)
        log.info("Node got its pod addresses", node=request.name, cidrs=",".join(texts))
        return DONE

    def _allocate(self, name: str) -> tuple[Network, ...] | None:
        parts: list[Network] = []
        for one in self._sets:
            part = one.allocate()
            if part is None:
                for taken, source in zip(parts, self._sets, strict=False):
                    source.release(taken)
                return None
            parts.append(part)
        self._given[name] = tuple(parts)
        return self._given[name]

    def _occupy(self, name: str, parts: tuple[Network, ...]) -> None:
        self._given[name] = parts
        for part in parts:
            for one in self._sets:
                one.occupy(part)

    def _release(self, name: str) -> None:
        for part in self._given.pop(name, ()):
            for one in self._sets:
                one.release(part)


def _ipv4(base: int, size: int) -> Network:
    return ipaddress.IPv4Network((base, size))


def _parts(item: Stored) -> tuple[Network, ...]:
    spec = item.object.get("spec") or {}
    texts = spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [])
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)
