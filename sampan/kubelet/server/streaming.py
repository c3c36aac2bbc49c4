"""exec, attach, port-forward and run: ask the runtime for a session, then pass bytes between client and runtime."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sampan.client.streaming import pipe
from sampan.kubelet import pods
from sampan.kubelet.runtime import RuntimeFault
from sampan.kubelet.server.http import HTTPFault

if TYPE_CHECKING:
    from sampan.kubelet.podworker import PodWorker
    from sampan.kubelet.podworkers import PodWorkers
    from sampan.kubelet.runtime import ContainerRuntime
    from sampan.kubelet.server.http import HTTPExchange, HTTPRequest

_PORT = re.compile(r"[0-9]{1,5}")
_PASSED = (
    "upgrade",
    "x-stream-protocol-version",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
)


class StreamingHandlers:
    """The handlers that need a running container."""

    def __init__(self, workers: PodWorkers, runtime: ContainerRuntime) -> None:
        self._workers = workers
        self._runtime = runtime

    async def exec(self, exchange: HTTPExchange) -> None:
        """``/exec/<namespace>/<pod>[/<uid>]/<container>``."""
        request = exchange.request
        container_id = self._container(request)
        command = [value for key, value in request.query if key == "command"]
        tty = request.flag("tty")
        url = await self._session(
            self._runtime.exec_url(
                container_id,
                command,
                tty=tty,
                stdin=request.flag("input") or request.flag("stdin"),
                stdout=request.flag("output") or request.flag("stdout"),
                stderr=not tty and (request.flag("error") or request.flag("stderr")),
            )
        )
        await pass_through(exchange, url)

    async def attach(self, exchange: HTTPExchange) -> None:
        """``/attach/<namespace>/<pod>[/<uid>]/<container>``."""
        request = exchange.request
        container_id = self._container(request)
        tty = request.flag("tty")
        url = await self._session(
            self._runtime.attach_url(
                container_id,
                tty=tty,
                stdin=request.flag("input") or request.flag("stdin"),
                stdout=request.flag("output") or request.flag("stdout"),
                stderr=not tty and (request.flag("error") or request.flag("stderr")),
            )
        )
        await pass_through(exchange, url)

    async def port_forward(self, exchange: HTTPExchange) -> None:
        """``/portForward/<namespace>/<pod>[/<uid>]``."""
        parts = exchange.request.parts
        if len(parts) not in (3, 4):
            raise HTTPFault(404, "404 page not found")
        worker = self._worker(parts[1], parts[2])
        sandbox = worker.records.ready_sandbox
        if sandbox is None:
            raise HTTPFault(404, f'pod not found ("{parts[2]}_{parts[1]}")')
        ports = [int(value) for key, value in exchange.request.query if key == "port" and _PORT.fullmatch(value)]
        url = await self._session(self._runtime.port_forward_url(sandbox.id, ports))
        await pass_through(exchange, url)

    async def run(self, exchange: HTTPExchange) -> None:
        """``/run/<namespace>/<pod>[/<uid>]/<container>?cmd=``: the output as the answer."""
        command = exchange.request.value("cmd").split()
        container_id = self._container(exchange.request)
        try:
            stdout, stderr, _ = await self._runtime.exec_sync(container_id, command, seconds=0)
        except RuntimeFault as error:
            raise HTTPFault(500, str(error)) from error
        exchange.respond(200, stdout + stderr)

    @staticmethod
    async def _session(work: object) -> str:
        try:
            url: str = await work  # type: ignore[misc]
        except RuntimeFault as error:
            raise HTTPFault(404 if error.code == "NotFound" else 500, error.message) from error
        return url

    def _worker(self, namespace: str, name: str) -> PodWorker:
        worker = self._workers.find(namespace, name)
        if worker is None:
            raise HTTPFault(404, f'pod not found ("{name}_{namespace}")')
        return worker

    def _container(self, request: HTTPRequest) -> str:
        parts = request.parts
        if len(parts) not in (4, 5):
            raise HTTPFault(404, "404 page not found")
        worker = self._worker(parts[1], parts[2])
        record = worker.records.latest(parts[-1])
        if record is None or not record.running:
            named = pods.format_pod(worker.pod).partition("(")[0]
            raise HTTPFault(404, f'container not found ("{parts[-1]}")' if record is None else _stopped(parts, named))
        return record.id


def _stopped(parts: list[str], pod: str) -> str:
    return f'container "{parts[-1]}" in pod "{pod}" is not running'


async def pass_through(exchange: HTTPExchange, url: str) -> None:
    """Repeat the client's upgrade to the runtime's streaming server and join the two connections."""
    parts = urlsplit(url)
    try:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    except OSError as error:
        raise HTTPFault(500, f"unable to reach the runtime's streaming server: {error}") from error
    request = exchange.request
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [f"{request.method} {path} HTTP/1.1", f"Host: {parts.netloc}", "Connection: Upgrade"]
    lines += [f"{name}: {request.headers[name]}" for name in _PASSED if name in request.headers]
    own_reader, own_writer, rest = exchange.take_over()
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + rest)
    # The runtime's answer, 101 or not, goes to the client as it is.
    await pipe.join((own_reader, own_writer), (reader, writer))
