"""`KubeletServer`: listens, checks who asks, and routes to the handlers. Source: kubelet's server/server.go."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

import orjson

from sampan.base.log import logger
from sampan.base.pki import CertificateAuthority
from sampan.base.tasks import STARTED_IGNORED, spawn
from sampan.kubelet.certificates import files, server_certificate
from sampan.kubelet.runtime import RuntimeFault
from sampan.kubelet.server.http import HTTPExchange, HTTPFault, serve_connection
from sampan.kubelet.server.logs import LogHandler
from sampan.kubelet.server.stats import UsageCollector
from sampan.kubelet.server.streaming import StreamingHandlers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sampan.base.clock import Clock
    from sampan.base.tasks import Started
    from sampan.kubelet.options import KubeletOptions
    from sampan.kubelet.podworkers import PodWorkers
    from sampan.kubelet.runtime import ContainerRuntime
    from sampan.kubelet.server.auth import Authenticator

_log = logger("kubelet.server")


class KubeletServer:
    """The node's HTTPS server."""

    def __init__(
        self,
        options: KubeletOptions,
        workers: PodWorkers,
        runtime: ContainerRuntime,
        authenticator: Authenticator,
        clock: Clock,
    ) -> None:
        self._options = options
        self._workers = workers
        self._authenticator = authenticator
        self._usage = UsageCollector(options, workers, runtime, clock)
        streaming = StreamingHandlers(workers, runtime)
        self._routes: dict[str, Callable[[HTTPExchange], Awaitable[None]]] = {
            "healthz": self._healthz,
            "pods": self._pods,
            "runningpods": self._pods,
            "metrics": self._metrics,
            "stats": self._stats,
            "containerLogs": LogHandler(workers, clock).handle,
            "exec": streaming.exec,
            "attach": streaming.attach,
            "portForward": streaming.port_forward,
            "run": streaming.run,
        }
        self._context: ssl.SSLContext | None = None
        self.port = options.kubelet_port

    def reload_certificate(self) -> None:
        """Show the serving certificate as it is on disk now to new connections."""
        if self._context is not None:
            wanted = server_certificate(self._options.node_name, self._options.node_ips)
            certificate, key = files(self._options.pki_dir, wanted)
            self._context.load_cert_chain(certificate, key)

    def _tls(self) -> ssl.SSLContext:
        """Until the cluster has signed a serving certificate, a self-signed one stands in: API servers refuse it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        if self._options.cluster_ca:
            context.load_verify_locations(cadata=self._options.cluster_ca.decode())
            context.verify_mode = ssl.CERT_OPTIONAL
        wanted = server_certificate(self._options.node_name, self._options.node_ips)
        certificate, key = files(self._options.pki_dir, wanted)
        if not certificate.exists():
            certificate, key = self._options.pki_dir / "self-signed.crt", self._options.pki_dir / "self-signed.key"
            self._options.pki_dir.mkdir(parents=True, exist_ok=True)
            names = [self._options.node_name, *self._options.node_ips]
            authority = CertificateAuthority.load_or_create(
                self._options.pki_dir, "self-signed-ca", f"{self._options.node_name}-ca"
            )
            pair = authority.issue(self._options.node_name, names=names, usages=("server auth",))
            certificate.write_bytes(pair.certificate)
            key.touch(mode=0o600)
            key.write_bytes(pair.key)
        context.load_cert_chain(certificate, key)
        self._context = context
        return context

    async def run(self, started: Started = STARTED_IGNORED) -> None:
        """Serve until cancelled; started is told the port. Raises OSError when the port is taken."""
        async with asyncio.TaskGroup() as group:

            def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                spawn(group, self._connected(reader, writer), name="kubelet connection")

            server = await asyncio.start_server(
                connected, self._options.bind_address, self._options.kubelet_port, ssl=self._tls()
            )
            self.port = server.sockets[0].getsockname()[1]
            started(self.port)
            try:
                await asyncio.Event().wait()
            finally:
                server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve_connection(reader, writer, self._handle)
        except Exception:  # noqa: BLE001 - a connection's edge: one fault must not end the server
            _log.exception("Connection failed")
            with suppress(OSError):
                writer.close()

    async def _handle(self, exchange: HTTPExchange) -> None:
        await self._authenticator.check(exchange.request)
        handler = self._routes.get(exchange.request.parts[0])
        if handler is None:
            raise HTTPFault(404, "404 page not found\n")
        await handler(exchange)

    async def _healthz(self, exchange: HTTPExchange) -> None:
        exchange.respond(200, b"ok")

    async def _pods(self, exchange: HTTPExchange) -> None:
        items = [worker.pod for worker in self._workers.all()]
        body = orjson.dumps({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})
        exchange.respond(200, body, "application/json")

    async def _metrics(self, exchange: HTTPExchange) -> None:
        if exchange.request.parts[1:] not in ([], ["resource"]):
            raise HTTPFault(404, "404 page not found\n")
        try:
            text = await self._usage.resource_metrics() if exchange.request.parts[1:] else self._usage.metrics()
        except RuntimeFault as error:
            raise HTTPFault(500, str(error)) from error
        exchange.respond(200, text.encode(), "text/plain; version=0.0.4")

    async def _stats(self, exchange: HTTPExchange) -> None:
        try:
            summary = await self._usage.summary()
        except RuntimeFault as error:
            raise HTTPFault(500, str(error)) from error
        exchange.respond(200, orjson.dumps(summary), "application/json")
