"""What the node's networking is told: names of host objects, ranges, addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sampan.proxy.family import IPV4, IPV6, Family, is_family, split_cidrs

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOptions:
    """Options of `PodNetwork` and `Proxy`; one node of one cluster.

    cluster_cidr, service_cidr, load_balancer_cidr: comma-separated CIDRs, at most one per family. bridge, dummy, vxlan:
    interface names, at most 15 characters, unique on this machine as is table, the nftables tables' common name.
    dns_address: where the node's own DNS server answers, "" for none. mtu: bytes, 0 for that of the node's interface.
    masquerade_mark: the packet mark bit that asks for masquerading (Kubernetes' own default).
    """

    node_name: str
    node_ip: str
    cluster_cidr: str
    service_cidr: str
    bridge: str
    dummy: str
    vxlan: str
    table: str
    cni_conf_dir: Path
    load_balancer_cidr: str = ""
    dns_address: str = ""
    mtu: int = 0
    vxlan_id: int = 4096
    vxlan_port: int = 8472
    masquerade_mark: int = 0x4000

    @property
    def families(self) -> tuple[Family, ...]:
        """The families that the cluster's pods have."""
        cidrs = split_cidrs(self.cluster_cidr)
        return tuple(one for one in (IPV4, IPV6) if any(is_family(cidr, one) for cidr in cidrs))

    def cluster_cidr_of(self, family: Family) -> str:
        """The pods' range of one family, "" for none."""
        return family.first_of(split_cidrs(self.cluster_cidr))

    def service_cidr_of(self, family: Family) -> str:
        """The services' range of one family, "" for none."""
        return family.first_of(split_cidrs(self.service_cidr))

    def load_balancer_cidr_of(self, family: Family) -> str:
        """The load balancers' range of one family, "" for none."""
        return family.first_of(split_cidrs(self.load_balancer_cidr))
