"""One family's nftables table: what it should hold, what it holds, and the transaction between the two.

A change costs what it touches: services' fragments are compared with what was last applied, and only chains, sets and
elements that differ appear in the transaction, which `nft` applies atomically. `Ruleset.rebuild` instead replaces the
whole table in one transaction; it is for the start, and for a table that is not what we think it is.

Elements may be claimed by several services (two with the same external address); the one that comes first by name has
it, and the next takes over when it goes.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar

from sampan.proxy.render import (
    CLUSTER_IPS,
    FIREWALL_IPS,
    HAIRPIN,
    MARK,
    NO_ENDPOINT_IPS,
    NO_ENDPOINT_NODE_PORTS,
    NODE_PORTS,
    SERVICE_IPS,
    Fragment,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sampan.proxy.family import Family
    from sampan.proxy.options import NetworkOptions

_BATCH = 500
"""Elements of one ``add element`` statement; keeps lines short of what nft's parser holds at once."""

_EMPTY = Fragment()
_NONE: Mapping[str, object] = {}

SENTINEL = "sentinel"
"""A set of one element whose presence shows that the table is ours and whole."""

_Element = tuple[str, str]
_K = TypeVar("_K")
_V = TypeVar("_V")


class Ruleset:
    """The service table of one family."""

    def __init__(self, options: NetworkOptions, family: Family) -> None:
        self.family = family
        self.table = options.table
        self._base = _base(options, family)
        self._fragments: dict[str, Fragment] = {}
        self._claims: dict[_Element, dict[str, str]] = {}
        self._chains: dict[str, tuple[str, ...]] = {}
        self._sets: dict[str, int] = {}
        self._applied_chains: dict[str, tuple[str, ...]] = {}
        self._applied_sets: dict[str, int] = {}
        self._applied_elements: dict[_Element, str] = {}
        self._touched_chains: set[str] = set()
        self._touched_sets: set[str] = set()
        self._touched_elements: set[_Element] = set()

    def set_service(self, key: str, fragment: Fragment | None) -> None:
        """Say what a service (``namespace/name``) needs now; None when it needs nothing."""
        old, new = self._fragments.get(key, _EMPTY), fragment or _EMPTY
        for name in old.chains.keys() | new.chains.keys():
            if old.chains.get(name) != new.chains.get(name):
                self._touched_chains.add(name)
                _put(self._chains, name, new.chains.get(name))
        for name in old.sets.keys() | new.sets.keys():
            if old.sets.get(name) != new.sets.get(name):
                self._touched_sets.add(name)
                _put(self._sets, name, new.sets.get(name))
        for element in old.elements.keys() | new.elements.keys():
            if old.elements.get(element) != new.elements.get(element):
                self._claim(element, key, new.elements.get(element))
        _put(self._fragments, key, fragment)

    def _claim(self, element: _Element, key: str, verdict: str | None) -> None:
        self._touched_elements.add(element)
        claims = self._claims.setdefault(element, {})
        _put(claims, key, verdict)
        if not claims:
            del self._claims[element]

    def _verdict(self, element: _Element) -> str | None:
        claims = self._claims.get(element)
        return claims[min(claims)] if claims else None

    def transaction(self) -> str:
        """Render what differs from the applied table, "" when nothing does. Call `applied` once it took effect."""
        elements = [one for one in self._touched_elements if self._verdict(one) != self._applied_elements.get(one)]
        chains = [one for one in self._touched_chains if self._chains.get(one) != self._applied_chains.get(one)]
        sets = [one for one in self._touched_sets if self._sets.get(one) != self._applied_sets.get(one)]
        # References before what they refer to when taking away, the other way round when adding.
        lines = self._element_lines("delete", [one for one in elements if one in self._applied_elements])
        lines += [self._line("flush chain", one) for one in chains if one in self._applied_chains]
        lines += [self._line("delete chain", one) for one in chains if one not in self._chains]
        lines += [self._line("delete set", one) for one in sets if one not in self._sets]
        added = [one for one in chains if one in self._chains]
        lines += self._definitions([one for one in sets if one in self._sets], added, known=self._applied_chains)
        lines += self._element_lines("add", [one for one in elements if one in self._claims])
        return "".join(lines)

    def applied(self) -> None:
        """Record that the last transaction (or rebuild) took effect."""
        for element in self._touched_elements:
            _put(self._applied_elements, element, self._verdict(element))
        for name in self._touched_chains:
            _put(self._applied_chains, name, self._chains.get(name))
        for name in self._touched_sets:
            _put(self._applied_sets, name, self._sets.get(name))
        self._touched_elements.clear()
        self._touched_chains.clear()
        self._touched_sets.clear()

    def rebuild(self) -> str:
        """Render the whole table, replacing whatever the kernel holds under its name."""
        self._touched_elements.update(self._claims, self._applied_elements)
        self._touched_chains.update(self._chains, self._applied_chains)
        self._touched_sets.update(self._sets, self._applied_sets)
        lines = [self._base, *self._definitions(self._sets, self._chains)]
        lines += self._element_lines("add", self._claims)
        return "".join(lines)

    def probe(self) -> str:
        """Render a transaction that changes nothing and that the kernel refuses when the table is gone.

        Listing anything of the table instead would cost nft a walk over all of it.
        """
        return self._line("add element", f"{SENTINEL} {{ 0 }}")

    def _definitions(
        self, sets: Iterable[str], chains: Iterable[str], *, known: Mapping[str, object] = _NONE
    ) -> list[str]:
        """known: chains that exist already, flushed."""
        address = self.family.address_type
        lines = [
            self._line("add set", f"{one} {{ type {address}; flags dynamic,timeout; timeout {self._sets[one]}s; }}")
            for one in sets
        ]
        chains = list(chains)
        lines += [self._line("add chain", one) for one in chains if one not in known]
        lines += [self._line("add rule", f"{one} {rule}") for one in chains for rule in self._chains[one]]
        return lines

    def _element_lines(self, verb: str, elements: Iterable[_Element]) -> list[str]:
        groups: dict[str, list[str]] = defaultdict(list)
        for name, key in elements:
            verdict = self._verdict((name, key)) if verb == "add" else None
            groups[name].append(f"{key} : {verdict}" if verdict else key)
        return [
            self._line(f"{verb} element", f"{name} {{ {', '.join(entries[start : start + _BATCH])} }}")
            for name, entries in sorted(groups.items())
            for start in range(0, len(entries), _BATCH)
        ]

    def _line(self, verb: str, rest: str) -> str:
        return f"{verb} {self.family.nft} {self.table} {rest}\n"


