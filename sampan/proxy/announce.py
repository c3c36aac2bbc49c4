"""Announcement of load-balancer addresses: exactly one node answers for each on the L2.

The serving node is picked by rendezvous hashing among ready nodes (those with an endpoint of their own, under
``externalTrafficPolicy: Local``): every node computes the same, nobody must agree, and a node's loss moves only its
own addresses. The node that serves puts the address on its dummy interface: Linux answers ARP for any address of the
host on every interface. For IPv6 it also answers neighbour solicitations by proxy. A gratuitous ARP (an unsolicited
advertisement) corrects neighbours' caches when an address comes from another node. All other nodes, and every host
itself, reach the address through their own rules, announced or not.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import socket
import struct
from typing import TYPE_CHECKING

from sampan.base.log import logger
from sampan.proxy import sysctl
from sampan.proxy.family import IPV4, family_of
from sampan.proxy.netlink import Device, Netlink, NetlinkFailure, open_netlink
from sampan.proxy.serviceport import BY_SERVICE, SERVICE_NAME_LABEL, load_balancer_addresses

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sampan.api.object import Object
    from sampan.client.informer import SharedInformer
    from sampan.client.interface import Stored
    from sampan.proxy.options import NetworkOptions

log = logger("proxy.announce")

EXCLUDE_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"

_ETH_P_ARP = 0x0806
_BROADCAST = b"\xff" * 6


class Announcer:
    """Keeps this node's share of the load-balancer addresses."""

    def __init__(
        self, options: NetworkOptions, services: SharedInformer, slices: SharedInformer, nodes: SharedInformer
    ) -> None:
        self._options = options
        self._services = services
        self._slices = slices
        self._nodes = nodes
        self._addresses: dict[str, tuple[str, ...]] = {}
        self._changed = asyncio.Event()
        self._held: set[str] = set()

    async def run(self) -> None:
        """Announce until cancelled; the addresses stay, as the rules do, until `cleanup` of the pod network."""
        handlers = (
            (self._services, self._service_changed),
            (self._slices, self._slice_changed),
            (self._nodes, self._node_changed),
        )
        for informer, handler in handlers:
            informer.add_handler(handler)
        try:
            async with open_netlink() as netlink:
                device = await netlink.ensure_link(self._options.dummy, "bridge")
                kept = await netlink.addresses(device) - {self._options.dns_address}
                self._held = {one for one in kept if not ipaddress.ip_address(one).is_link_local}
                while True:
                    self._changed.clear()
                    await self._sync(netlink, device)
                    await self._changed.wait()
        finally:
            for informer, handler in handlers:
                informer.remove_handler(handler)

    def _service_changed(self, old: Stored | None, new: Stored | None) -> None:
        item = new or old
        assert item is not None
        key = f"{item.namespace}/{item.name}"
        addresses = load_balancer_addresses(new.object) if new is not None else ()
        if addresses or key in self._addresses:
            if addresses:
                self._addresses[key] = addresses
            else:
                del self._addresses[key]
            self._changed.set()

    def _slice_changed(self, old: Stored | None, new: Stored | None) -> None:
        item = new or old
        assert item is not None
        if f"{item.namespace}/{item.labels.get(SERVICE_NAME_LABEL)}" in self._addresses:
            self._changed.set()

    def _node_changed(self, old: Stored | None, new: Stored | None) -> None:
        before = _is_candidate(old.object) if old is not None else False
        after = _is_candidate(new.object) if new is not None else False
        if before != after and self._addresses:
            self._changed.set()

    def _wanted(self) -> set[str]:
        if not self._addresses:
            return set()
        nodes = [one.name for one in self._nodes.list() if _is_candidate(one.object)]
        if not nodes:  # as at a restart of everything: whoever served goes on
            return self._held & {one for addresses in self._addresses.values() for one in addresses}
        wanted = set()
        for key, addresses in self._addresses.items():
            candidates = self._candidates(key, nodes)
            wanted |= {one for one in addresses if pick_node(one, candidates) == self._options.node_name}
        return wanted

    def _candidates(self, key: str, nodes: list[str]) -> list[str]:
        service = self._services.get_by_key(key)
        if service is None or service.object.get("spec", {}).get("externalTrafficPolicy") != "Local":
            return nodes
        slices = (one.object for one in self._slices.by_index(BY_SERVICE, key))
        holding = _nodes_with_endpoints(slices)
        return [one for one in nodes if one in holding] or nodes

    async def _sync(self, netlink: Netlink, device: Device) -> None:
        wanted = self._wanted()
        for address in self._held - wanted:
            await self._release(netlink, device, address)
        fresh = wanted - self._held
        if not fresh:
            return
        elsewhere = await netlink.addresses()
        for address in fresh - elsewhere:
            await self._take(netlink, device, address)
        self._held |= fresh - elsewhere

    async def _take(self, netlink: Netlink, device: Device, address: str) -> None:
        family = family_of(address)
        try:
            await netlink.add_address(device, address, family.host_bits)
            uplink = await netlink.device_of(self._options.node_ip)
            if uplink is None:
                return
            if family is not IPV4:
                sysctl.write(f"ipv6/conf/{uplink.name}/proxy_ndp", "1")
                await netlink.set_neighbour_proxy(uplink, address, present=True)
            await asyncio.to_thread(advertise, uplink, address)
            log.info("Load balancer address is served here", address=address, interface=uplink.name)
        except (NetlinkFailure, OSError) as error:
            log.warning("Load balancer address is not announced", address=address, error=error)

    async def _release(self, netlink: Netlink, device: Device, address: str) -> None:
        try:
            await netlink.remove_address(device, address)
            uplink = await netlink.device_of(self._options.node_ip)
            if family_of(address) is not IPV4 and uplink is not None:
                await netlink.set_neighbour_proxy(uplink, address, present=False)
        except NetlinkFailure as error:
            log.warning("Load balancer address stays", address=address, error=error)
            return
        self._held.discard(address)


