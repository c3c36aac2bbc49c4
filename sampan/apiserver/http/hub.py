"""All connections of a server: who serves them, who owns their tasks, who ends the idle ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sampan.apiserver.http.connection import Connection
from sampan.apiserver.http.head import HeadCache
from sampan.base import tasks

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from sampan.apiserver.http.connection import Service
    from sampan.base.clock import Clock

SWEEP_SECONDS = 5.0
"""How often connections are checked for being overdue: a timer per connection would cost more than it saves."""


class Hub:
    """The connections of one server. Its tasks belong to the group it is made with."""

    def __init__(self, service: Service, group: asyncio.TaskGroup) -> None:
        self.service = service
        self.heads = HeadCache()
        self.connections: set[Connection] = set()
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time
        self.closing = False
        self._group = group

    def connection(self) -> Connection:
        """The protocol factory for `loop.create_server`."""
        return Connection(self)

    def spawn(self, coro: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run a coroutine that handles its own errors."""
        return tasks.spawn(self._group, coro, name=name)

    async def sweep(self, clock: Clock) -> None:
        """Hang up on overdue clients, until cancelled."""
        while True:
            await clock.sleep(SWEEP_SECONDS)
            now = self.now()
            for connection in [one for one in self.connections if one.overdue(now)]:
                connection.transport.close()

    async def drain(self, seconds: float) -> None:
        """Close idle connections at once, and the others when they are done or after so many seconds."""
        self.closing = True
        deadline = self.now() + seconds
        while self.connections:
            for connection in list(self.connections):
                if not connection.busy or self.now() >= deadline:
                    connection.transport.abort() if connection.busy else connection.transport.close()
            if self.now() >= deadline:
                return
            await asyncio.sleep(0.01)
