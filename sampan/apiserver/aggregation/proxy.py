"""Forwarding to an aggregated server: as the front proxy, for the user, whatever the method; upgrades and watches too.

The backend trusts our client certificate (its CA is in the ConfigMap kube-system/extension-apiserver-authentication)
and takes the user from ``X-Remote-*`` headers. Behaviour: k8s.io/kube-aggregator, handler_proxy.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sampan.api.errors import ServiceUnavailable
from sampan.apiserver import encode, negotiate
from sampan.apiserver.http import response
from sampan.apiserver.http.exchange import ConnectStream
from sampan.apiserver.http.response import Response
from sampan.apiserver.http.upgrade import ConnectTarget
from sampan.apiserver.outbound import ResolveError, go_error
from sampan.client.http import HTTPResponse
from sampan.client.streaming import pipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sampan.apiserver.authn.user import User
    from sampan.apiserver.handlers.call import Call
    from sampan.apiserver.http.upgrade import Exchange
    from sampan.apiserver.outbound import Outbound, Target
    from sampan.apiserver.registry.strategy import Getter

_HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
})  # fmt: skip
_OURS = ("x-remote-user", "x-remote-group", "x-remote-uid", "x-remote-extra-")
_DROPPED = frozenset({"authorization", "host", "content-length", "user-agent"})
_UNAVAILABLE = Response(503, b"service unavailable\n", [response.NO_SNIFF, response.TEXT_TYPE])


def user_headers(user: User) -> list[tuple[str, str]]:
    """Who asks, for a server that trusts us."""
    found = [("X-Remote-User", user.name)]
    if user.uid:
        found.append(("X-Remote-Uid", user.uid))
    found += [("X-Remote-Group", group) for group in user.groups]
    for key, values in user.extra.items():
        found += [(f"X-Remote-Extra-{quote(key, safe='')}", value) for value in values]
    return found


class Forward:
    """The handler of all requests on one aggregated group-version. target: where it is, raises ResolveError."""

    def __init__(self, outbound: Outbound, target: Callable[[], Target | None], lookup: Getter) -> None:
        self._outbound = outbound
        self._target = target
        self._lookup = lookup

    def __call__(self, call: Call) -> Any:
        if not hasattr(call, "http"):
            raise ServiceUnavailable("aggregated APIs are reached over HTTP only")
        try:
            target = self._target()
        except ResolveError:
            target = None
        if target is None:
            return Response(_UNAVAILABLE.status, _UNAVAILABLE.body, _UNAVAILABLE.headers)
        info, user, found = call.info, call.user, target

        async def relay(exchange: Exchange) -> None:
            await self._relay(exchange, user, found)

        where = ConnectTarget(
            resource=info.resource, namespace=info.namespace, name=info.name, subresource=info.subresource,
            path=info.path, query=call.query, object=None,
        )  # fmt: skip
        return ConnectStream(
            call.http, relay, user=user.info, target=where, lookup=self._lookup,
            encode_error=lambda error: encode.status_error(error, negotiate.PLAIN_JSON),
        )  # fmt: skip

    async def _relay(self, exchange: Exchange, user: User, target: Target) -> None:
        client = self._outbound.client(target)
        path = quote(exchange.target.path, safe="/:@!$&'()*+,;=~-._")
        headers = [*_passed(exchange.headers.items()), *user_headers(user)]
        query = exchange.target.query
        if agent := exchange.headers.get("user-agent"):
            headers.append(("User-Agent", agent))
        started = False
        try:
            if "upgrade" in exchange.headers.get("connection", "").lower():
                headers += [("Connection", "Upgrade"), ("Upgrade", exchange.headers.get("upgrade", ""))]
                await _join(exchange, await client.upgrade(exchange.method, path, headers=headers, query=query))
                return
            body = await exchange.body()
            async with client.stream(exchange.method, path, headers=headers, body=body, query=query) as answer:
                started = True
                exchange.start(answer.status, _answered(answer.headers.items()))
                async for chunk in answer.chunks():
                    await exchange.write(chunk)
                exchange.finish()
        except OSError as error:
            if started:  # the answer breaks off, which the client sees
                raise
            text = f"error trying to reach service: {go_error(error, target)}\n"
            exchange.respond(503, [response.NO_SNIFF, response.TEXT_TYPE], text.encode())


def _passed(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The client's headers, without its credentials and what it says about who it is."""
    dropped = _HOP_BY_HOP | _DROPPED
    return [(name, value) for name, value in headers if name not in dropped and not name.startswith(_OURS)]


def _answered(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    ours = _HOP_BY_HOP | {"date", "audit-id"}
    return [(name.title().encode("latin-1"), value.encode("latin-1")) for name, value in headers if name not in ours]


async def _join(exchange: Exchange, answer: Any) -> None:
    if isinstance(answer, HTTPResponse):
        exchange.respond(answer.status, _answered(answer.headers.items()), answer.body)
        return
    reader, writer, given = answer
    own_reader, own_writer = exchange.take_over()
    lines = ["HTTP/1.1 101 Switching Protocols", *(f"{name.title()}: {value}" for name, value in given.items())]
    own_writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    await pipe.join((own_reader, own_writer), (reader, writer))
