"""List and watch: keep a store equal to what the API server holds.

Promises: the store sees every change after the list, in order; after a lost connection the watch resumes at the last
resourceVersion seen; only when that history is gone (410) is the list read again, and the store then gets the
difference. Failures back off with jitter, 0.2 s doubled to 30 s, as client-go's reflector does (its start is 0.8 s;
ours is shorter because one server serves few clients and restarts in under a second).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sampan.api.errors import Expired, Gone, Unauthorized
from sampan.base.errors import SampanError
from sampan.base.log import logger

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from sampan.base.clock import Clock
    from sampan.client.client import ResourceClient
    from sampan.client.interface import Stored, WatchEvent

log = logger("client.reflector")

_FIRST_DELAY = 0.2
_LAST_DELAY = 30.0
_WATCH_SECONDS = 300
"""A watch asks to be ended after this to twice this many seconds, so that connections spread over API servers."""


class Sink(Protocol):
    """What a reflector feeds."""

    def replace(self, items: Sequence[Stored]) -> None:
        """The whole state, as a list answered."""
        ...

    def apply(self, batch: Sequence[WatchEvent]) -> None:
        """Changes, in order; BOOKMARKs may be among them."""
        ...


class Reflector:
    """Feeds one sink from one resource."""

    def __init__(
        self,
        resource: ResourceClient,
        sink: Sink,
        *,
        clock: Clock,
        random: random.Random,
        label_selector: str = "",
        field_selector: str = "",
    ) -> None:
        self._resource = resource
        self._sink = sink
        self._clock = clock
        self._random = random
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._version = ""
        self._failures = 0

    @property
    def resource_version(self) -> str:
        """The last resourceVersion seen."""
        return self._version

    async def run(self) -> None:
        """List and watch until cancelled."""
        fresh = False
        while True:
            try:
                await self._list(fresh=fresh)
            except (SampanError, OSError) as error:
                fresh = isinstance(error, (Expired, Gone))
                await self._back_off("list failed", error)
                continue
            fresh = True
            await self._watch_until_expired()

    async def _list(self, *, fresh: bool) -> None:
        """Read the list: from any server's cache at first (resourceVersion 0), the newest after an expiry."""
        answer = await self._resource.list(
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            resource_version="" if fresh else "0",
        )
        self._version = answer.resource_version
        self._sink.replace(answer.items)

    async def _watch_until_expired(self) -> None:
        while True:
            began = self._clock.monotonic()
            try:
                events = await self._watch()
            except (Expired, Gone):
                return
            except (SampanError, OSError) as error:
                await self._back_off("watch failed", error)
                continue
            if events:
                self._failures = 0
            elif self._clock.monotonic() - began < 1:  # a server that ends watches at once must not be hammered
                await self._back_off("watch ended at once", None)

    async def _watch(self) -> int:
        """Watch until the server ends it; return the number of events."""
        seconds = int(_WATCH_SECONDS * (1 + self._random.random()))
        count = 0
        async with self._resource.watch(
            resource_version=self._version,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            timeout_seconds=seconds,
        ) as batches:
            async for batch in batches:
                self._sink.apply(batch)
                self._version = batch[-1].item.resource_version
                count += len(batch)
                self._failures = 0
        return count

    async def _back_off(self, message: str, error: Exception | None) -> None:
        delay = min(_FIRST_DELAY * 2.0 ** min(self._failures, 30), _LAST_DELAY) * (1 + self._random.random())
        self._failures += 1
        write = log.warning if self._failures > 3 or isinstance(error, Unauthorized) else log.debug
        write(message, resource=self._resource.gvr.group_resource, error=error, retry=f"{delay:.1f}s")
        await self._clock.sleep(delay)
