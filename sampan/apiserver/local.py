"""The local transport: the request path behind HTTP decoding, for controllers and scheduler in the server's process.

Authorization, admission and validation all run; there is no socket, no HTTP, and no JSON between: lists and watches
hand over the watch cache's own entries. Implements `sampan.client.interface.Transport`.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, cast

import orjson

from sampan.api.errors import APIStatusError, Expired
from sampan.apiserver import encode
from sampan.apiserver.handlers.call import Call
from sampan.apiserver.handlers.read import ListResult
from sampan.apiserver.handlers.watch import WatchRequest, bookmark
from sampan.apiserver.registry.write import Outcome
from sampan.apiserver.requestinfo import RequestInfo
from sampan.apiserver.storage import translate
from sampan.apiserver.storage.interface import StorageError
from sampan.client.interface import ObjectList, WatchEvent
from sampan.client.item import Item

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from sampan.api.object import Object
    from sampan.apiserver.authn.user import User
    from sampan.apiserver.registry.generic import Registry
    from sampan.apiserver.server import APIServer
    from sampan.apiserver.storage.resourcestore import Batch
    from sampan.client.interface import Request, Stored, Transport

_METHODS = {
    "get": "GET", "list": "GET", "watch": "GET", "create": "POST", "update": "PUT", "patch": "PATCH",
    "delete": "DELETE", "deletecollection": "DELETE",
}  # fmt: skip


class LocalTransport:
    """Requests of one user. user_agent: names the field manager of writes that do not name one."""

    def __init__(self, server: APIServer, user: User, *, user_agent: str = "") -> None:
        self._server = server
        self._user = user
        self._agent = user_agent or user.name.rpartition(":")[2] or "sampan"

    async def send(self, request: Request) -> Object:
        """See `Transport.send`; the answer is the caller's own."""
        call = self._call(request)
        result = await self._run(call)
        if isinstance(result, ListResult):
            metadata = encode.list_metadata(result.listing)
            decoded: Object = orjson.loads(encode.list_json(result.registry, result.listing.entries, metadata))
            return decoded
        assert isinstance(result, Outcome)
        if result.entry is not None:
            return call.registry.mutable(result.entry)
        return orjson.loads(orjson.dumps(result.object))  # type: ignore[no-any-return]

    async def list(self, request: Request) -> ObjectList:
        """See `Transport.list`; items are the watch cache's entries."""
        result = await self._run(self._call(request))
        assert isinstance(result, ListResult)
        listing = result.listing
        return ObjectList(
            items=_items(result.registry, listing.entries), resource_version=str(listing.revision),
            continue_token=listing.continue_token, remaining_item_count=listing.remaining,
        )  # fmt: skip

    @asynccontextmanager
    async def watch(self, request: Request) -> AsyncIterator[AsyncIterator[Sequence[WatchEvent]]]:
        """See `Transport.watch`; batches are what one turn of the loop brought."""
        found = await self._run(self._call(request))
        assert isinstance(found, WatchRequest)
        sink = _Sink(found)
        if found.wait_for:
            try:
                await found.registry.store.wait_fresh(found.wait_for)
            except StorageError as error:
                raise translate.watch(error) from error
        try:
            watcher = found.registry.store.watch(found.selection, sink, after=found.after)
        except StorageError as error:
            raise translate.watch(error) from error
        timer = asyncio.get_running_loop().call_later(found.timeout(), sink.end)
        try:
            yield sink.batches()
        finally:
            timer.cancel()
            watcher.close()

    async def close(self) -> None:
        """Nothing is held."""

    async def _run(self, call: Call) -> Any:
        plan = call.plan
        if plan.error is not None:
            raise plan.error
        self._server.pipeline.authorize(plan, self._user)
        assert plan.handler is not None
        result = plan.handler(call)
        return await result if isawaitable(result) else result

    def _call(self, request: Request) -> Call:
        headers = {"user-agent": self._agent, "content-type": request.content_type if request.body is not None else ""}
        plan = self._server.router.plan_resource(
            _info(request), _METHODS[request.verb], tuple(request.query.items()), headers
        )
        body = request.body if request.body is not None else b""
        return Call(plan, self._user, body, headers)


def _info(request: Request) -> RequestInfo:
    resource = request.resource
    return RequestInfo(
        verb=request.verb, path="", is_resource=True, group=resource.group, version=resource.version,
        namespace=request.namespace or (request.name if resource.resource == "namespaces" else ""),
        has_namespace=bool(request.namespace), resource=resource.resource, name=request.name,
        has_name=bool(request.name), subresource=request.subresource,
    )  # fmt: skip


def _items(registry: Registry, entries: Sequence[Any]) -> Sequence[Stored]:
    if registry.converts:
        return [Item(registry.view(entry)) for entry in entries]
    return cast("Sequence[Stored]", entries)


class _Sink:
    """Gathers a watch's events until the consumer takes them."""

    def __init__(self, request: WatchRequest) -> None:
        self._request = request
        self._events: list[WatchEvent] = []
        self._waiting: asyncio.Future[None] | None = None
        self._ended = False
        self._error: APIStatusError | None = None
        self._marks_end = request.marks_end

    def events(self, batch: Batch) -> None:
        registry = self._request.registry
        if registry.converts:
            self._events += [WatchEvent(cast("Any", kind), Item(registry.view(entry))) for kind, entry, _ in batch]
        else:
            self._events += [WatchEvent(cast("Any", kind), entry) for kind, entry, _ in batch]
        self._wake()

    def progress(self, revision: int) -> None:
        if not self._request.options.allow_bookmarks:
            return
        obj = bookmark(self._request.registry, revision, initial_end=self._marks_end)
        self._marks_end = False
        self._events.append(WatchEvent("BOOKMARK", Item(obj)))
        self._wake()

    def expired(self) -> None:
        self._error = Expired("too old resource version")
        self.end()

    def end(self) -> None:
        """The server ends the watch."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def batches(self) -> AsyncIterator[Sequence[WatchEvent]]:
        """Yield what has come, until the watch ends. Raises Expired when it fell behind."""
        while True:
            if self._events:
                taken, self._events = self._events, []
                yield taken
                continue
            if self._ended:
                if self._error is not None:
                    raise self._error
                return
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting


if TYPE_CHECKING:

    def _is_transport(transport: LocalTransport) -> Transport:
        return transport

    _Headers = Mapping[str, str]
