"""The `Exchange` of connect handlers on a `Connection`: a task per request, streamed or raw."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sampan.api.errors import APIStatusError, InternalError, RequestEntityTooLarge
from sampan.apiserver.http import connection as http_connection
from sampan.apiserver.http import response
from sampan.base.log import logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from sampan.api.object import Object
    from sampan.apiserver.http.connection import Connection, HTTPRequest
    from sampan.apiserver.http.upgrade import ConnectTarget, RawReader, RawWriter
    from sampan.apiserver.registry.strategy import Getter

    ErrorEncoder = Callable[[APIStatusError], response.Response]

log = logger("apiserver.connect")


class _Writer:
    """`RawWriter` on a connection."""

    def __init__(self, stream: ConnectStream) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        if not self._stream.connection.closed:
            self._stream.connection.transport.write(data)

    async def drain(self) -> None:
        await self._stream.wait_writable()

    def close(self) -> None:
        self._stream.connection.transport.close()


class ConnectStream:
    """One connect request: a `Stream` to the connection, an `Exchange` to its handler."""

    def __init__(
        self,
        request: HTTPRequest,
        handler: Callable[[Any], Awaitable[None]],
        *,
        user: Mapping[str, Any],
        target: ConnectTarget,
        lookup: Getter,
        encode_error: ErrorEncoder,
    ) -> None:
        self.connection: Connection = request.connection
        self.method = request.head.method
        self.headers: Mapping[str, str] = request.head.headers
        self.user = user
        self.target = target
        self._request = request
        self._handler = handler
        self._lookup = lookup
        self._encode_error = encode_error
        self._task: asyncio.Task[Any] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._state = "new"  # new, streaming, chunked, done, raw

    # -- Stream

    def begin(self, connection: Connection) -> None:
        self.connection = connection
        self._task = connection.spawn(self._run(), f"connect {self.target.resource}/{self.target.subresource}")

    def resumed(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def lost(self) -> None:
        self.resumed()
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            await self._handler(self)
        except APIStatusError as error:
            if self._state == "new":
                answer = self._encode_error(error)
                self.respond(answer.status, answer.headers, answer.body)
            else:
                self.connection.transport.close()
        except asyncio.CancelledError:
            if not self.connection.closed:
                raise  # the server ends, not the client
        except (OSError, TimeoutError) as error:
            self._failed(error)
        except Exception as error:
            log.exception("Connect handler failed", resource=self.target.resource, name=self.target.name)
            self._failed(error)
        finally:
            if self._state in ("raw", "streaming", "chunked"):
                self.connection.transport.close()
            elif self._state == "new" and not self.connection.closed:
                self.respond(500, (), b"")

    def _failed(self, error: Exception) -> None:
        if self._state == "new" and not self.connection.closed:
            answer = self._encode_error(InternalError(f"Internal error occurred: {error}"))
            self.respond(answer.status, answer.headers, answer.body)

    # -- Exchange

    def lookup(self, group: str, resource: str, namespace: str, name: str) -> Object | None:
        return self._lookup(group, resource, namespace, name)

    async def body(self) -> bytes:
        if self._request.too_large:
            raise RequestEntityTooLarge(f"Request entity too large: {http_connection.TOO_LARGE}")
        return self._request.body

    def respond(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        if self.connection.closed:
            return
        answer = response.Response(status, body, headers)
        self.connection.transport.write(answer.encode(head_only=self.method == "HEAD"))
        self._state = "done"
        self.connection.done()

    def start(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        length = next((int(value) for name, value in headers if name.lower() == b"content-length"), None)
        self._state = "chunked" if length is None and self.method != "HEAD" else "streaming"
        others = [pair for pair in headers if pair[0].lower() not in (b"content-length", b"transfer-encoding")]
        if not self.connection.closed:
            self.connection.transport.write(response.head(status, others, length=length))

    async def write(self, data: bytes) -> None:
        if not data or self.connection.closed:
            return
        chunk = b"%x\r\n%b\r\n" % (len(data), data) if self._state == "chunked" else data
        self.connection.transport.write(chunk)
        await self.wait_writable()

    def finish(self) -> None:
        chunked = self._state == "chunked"
        self._state = "done"
        if self.connection.closed:
            return
        if chunked:
            self.connection.finish()
        else:
            self.connection.done()

    def take_over(self) -> tuple[RawReader, RawWriter]:
        reader = asyncio.StreamReader()
        reader.set_transport(self.connection.transport)  # a client that sends faster than the pod reads has to wait
        self._state = "raw"
        self.connection.take_over(reader)
        return reader, _Writer(self)

    async def wait_writable(self) -> None:
        """Return when the client has taken enough; at once when the connection is gone."""
        if self.connection.paused and not self.connection.closed:
            self._writable = asyncio.get_running_loop().create_future()
            await self._writable
