"""One agent's host objects: where its containerd lives and what its bridge, tables and cgroups are called.

Names carry six hex digits of the agent's data directory, so that several agents share a machine (each in its own
network namespace, or clusters side by side), and so that `sampan down` finds all of them without asking anyone.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sampan.cmd.cluster import ClusterError

if TYPE_CHECKING:
    from sampan.cmd.cluster import ClusterDirectory

_HOST_STATE = Path("/run/sampan")


@dataclass(frozen=True, slots=True)
class NodeLayout:
    """Derived from the agent's data directory alone."""

    root: Path

    @property
    def identity(self) -> str:
        return hashlib.sha256(str(self.root.absolute()).encode()).hexdigest()[:6]

    @property
    def state(self) -> Path:
        """Sockets and runtime state; short, since a socket path has at most 107 bytes."""
        return _HOST_STATE / self.identity

    @property
    def containerd_directory(self) -> Path:
        return self.root / "containerd"

    @property
    def containerd_socket(self) -> Path:
        return self.state / "containerd.sock"

    @property
    def cni_conf_dir(self) -> Path:
        return self.root / "cni"

    @property
    def run(self) -> Path:
        """Records of the processes that the agent started."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def record_file(self) -> Path:
        """What the running agent was told, for `sampan down`."""
        return self.root / "node.json"

    @property
    def bridge(self) -> str:
        return f"smp-{self.identity}"

    @property
    def dummy(self) -> str:
        """The interface that holds the cluster DNS and load-balancer addresses."""
        return f"smd-{self.identity}"

    @property
    def vxlan(self) -> str:
        return f"smv-{self.identity}"

    @property
    def table(self) -> str:
        """The nftables tables' common name."""
        return f"sampan-{self.identity}"

    @property
    def cgroup_parent(self) -> str:
        return f"/sampan-{self.identity}"


def node_of(directory: ClusterDirectory) -> NodeLayout:
    """The node in a data directory: that of a cluster's own agent, or of an agent that joined another machine's.

    Raises ClusterError when there is none.
    """
    for root in (directory.agent, directory.root):
        if (layout := NodeLayout(root)).record_file.exists():
            return layout
    raise ClusterError(f"no node runs in {directory.root}; `sampan up --data-dir {directory.root}` starts one")
