"""watch: what is asked for (`WatchRequest`), and its answer over HTTP, chunked or as WebSocket messages.

Events of one turn of the loop leave in one write, encoded once for all watchers of the same selection. While the client
reads too slowly the watcher is paused; it catches up from the history or, when that no longer reaches back, is cut off.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from sampan.api import schema
from sampan.apiserver import encode, negotiate
from sampan.apiserver.handlers import read
from sampan.apiserver.http import response
from sampan.apiserver.http.hub import COALESCE_SECONDS
from sampan.apiserver.storage import translate
from sampan.apiserver.storage.interface import StorageError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from sampan.api.errors import APIStatusError
    from sampan.api.object import Object
    from sampan.apiserver.handlers.call import Call
    from sampan.apiserver.http.connection import Connection
    from sampan.apiserver.options import ListOptions
    from sampan.apiserver.registry.generic import Registry
    from sampan.apiserver.storage.entry import Entry
    from sampan.apiserver.storage.resourcestore import Batch, Event, Selection, Watcher

MINIMUM_TIMEOUT = 1800
"""Seconds; a watch without a timeout ends after one to two times this, at random, so that clients spread."""
_INITIAL_END = "k8s.io/initial-events-end"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRequest:
    """An authorized watch.

    after: the revision to begin behind, 0 for the current state first. wait_for: a revision
    that must have been seen before. marks_end: a bookmark says when the initial state is complete.
    """

    registry: Registry
    selection: Selection
    options: ListOptions
    after: int
    wait_for: int
    marks_end: bool

    def timeout(self) -> float:
        """Seconds until the server ends the watch."""
        asked = self.options.timeout_seconds
        return float(asked) if asked else MINIMUM_TIMEOUT * (1 + random.random())  # noqa: S311 - spreading, no secret


def watch(call: Call) -> WatchRequest:
    """Read what a watch is about. Raises as `read.list_` does for selectors and versions."""
    options = call.plan.list_options
    assert options is not None
    selection = read.selected(call, options)
    version = read.parse_version(options.resource_version)
    store = call.registry.store
    after, wait_for = version, 0
    if options.send_initial_events:
        after, wait_for = 0, version
    elif not version:
        after = store.revision if options.send_initial_events is False else 0
    marks_end = bool(options.send_initial_events) and options.allow_bookmarks
    return WatchRequest(
        registry=call.registry, selection=selection, options=options, after=after, wait_for=wait_for,
        marks_end=marks_end,
    )  # fmt: skip


def bookmark(registry: Registry, revision: int, *, initial_end: bool = False) -> Object:
    """A bookmark's object: empty but for its resourceVersion."""
    obj = schema.decode_as(registry.type, {}).object
    metadata: Object = {"resourceVersion": str(revision)}
    if initial_end:
        metadata["annotations"] = {_INITIAL_END: "true"}
    return {"kind": registry.info.kind, "apiVersion": registry.api_version, **obj, "metadata": metadata}


