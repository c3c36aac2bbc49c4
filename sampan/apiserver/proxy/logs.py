"""``GET pods/<name>/log``: a container's log, passed through from the kubelet as it comes.

Source: pkg/registry/core/pod/strategy.go (LogLocation), validation.ValidatePodLogOptions, and the registry's
generic/rest/response_checker.go.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import quote

from sampan.api import errors, times
from sampan.api.field import Path, forbidden, invalid
from sampan.apiserver.options import parse_int
from sampan.apiserver.proxy.locate import container_of, node_of, pod_of
from sampan.client.streaming.websocket import WebSocket, is_upgrade, offered_protocols, server_handshake

if TYPE_CHECKING:
    from sampan.api.field import FieldError
    from sampan.apiserver.http.upgrade import ConnectTarget, Exchange
    from sampan.apiserver.proxy.kubelets import Kubelets

_PLAIN = [(b"Content-Type", b"text/plain")]
_PASSED = ("follow", "previous", "sinceSeconds", "sinceTime", "timestamps", "tailLines", "limitBytes", "stream")
_BINARY, _BASE64 = "binary.k8s.io", "base64.binary.k8s.io"


class LogHandler:
    """Handles pods/log."""

    def __init__(self, kubelets: Kubelets) -> None:
        self._kubelets = kubelets

    async def handle(self, exchange: Exchange) -> None:
        """Answer with the log. Raises APIStatusError before the answer has begun."""
        target = exchange.target
        pod = pod_of(exchange)
        query = _options(target)
        container = container_of(pod, target.value("container"))
        output = _output(exchange)
        node_name = pod["spec"].get("nodeName")
        if not node_name:
            # Not scheduled: no log, which is no error.
            await output.empty()
            return
        client = self._kubelets.client(node_of(exchange, node_name))
        path = f"/containerLogs/{quote(target.namespace)}/{quote(target.name)}/{quote(container)}"
        try:
            async with client.stream("GET", path, query=query) as answer:
                if answer.status != 200:
                    raise _kubelet_error(answer.status, (await answer.read()).decode("utf-8", "replace").strip())
                output.start()
                async for chunk in answer.chunks():
                    await output.write(chunk)
                await output.finish()
        except OSError as error:
            raise errors.internal(f'Get "https://{client.host}:{client.port}{path}": {error}') from error


class _Stream:
    """A log as the body of the answer."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def empty(self) -> None:
        self._exchange.respond(200, _PLAIN, b"")

    def start(self) -> None:
        self._exchange.start(200, _PLAIN)

    async def write(self, data: bytes) -> None:
        await self._exchange.write(data)

    async def finish(self) -> None:
        self._exchange.finish()


class _Messages:
    """A log as WebSocket messages; the client's own are read only to see it go."""

    def __init__(self, exchange: Exchange, protocol: str) -> None:
        self._exchange = exchange
        self._protocol = protocol
        self._socket: WebSocket | None = None

    async def empty(self) -> None:
        self.start()
        await self.finish()

    def start(self) -> None:
        reader, writer = self._exchange.take_over()
        writer.write(server_handshake(self._exchange.headers, self._protocol))
        self._socket = WebSocket(reader, writer, server=True)

    async def write(self, data: bytes) -> None:
        assert self._socket is not None
        await self._socket.send(base64.b64encode(data) if self._protocol == _BASE64 else data)

    async def finish(self) -> None:
        assert self._socket is not None
        await self._socket.close()


def _output(exchange: Exchange) -> _Stream | _Messages:
    """Tell how the client wants the log. Raises BadRequest for WebSocket protocols that no log is told in."""
    if not is_upgrade(exchange.headers):
        return _Stream(exchange)
    offered = offered_protocols(exchange.headers)
    protocol = next((name for name in offered if name in (_BINARY, _BASE64)), None)
    if offered and protocol is None:
        raise errors.BadRequest(f"requested protocol(s) are not supported: [{' '.join(offered)}]")
    return _Messages(exchange, protocol or "")


def _kubelet_error(status: int, text: str) -> errors.APIStatusError:
    if status == 400:
        return errors.BadRequest(text)
    if status == 404:
        return errors.NotFound(f"the server could not find the requested resource ({text})" if text else "not found")
    if status == 500:
        return errors.internal(text)
    return errors.APIStatusError(text, code=status)


def _options(target: ConnectTarget) -> list[tuple[str, str]]:
    """Check and pass on PodLogOptions. Raises Invalid."""
    found: list[FieldError] = []
    query = [(name, target.value(name)) for name in _PASSED if target.value(name)]
    for name, least in (("tailLines", 0), ("limitBytes", 1), ("sinceSeconds", 1)):
        text = target.value(name)
        if not text:
            continue
        value = parse_int(text)
        if value < least:
            detail = "must be greater than 0" if least else "must be greater than or equal to 0"
            found.append(invalid(Path(name), value, detail))
    if target.value("sinceSeconds") and target.value("sinceTime"):
        found.append(forbidden(Path(""), "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    if since := target.value("sinceTime"):
        try:
            times.parse(since)
        except ValueError as error:
            raise errors.BadRequest(str(error)) from error
    if found:
        raise errors.invalid("", "PodLogOptions", target.name, found)
    return query
