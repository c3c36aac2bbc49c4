"""The container runtime as the kubelet sees it: sandboxes, containers, images, streams, events.

Two implementations are foreseen: CRI (`sampan.kubelet.cri`) and a simulated one. Names follow the CRI messages
(runtime.v1 RuntimeService and ImageService); times are nanoseconds since the epoch, as there. All calls raise
`RuntimeFault`, with `RuntimeNotFound` when the thing asked for does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Protocol

from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence


class RuntimeFault(SampanError):
    """The runtime refused or failed. code: the gRPC code's Go name ("Unknown", "Unavailable"); message: its text."""

    def __init__(self, message: str, *, code: str = "Unknown") -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"rpc error: code = {self.code} desc = {self.message}"


class RuntimeNotFound(RuntimeFault):
    """The sandbox, container or image does not exist."""


class NamespaceMode(IntEnum):
    """Whose namespace a container uses (CRI NamespaceMode)."""

    POD = 0
    CONTAINER = 1
    NODE = 2
    TARGET = 3


class ContainerState(IntEnum):
    """CRI ContainerState."""

    CREATED = 0
    RUNNING = 1
    EXITED = 2
    UNKNOWN = 3


class MountPropagation(IntEnum):
    """CRI MountPropagation."""

    PRIVATE = 0
    HOST_TO_CONTAINER = 1
    BIDIRECTIONAL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespaces:
    """The namespaces of a sandbox or container. target_id: the container whose PID namespace TARGET means."""

    network: NamespaceMode = NamespaceMode.POD
    pid: NamespaceMode = NamespaceMode.CONTAINER
    ipc: NamespaceMode = NamespaceMode.POD
    target_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityProfile:
    """A seccomp or AppArmor profile. kind: "RuntimeDefault", "Unconfined" or "Localhost"; path: of a Localhost one."""

    kind: str
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortMapping:
    """A host port. protocol: "TCP", "UDP" or "SCTP"."""

    protocol: str
    container_port: int
    host_port: int
    host_ip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DNSConfig:
    """The contents of resolv.conf."""

    servers: Sequence[str] = ()
    searches: Sequence[str] = ()
    options: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LinuxResources:
    """cgroup settings; 0 means unset. memory_limit: bytes. cpu_period, cpu_quota: microseconds."""

    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_shares: int = 0
    memory_limit: int = 0
    oom_score_adj: int = 0
    hugepage_limits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    """What a pod sandbox is made of (CRI PodSandboxConfig). log_directory: absolute."""

    name: str
    uid: str
    namespace: str
    attempt: int
    hostname: str
    log_directory: str
    dns: DNSConfig
    port_mappings: Sequence[PortMapping]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    cgroup_parent: str
    namespaces: Namespaces
    sysctls: Mapping[str, str]
    privileged: bool = False
    run_as_user: int | None = None
    run_as_group: int | None = None
    supplemental_groups: Sequence[int] = ()
    seccomp: SecurityProfile | None = None
    runtime_handler: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A bind mount of a host path into a container."""

    container_path: str
    host_path: str
    readonly: bool = False
    propagation: MountPropagation = MountPropagation.PRIVATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A host device given to a container. permissions: cgroup letters, "rwm"."""

    container_path: str
    host_path: str
    permissions: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSecurity:
    """Who a container's process is and what it may do (CRI LinuxContainerSecurityContext)."""

    namespaces: Namespaces
    privileged: bool = False
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_username: str = ""
    readonly_rootfs: bool = False
    supplemental_groups: Sequence[int] = ()
    no_new_privileges: bool = False
    add_capabilities: Sequence[str] = ()
    drop_capabilities: Sequence[str] = ()
    masked_paths: Sequence[str] = ()
    readonly_paths: Sequence[str] = ()
    seccomp: SecurityProfile | None = None
    apparmor: SecurityProfile | None = None
    selinux: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """What a container is made of (CRI ContainerConfig).

    image: a reference or id the runtime has. log_path: relative to the sandbox's log directory.
    """

    name: str
    attempt: int
    image: str
    command: Sequence[str]
    args: Sequence[str]
    working_dir: str
    envs: Sequence[tuple[str, str]]
    mounts: Sequence[Mount]
    devices: Sequence[Device]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    log_path: str
    stdin: bool
    stdin_once: bool
    tty: bool
    resources: LinuxResources
    security: ContainerSecurity
    user_image: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A sandbox in a listing."""

    id: str
    name: str
    namespace: str
    uid: str
    attempt: int
    ready: bool
    created_at: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container in a listing."""

    id: str
    sandbox_id: str
    name: str
    attempt: int
    state: ContainerState
    created_at: int
    image: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerStatus:
    """A container's state in full. user: uid, gid and supplemental groups when the runtime tells them."""

    id: str
    name: str
    attempt: int
    state: ContainerState
    created_at: int
    started_at: int
    finished_at: int
    exit_code: int
    image: str
    image_ref: str
    reason: str
    message: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    log_path: str
    user: tuple[int, int, tuple[int, ...]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image on the node. size: bytes. uid, username: whom its config names, if anyone."""

    id: str
    tags: Sequence[str]
    digests: Sequence[str]
    size: int
    uid: int | None = None
    username: str = ""
    pinned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAuth:
    """Credentials for one registry; never logged."""

    username: str = ""
    password: str = ""
    server_address: str = ""
    identity_token: str = ""
    registry_token: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerStats:
    """Usage of one container. cpu: nanoseconds in all; the rest bytes; timestamp: nanoseconds."""

    id: str
    timestamp: int
    cpu: int
    working_set: int
    usage: int
    rss: int
    page_faults: int
    major_page_faults: int
    filesystem_used: int
    inodes_used: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeVersion:
    """Who the runtime is: name "containerd", version "1.6.20"."""

    name: str
    version: str


class RuntimeEventType(Enum):
    """What happened to a container's first process."""

    STARTED = "started"
    EXITED = "exited"
    OOM = "oom"
    RELIST = "relist"
    """Events may have been missed: read everything again. container_id is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeEvent:
    """One event. at: nanoseconds. container_id may also be a sandbox's."""

    type: RuntimeEventType
    container_id: str = ""
    exit_code: int = 0
    at: int = 0


class ContainerRuntime(Protocol):
    """Runs sandboxes and containers."""

    async def version(self) -> RuntimeVersion: ...

    async def conditions(self) -> Mapping[str, tuple[bool, str, str]]:
        """Tell "RuntimeReady" and "NetworkReady": (status, reason, message)."""
        ...

    async def run_sandbox(self, spec: SandboxSpec) -> str:
        """Create and start a sandbox with its network; return its id."""
        ...

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Kill what is left in the sandbox and release its network. Idempotent."""
        ...

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Remove the sandbox and all its containers. Idempotent."""
        ...

    async def sandbox_ips(self, sandbox_id: str) -> Sequence[str]:
        """Tell the sandbox's addresses, the primary first; none for a host-network one."""
        ...

    async def list_sandboxes(self) -> Sequence[Sandbox]: ...

    async def create_container(self, sandbox_id: str, spec: ContainerSpec, sandbox: SandboxSpec) -> str:
        """Create a container and return its id."""
        ...

    async def start_container(self, container_id: str) -> None: ...

    async def stop_container(self, container_id: str, *, seconds: int) -> None:
        """Ask the process to end, kill it after so many seconds, return when it is dead. Idempotent."""
        ...

    async def remove_container(self, container_id: str) -> None: ...

    async def list_containers(self) -> Sequence[Container]: ...

    async def container_status(self, container_id: str) -> ContainerStatus: ...

    async def update_resources(self, container_id: str, resources: LinuxResources) -> None: ...

    async def reopen_log(self, container_id: str) -> None:
        """Have the runtime write to a new file at the log path."""
        ...

    async def exec_sync(self, container_id: str, command: Sequence[str], *, seconds: int) -> tuple[bytes, bytes, int]:
        """Run a command in the container: (stdout, stderr, exit code). seconds 0: no limit.

        Raises RuntimeFault with code "DeadlineExceeded" when it takes longer.
        """
        ...

    async def exec_url(
        self, container_id: str, command: Sequence[str], *, tty: bool, stdin: bool, stdout: bool, stderr: bool
    ) -> str:
        """Return the streaming server's URL for one exec session."""
        ...

    async def attach_url(self, container_id: str, *, tty: bool, stdin: bool, stdout: bool, stderr: bool) -> str: ...

    async def port_forward_url(self, sandbox_id: str, ports: Sequence[int]) -> str: ...

    async def stats(self) -> Sequence[ContainerStats]:
        """Tell the usage of every running container."""
        ...

    async def list_images(self) -> Sequence[Image]: ...

    async def image_status(self, image: str) -> Image | None:
        """Find an image by reference or id; None when the node lacks it."""
        ...

    async def pull_image(self, image: str, auth: RegistryAuth | None) -> str:
        """Pull an image and return its reference with digest (or id)."""
        ...

    async def remove_image(self, image: str) -> None: ...

    async def image_usage(self) -> tuple[str, int, int]:
        """Tell where images lie and how much they take: (mount point, bytes, inodes)."""
        ...

    def events(self) -> AsyncIterator[RuntimeEvent]:
        """Yield events for ever, reconnecting; RELIST whenever some may have been missed, first of all at the start."""
        ...

    async def close(self) -> None: ...
