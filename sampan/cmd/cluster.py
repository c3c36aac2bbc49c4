"""One cluster on one machine: its data directory, and the ports, ranges and names that it owns on the host.

`ClusterConfig` is picked once, by the first `sampan up`, and recorded in ``<data dir>/cluster.json``; later runs reuse
it. Clusters are told apart by `identity`, six hex digits of the data directory's path, which every host object
(bridge, nftables table, cgroup, runtime directory) carries in its name.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import ipaddress
import os
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from sampan.base.errors import SampanError
from sampan.base.pki import write_private

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOST_STATE = Path("/run/sampan")
_SLOTS = 40
"""Clusters per machine. Slot n has pods 10.(42+n).0.0/16, services 10.(96+n).0.0/16, load balancers 172.30.n.0/24."""


class ClusterError(SampanError):
    """The cluster's directory or configuration cannot be used; the message names the cure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """What a cluster owns on this machine. Ranges are CIDRs.

    registry_port: where the registry takes pushes, on loopback. registry_node_port: where other nodes pull from it,
    with their certificates; 0 for a cluster that was made before there was one.
    """

    identity: str
    node_name: str
    secure_port: int
    kubelet_port: int
    registry_port: int
    registry_node_port: int = 0
    cluster_cidr: str
    service_cidr: str
    load_balancer_cidr: str
    nodes: bool = True
    simulated_nodes: int = 0
    datastore: str = ""

    @property
    def dns_address(self) -> str:
        """The cluster DNS address: the tenth of the service range, as everywhere."""
        return str(ipaddress.ip_network(self.service_cidr)[10])


class ClusterDirectory:
    """The data directory and what lies where in it."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.identity = hashlib.sha256(str(self.root).encode()).hexdigest()[:6]

    @property
    def config_file(self) -> Path:
        return self.root / "cluster.json"

    @property
    def server(self) -> Path:
        """The control plane's data: database, PKI, tokens."""
        return self.root / "server"

    @property
    def agent(self) -> Path:
        """The node's data: certificates, pods, volumes, containerd's root."""
        return self.root / "agent"

    @property
    def registry(self) -> Path:
        return self.root / "registry"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.root / "kubeconfig"

    @property
    def join_token(self) -> Path:
        """The token with which this machine's own agent joins."""
        return self.server / "node-token"

    @property
    def run(self) -> Path:
        """Records of running processes."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def host_state(self) -> Path:
        """Sockets and runtime state, gone after a reboot; short, since a socket path has at most 107 bytes."""
        return _HOST_STATE / self.identity

    def load(self) -> ClusterConfig | None:
        """Read the recorded configuration; None before the first `up`."""
        try:
            data = orjson.loads(self.config_file.read_bytes())
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise ClusterError(f"cannot read {self.config_file}: run as the user who started the cluster") from error
        except ValueError as error:
            raise ClusterError(f"{self.config_file} is damaged ({error}); `sampan down --purge` starts over") from error
        known = {one.name for one in dataclasses.fields(ClusterConfig)}
        return ClusterConfig(**{key: value for key, value in data.items() if key in known})

    def require(self) -> ClusterConfig:
        """Read the recorded configuration; raises ClusterError when there is no cluster."""
        config = self.load()
        if config is None:
            raise ClusterError(f"there is no cluster in {self.root}; `sampan up --data-dir {self.root}` starts one")
        return config

    def save(self, config: ClusterConfig) -> None:
        data = orjson.dumps(dataclasses.asdict(config), option=orjson.OPT_INDENT_2)
        write_private(self.config_file, data + b"\n", mode=0o644)

    @contextmanager
    def locked(self, what: str) -> Iterator[None]:
        """Hold the directory against a second `up` or `down` at the same time."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ClusterError(f"another sampan command works on {self.root}; wait for it before `{what}`") from error
        else:
            yield
        finally:
            os.close(descriptor)


def default_data_dir() -> Path:
    """Where a cluster lives unless --data-dir says otherwise."""
    if os.geteuid() == 0:
        return Path("/var/lib/sampan")
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "sampan"


def pick_config(directory: ClusterDirectory, *, nodes: bool, used: list[str]) -> ClusterConfig:
    """Choose free ports and ranges. used: networks (CIDRs) that this host's routes and other clusters occupy."""
    occupied = [ipaddress.ip_network(one, strict=False) for one in used]
    for slot in range(_SLOTS):
        ranges = (f"10.{42 + slot}.0.0/16", f"10.{96 + slot}.0.0/16", f"172.30.{slot}.0/24")
        if not any(ipaddress.ip_network(one).overlaps(other) for one in ranges for other in occupied):
            break
    else:
        raise ClusterError("no free address ranges are left on this host; remove a cluster with `sampan down --purge`")
    taken: set[int] = set()
    return ClusterConfig(
        identity=directory.identity,
        node_name=socket.gethostname().lower(),
        secure_port=free_port(6443, taken),
        kubelet_port=free_port(10250, taken),
        registry_port=free_port(5000, taken),
        registry_node_port=free_port(5443, taken),
        cluster_cidr=ranges[0],
        service_cidr=ranges[1],
        load_balancer_cidr=ranges[2],
        nodes=nodes,
    )


def networks_in_use(routes: list[str]) -> list[str]:
    """Add the ranges of this host's other clusters, running or not, to those of its routes."""
    found = list(routes)
    for file in _HOST_STATE.glob("*/cluster.json"):
        try:
            data = orjson.loads(file.read_bytes())
        except (OSError, ValueError):
            continue
        found += [data[key] for key in ("cluster_cidr", "service_cidr", "load_balancer_cidr") if key in data]
    return found


def free_port(first: int, taken: set[int] | None = None) -> int:
    """Find the next free TCP port, beginning with `first`, and add it to `taken`. Raises ClusterError."""
    taken = set() if taken is None else taken
    for port in range(first, first + 200):
        if port not in taken and is_port_free(port):
            taken.add(port)
            return port
    raise ClusterError(f"ports {first} to {first + 199} are all in use; end what listens there")


def is_port_free(port: int, address: str = "0.0.0.0") -> bool:  # noqa: S104 - asks whether any address has it
    """Tell whether nothing listens on a TCP port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def machine_address() -> str:
    """The address under which other machines reach this one: that of the default route; "" without one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a documentation address: nothing is sent, the kernel only picks a route
        except OSError:
            return ""
        address: str = probe.getsockname()[0]
    return "" if address.startswith("127.") else address
