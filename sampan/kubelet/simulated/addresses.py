"""Addresses of simulated nodes and their pods: each node has a /24 of 100.64.0.0/10 (shared address space, RFC 6598).

Nobody is reached at them; they only need to be different.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_BASE = int(ipaddress.ip_address("100.64.0.0"))
MOST_NODES = 1 << 14


class Addresses:
    """The addresses of the nodes in order. host: the address of them all."""

    def __init__(self, nodes: Iterable[str], host: str) -> None:
        self._bases = {name: _BASE + (number << 8) for number, name in enumerate(nodes)}
        self._taken: dict[str, dict[str, int]] = {}
        self._host = host

    def __contains__(self, node: str) -> bool:
        return node in self._bases

    def node(self, name: str) -> str:
        """A node's address."""
        assert name in self._bases
        return self._host

    def cidr(self, name: str) -> str:
        """The range of a node's pods."""
        return f"{ipaddress.IPv4Address(self._bases[name])}/24"

    def take(self, node: str, uid: str) -> str:
        """Give a pod its address: the lowest that is free, from .2 on; more than 253 pods share the last."""
        taken = self._taken.setdefault(node, {})
        used = set(taken.values())
        number = next((one for one in range(2, 255) if one not in used), 254)
        taken[uid] = number
        return str(ipaddress.IPv4Address(self._bases[node] + number))

    def give_back(self, node: str, uid: str) -> None:
        """Free a pod's address, if it has one."""
        self._taken.get(node, {}).pop(uid, None)
