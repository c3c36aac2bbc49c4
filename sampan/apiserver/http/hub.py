"""All connections of a server: who serves them, who owns their tasks, who ends the idle ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from sampan.apiserver.http.connection import Connection
from sampan.apiserver.http.head import HeadCache
from sampan.base import tasks

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from sampan.apiserver.http.connection import Service
    from sampan.base.clock import Clock

COALESCE_SECONDS = 0.002
"""A stream that has written within this time gathers what follows, so that a busy watch costs at most 500 writes a
second; one that was quiet writes at once."""

SWEEP_SECONDS = 5.0
"""How often connections are checked for being overdue: a timer per connection would cost more than it saves."""


class Gathering(Protocol):
    """A stream that gathers small writes."""

    def flush(self) -> None: ...


class Hub:
    """The connections of one server. Its tasks belong to the group it is made with."""

    def __init__(self, service: Service, group: asyncio.TaskGroup) -> None:
        self.service = service
        self.heads = HeadCache()
        self.connections: set[Connection] = set()
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time
        self.closing = False
        self._gathering: list[Gathering] = []
        self._drained: asyncio.Future[None] | None = None
        self._group = group

    def connection(self) -> Connection:
        """The protocol factory for `loop.create_server`."""
        return Connection(self)

    def spawn(self, coro: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run a coroutine that handles its own errors."""
        return tasks.spawn(self._group, coro, name=name)

    def flush_later(self, stream: Gathering) -> None:
        """Have a stream write what it has gathered, together with all the others that do."""
        if not self._gathering:
            self.loop.call_later(COALESCE_SECONDS, self._flush)
        self._gathering.append(stream)

    def _flush(self) -> None:
        gathering, self._gathering = self._gathering, []
        for stream in gathering:
            stream.flush()

    async def sweep(self, clock: Clock) -> None:
        """Hang up on overdue clients, until cancelled."""
        while True:
            await clock.sleep(SWEEP_SECONDS)
            now = self.now()
            for connection in [one for one in self.connections if one.overdue(now)]:
                if connection.paused:
                    connection.transport.abort()  # it would wait for ever for the client to take what is left
                else:
                    connection.transport.close()

    async def drain(self, seconds: float) -> None:
        """End streams and close idle connections; the others when they are done or after so many seconds."""
        self.closing = True
        for connection in list(self.connections):
            connection.stop()
        if not self.connections:
            return
        self._drained = self.loop.create_future()
        await asyncio.wait({self._drained}, timeout=seconds)
        for connection in list(self.connections):
            connection.transport.abort()

    def forget(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        if self._drained is not None and not self.connections and not self._drained.done():
            self._drained.set_result(None)
