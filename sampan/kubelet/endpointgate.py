"""When a terminating pod may get SIGTERM: after no EndpointSlice offers it to new connections.

See docs/adr/0031-endpoints-before-sigterm.md. The pod's deletionTimestamp makes the EndpointSlice controller mark its
endpoints as not ready; service proxies take them out of their rules as soon as they see that. The gate sees the same
slices, waits for the mark, and then a moment more for the proxies of all nodes. It never waits longer than `_LIMIT`:
without Services, or without that controller, pods must end all the same.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sampan.api.object import uid_of
from sampan.base.clock import deadline

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.client.informer import SharedInformer
    from sampan.client.interface import Stored

_LIMIT = 1.0
_SETTLE = 0.1
"""For proxies to apply what they were told at the same moment as the gate. Theirs is a matter of 20 ms."""

_INDEX = "pod"


class OpenGate:
    """Never waits: a node that serves no Services."""

    async def wait_withdrawn(self, pod: Object) -> None:
        del pod


class EndpointSliceGate:
    """Watches EndpointSlices. informer: of all EndpointSlices, shared with the service proxy."""

    def __init__(self, informer: SharedInformer, clock: Clock) -> None:
        self._informer = informer
        self._clock = clock
        self._changed = asyncio.Event()
        informer.add_index(_INDEX, _pods_of)
        informer.add_handler(self._notice)

    def _notice(self, old: Stored | None, new: Stored | None) -> None:
        del old, new
        self._changed.set()

    async def wait_withdrawn(self, pod: Object) -> None:
        """Return when proxies have stopped sending new connections to the pod."""
        uid = uid_of(pod)
        if not self._informer.has_synced or not self._informer.by_index(_INDEX, uid):
            return
        try:
            async with deadline(self._clock, _LIMIT):
                while self._is_offered(uid):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return
        await self._clock.sleep(_SETTLE)

    def _is_offered(self, uid: str) -> bool:
        return any(
            (endpoint.get("targetRef") or {}).get("uid") == uid
            and (endpoint.get("conditions") or {}).get("ready") is not False
            for item in self._informer.by_index(_INDEX, uid)
            for endpoint in item.object.get("endpoints") or ()
        )


def _pods_of(item: Stored) -> list[str]:
    endpoints = item.object.get("endpoints") or ()
    return [endpoint["targetRef"]["uid"] for endpoint in endpoints if (endpoint.get("targetRef") or {}).get("uid")]
