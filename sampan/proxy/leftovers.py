"""Removing everything that node networking made on a host, knowing nothing but the names of its objects.

`sampan down` may run long after the agent died, when nobody is left to ask for ranges: the pods' range is read from
the pods' own table.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sampan.proxy import forwarding, nft, sysctl
from sampan.proxy.netlink import open_netlink

if TYPE_CHECKING:
    from collections.abc import Iterable

_RANGE = re.compile(r"saddr (\S+/\d+) ")


def pods_table(table: str) -> str:
    """Name the table of what leaves the cluster's range; table: the common name."""
    return f"{table}-pods"


async def remove_service_tables(table: str) -> None:
    """Remove the service proxy's tables; none being there is no error."""
    await _remove_tables(table)


async def remove_pod_network(table: str, links: Iterable[str]) -> None:
    """Remove routes, rules, tables and interfaces of the pod network; what is not there is no error.

    table: the tables' common name. links: interfaces by name. Pods lose their network.
    """
    ranges = await _pod_ranges(table)
    async with open_netlink() as netlink:
        for one in ranges:
            for destination, device in (await netlink.our_routes(one)).items():
                await netlink.delete_route(destination)
                # Before the table that guards 127.0.0.0/8 goes, the kernel's own guard is put back.
                sysctl.try_write(f"ipv4/conf/{device}/route_localnet", "0")
        for name in links:
            await netlink.delete_link(name)
    await forwarding.disallow(table)
    await _remove_tables(pods_table(table))


async def _pod_ranges(table: str) -> list[str]:
    found = []
    for family in ("ip", "ip6"):
        try:
            listing = await nft.read("list", "chain", family, pods_table(table), "leaving-cluster")
        except nft.NftError:
            continue
        found += _RANGE.findall(listing)
    return found


async def _remove_tables(name: str) -> None:
    """Deleting a table that was just added succeeds whether or not it was there before."""
    await nft.apply("".join(f"add table {family} {name}\ndelete table {family} {name}\n" for family in ("ip", "ip6")))
