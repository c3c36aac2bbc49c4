"""Forwarding: questions about other domains go to the resolvers of ``/etc/resolv.conf``, answers are cached.

Equal questions that are under way are asked once. That also breaks a loop: should an upstream resolver send a question
back here, it waits for its own answer and fails after the time-out, instead of circling.
"""

from __future__ import annotations

import asyncio
import copy
import secrets
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple, cast

from dnslib import EDNS0, QTYPE, RCODE, DNSError, DNSQuestion, DNSRecord  # type: ignore[import-untyped]

from sampan.base.errors import SampanError
from sampan.base.log import logger

if TYPE_CHECKING:
    from pathlib import Path

    from sampan.base.clock import Clock

log = logger("dns.upstream")

CACHE_ENTRIES = 10_000
CACHE_SECONDS = 30.0
"""The longest that an answer is kept, as in the usual CoreDNS configuration (``cache 30``)."""

_TRY_SECONDS = 2.0
_ROUNDS = 2
_UDP_BYTES = 1232
"""What we can take by UDP without fragments (DNS flag day 2020)."""


class UpstreamError(SampanError):
    """No upstream resolver answered."""


class Question(NamedTuple):
    """What is asked. labels: lower case. secure: DNSSEC records wanted (the DO bit). checked: CD bit."""

    labels: tuple[bytes, ...]
    type: int
    class_: int
    secure: bool
    unchecked: bool


class _Cached(NamedTuple):
    answer: DNSRecord
    since: float
    until: float


class Upstream:
    """The resolvers beyond the cluster."""

    def __init__(self, resolv_conf: Path, clock: Clock, *, own_address: str, port: int = 53) -> None:
        """own_address: never asked, though the file may name it. port: of the resolvers."""
        self._resolv_conf = resolv_conf
        self._clock = clock
        self._own_address = own_address
        self._port = port
        self._stamp: tuple[int, int] | None = None
        self._servers: list[str] = []
        self._cache: OrderedDict[Question, _Cached] = OrderedDict()
        self._pending: dict[Question, asyncio.Future[DNSRecord]] = {}

    async def ask(self, question: Question) -> DNSRecord:
        """Return an answer, from the cache with its TTLs counted down. Raises UpstreamError."""
        cached = self._cached(question)
        if cached is not None:
            return cached
        pending = self._pending.get(question)
        if pending is not None:
            async with asyncio.timeout(_TRY_SECONDS * _ROUNDS * 2):
                return await asyncio.shield(pending)
        pending = self._pending[question] = asyncio.get_running_loop().create_future()
        try:
            answer = await self._exchange(question)
        except BaseException as error:
            if not isinstance(error, UpstreamError):
                pending.cancel()
            else:
                pending.set_exception(error)
                pending.exception()  # nobody else may be waiting
            raise
        else:
            pending.set_result(answer)
            self._remember(question, answer)
            return answer
        finally:
            del self._pending[question]

    def _cached(self, question: Question) -> DNSRecord | None:
        cached = self._cache.get(question)
        if cached is None:
            return None
        now = self._clock.monotonic()
        if now >= cached.until:
            del self._cache[question]
            return None
        age = int(now - cached.since)
        answer = DNSRecord(cached.answer.header, questions=cached.answer.questions)
        for section in ("rr", "auth", "ar"):
            for one in getattr(cached.answer, section):
                fresh = copy.copy(one)
                fresh.ttl = max(one.ttl - age, 0)
                getattr(answer, section).append(fresh)
        return answer

    def _remember(self, question: Question, answer: DNSRecord) -> None:
        if answer.header.tc or answer.header.rcode not in (RCODE.NOERROR, RCODE.NXDOMAIN):
            return
        if answer.rr:
            seconds = min(one.ttl for one in (*answer.rr, *answer.auth))
        else:
            soa = [one for one in answer.auth if one.rtype == QTYPE.SOA]
            seconds = min(soa[0].ttl, soa[0].rdata.times[4]) if soa else 0
        if seconds > 0:
            now = self._clock.monotonic()
            self._cache[question] = _Cached(answer, now, now + min(float(seconds), CACHE_SECONDS))
            while len(self._cache) > CACHE_ENTRIES:
                self._cache.popitem(last=False)

    async def _exchange(self, question: Question) -> DNSRecord:
        servers = self._read_servers()
        if not servers:
            raise UpstreamError(f"{self._resolv_conf} names no resolver")
        request = DNSRecord(q=DNSQuestion(question.labels, question.type, question.class_))
        request.header.rd, request.header.cd = 1, int(question.unchecked)
        request.add_ar(EDNS0(flags="do" if question.secure else "", udp_len=_UDP_BYTES))
        for server in servers * _ROUNDS:
            request.header.id = secrets.randbelow(65536)
            try:
                async with asyncio.timeout(_TRY_SECONDS):
                    answer = await _ask_udp(server, self._port, request)
                    if answer.header.tc:
                        answer = await _ask_tcp(server, self._port, request)
            except (OSError, TimeoutError, DNSError, asyncio.IncompleteReadError) as error:
                log.debug("Upstream resolver failed", server=server, error=error)
                continue
            if answer.header.rcode not in (RCODE.SERVFAIL, RCODE.REFUSED, RCODE.NOTIMP):
                self._prefer(server)
                return answer
        raise UpstreamError("no upstream resolver answered")

    def _prefer(self, server: str) -> None:
        """Ask the one that answered first next time, so that a dead one costs its time-out only once."""
        if self._servers and self._servers[0] != server and server in self._servers:
            self._servers = [server, *(one for one in self._servers if one != server)]

    def _read_servers(self) -> list[str]:
        try:
            status = self._resolv_conf.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp != self._stamp:
                self._servers = [
                    one for one in resolvers(self._resolv_conf.read_text(errors="replace")) if one != self._own_address
                ]
                self._stamp = stamp
        except OSError as error:
            log.warning("Upstream resolvers unknown", file=self._resolv_conf, error=error)
        return self._servers