def _put(table: dict[_K, _V], key: _K, value: _V | None) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


def _base(options: NetworkOptions, family: Family) -> str:
    """Render the part of the table that does not depend on services."""
    ip, address = family.nft, family.address_type
    mark, key = f"{options.masquerade_mark:#x}", "meta l4proto . th dport"
    cluster_cidr = options.cluster_cidr_of(family)
    from_outside = f"{ip} saddr != {cluster_cidr} " if cluster_cidr else ""
    return f"""add table {ip} {options.table}
delete table {ip} {options.table}
table {ip} {options.table} {{
  set {SENTINEL} {{ type mark; elements = {{ 0 }} }}
  set {CLUSTER_IPS} {{ type {address}; }}
  set {HAIRPIN} {{ type {address} . {address}; }}
  map {SERVICE_IPS} {{ type {address} . inet_proto . inet_service : verdict; }}
  map {NODE_PORTS} {{ type inet_proto . inet_service : verdict; }}
  map {NO_ENDPOINT_IPS} {{ type {address} . inet_proto . inet_service : verdict; }}
  map {NO_ENDPOINT_NODE_PORTS} {{ type inet_proto . inet_service : verdict; }}
  map {FIREWALL_IPS} {{ type {address} . inet_proto . inet_service : verdict; }}
  chain mark-for-masquerade {{
    meta mark set meta mark or {mark}
  }}
  chain reject-chain {{
    meta l4proto tcp reject with tcp reset
    reject
  }}
  chain services {{
    {from_outside}{ip} daddr @{CLUSTER_IPS} {MARK}
    {ip} daddr . {key} vmap @{SERVICE_IPS}
    fib daddr type local {key} vmap @{NODE_PORTS}
  }}
  chain refusals {{
    {ip} daddr . {key} vmap @{NO_ENDPOINT_IPS}
    fib daddr type local {key} vmap @{NO_ENDPOINT_NODE_PORTS}
  }}
  chain unserved-ports {{
    {ip} daddr @{CLUSTER_IPS} goto reject-chain
  }}
  chain firewall {{
    {ip} daddr . {key} vmap @{FIREWALL_IPS}
  }}
  chain filter-prerouting {{
    type filter hook prerouting priority -110; policy accept;
    ct state new jump firewall
  }}
  chain filter-output {{
    type filter hook output priority -110; policy accept;
    ct state new jump firewall
  }}
  chain nat-prerouting {{
    type nat hook prerouting priority -100; policy accept;
    jump services
  }}
  chain nat-output {{
    type nat hook output priority -100; policy accept;
    jump services
  }}
  chain filter-input {{
    type filter hook input priority -110; policy accept;
    ct state new jump refusals
  }}
  chain filter-forward {{
    type filter hook forward priority -110; policy accept;
    ct state new jump refusals
    ct state new jump unserved-ports
  }}
  chain filter-output-post-dnat {{
    type filter hook output priority -90; policy accept;
    ct state new jump refusals
    ct state new jump unserved-ports
  }}
  chain nat-postrouting {{
    type nat hook postrouting priority 100; policy accept;
    meta mark and {mark} != 0 meta mark set meta mark xor {mark} masquerade fully-random
    ct status dnat {ip} saddr . {ip} daddr @{HAIRPIN} masquerade fully-random
  }}
}}
"""
