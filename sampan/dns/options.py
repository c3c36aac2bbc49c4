"""What the cluster DNS server is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DNSOptions:
    """Options of `DNSServer`.

    address: where it listens, the cluster DNS address; it must be one of this host's. domain: the cluster domain.
    resolv_conf: names the upstream resolvers; re-read when it changes. own_cidrs: pod and service ranges, of which no
    upstream knows anything.
    """

    address: str
    port: int = 53
    domain: str = "cluster.local"
    resolv_conf: Path = Path("/etc/resolv.conf")
    own_cidrs: tuple[str, ...] = ()