def resolvers(text: str) -> list[str]:
    """Read the ``nameserver`` lines of a resolv.conf."""
    found = []
    for line in text.splitlines():
        match line.split():
            case ["nameserver", address, *_]:
                found.append(address)
    return found


class _Exchange(asyncio.DatagramProtocol):
    """One question on a socket (and so a source port) of its own: answers cannot be guessed."""

    def __init__(self, request: DNSRecord) -> None:
        self._request = request
        self.answer: asyncio.Future[DNSRecord] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.DatagramTransport", transport).sendto(self._request.pack())

    def datagram_received(self, data: bytes, _address: object) -> None:
        try:
            answer = DNSRecord.parse(data)
        except DNSError:
            return  # something else that found its way here; the time-out decides
        if not self.answer.done() and _answers(self._request, answer):
            self.answer.set_result(answer)

    def error_received(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


async def _ask_udp(server: str, port: int, request: DNSRecord) -> DNSRecord:
    loop = asyncio.get_running_loop()
    transport, exchange = await loop.create_datagram_endpoint(lambda: _Exchange(request), remote_addr=(server, port))
    try:
        return await exchange.answer
    finally:
        transport.close()


async def _ask_tcp(server: str, port: int, request: DNSRecord) -> DNSRecord:
    reader, writer = await asyncio.open_connection(server, port)
    try:
        message = request.pack()
        writer.write(len(message).to_bytes(2) + message)
        length = int.from_bytes(await reader.readexactly(2))
        answer = DNSRecord.parse(await reader.readexactly(length))
        if not _answers(request, answer):
            raise DNSError("the answer is to another question")
        return answer
    finally:
        writer.close()


def _answers(request: DNSRecord, answer: DNSRecord) -> bool:
    if answer.header.id != request.header.id or not answer.header.qr:
        return False
    if not answer.questions:
        return bool(answer.header.rcode != RCODE.NOERROR)
    return bool(answer.q.qname == request.q.qname) and bool(answer.q.qtype == request.q.qtype)
