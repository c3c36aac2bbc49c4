"""The cluster DNS server: UDP and TCP on the cluster DNS address, answering from informers.

Promises: what a Service or EndpointSlice says is answered as soon as its event arrives; a slow upstream delays nobody
else; never more than a bounded number of questions wait for upstream, further ones are refused with SERVFAIL.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from sampan.base.log import logger
from sampan.base.tasks import STARTED_IGNORED, spawn, start
from sampan.client.informer import InformerFactory
from sampan.client.resources import ENDPOINTSLICES, SERVICES
from sampan.dns.resolver import Resolver
from sampan.dns.source import InformerSource
from sampan.dns.upstream import Upstream
from sampan.dns.zone import ClusterZone

if TYPE_CHECKING:
    from sampan.base.clock import Clock
    from sampan.base.tasks import Started
    from sampan.client.client import Client
    from sampan.client.interface import Stored
    from sampan.dns.options import DNSOptions

log = logger("dns")

_UNDER_WAY = 1000
_IDLE_SECONDS = 10
_CONNECTIONS = 200
_BIND_SECONDS = 0.1
_PATIENT_BINDS = 50
"""Attempts before it is worth a warning: the address comes with the pod network, within seconds."""


class DNSServer:
    """The DNS server of one node."""

    def __init__(
        self, options: DNSOptions, client: Client, clock: Clock, *, informers: InformerFactory | None = None
    ) -> None:
        """informers: a running factory to share caches with; without one the server runs its own."""
        self._options = options
        self._clock = clock
        self._own_informers = None if informers else InformerFactory(client, clock=clock)
        factory = informers or self._own_informers
        assert factory is not None
        self._informers = (factory.informer(SERVICES), factory.informer(ENDPOINTSLICES))
        source = InformerSource(*self._informers)
        zone = ClusterZone(options.domain, source, server_address=options.address)
        upstream = Upstream(options.resolv_conf, clock, own_address=options.address)
        self._resolver = Resolver(options, zone, upstream, clock)
        self._connections = 0

    async def run(self, started: Started = STARTED_IGNORED) -> None:
        """Serve until cancelled; started is called with (address, port) when both sockets listen."""
        async with asyncio.TaskGroup() as group:
            if self._own_informers is not None:
                await start(group, self._own_informers.run, name="dns informers")
            for informer in self._informers:
                await informer.wait_synced()
                informer.add_handler(self._changed)
            try:
                await self._serve(group, started)
            finally:
                for informer in self._informers:
                    informer.remove_handler(self._changed)

    def _changed(self, _old: Stored | None, _new: Stored | None) -> None:
        self._resolver.forget()

    async def _serve(self, group: asyncio.TaskGroup, started: Started) -> None:
        server = await self._listen()
        port = server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self._resolver, group), local_addr=(self._options.address, port)
            )
            try:
                started((self._options.address, port))
                log.info("DNS server listens", address=self._options.address, port=port)
                await server.serve_forever()
            finally:
                transport.close()
        finally:
            server.close()

    async def _listen(self) -> asyncio.Server:
        """Open the TCP port; the address may be about to be added by the pod network, so it is waited for."""
        attempts = 0
        while True:
            try:
                return await asyncio.start_server(self._connected, self._options.address, self._options.port)
            except OSError as error:
                attempts += 1
                if attempts == _PATIENT_BINDS:
                    log.warning("DNS cannot listen yet", address=self._options.address, error=error)
                await self._clock.sleep(_BIND_SECONDS)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the queries of one TCP connection in order (RFC 7766)."""
        self._connections += 1
        try:
            while self._connections <= _CONNECTIONS:
                async with asyncio.timeout(_IDLE_SECONDS):
                    length = int.from_bytes(await reader.readexactly(2))
                    query = await reader.readexactly(length)
                    answer = await self._resolver.answer(query, udp=False)
                    if answer is None:
                        return
                    writer.write(len(answer).to_bytes(2) + answer)
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return
        finally:
            self._connections -= 1
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    """The UDP side. What needs no waiting is answered in the same turn of the loop."""

    def __init__(self, resolver: Resolver, group: asyncio.TaskGroup) -> None:
        self._resolver = resolver
        self._group = group
        self._under_way = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        ready = self._resolver.answer_nowait(data)
        if ready is not None:
            self._send(ready, address)
        elif self._under_way < _UNDER_WAY:
            self._under_way += 1
            spawn(self._group, self._answer(data, address), name="dns query")
        elif len(data) >= 12:
            # SERVFAIL: the same header with QR and the code, nothing else.
            self._send(data[:2] + bytes([data[2] | 0x80, 0x82]) + bytes(8), address)

    async def _answer(self, query: bytes, address: tuple[str, int]) -> None:
        try:
            answer = await self._resolver.answer(query, udp=True)
        except Exception:  # a worker's edge: one strange query must not end the server
            log.exception("DNS query failed", client=address[0])
            return
        finally:
            self._under_way -= 1
        if answer is not None:
            self._send(answer, address)

    def _send(self, answer: bytes, address: tuple[str, int]) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(answer, address)
