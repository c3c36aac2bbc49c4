"""`Simulator`: simulated nodes, put together. Server first (nodes tell its port), then nodes, then their pods."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sampan.base import tasks
from sampan.base.errors import SampanError
from sampan.base.tasks import STARTED_IGNORED, serve
from sampan.kubelet.simulated.addresses import MOST_NODES, Addresses
from sampan.kubelet.simulated.nodes import SimulatedNodes
from sampan.kubelet.simulated.pods import SimulatedPods
from sampan.kubelet.simulated.server import SimulatedServer

if TYPE_CHECKING:
    from sampan.base.clock import Clock
    from sampan.base.tasks import Started
    from sampan.client.client import Client
    from sampan.kubelet.simulated.options import SimulatedOptions


class SimulationError(SampanError):
    """The simulation cannot run; the message says why."""


class Simulator:
    """Thousands of nodes. node_client: makes a client that acts as a node, for the server's certificate."""

    def __init__(
        self, options: SimulatedOptions, client: Client, clock: Clock, *, node_client: Client | None = None
    ) -> None:
        if not 0 < options.nodes <= MOST_NODES:
            raise SimulationError(f"{options.nodes} nodes cannot be simulated; give 1 to {MOST_NODES}")
        names = [options.name(number) for number in range(options.nodes)]
        addresses = Addresses(names, options.address)
        self.pods = SimulatedPods(options, client, clock, addresses)
        self._nodes = SimulatedNodes(options, client, clock, addresses)
        self._server = SimulatedServer(options, self.pods, client, clock, node_client=node_client)

    async def run(self, started: Started = STARTED_IGNORED) -> None:
        """Run until cancelled; started is told the port when nodes are registered and their pods are followed."""
        async with asyncio.TaskGroup() as group:
            self._nodes.port = await tasks.start(group, self._server.run, name="simulated kubelet server")
            await self._nodes.register()
            serve(group, self._nodes.keep_leases(), name="simulated leases")
            serve(group, self._nodes.keep_status(), name="simulated status")
            await tasks.start(group, self.pods.controller.run, name="simulated pods")
            await tasks.start(group, self.pods.follow, name="simulated pods' watch")
            started(self._nodes.port)
