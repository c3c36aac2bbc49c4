"""Pools that services draw from: cluster IPs per family, and node ports.

A bitmap in memory, rebuilt from the stored services when the server starts. A server that shares its store with others
replaces the allocators in `Environment.shared` by ones that agree through the store; the strategies only know the
methods. Random choice keeps a released value from being reused at once. The upper part of a range is for random
allocation, the lower part for values that users choose, as long as the upper part lasts.
"""

from __future__ import annotations

import ipaddress
import random
from typing import TYPE_CHECKING

from sampan.apiserver.registry.validation.addresses import parse_ip
from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import Environment


class AllocationError(SampanError):
    """The value cannot be had; the text is Kubernetes'."""


FULL = "range is full"


class Bitmap:
    """Which of ``size`` values are taken. reserved: how many of the first are only given out when asked for."""

    def __init__(self, size: int, reserved: int) -> None:
        self.size = size
        self.reserved = reserved
        self.taken: set[int] = set()

    def take(self, offset: int) -> bool:
        """Take one; False when it is taken."""
        if offset in self.taken:
            return False
        self.taken.add(offset)
        return True

    def choose(self, besides: Iterable[int] = ()) -> int | None:
        """Find a free value at random without taking it; None when there is none."""
        excluded = self.taken.union(besides) if besides else self.taken
        for low, high in ((self.reserved, self.size), (0, self.reserved)):
            count = high - low
            if count <= 0:
                continue
            start = random.randrange(count)  # noqa: S311 - spread, not secrecy
            for step in range(count):
                offset = low + (start + step) % count
                if offset not in excluded:
                    return offset
        return None

    def release(self, offset: int) -> None:
        self.taken.discard(offset)


class IPAllocator:
    """Addresses of one service CIDR; network and (IPv4) broadcast address are never given out."""

    def __init__(self, cidr: str) -> None:
        network = ipaddress.ip_network(cidr)
        self.network = network
        self._first = int(network.network_address) + 1
        usable = network.num_addresses - (2 if network.version == 4 else 1)
        # Kubernetes tracks at most this many addresses of an IPv6 range.
        size = max(min(usable, 1 << 16), 0)
        reserved = min(max(16, size // 16), 256)
        self._bitmap = Bitmap(size, 0 if reserved >= size else reserved)

    @property
    def family(self) -> str:
        return "IPv4" if self.network.version == 4 else "IPv6"

    def _offset(self, text: str) -> int | None:
        address = parse_ip(text)
        if address is None or address.version != self.network.version:
            return None
        offset = int(address) - self._first
        return offset if 0 <= offset < self._bitmap.size else None

    def allocate(self, text: str, *, dry_run: bool = False) -> None:
        """Take a certain address. Raises AllocationError."""
        offset = self._offset(text)
        if offset is None:
            raise AllocationError("the provided network does not match the current range")
        if offset in self._bitmap.taken:
            raise AllocationError("provided IP is already allocated")
        if not dry_run:
            self._bitmap.take(offset)

    def allocate_next(self, *, dry_run: bool = False) -> str:
        """Take any address. Raises AllocationError when none is left."""
        offset = self._bitmap.choose()
        if offset is None:
            raise AllocationError(FULL)
        if not dry_run:
            self._bitmap.take(offset)
        address = type(self.network.network_address)(self._first + offset)
        return str(address)

    def release(self, text: str) -> None:
        offset = self._offset(text)
        if offset is not None:
            self._bitmap.release(offset)

    def has(self, text: str) -> bool:
        offset = self._offset(text)
        return offset is not None and offset in self._bitmap.taken


class PortAllocator:
    """Node ports, first to last inclusive; one port serves one service, whatever the protocol."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last
        size = last - first + 1
        reserved = min(max(16, size // 32), 128)
        self.bitmap = Bitmap(size, 0 if reserved >= size else reserved)

    def offset(self, port: int) -> int:
        """Tell a port's place. Raises AllocationError for a port outside the range."""
        if not self.first <= port <= self.last:
            detail = f"provided port is not in the valid range. The range of valid ports is {self.first}-{self.last}"
            raise AllocationError(detail)
        return port - self.first

    def take(self, port: int) -> None:
        """Mark as taken, if it is in the range."""
        if self.first <= port <= self.last:
            self.bitmap.take(port - self.first)

    def release(self, port: int) -> None:
        if self.first <= port <= self.last:
            self.bitmap.release(port - self.first)


class PortOperation:
    """Allocations of one write: `finish` keeps them or gives them back; releases happen only when it was stored."""

    def __init__(self, ports: PortAllocator, *, dry_run: bool) -> None:
        self._ports = ports
        self._dry_run = dry_run
        self._taken: list[int] = []
        self._given_up: list[int] = []

    def allocate(self, port: int) -> None:
        """Take a certain port. Raises AllocationError."""
        offset = self._ports.offset(port)
        if offset in self._ports.bitmap.taken or offset in self._taken:
            raise AllocationError("provided port is already allocated")
        self._take(offset)

    def allocate_next(self) -> int:
        """Take any port. Raises AllocationError when none is left."""
        offset = self._ports.bitmap.choose(self._taken)
        if offset is None:
            raise AllocationError(FULL)
        self._take(offset)
        return self._ports.first + offset

    def _take(self, offset: int) -> None:
        self._taken.append(offset)
        if not self._dry_run:
            self._ports.bitmap.take(offset)

    def release_later(self, port: int) -> None:
        self._given_up.append(port)

    def finish(self, stored: bool) -> None:  # noqa: FBT001 - the shape of `strategy.Finish`
        if self._dry_run:
            return
        if stored:
            for port in self._given_up:
                self._ports.release(port)
        else:
            for offset in self._taken:
                self._ports.bitmap.release(offset)


_ADDRESSES, _PORTS = "core/clusterIPs", "core/nodePorts"


def addresses_of(environment: Environment) -> dict[str, IPAllocator]:
    """Return the allocators by family, primary first, made from the stored services on first use."""
    found: dict[str, IPAllocator] | None = environment.shared.get(_ADDRESSES)
    if found is None:
        found = {one.family: one for one in map(IPAllocator, environment.service_cidrs)}
        for service in environment.objects("", "services", ""):
            for text in cluster_ips(service):
                for allocator in found.values():
                    if not allocator.has(text):
                        _try(allocator, text)
        environment.shared[_ADDRESSES] = found
    return found


def _try(allocator: IPAllocator, text: str) -> None:
    try:
        allocator.allocate(text)
    except AllocationError:
        return


def ports_of(environment: Environment) -> PortAllocator:
    """Return the node port allocator, made from the stored services on first use."""
    found: PortAllocator | None = environment.shared.get(_PORTS)
    if found is None:
        found = PortAllocator(*environment.node_ports)
        for service in environment.objects("", "services", ""):
            for port in node_ports(service):
                found.take(port)
        environment.shared[_PORTS] = found
    return found


def cluster_ips(service: Object) -> list[str]:
    """List a service's own addresses."""
    spec = service.get("spec") or {}
    return [one for one in spec.get("clusterIPs") or () if one and one != "None"]


def node_ports(service: Object) -> list[int]:
    """List a service's node ports, the health check's included."""
    spec = service.get("spec") or {}
    found = [port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")]
    if spec.get("healthCheckNodePort"):
        found.append(spec["healthCheckNodePort"])
    return found
