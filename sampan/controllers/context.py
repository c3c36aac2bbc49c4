"""What every controller is made from: client, informers, clock, event recorders and the options of them all."""

from __future__ import annotations

import random as randomness
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sampan.client.informer import InformerFactory
from sampan.runtime.events import EventBroadcaster

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.gvk import GroupVersionResource
    from sampan.base.clock import Clock
    from sampan.base.pki import CertificateAuthority
    from sampan.client.client import Client
    from sampan.client.informer import SharedInformer
    from sampan.runtime.events import EventRecorder


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerOptions:
    """Options of all controllers, kube-controller-manager's where it has them. Durations in seconds.

    controllers: names to run, as kube-controller-manager's ``--controllers``: ``*`` for all that are on by default,
    ``-name`` without one. cluster_cidrs: pod addresses, of which each node gets a part; empty: no node IPAM.
    load_balancer_cidr: addresses for services of type LoadBalancer; "": none are given. root_ca: PEM for pods; empty:
    not published. signer: the CA that signs CSRs; None: none are signed.
    """

    controllers: Sequence[str] = ("*",)
    cluster_cidrs: Sequence[str] = ("10.244.0.0/16",)
    node_cidr_mask_size_ipv4: int = 24
    node_cidr_mask_size_ipv6: int = 64
    service_cidrs: Sequence[str] = ("10.96.0.0/16",)
    load_balancer_cidr: str = ""
    root_ca: bytes = field(default=b"", repr=False)
    signer: CertificateAuthority | None = None
    cluster_signing_duration: float = 365 * 86400.0
    node_monitor_period: float = 5.0
    node_monitor_grace_period: float = 50.0
    node_startup_grace_period: float = 60.0
    node_eviction_rate: float = 0.1
    secondary_node_eviction_rate: float = 0.01
    large_cluster_size_threshold: int = 50
    unhealthy_zone_threshold: float = 0.55
    terminated_pod_gc_threshold: int = 12500
    max_endpoints_per_slice: int = 100
    concurrent_syncs: int = 5


class ControllerContext:
    """What a controller's `new` is given."""

    def __init__(
        self,
        client: Client,
        *,
        clock: Clock,
        options: ControllerOptions | None = None,
        random: randomness.Random | None = None,
    ) -> None:
        self.client = client
        self.clock = clock
        self.options = options or ControllerOptions()
        self.random = random or randomness.Random()  # noqa: S311 - jitter and choices, no secret
        self.informers = InformerFactory(client, clock=clock, random=self.random)
        self.events = EventBroadcaster(client, clock=clock)
        self._taken: list[SharedInformer] = []

    def informer(self, gvr: GroupVersionResource, *, namespace: str = "", field_selector: str = "") -> SharedInformer:
        """The shared informer of a selection; the controller that is being made waits for its first list."""
        informer = self.informers.informer(gvr, namespace=namespace, field_selector=field_selector)
        if informer not in self._taken:
            self._taken.append(informer)
        return informer

    def taken(self) -> Sequence[SharedInformer]:
        """The informers asked for since the last call: those of one controller."""
        taken, self._taken = self._taken, []
        return taken

    def recorder(self, component: str) -> EventRecorder:
        """A component's event recorder."""
        return self.events.recorder(component)
