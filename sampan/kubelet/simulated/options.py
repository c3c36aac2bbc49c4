"""What simulated nodes are like, and what their pods do unless their annotations say otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedOptions:
    """Options of `Simulator`. Durations in seconds.

    nodes: how many; named ``<prefix>-<number>``. cpu, memory, pods: of each node, as quantities. start_delay: from a
    pod's binding until its containers run. ready_delay: from then until it is Ready. job_seconds: how long the
    containers of Jobs' pods run; others run for ever. delete_delay: how long a pod takes to end. address: at which the
    API server reaches the nodes' common kubelet server. pki_dir: where its certificate is kept.
    """

    nodes: int
    prefix: str = "simulated"
    cpu: str = "32"
    memory: str = "256Gi"
    pods: str = "110"
    labels: Mapping[str, str] = field(default_factory=dict)
    start_delay: float = 0.0
    ready_delay: float = 0.0
    job_seconds: float = 1.0
    delete_delay: float = 0.0
    address: str = "127.0.0.1"
    port: int = 0
    cluster_ca: bytes = b""
    pki_dir: Path
    workers: int = 32

    def name(self, number: int) -> str:
        """The name of a node."""
        return f"{self.prefix}-{number}"
