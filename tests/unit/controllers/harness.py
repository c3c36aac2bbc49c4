"""A few controllers on the fake API, on a clock that the test moves."""

import asyncio
import random
from contextlib import asynccontextmanager

from sampan.base.clock import FakeClock
from sampan.client.client import Client
from sampan.client.resources import EVENTS
from sampan.controllers import ControllerContext, ControllerOptions, build
from sampan.runtime import Manager
from sampan.testing.fake import FakeTransport


class Harness:
    """api: the fake; `settled` waits until the controllers have nothing left to do."""

    def __init__(self, names, **options):
        self.clock = FakeClock()
        self.api = FakeTransport(self.clock)
        self.client = Client(self.api)
        self.context = ControllerContext(
            self.client,
            clock=self.clock,
            options=ControllerOptions(controllers=names, **options),
            random=random.Random(1),
        )
        self.controllers = build(self.context)

    async def settled(self, turns=40):
        """Return when no queue holds anything for some turns of the loop."""
        quiet = 0
        for _ in range(20_000):
            await asyncio.sleep(0)
            idle = all(one.queue.idle for one in self.controllers) and self.context.events.idle
            quiet = quiet + 1 if idle else 0
            if quiet >= turns:
                return
        raise AssertionError("the controllers never came to rest")

    async def advance(self, seconds):
        """Move time on and let the controllers settle."""
        await self.clock.advance(seconds)
        await self.settled()

    def events(self):
        """(type, reason, message) of all events."""
        return [(one["type"], one["reason"], one["message"]) for one in self.api.all(EVENTS)]


@asynccontextmanager
async def running(*names, prepare=None, **options):
    """Run controllers until the block ends."""
    harness = Harness(names, **options)
    if prepare is not None:
        prepare(harness.api)
    manager = Manager(harness.context.informers, harness.controllers, events=harness.context.events)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(manager.run())
        try:
            await harness.settled()
            yield harness
        finally:
            task.cancel()
