"""The HTTPS transport: `Transport` over `HTTPClient`, Kubernetes' REST paths and JSON.

Errors are the server's `metav1.Status` as its `APIStatusError` class; an answer that holds none becomes the class that
fits its code. Answers with Retry-After (429 and 5xx) are retried up to 10 times, as client-go does.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson

from sampan.api import errors
from sampan.base.clock import RealClock
from sampan.client.http import ConnectionClosedError, HTTPClient, HTTPResponse, HTTPStream
from sampan.client.interface import ObjectList, WatchEvent
from sampan.client.item import Item

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.client.config import ClientConfig
    from sampan.client.interface import Request

_METHODS = {
    "get": "GET", "list": "GET", "watch": "GET", "create": "POST", "update": "PUT", "patch": "PATCH",
    "delete": "DELETE", "deletecollection": "DELETE",
}  # fmt: skip
_RETRIES = 10


class HTTPSTransport:
    """Carries requests over HTTPS. on_warning: called with each text of a Warning header."""

    def __init__(
        self, config: ClientConfig, *, clock: Clock | None = None, on_warning: Callable[[str], None] | None = None
    ) -> None:
        self.http = HTTPClient(config)
        self._clock = clock or RealClock()
        self._on_warning = on_warning

    async def send(self, request: Request) -> Object:
        """Send any request but a watch and return the decoded answer. Raises APIStatusError, OSError."""
        body = b"" if request.body is None else _encode(request.body)
        headers = {"Accept": "application/json"}
        if body:
            headers["Content-Type"] = request.content_type
        path = path_of(request)
        for attempt in range(_RETRIES + 1):
            answer = await self.http.request(
                _METHODS[request.verb], path, headers=headers, body=body, query=request.query
            )
            if (delay := _retry_after(answer)) is None or attempt == _RETRIES:
                break
            await self._clock.sleep(delay)
        if self._on_warning is not None:
            for text in answer.warnings:
                self._on_warning(warning_text(text))
        return decode_answer(answer)

    async def list(self, request: Request) -> ObjectList:
        """List; items get the kind and apiVersion that the wire form leaves out."""
        answer = await self.send(request)
        metadata = answer.get("metadata") or {}
        kind = answer.get("kind", "").removesuffix("List")
        api_version = answer.get("apiVersion", "")
        items = answer.get("items") or []
        for obj in items:
            obj.setdefault("kind", kind)
            obj.setdefault("apiVersion", api_version)
        return ObjectList(
            items=[Item(obj) for obj in items],
            resource_version=metadata.get("resourceVersion", ""),
            continue_token=metadata.get("continue", ""),
            remaining_item_count=metadata.get("remainingItemCount"),
        )

    @asynccontextmanager
    async def watch(self, request: Request) -> AsyncIterator[AsyncIterator[Sequence[WatchEvent]]]:
        """Watch; what one read of the socket brought is one batch."""
        query = {**request.query, "watch": "true"}
        headers = {"Accept": "application/json"}
        async with self.http.stream("GET", path_of(request), headers=headers, query=query) as stream:
            if stream.status >= 400:
                raise_for(HTTPResponse(stream.status, stream.headers, await stream.read()))
            yield _events(stream)

    async def close(self) -> None:
        """Close the idle connections."""
        await self.http.close()


def path_of(request: Request) -> str:
    """Build the URL path of a request."""
    parts = [request.resource.prefix]
    if request.namespace:
        parts.append(f"namespaces/{quote(request.namespace, safe='')}")
    parts.append(request.resource.resource)
    if request.name:
        parts.append(quote(request.name, safe=":"))
    if request.subresource:
        parts.append(request.subresource)
    return "/".join(parts)


def decode_answer(answer: HTTPResponse) -> Object:
    """Decode a good answer, raise a bad one."""
    if answer.status >= 400:
        raise_for(answer)
    if not answer.body:
        return {}
    try:
        decoded: Object = orjson.loads(answer.body)
    except orjson.JSONDecodeError as error:
        raise errors.InternalError(f"the server's answer is no JSON: {error}") from error
    return decoded


def raise_for(answer: HTTPResponse) -> None:
    """Raise the error of an answer with a status of 400 or more."""
    try:
        status = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status":
        raise errors.from_status(status)
    raise _generic_error(answer)


_GENERIC: dict[int, tuple[type[errors.APIStatusError], str]] = {
    400: (errors.BadRequest, "the server rejected our request for an unknown reason"),
    401: (errors.Unauthorized, "the server has asked for the client to provide credentials"),
    403: (errors.Forbidden, "unknown"),
    404: (errors.NotFound, "the server could not find the requested resource"),
    405: (errors.MethodNotAllowed, "the server does not allow this method on the requested resource"),
    406: (errors.NotAcceptable, "unknown"),
    409: (errors.Conflict, "the server reported a conflict"),
    413: (errors.RequestEntityTooLarge, "the request is too large"),
    415: (errors.UnsupportedMediaType, "unknown"),
    422: (errors.Invalid, "the server rejected our request due to an error in our request"),
    429: (
        errors.TooManyRequests,
        "the server has received too many requests and has asked us to try again later",
    ),
    503: (errors.ServiceUnavailable, "the server is currently unable to handle the request"),
    504: (
        errors.Timeout,
        "the server was unable to return a response in the time allotted, but may still be processing the request",
    ),
}


def _generic_error(answer: HTTPResponse) -> errors.APIStatusError:
    """What apimachinery's NewGenericServerResponse makes of an answer without a Status."""
    text = answer.body[:2048].decode("utf-8", "replace").strip()
    cls, message = _GENERIC.get(answer.status, (errors.APIStatusError, ""))
    if answer.status >= 500 and not message:
        cls = errors.InternalError
        message = f"an error on the server ({text or 'unknown'!r}) has prevented the request from succeeding"
    elif message in ("", "unknown"):
        message = (
            text or f"the server responded with the status code {answer.status} but did not return more information"
        )
    return cls(message, code=answer.status)


def warning_text(header: str) -> str:
    """The text of one Warning header (RFC 7234, section 5.5): ``299 - "text"``."""
    start, end = header.find('"'), header.rfind('"')
    if start < 0 or end <= start:
        return header
    return header[start + 1 : end].replace('\\"', '"').replace("\\\\", "\\")


def _encode(body: Any) -> bytes:
    return body if isinstance(body, bytes) else orjson.dumps(body)


def _retry_after(answer: HTTPResponse) -> float | None:
    if answer.status != 429 and answer.status < 500:
        return None
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isdecimal() else None


async def _events(stream: HTTPStream) -> AsyncIterator[Sequence[WatchEvent]]:
    rest = b""
    try:
        async for chunk in stream.chunks():
            data = rest + chunk if rest else chunk
            lines = data.split(b"\n")
            rest = lines.pop()
            if batch := [_event(line) for line in lines if line]:
                yield batch
    except ConnectionClosedError:
        return  # a watch that is cut off has ended; whoever reads it watches again from where it was


def _event(line: bytes) -> WatchEvent:
    decoded = orjson.loads(line)
    if decoded["type"] == "ERROR":
        raise errors.from_status(decoded["object"])
    return WatchEvent(decoded["type"], Item(decoded["object"]))
