"""The kubelet server that all simulated nodes share: canned logs and canned answers of commands.

What a pod says is read from its annotations when somebody asks. Its certificate is one of the cluster, got as the first
node; until it is there, and in clusters that do not give it, a self-signed one stands in.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

import orjson

from sampan.api import times
from sampan.api.errors import APIStatusError, NotFound
from sampan.api.object import annotations_of
from sampan.base.log import logger
from sampan.base.pki import CertificateAuthority, write_private
from sampan.base.tasks import STARTED_IGNORED, serve, spawn
from sampan.client.resources import PODS
from sampan.client.streaming.remotecommand import PROTOCOL_HEADER, V4, success
from sampan.client.streaming.spdy import SPDYError, SPDYSession, SPDYStream
from sampan.kubelet import certificates
from sampan.kubelet.server.auth import Authenticator
from sampan.kubelet.server.http import HTTPExchange, HTTPFault, serve_connection
from sampan.kubelet.simulated.behaviour import PREFIX
from sampan.runtime import Request

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.base.tasks import Started
    from sampan.client.client import Client
    from sampan.kubelet.simulated.options import SimulatedOptions
    from sampan.kubelet.simulated.pods import SimulatedPods

_log = logger("kubelet.simulated")
_COMMAND_SECONDS = 30.0


class SimulatedServer:
    """Logs and commands of all simulated pods."""

    def __init__(
        self,
        options: SimulatedOptions,
        pods: SimulatedPods,
        client: Client,
        clock: Clock,
        *,
        node_client: Client | None,
    ) -> None:
        self._options = options
        self._pods = pods
        self._client = client
        self._node_client = node_client
        self._clock = clock
        self._authenticator = Authenticator(client, options.name(0), clock)
        self._wanted = certificates.server_certificate(options.name(0), [options.address])
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    async def run(self, started: Started = STARTED_IGNORED) -> None:
        """Serve until cancelled; started is told the port. Raises OSError when the port is taken."""
        self._prepare_tls()
        async with asyncio.TaskGroup() as group:

            def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                spawn(group, self._connected(reader, writer), name="simulated kubelet connection")

            server = await asyncio.start_server(connected, self._options.address, self._options.port, ssl=self._context)
            if self._node_client is not None:
                work = certificates.keep(
                    self._node_client, self._wanted, self._options.pki_dir, self._clock, self._load_certificate
                )
                serve(group, work, name="simulated serving certificate")
            started(server.sockets[0].getsockname()[1])
            try:
                await asyncio.Event().wait()
            finally:
                server.close()

    def _prepare_tls(self) -> None:
        context, directory = self._context, self._options.pki_dir
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._options.cluster_ca:
            context.load_verify_locations(cadata=self._options.cluster_ca.decode())
            context.verify_mode = ssl.CERT_OPTIONAL
        if certificates.files(directory, self._wanted)[0].exists():
            self._load_certificate()
            return
        directory.mkdir(parents=True, exist_ok=True)
        authority = CertificateAuthority.load_or_create(directory, "self-signed-ca", "simulated-ca")
        pair = authority.issue(self._options.name(0), names=[self._options.address], usages=("server auth",))
        certificate, key = directory / "self-signed.crt", directory / "self-signed.key"
        certificate.write_bytes(pair.certificate)
        write_private(key, pair.key)
        context.load_cert_chain(certificate, key)

    def _load_certificate(self) -> None:
        self._context.load_cert_chain(*certificates.files(self._options.pki_dir, self._wanted))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve_connection(reader, writer, self._handle)
        except Exception:  # noqa: BLE001 - a connection's edge: one fault must not end the server
            _log.exception("Connection failed")
            with suppress(OSError):
                writer.close()

    async def _handle(self, exchange: HTTPExchange) -> None:
        request = exchange.request
        await self._authenticator.check(request)
        parts = request.parts
        if request.path == "/healthz":
            exchange.respond(200, b"ok")
        elif parts[0] == "containerLogs" and len(parts) == 4:
            await self._logs(exchange, parts[1], parts[2], parts[3])
        elif parts[0] in ("exec", "attach") and len(parts) in (4, 5):
            await self._command(exchange, parts[1], parts[2], parts[-1])
        else:
            raise HTTPFault(404, "404 page not found")

    async def _find(self, namespace: str, name: str, container: str) -> Object:
        if Request(namespace, name) not in self._pods.records:
            raise HTTPFault(404, f'pod "{name}" does not exist')
        try:
            pod = await self._client.resource(PODS, namespace).get(name)
        except NotFound as error:
            raise HTTPFault(404, f'pod "{name}" does not exist') from error
        except (APIStatusError, OSError) as error:
            raise HTTPFault(500, str(error)) from error
        spec = pod["spec"]
        names = [one["name"] for key in ("initContainers", "containers") for one in spec.get(key) or ()]
        if container not in names:
            raise HTTPFault(404, f'container "{container}" not found in pod "{name}"')
        return pod

    async def _logs(self, exchange: HTTPExchange, namespace: str, name: str, container: str) -> None:
        pod = await self._find(namespace, name, container)
        stamp = (pod.get("status") or {}).get("startTime") or times.format_time(self._clock.time())
        text = annotations_of(pod).get(
            f"{PREFIX}log", f"simulated: {container} of {namespace}/{name} runs since {stamp}"
        )
        lines = text.removesuffix("\n").split("\n")
        tail = exchange.request.value("tailLines")
        if tail.isdigit():
            lines = lines[-int(tail) :] if int(tail) else []
        if exchange.request.flag("timestamps"):
            lines = [f"{stamp} {line}" for line in lines]
        body = "".join(f"{line}\n" for line in lines).encode()
        limit = exchange.request.value("limitBytes")
        exchange.respond(200, body[: int(limit)] if limit.isdigit() else body, "text/plain")

    async def _command(self, exchange: HTTPExchange, namespace: str, name: str, container: str) -> None:
        """Answer a command over SPDY: its output, then success."""
        request = exchange.request
        if "spdy" not in request.headers.get("upgrade", "").lower():
            raise HTTPFault(400, "simulated containers speak SPDY/3.1 only")
        pod = await self._find(namespace, name, container)
        words = [value for key, value in request.query if key == "command"]
        answer = annotations_of(pod).get(f"{PREFIX}exec", f"simulated: {' '.join(words)}")
        reader, writer, _ = exchange.take_over()
        head = (
            f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n{PROTOCOL_HEADER}: {V4}"
        )
        writer.write(f"{head}\r\n\r\n".encode())
        session = SPDYSession(reader, writer, server=True)
        wanted = 1 + sum(
            request.flag(one) or request.flag(other)
            for one, other in (("input", "stdin"), ("output", "stdout"), ("error", "stderr"))
        )
        async with asyncio.TaskGroup() as group:
            reading = spawn(group, _run(session), name="spdy")
            with suppress(SPDYError, OSError, TimeoutError):
                async with asyncio.timeout(_COMMAND_SECONDS):
                    await _answer(session, wanted, f"{answer}\n".encode())
            reading.cancel()
        with suppress(OSError):
            writer.close()


async def _run(session: SPDYSession) -> None:
    with suppress(SPDYError):
        await session.run()


async def _answer(session: SPDYSession, wanted: int, output: bytes) -> None:
    streams: dict[str, SPDYStream] = {}
    while len(streams) < wanted:
        stream = await session.accept()
        if stream is None:
            return
        session.reply(stream)
        streams[stream.headers.get("streamtype", "")] = stream
    if "stdout" in streams:
        streams["stdout"].write(output)
        await streams["stdout"].drain()
    streams["error"].write(orjson.dumps(success()))
    for stream in streams.values():
        stream.close()
    await session.drain()
    # The client ends the connection when it has read everything.
    while await session.accept() is not None:
        pass
