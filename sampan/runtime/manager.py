"""The manager: informers first, then controllers; on the way out controllers first, then informers.

Controllers and informers share one process and one event loop. A controller starts when the caches it names have
synced. With a leader elector the controllers run only while this process leads.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sampan.base.log import logger
from sampan.base.tasks import STARTED_IGNORED, serve, spawn, start

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.base.tasks import Started
    from sampan.client.informer import InformerFactory
    from sampan.runtime.controller import Controller
    from sampan.runtime.events import EventBroadcaster
    from sampan.runtime.leaderelection import LeaderElector

log = logger("runtime.manager")


class Manager:
    """Runs controllers over shared informers."""

    def __init__(
        self,
        informers: InformerFactory,
        controllers: Sequence[Controller],
        *,
        events: EventBroadcaster | None = None,
        elector: LeaderElector | None = None,
    ) -> None:
        self._informers = informers
        self._controllers = controllers
        self._events = events
        self._elector = elector

    async def run(self, started: Started = STARTED_IGNORED) -> None:
        """Run until cancelled; started is called when every controller works (or waits to lead)."""
        async with asyncio.TaskGroup() as servers:
            if self._events is not None:
                serve(servers, self._events.run(), name="events")
            async with asyncio.TaskGroup() as caches:
                serve(caches, self._informers.run(), name="informers")
                if self._elector is None:
                    await self._run_controllers(started)
                else:
                    started()
                    await self._elector.run(self._run_controllers)

    async def _run_controllers(self, started: Started = STARTED_IGNORED) -> None:
        """Start all at once: each waits for its own caches, so that one that never syncs holds up nobody else."""
        async with asyncio.TaskGroup() as group:
            running = [
                spawn(group, start(group, controller.run, name=controller.name), name=f"start {controller.name}")
                for controller in self._controllers
            ]
            await asyncio.gather(*running)
            log.info("Controllers started", count=len(self._controllers))
            started()
