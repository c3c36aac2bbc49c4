"""exec, attach and portforward: the client's upgraded connection joined with one to the kubelet.

SPDY and WebSocket v4 pass through as bytes, for the runtime speaks both. WebSocket v5 and the SPDY tunnel end here and
become SPDY towards the kubelet. Source: pkg/registry/core/pod/rest/subresources.go,
k8s.io/apiserver/pkg/util/proxy (streamtranslator.go, streamtunnel.go).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import quote

from sampan.api import errors
from sampan.apiserver.authn.authenticator import PROTOCOL_HEADER, without_token
from sampan.apiserver.proxy.locate import container_of, node_of, pod_of
from sampan.client.http import HTTPResponse
from sampan.client.streaming import pipe, portforward, remotecommand
from sampan.client.streaming.spdy import SPDYSession
from sampan.client.streaming.websocket import WebSocket, WebSocketBytes, offered_protocols, server_handshake

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.apiserver.http.upgrade import ConnectTarget, Exchange
    from sampan.apiserver.proxy.kubelets import Kubelets
    from sampan.client.http import HTTPClient

_SPDY = [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1")]
_KUBELET_NAMES = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}
_PASSED = (
    "upgrade",
    "x-stream-protocol-version",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-extensions",
    "origin",
)

_Upgraded = tuple[asyncio.StreamReader, asyncio.StreamWriter, "Mapping[str, str]"]


class StreamHandler:
    """Handles the subresources that need an upgraded connection."""

    def __init__(self, kubelets: Kubelets) -> None:
        self._kubelets = kubelets

    async def exec(self, exchange: Exchange) -> None:
        """Handle pods/exec."""
        if not exchange.target.values("command"):
            raise errors.BadRequest("you must specify at least 1 command for the container")
        await self._command(exchange, "exec")

    async def attach(self, exchange: Exchange) -> None:
        """Handle pods/attach."""
        await self._command(exchange, "attach")

    async def _command(self, exchange: Exchange, verb: str) -> None:
        target = exchange.target
        pod = pod_of(exchange)
        container = container_of(pod, target.value("container"))
        wanted = _wanted(target)
        if not any(wanted.values()):
            raise errors.BadRequest("you must specify at least 1 of stdin, stdout, stderr")
        client = self._client(exchange, pod)
        path = f"/{verb}/{quote(target.namespace)}/{quote(target.name)}/{quote(container)}"
        query = [(_KUBELET_NAMES[name], "1") for name in _KUBELET_NAMES if _is_true(target.value(name))]
        query += [("command", text) for text in target.values("command")]
        if remotecommand.V5 not in _websocket_protocols(exchange):
            await self._pass_through(exchange, client, path, query)
            return
        headers = [*_SPDY, (remotecommand.PROTOCOL_HEADER, remotecommand.V4)]
        reader, writer, _ = await _upgrade(client, "POST", path, headers, query)
        try:
            socket = _accept_websocket(exchange, remotecommand.V5)
            await remotecommand.translate(socket, SPDYSession(reader, writer, server=False), wanted)
        finally:
            writer.close()

    async def port_forward(self, exchange: Exchange) -> None:
        """Handle pods/portforward."""
        target = exchange.target
        client = self._client(exchange, pod_of(exchange))
        path = f"/portForward/{quote(target.namespace)}/{quote(target.name)}"
        query = [("port", port) for text in target.values("ports") for port in text.split(",")]
        if portforward.TUNNEL_PROTOCOL not in _websocket_protocols(exchange):
            await self._pass_through(exchange, client, path, query)
            return
        headers = [*_SPDY, (remotecommand.PROTOCOL_HEADER, portforward.PROTOCOL)]
        reader, writer, _ = await _upgrade(client, "POST", path, headers, query)
        socket = _accept_websocket(exchange, portforward.TUNNEL_PROTOCOL)
        tunnel = WebSocketBytes(socket)
        await pipe.join((tunnel, tunnel), (reader, writer))
        await socket.close()

    def _client(self, exchange: Exchange, pod: Mapping[str, dict[str, str]]) -> HTTPClient:
        node = pod["spec"].get("nodeName")
        if not node:
            raise errors.BadRequest(f"pod {exchange.target.name} does not have a host assigned")
        return self._kubelets.client(node_of(exchange, node))

    async def _pass_through(
        self, exchange: Exchange, client: HTTPClient, path: str, query: list[tuple[str, str]]
    ) -> None:
        """Repeat the client's own upgrade request to the kubelet and join the connections."""
        if "upgrade" not in exchange.headers.get("connection", "").lower():
            raise errors.BadRequest("Upgrade request required")
        headers = [("Connection", "Upgrade")]
        headers += [(name, exchange.headers[name]) for name in _PASSED if name in exchange.headers]
        if offered := without_token(exchange.headers.get(PROTOCOL_HEADER, "")):
            headers.append((PROTOCOL_HEADER, offered))
        reader, writer, answer = await _upgrade(client, exchange.method, path, headers, query)
        own_reader, own_writer = exchange.take_over()
        lines = ["HTTP/1.1 101 Switching Protocols", *(f"{name.title()}: {value}" for name, value in answer.items())]
        own_writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        await pipe.join((own_reader, own_writer), (reader, writer))


def _wanted(target: ConnectTarget) -> dict[int, bool]:
    tty = _is_true(target.value("tty"))
    return {
        remotecommand.STDIN: _is_true(target.value("stdin")),
        remotecommand.STDOUT: _is_true(target.value("stdout")),
        remotecommand.STDERR: _is_true(target.value("stderr")) and not tty,
        remotecommand.RESIZE: tty,
    }


def _is_true(text: str) -> bool:
    return text.lower() in ("1", "t", "true")


def _websocket_protocols(exchange: Exchange) -> list[str]:
    if exchange.headers.get("upgrade", "").lower() != "websocket":
        return []
    return offered_protocols(exchange.headers)


def _accept_websocket(exchange: Exchange, protocol: str) -> WebSocket:
    reader, writer = exchange.take_over()
    writer.write(server_handshake(exchange.headers, protocol))
    return WebSocket(reader, writer, server=True)


async def _upgrade(
    client: HTTPClient, method: str, path: str, headers: list[tuple[str, str]], query: list[tuple[str, str]]
) -> _Upgraded:
    """Upgrade a connection to the kubelet. Raises the kubelet's refusal, or InternalError."""
    try:
        answer = await client.upgrade(method, path, headers=headers, query=query)
    except OSError as error:
        raise errors.internal(f"error dialing backend: {error}") from error
    if not isinstance(answer, HTTPResponse):
        return answer
    text = answer.body.decode("utf-8", "replace").strip()
    if answer.status == 404:
        raise errors.NotFound(text)
    if answer.status == 400:
        raise errors.BadRequest(text)
    raise errors.internal(f"unable to upgrade connection: {text}")
