"""Links, addresses, routes and neighbours by netlink: the calls that node networking needs, each idempotent.

The only module that knows pyroute2's routing side. Errors are NetlinkError (an OSError's cousin with ``code``), turned
into `NetlinkFailure` here.
"""

from __future__ import annotations

import errno
import ipaddress
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyroute2.iproute.linux import AsyncIPRoute  # type: ignore[import-untyped]
from pyroute2.netlink.exceptions import NetlinkError  # type: ignore[import-untyped]

from sampan.base.errors import SampanError
from sampan.proxy.family import IPV4, family_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROUTE_PROTOCOL = 83
"""Marks our routes (rtm_protocol), so that a later run finds and removes those that no node needs any more."""

_PERMANENT = 0x80
_PROXY = 0x08
_ON_LINK = 4
_SCOPE_LINK = 253


class NetlinkFailure(SampanError):
    """The kernel refused; code is an errno."""

    def __init__(self, what: str, error: NetlinkError) -> None:
        super().__init__(f"{what}: {error.args[-1] if error.args else error}")
        self.code: int = error.code


@dataclass(frozen=True, slots=True)
class Device:
    """One interface. mtu: bytes. mac: "" when it has none."""

    index: int
    name: str
    mtu: int
    mac: str


class Netlink:
    """An open routing socket; made by `open_netlink`."""

    def __init__(self, ipr: Any) -> None:
        self._ipr = ipr

    async def find(self, name: str) -> Device | None:
        """Look an interface up by name."""
        async for link in await self._ipr.link("dump"):
            if link.get_attr("IFLA_IFNAME") == name:
                return _device(link)
        return None

    async def device_of(self, address: str) -> Device | None:
        """Find the interface that holds one of this host's addresses."""
        index = 0
        async for one in await self._ipr.addr("dump"):
            if (one.get_attr("IFA_LOCAL") or one.get_attr("IFA_ADDRESS")) == address:
                index = one["index"]
        async for link in await self._ipr.link("dump"):
            if index and link["index"] == index:
                return _device(link)
        return None

    async def ensure_link(self, name: str, kind: str, **attributes: Any) -> Device:
        """Make an interface unless it is there, and set it up."""
        found = await self.find(name)
        if found is None:
            with _failing(f"cannot create interface {name}", errno.EEXIST):
                await self._ipr.link("add", ifname=name, kind=kind, **attributes)
            found = await self.find(name)
            assert found is not None
        with _failing(f"cannot set interface {name} up"):
            await self._ipr.link("set", index=found.index, state="up")
        return found

    async def delete_link(self, name: str) -> None:
        """Delete an interface, with its addresses and routes; none of that name is no error."""
        found = await self.find(name)
        if found is not None:
            with _failing(f"cannot delete interface {name}", errno.ENODEV):
                await self._ipr.link("del", index=found.index)

    async def addresses(self, device: Device | None = None) -> set[str]:
        """The addresses of an interface, or of all."""
        dump = await (self._ipr.addr("dump", index=device.index) if device else self._ipr.addr("dump"))
        return {one.get_attr("IFA_LOCAL") or one.get_attr("IFA_ADDRESS") async for one in dump}

    async def add_address(self, device: Device, address: str, prefix_length: int) -> None:
        """Give an interface an address; without duplicate detection for IPv6, so that it works at once."""
        flags = {} if family_of(address) is IPV4 else {"flags": 0x02}
        with _failing(f"cannot add address {address} to {device.name}", errno.EEXIST):
            await self._ipr.addr("add", index=device.index, address=address, prefixlen=prefix_length, **flags)

    async def remove_address(self, device: Device, address: str) -> None:
        """Take an address of full length (/32 or /128) away; its absence is no error."""
        family = family_of(address)
        with _failing(f"cannot remove address {address}", errno.EADDRNOTAVAIL, errno.ENODEV):
            await self._ipr.addr("del", index=device.index, address=address, prefixlen=family.host_bits)

    async def replace_route(self, destination: str, device: Device, *, gateway: str = "") -> None:
        """Route a range to an interface, or by a gateway on it (which need not be in a range of its addresses)."""
        family = family_of(destination)
        more: dict[str, Any] = {"gateway": gateway, "flags": _ON_LINK} if gateway else {}
        if not gateway and family is IPV4:
            more["scope"] = _SCOPE_LINK
        with _failing(f"cannot route {destination} to {device.name}"):
            await self._ipr.route(
                "replace", family=family.number, dst=destination, oif=device.index, proto=ROUTE_PROTOCOL, **more
            )

    async def delete_route(self, destination: str) -> None:
        """Delete our route to a range; its absence is no error."""
        with _failing(f"cannot delete the route to {destination}", errno.ESRCH, errno.ENOENT):
            await self._ipr.route("del", family=family_of(destination).number, dst=destination, proto=ROUTE_PROTOCOL)

    async def our_routes(self, inside: str) -> dict[str, str]:
        """The destinations within a range to which routes of ours lead, with their interfaces' names."""
        network = ipaddress.ip_network(inside)
        names = {link["index"]: link.get_attr("IFLA_IFNAME") async for link in await self._ipr.link("dump")}
        found = {}
        async for route in await self._ipr.route("dump", family=family_of(inside).number, proto=ROUTE_PROTOCOL):
            destination = route.get_attr("RTA_DST")
            if route["proto"] == ROUTE_PROTOCOL and destination and ipaddress.ip_address(destination) in network:
                found[f"{destination}/{route['dst_len']}"] = names.get(route.get_attr("RTA_OIF"), "")
        return found

    async def on_link_device(self, address: str) -> Device | None:
        """Tell the interface by which a host is reached without a gateway; None when there is none such."""
        with _failing(f"no route to {address}", errno.ENETUNREACH, errno.EHOSTUNREACH):
            routes = await self._ipr.route("get", family=family_of(address).number, dst=address)
            if routes and routes[0].get_attr("RTA_GATEWAY") is None and routes[0]["type"] == 1:
                index = routes[0].get_attr("RTA_OIF")
                async for link in await self._ipr.link("dump"):
                    if link["index"] == index:
                        return _device(link)
        return None

    async def set_tunnel_peer(self, device: Device, gateway: str, mac: str, host: str) -> None:
        """Say by which host a VXLAN gateway is reached."""
        with _failing(f"cannot set the tunnel to {host}"):
            await self._ipr.neigh("replace", ifindex=device.index, lladdr=mac, dst=gateway, state=_PERMANENT)
            # One host per MAC, since the MAC follows from the host: an entry that is there is the right one.
            with _failing(f"cannot set the tunnel to {host}", errno.EEXIST):
                await self._ipr.fdb("append", ifindex=device.index, lladdr=mac, dst=host)

    async def remove_tunnel_peer(self, device: Device, gateway: str, mac: str, host: str) -> None:
        """Forget a VXLAN gateway."""
        with _failing(f"cannot remove the tunnel to {host}", errno.ENOENT):
            await self._ipr.fdb("del", ifindex=device.index, lladdr=mac, dst=host)
        with _failing(f"cannot remove the tunnel to {host}", errno.ENOENT):
            await self._ipr.neigh("del", ifindex=device.index, dst=gateway)

    async def set_neighbour_proxy(self, device: Device, address: str, *, present: bool) -> None:
        """Answer (or no longer answer) neighbour solicitations for an address on an interface."""
        verb = "replace" if present else "del"
        with _failing(f"cannot announce {address}", errno.ENOENT):
            await self._ipr.neigh(verb, ifindex=device.index, dst=address, flags=_PROXY)


def _device(link: Any) -> Device:
    mac = link.get_attr("IFLA_ADDRESS") or ""
    return Device(link["index"], link.get_attr("IFLA_IFNAME"), link.get_attr("IFLA_MTU"), mac)


class _failing:  # noqa: N801 - reads as a statement
    """Translate kernel errors; those named are not errors."""

    def __init__(self, what: str, *ignored: int) -> None:
        self._what = what
        self._ignored = ignored

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> bool:
        if not isinstance(error, NetlinkError):
            return False
        if error.code in self._ignored:
            return True
        raise NetlinkFailure(self._what, error) from error


@asynccontextmanager
async def open_netlink() -> AsyncIterator[Netlink]:
    """Open a routing socket of the current network namespace."""
    async with AsyncIPRoute() as ipr:
        yield Netlink(ipr)