def pick_node(address: str, nodes: Sequence[str]) -> str:
    """Pick the node that serves an address, the same on every node; "" when there is none."""
    return max(nodes, key=lambda node: hashlib.sha256(f"{address} {node}".encode()).digest(), default="")


def advertise(device: Device, address: str) -> None:
    """Tell the L2 that an address is now here. Raises OSError.

    By gratuitous ARP (RFC 5227, section 3), or an unsolicited neighbour advertisement (RFC 4861, section 7.2.6).
    """
    mac = bytes.fromhex(device.mac.replace(":", ""))
    if len(mac) != 6 or device.name == "lo":
        return
    packed = ipaddress.ip_address(address).packed
    if family_of(address) is IPV4:
        _send_gratuitous_arp(device, mac, packed)
    else:
        _send_advertisement(device, mac, packed)


def _send_gratuitous_arp(device: Device, mac: bytes, address: bytes) -> None:
    ethernet = _BROADCAST + mac + struct.pack("!H", _ETH_P_ARP)
    request = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + address + bytes(6) + address
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((device.name, _ETH_P_ARP))
        raw.send(ethernet + request)


def _send_advertisement(device: Device, mac: bytes, address: bytes) -> None:
    override = 0x20000000
    message = struct.pack("!BBHI", 136, 0, 0, override) + address + struct.pack("!BB", 2, 1) + mac
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw:
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, device.index)
        raw.sendto(message, ("ff02::1", 0, 0, device.index))


def _nodes_with_endpoints(slices: Iterable[Object]) -> set[str]:
    found = set()
    for one in slices:
        for endpoint in one.get("endpoints") or ():
            if endpoint.get("nodeName") and (endpoint.get("conditions") or {}).get("ready") is not False:
                found.add(endpoint["nodeName"])
    return found


def _is_candidate(node: Object) -> bool:
    if EXCLUDE_LABEL in (node["metadata"].get("labels") or {}):
        return False
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
