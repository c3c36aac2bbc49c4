"""The event recorder: what `kubectl describe` shows, without flooding the API.

As client-go's tools/record: equal events become one with a growing count; more than 10 events within 10 minutes that
differ only in their message become one "(combined from similar events)"; a source may write 25 events about one object
at once and then one in 5 minutes. Events are v1, written in the background, those about one object in the order they
were recorded; what cannot be written after 12 tries is dropped. Recording never blocks and never fails.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from sampan.api import times
from sampan.api.errors import APIStatusError, Conflict, NotFound, ServerTimeout, ServiceUnavailable, TooManyRequests
from sampan.base.log import logger
from sampan.base.tasks import spawn
from sampan.client.interface import STRATEGIC_MERGE_PATCH
from sampan.client.resources import EVENTS

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.client.client import Client

log = logger("runtime.events")

T = TypeVar("T")
EventType = Literal["Normal", "Warning"]

_CACHE = 4096
_SIMILAR_EVENTS = 10
_SIMILAR_SECONDS = 600.0
_SPAM_BURST = 25
_SPAM_RATE = 1 / 300
_TRIES = 12
_RETRY_SECONDS = 10.0
_BACKLOG = 1000
_AT_ONCE = 32
"""Events under way together: 3 000 pods started at once record faster than one request after the other can write."""
_RETRIABLE = (TooManyRequests, ServerTimeout, ServiceUnavailable, Conflict)


def reference(obj: Object, *, field_path: str = "") -> Object:
    """Build the v1 ObjectReference of an object (an object reference passes through)."""
    if "metadata" not in obj:
        return {**obj, "fieldPath": field_path} if field_path else obj
    metadata = obj["metadata"]
    found: Object = {"kind": obj.get("kind", ""), "apiVersion": obj.get("apiVersion", "")}
    for key in ("namespace", "name", "uid", "resourceVersion"):
        if metadata.get(key):
            found[key] = metadata[key]
    if field_path:
        found["fieldPath"] = field_path
    return found


class EventRecorder:
    """Records events of one component (and, on a node, of one host)."""

    __slots__ = ("_broadcaster", "component", "host")

    def __init__(self, broadcaster: EventBroadcaster, component: str, host: str = "") -> None:
        self._broadcaster = broadcaster
        self.component = component
        self.host = host

    def event(
        self, obj: Object, type_: EventType, reason: str, message: str, *, field_path: str = "", action: str = ""
    ) -> None:
        """Record an event about an object (or an object reference). field_path: the part of it that is meant."""
        involved = reference(obj, field_path=field_path)
        source = {"component": self.component, **({"host": self.host} if self.host else {})}
        event: Object = {
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "source": source,
            "type": type_,
            "reportingComponent": self.component,
            "reportingInstance": self.host,
        }
        if action:
            event["action"] = action
        self._broadcaster.record(event)


@dataclass(slots=True)
class _Similar:
    messages: set[str]
    last: float


@dataclass(slots=True)
class _Logged:
    count: int
    first: str
    name: str
    namespace: str


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled: float


class EventBroadcaster:
    """Correlates and writes the events of all recorders of a process."""

    def __init__(self, client: Client, *, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._queue: deque[tuple[Object, float]] = deque()
        self._waiting = asyncio.Event()
        self._busy = False
        self._similar: OrderedDict[tuple[str, ...], _Similar] = OrderedDict()
        self._logged: OrderedDict[tuple[str, ...], _Logged] = OrderedDict()
        self._buckets: OrderedDict[tuple[str, ...], _Bucket] = OrderedDict()
        self._last_stamp = 0

    def recorder(self, component: str, host: str = "") -> EventRecorder:
        """Make a component's recorder."""
        return EventRecorder(self, component, host)

    def record(self, event: Object) -> None:
        """Take an event; over 1000 unwritten ones the newest is dropped, as client-go's full channel does."""
        if len(self._queue) >= _BACKLOG:
            log.warning("Event dropped", reason=event["reason"], object=event["involvedObject"].get("name"))
            return
        self._queue.append((event, self._clock.time()))
        self._waiting.set()

    @property
    def idle(self) -> bool:
        """Whether everything recorded is written."""
        return not self._queue and not self._busy

    async def run(self) -> None:
        """Write events until cancelled."""
        while True:
            await self._waiting.wait()
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(_AT_ONCE, len(self._queue)))]
                self._busy = True
                try:
                    await self._write_all(batch)
                finally:
                    self._busy = False
            self._waiting.clear()

    async def _write_all(self, batch: list[tuple[Object, float]]) -> None:
        """Write several events at once; those about one object after each other, so that equal ones are counted."""
        by_object: dict[tuple[str, ...], list[tuple[Object, float]]] = {}
        for entry in batch:
            by_object.setdefault(_source_key(entry[0]), []).append(entry)
        async with asyncio.TaskGroup() as group:
            for entries in by_object.values():
                spawn(group, self._write_each(entries), name="write events")

    async def _write_each(self, entries: list[tuple[Object, float]]) -> None:
        for event, now in entries:
            await self._write(event, now)

    async def _write(self, event: Object, now: float) -> None:
        message, key = self._aggregate(event, now)
        if not self._allow(event, now):
            return
        for attempt in range(_TRIES):
            try:
                await self._send(event, message, key, now)
            except (APIStatusError, OSError) as error:
                if isinstance(error, APIStatusError) and not isinstance(error, _RETRIABLE):
                    log.debug("Event rejected", reason=event["reason"], error=error)
                    return
                if attempt == _TRIES - 1:
                    log.warning("Event lost", reason=event["reason"], error=error)
                    return
                await self._clock.sleep(_RETRY_SECONDS)
            else:
                return

    def _aggregate(self, event: Object, now: float) -> tuple[str, tuple[str, ...]]:
        """Return the message to write and the key under which equal events are counted."""
        similar_key = (*_source_key(event), event["type"], event["reason"], event["reportingComponent"])
        message: str = event["message"]
        similar = self._similar.get(similar_key)
        if similar is None or now - similar.last > _SIMILAR_SECONDS:
            similar = _Similar(set(), now)
        similar.messages.add(message)
        similar.last = now
        _remember(self._similar, similar_key, similar)
        if len(similar.messages) < _SIMILAR_EVENTS:
            return message, (*similar_key, message)
        similar.messages.pop()  # the set stays at its limit
        return f"(combined from similar events): {message}", similar_key

    def _allow(self, event: Object, now: float) -> bool:
        key = _source_key(event)
        bucket = self._buckets.get(key) or _Bucket(_SPAM_BURST, now)
        bucket.tokens = min(float(_SPAM_BURST), bucket.tokens + (now - bucket.filled) * _SPAM_RATE)
        bucket.filled = now
        _remember(self._buckets, key, bucket)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    async def _send(self, event: Object, message: str, key: tuple[str, ...], now: float) -> None:
        stamp = times.format_time(now)
        logged = self._logged.get(key)
        if logged is None:
            logged = _Logged(0, stamp, "", event["involvedObject"].get("namespace") or "default")
        else:
            patch = {"count": logged.count + 1, "lastTimestamp": stamp, "message": message}
            events = self._client.resource(EVENTS, logged.namespace)
            try:
                await events.patch(logged.name, patch, content_type=STRATEGIC_MERGE_PATCH)
            except NotFound:  # it outlived its hour: begin anew, with the count so far
                pass
            else:
                logged.count += 1
                _remember(self._logged, key, logged)
                return
        fresh = _Logged(logged.count + 1, logged.first, self._new_name(event), logged.namespace)
        await self._client.resource(EVENTS, fresh.namespace).create(_body(event, message, fresh, stamp))
        _remember(self._logged, key, fresh)

    def _new_name(self, event: Object) -> str:
        """The object's name and a nanosecond stamp that no other event of this process has."""
        self._last_stamp = max(int(self._clock.time() * 1e9), self._last_stamp + 1)
        return f"{event['involvedObject'].get('name', '')}.{self._last_stamp:x}"


def _body(event: Object, message: str, logged: _Logged, last: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": logged.name, "namespace": logged.namespace},
        **event,
        "message": message,
        "firstTimestamp": logged.first,
        "lastTimestamp": last,
        "count": logged.count,
    }


def _source_key(event: Object) -> tuple[str, ...]:
    source, involved = event["source"], event["involvedObject"]
    return (
        source.get("component", ""),
        source.get("host", ""),
        involved.get("kind", ""),
        involved.get("namespace", ""),
        involved.get("name", ""),
        involved.get("fieldPath", ""),
        involved.get("uid", ""),
        involved.get("apiVersion", ""),
    )


def _remember(cache: OrderedDict[tuple[str, ...], T], key: tuple[str, ...], value: T) -> None:
    cache[key] = value
    cache.move_to_end(key)
    if len(cache) > _CACHE:
        cache.popitem(last=False)
