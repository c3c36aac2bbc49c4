"""What a pod worker needs from the rest of the agent, and the plug-in point of graceful endpoint removal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.kubelet.cgroups import PodCgroups
    from sampan.kubelet.containerspec import ContainerBuilder
    from sampan.kubelet.events import Recorder
    from sampan.kubelet.killer import ContainerKiller
    from sampan.kubelet.options import KubeletOptions
    from sampan.kubelet.probes.checks import Checker
    from sampan.kubelet.runtime import ContainerRuntime
    from sampan.kubelet.starter import ContainerStarter
    from sampan.kubelet.volumes import VolumeManager


class EndpointGate(Protocol):
    """Holds SIGTERM back until clients have stopped sending new connections to a pod."""

    async def wait_withdrawn(self, pod: Object) -> None:
        """Return when no service proxy sends new connections to the pod any more, or it is pointless to wait on."""
        ...


class PodAPI(Protocol):
    """The calls about pods that the kubelet makes. All raise APIStatusError, OSError or TimeoutError."""

    async def patch_pod_status(self, namespace: str, name: str, patch: Object) -> Object: ...

    async def delete_pod(self, namespace: str, name: str, uid: str) -> None:
        """Confirm that a pod is gone: delete without grace, only this uid."""
        ...

    async def runtime_handler(self, runtime_class: str) -> str:
        """Tell the handler that a RuntimeClass names. Raises NotFound."""
        ...


class ServiceSource(Protocol):
    """Knows the cluster's services."""

    def services(self) -> Iterable[Object]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeServices:
    """The agent's shared parts, handed to each pod worker. allocatable: of the node, canonical quantities."""

    options: KubeletOptions
    clock: Clock
    runtime: ContainerRuntime
    recorder: Recorder
    api: PodAPI
    volumes: VolumeManager
    cgroups: PodCgroups
    builder: ContainerBuilder
    starter: ContainerStarter
    killer: ContainerKiller
    checker: Checker
    services: ServiceSource
    gate: EndpointGate
    allocatable: Mapping[str, str] = field(default_factory=dict)