class WatchStream:
    """A watch over HTTP; see the module."""

    def __init__(
        self, request: WatchRequest, accepted: negotiate.Accepted, include: str | None,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:  # fmt: skip
        self._request = request
        self._headers = headers
        self._accepted = accepted
        self._include = include
        self._plain = accepted.media == negotiate.JSON and not accepted.transform and not request.registry.converts
        self._columns_sent = False
        self._initial = request.marks_end
        self._watcher: Watcher | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._ended = False
        self._gathered: list[bytes] = []
        self._written = 0.0
        self.connection: Connection

    # -- Stream

    def begin(self, connection: Connection) -> None:
        self.connection = connection
        self._start_answer()
        connection.transport.set_write_buffer_limits(high=1 << 18)
        self._timer = self._loop().call_later(self._request.timeout(), self.end)
        if self._request.wait_for or not self._request.registry.store.authoritative:
            connection.spawn(self._begin_fresh(), "watch")
        else:
            self._subscribe()

    def _loop(self) -> asyncio.AbstractEventLoop:
        return self.connection.hub.loop

    async def _begin_fresh(self) -> None:
        try:
            await self._request.registry.store.wait_fresh(self._request.wait_for)
        except StorageError as error:
            self.fail(translate.watch(error))
            return
        if not self._ended:
            self._subscribe()

    def _subscribe(self) -> None:
        request = self._request
        try:
            self._watcher = request.registry.store.watch(request.selection, self, after=request.after)
        except StorageError as error:
            self.fail(translate.watch(error))

    def resumed(self) -> None:
        if self._paused:
            self._paused = False
            if self._watcher is not None:
                self._watcher.resume()

    def lost(self) -> None:
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.close()

    # -- WatchSink

    def events(self, batch: Batch) -> None:
        if self._ended:
            return
        if self._plain:
            chunk = batch.memo.get(self.memo_key)
            if chunk is None:
                chunk = batch.memo[self.memo_key] = self.frame_batch(batch)
        else:
            chunk = b"".join([self.frame(self._encode(type_, entry, event)) for type_, entry, event in batch])
        self._write(chunk)

    def progress(self, revision: int) -> None:
        if self._ended or not self._request.options.allow_bookmarks:
            return
        obj = bookmark(self._request.registry, revision, initial_end=self._initial)
        self._initial = False
        self._write(self.frame(self._encode_object("BOOKMARK", obj)))

    def expired(self) -> None:
        self._watcher = None
        from sampan.api.errors import Expired  # noqa: PLC0415

        self.fail(Expired("too old resource version"))

    # -- encoding

    memo_key = "chunk"

    def frame_batch(self, batch: Batch) -> bytes:
        """A batch of JSON lines as one chunk."""
        return self.frame(batch.lines())

    def frame(self, data: bytes) -> bytes:
        """One chunk."""
        return b"%x\r\n%b\r\n" % (len(data), data)

    def _encode(self, type_: str, entry: Entry, event: Event) -> bytes:
        del event
        registry, accepted = self._request.registry, self._accepted
        if accepted.media == negotiate.PROTOBUF and not accepted.transform and not registry.custom:
            from sampan.api.schema import protobuf  # noqa: PLC0415 - only for those who ask for it

            return protobuf.watch_frame(type_, encode.entry_protobuf(registry, entry))
        return self._encode_object(type_, registry.view(entry))

    def _encode_object(self, type_: str, obj: Object) -> bytes:
        accepted, registry = self._accepted, self._request.registry
        if accepted.transform == "Table":
            first = not self._columns_sent
            self._columns_sent = True
            metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            obj = encode.table(
                registry, [] if type_ == "BOOKMARK" else [obj], metadata, accepted.version, self._include,
                with_columns=first,
            )  # fmt: skip
        elif accepted.transform:
            obj = encode.partial(obj, accepted.version)
        if accepted.media == negotiate.PROTOBUF:
            from sampan.api.schema import protobuf  # noqa: PLC0415 - only for those who ask for it

            return protobuf.watch_frame(type_, protobuf.encode_object(obj))
        return b'{"type":"%b","object":%b}\n' % (type_.encode(), orjson.dumps(obj))

    # -- writing

    def _start_answer(self) -> None:
        media = self._accepted.media
        content_type = media if media == negotiate.JSON else f"{media};stream=watch"
        self.connection.start_chunked(
            200, [response.NO_CACHE, (b"Content-Type", content_type.encode()), *self._headers]
        )

    def _write(self, data: bytes) -> None:
        """Write now when the watch was quiet, else with what comes next."""
        if self._gathered:
            self._gathered.append(data)
            return
        hub = self.connection.hub
        now = hub.now()
        if now - self._written < COALESCE_SECONDS:
            self._gathered.append(data)
            hub.flush_later(self)
            return
        self._written = now
        self._send(data)

    def flush(self) -> None:
        """Write what has been gathered."""
        gathered, self._gathered = self._gathered, []
        if gathered and not self.connection.closed:
            self._written = self.connection.hub.now()
            self._send(gathered[0] if len(gathered) == 1 else b"".join(gathered))

    def _send(self, data: bytes) -> None:
        connection = self.connection
        connection.transport.write(data)
        if connection.paused and not self._paused:
            self._paused = True
            if self._watcher is not None:
                self._watcher.pause()

    def fail(self, error: APIStatusError) -> None:
        """Tell the client by an ERROR event why the watch ends, and end it."""
        if self._ended:
            return
        status = error.to_status()
        if self._accepted.media == negotiate.PROTOBUF:
            from sampan.api.schema import protobuf  # noqa: PLC0415

            data = protobuf.watch_frame("ERROR", protobuf.encode_object(status))
        else:
            data = b'{"type":"ERROR","object":%b}\n' % orjson.dumps(status)
        self._write(self.frame(data))
        self.end()

    def end(self) -> None:
        """End the watch from the server's side."""
        if self._ended:
            return
        self.flush()
        self.lost()
        self.finish()

    def finish(self) -> None:
        """Close the answer."""
        self.connection.finish()


class WebSocketWatchStream(WatchStream):
    """A watch as WebSocket messages, one event each."""

    memo_key = "websocket"

    def __init__(
        self, request: WatchRequest, accepted: negotiate.Accepted, include: str | None, accept_key: bytes,
        *, binary: bool,
    ) -> None:  # fmt: skip
        super().__init__(request, accepted, include)
        self._accept_key = accept_key
        self._opcode = 0x82 if binary else 0x81
        self._socket: Any = None

    def _start_answer(self) -> None:
        from wsproto.connection import Connection as WebSocket  # noqa: PLC0415 - few clients watch this way
        from wsproto.connection import ConnectionType  # noqa: PLC0415

        self._socket = WebSocket(ConnectionType.SERVER)
        self.connection.take_over(self)
        self.connection.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % self._accept_key
        )

    def frame_batch(self, batch: Batch) -> bytes:
        return b"".join([self.frame(event.line(type_, entry)) for type_, entry, event in batch])

    def frame(self, data: bytes) -> bytes:
        """One unmasked message (RFC 6455, section 5.2)."""
        data = data.removesuffix(b"\n")
        size = len(data)
        if size < 126:
            head = bytes((self._opcode, size))
        elif size < 1 << 16:
            head = bytes((self._opcode, 126)) + size.to_bytes(2, "big")
        else:
            head = bytes((self._opcode, 127)) + size.to_bytes(8, "big")
        return head + data

    def feed_data(self, data: bytes) -> None:
        """Answer pings, notice that the client closes."""
        from wsproto.events import CloseConnection, Ping  # noqa: PLC0415
        from wsproto.utilities import ProtocolError  # noqa: PLC0415

        try:
            self._socket.receive_data(data)
            for event in self._socket.events():
                if isinstance(event, Ping):
                    self.connection.transport.write(self._socket.send(event.response()))
                elif isinstance(event, CloseConnection):
                    self.connection.transport.write(self._socket.send(event.response()))
                    self.lost()
                    self.connection.transport.close()
        except ProtocolError:
            self.lost()
            self.connection.transport.close()

    def feed_eof(self) -> None:
        self.lost()

    def finish(self) -> None:
        from wsproto.events import CloseConnection  # noqa: PLC0415

        self.connection.transport.write(self._socket.send(CloseConnection(code=1000)))
        self.connection.transport.close()


def stream_for(request: WatchRequest, accepted: negotiate.Accepted, include: str | None, call: Call) -> WatchStream:
    """The stream that a client has asked for."""
    headers = call.headers
    key = headers.get("sec-websocket-key")
    if headers.get("upgrade", "").lower() == "websocket" and key:
        from wsproto.utilities import generate_accept_token  # noqa: PLC0415

        token = generate_accept_token(key.encode())
        binary = accepted.media == negotiate.PROTOBUF
        return WebSocketWatchStream(request, accepted, include, token, binary=binary)
    return WatchStream(request, accepted, include, encode.warning_headers(call.warnings))


WatchHandler = "Callable[[Call], WatchRequest]"
