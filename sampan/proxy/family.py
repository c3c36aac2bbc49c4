"""The two address families, and what nftables, netlink and Kubernetes call their parts.

Each family has its own nftables table, so that a cluster without IPv6 loads no IPv6 rules.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One address family. number: AF_INET or AF_INET6."""

    nft: str
    address_type: str
    version: int
    number: int
    host_bits: int

    def first_of(self, addresses: list[str] | tuple[str, ...]) -> str:
        """Pick the first address of this family, "" when there is none."""
        return next((one for one in addresses if is_family(one, self)), "")


IPV4 = Family(nft="ip", address_type="ipv4_addr", version=4, number=socket.AF_INET, host_bits=32)
IPV6 = Family(nft="ip6", address_type="ipv6_addr", version=6, number=socket.AF_INET6, host_bits=128)


def is_family(address: str, family: Family) -> bool:
    """Tell whether an address or CIDR belongs to a family; decided by its spelling, no parsing."""
    return (":" in address) == (family.version == 6)


def family_of(address: str) -> Family:
    """Tell the family of an address or CIDR."""
    return IPV6 if ":" in address else IPV4


def split_cidrs(text: str) -> tuple[str, ...]:
    """Split a comma-separated CIDR list (at most one of each family) and bring it to canonical form.

    Raises ValueError for what is no network.
    """
    return tuple(str(ipaddress.ip_network(one.strip(), strict=False)) for one in text.split(",") if one.strip())
