"""From service ports and their targets to nftables: chains, sets and elements, named so that each service has its own.

A connection's way: hook → ``services`` → verdict map on address . protocol . port → ``ext-…`` for what comes from
outside (masquerade, traffic policy) → ``svc-…`` or ``svl-…`` (all targets, or this node's own), which send it on with
``numgen random``. Services with session affinity have a chain and a set of clients for each target. Behaviour follows
kube-proxy's nftables mode (KEP-3866).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sampan.proxy.endpoints import Choice, Target
    from sampan.proxy.family import Family
    from sampan.proxy.serviceport import ServicePort

SERVICE_IPS = "service-ips"
NODE_PORTS = "service-nodeports"
NO_ENDPOINT_IPS = "no-endpoint-services"
NO_ENDPOINT_NODE_PORTS = "no-endpoint-nodeports"
FIREWALL_IPS = "firewall-ips"
CLUSTER_IPS = "cluster-ips"
HAIRPIN = "hairpin-connections"

REJECT = "goto reject-chain"
DROP = "drop"
MARK = "jump mark-for-masquerade"

_NAME_LIMIT = 110
"""Of chain and set names; the kernel takes 255 bytes, nft 1.0 fewer."""


@dataclass(slots=True)
class Fragment:
    """What one service needs in a family's table.

    chains: name to rules. sets: name of a set of clients to its timeout in seconds. elements: (set or map, key) to
    verdict, "" in a set.
    """

    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sets: dict[str, int] = field(default_factory=dict)
    elements: dict[tuple[str, str], str] = field(default_factory=dict)


def render(port: ServicePort, choice: Choice, family: Family, cluster_cidr: str, into: Fragment) -> None:
    """Add one service port's rules to a fragment."""
    _Renderer(port, choice, family, cluster_cidr, into).render()


class _Renderer:
    def __init__(
        self, port: ServicePort, choice: Choice, family: Family, cluster_cidr: str, fragment: Fragment
    ) -> None:
        self._port = port
        self._choice = choice
        self._family = family
        self._cluster_cidr = cluster_cidr
        self._fragment = fragment
        self._identity = f"{port.namespace}/{port.name}/{port.protocol}/{port.port}"

    def render(self) -> None:
        port, choice = self._port, self._choice
        self._add(CLUSTER_IPS, port.cluster_ip)
        for target in {*choice.cluster, *choice.local}:
            self._add(HAIRPIN, f"{target.ip} . {target.ip}")
        internal = choice.local if port.internal_local else choice.cluster
        key = self._key(port.cluster_ip)
        if internal:
            self._add(SERVICE_IPS, key, "goto " + self._targets_chain(local=port.internal_local))
        else:
            self._add(NO_ENDPOINT_IPS, key, self._refusal())
        if port.is_external:
            self._render_external()

    def _render_external(self) -> None:
        port, choice = self._port, self._choice
        reachable = choice.cluster or (choice.local if port.external_local else ())
        refusal = "" if reachable and (choice.local or not port.external_local) else self._refusal()
        verdict = "goto " + self._external_chain() if reachable else ""
        for address in (*port.external_ips, *port.load_balancer_ips):
            self._lead(SERVICE_IPS, NO_ENDPOINT_IPS, self._key(address), verdict, refusal)
        if port.node_port:
            key = f"{port.protocol} . {port.node_port}"
            self._lead(NODE_PORTS, NO_ENDPOINT_NODE_PORTS, key, verdict, refusal)
        if port.source_ranges and port.load_balancer_ips:
            firewall = self._name("fw")
            ranges = ", ".join(port.source_ranges)
            self._fragment.chains[firewall] = (f"{self._family.nft} saddr != {{ {ranges} }} drop",)
            for address in port.load_balancer_ips:
                self._add(FIREWALL_IPS, self._key(address), f"goto {firewall}")

    def _lead(self, services: str, refused: str, key: str, verdict: str, refusal: str) -> None:
        """With policy Local and no target here, pods still get in (their chain) while others are dropped after it."""
        if verdict:
            self._add(services, key, verdict)
        if refusal:
            self._add(refused, key, refusal)

    def _refusal(self) -> str:
        return DROP if self._choice.cluster or self._choice.local else REJECT

    def _external_chain(self) -> str:
        name = self._name("ext")
        if not self._port.external_local:
            self._fragment.chains[name] = (MARK, f"goto {self._targets_chain(local=False)}")
            return name
        rules: list[str] = []
        if self._choice.cluster:
            everywhere = self._targets_chain(local=False)
            if self._cluster_cidr:
                rules.append(f"{self._family.nft} saddr {self._cluster_cidr} goto {everywhere}")
            rules += [f"fib saddr type local {MARK}", f"fib saddr type local goto {everywhere}"]
        if self._choice.local:
            rules.append(f"goto {self._targets_chain(local=True)}")
        self._fragment.chains[name] = tuple(rules)
        return name

    def _targets_chain(self, *, local: bool) -> str:
        name = self._name("svl" if local else "svc")
        if name not in self._fragment.chains:
            targets = self._choice.local if local else self._choice.cluster
            affinity = self._port.affinity_seconds
            self._fragment.chains[name] = self._sticky(targets) if affinity else (self._spread(targets),)
        return name

    def _spread(self, targets: tuple[Target, ...]) -> str:
        head = f"meta l4proto {self._port.protocol} dnat {self._family.nft} to "
        if len(targets) == 1:
            return head + self._literal(targets[0])
        elements = ", ".join(f"{number} : {ip} . {port}" for number, (ip, port) in enumerate(targets))
        return f"{head}numgen random mod {len(targets)} map {{ {elements} }}"

    def _sticky(self, targets: tuple[Target, ...]) -> tuple[str, ...]:
        chains = [self._target_chain(target) for target in targets]
        known = [f"{self._family.nft} saddr @{self._clients(chain)} goto {chain}" for chain in chains]
        if len(chains) == 1:
            return (f"goto {chains[0]}",)
        choices = ", ".join(f"{number} : goto {chain}" for number, chain in enumerate(chains))
        return (*known, f"numgen random mod {len(chains)} vmap {{ {choices} }}")

    def _target_chain(self, target: Target) -> str:
        chain = self._name("ep", f"/{target.ip.replace(':', '.')}/{target.port}")
        clients = self._clients(chain)
        self._fragment.sets[clients] = self._port.affinity_seconds
        self._fragment.chains[chain] = (f"update @{clients} {{ {self._family.nft} saddr }}", self._spread((target,)))
        return chain

    def _literal(self, target: Target) -> str:
        return f"[{target.ip}]:{target.port}" if self._family.version == 6 else f"{target.ip}:{target.port}"

    def _key(self, address: str) -> str:
        return f"{address} . {self._port.protocol} . {self._port.port}"

    def _add(self, name: str, key: str, verdict: str = "") -> None:
        self._fragment.elements[name, key] = verdict

    def _name(self, kind: str, suffix: str = "") -> str:
        identity = self._identity + suffix
        digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
        return f"{kind}-{digest}-{identity}"[:_NAME_LIMIT]

    def _clients(self, chain: str) -> str:
        """Name a target's set of clients. The timeout is part of it: sets are never changed, only made and deleted."""
        return f"aff{chain.removeprefix('ep')}/{self._port.affinity_seconds}"
