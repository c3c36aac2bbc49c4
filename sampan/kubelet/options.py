"""The kubelet's options."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sampan.api.object import Object


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletOptions:
    """How a node agent runs.

    data_dir: pods, logs, certificates. node_ips: the primary first. kubelet_port: 0 picks a free one.
    cgroup_root: unique on the machine. cluster_ca: PEM of the CA that signs client certificates, for the kubelet's own
    server. Intervals and periods are seconds, sizes bytes.
    """

    node_name: str
    node_ips: Sequence[str]
    data_dir: Path
    runtime_endpoint: str
    kubelet_port: int = 10250
    bind_address: str = "0.0.0.0"  # noqa: S104
    cluster_dns: Sequence[str] = ()
    cluster_domain: str = "cluster.local"
    resolv_conf: Path = Path("/etc/resolv.conf")
    cgroup_root: str = "/sampan"
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Object] = ()
    cluster_ca: bytes = b""
    provider_id: str = ""
    max_pods: int = 110
    sync_seconds: float = 60.0
    relist_seconds: float = 30.0
    node_status_seconds: float = 10.0
    node_report_seconds: float = 300.0
    lease_seconds: int = 40
    log_max_size: int = 10 << 20
    log_max_files: int = 5
    image_gc_high_percent: int = 85
    image_gc_low_percent: int = 80
    image_minimum_age: float = 120.0
    system_reserved: Mapping[str, str] = field(default_factory=dict)
    eviction_memory: str = "100Mi"

    @property
    def log_dir(self) -> Path:
        return self.data_dir / "logs"

    @property
    def pki_dir(self) -> Path:
        return self.data_dir / "pki"
