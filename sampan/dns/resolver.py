"""From a query's bytes to an answer's: the cluster domain and reverse lookups here, all else upstream.

Answers about the cluster have a TTL of 5 seconds; negative ones carry an SOA with the same minimum (RFC 2308). Answers
that do not fit the client's UDP size are truncated, so that it asks again by TCP. EDNS (RFC 6891) version 0.
"""

from __future__ import annotations

import ipaddress
import random
from typing import TYPE_CHECKING

from dnslib import (  # type: ignore[import-untyped]
    AAAA,
    CLASS,
    CNAME,
    EDNS0,
    NS,
    OPCODE,
    PTR,
    QTYPE,
    RCODE,
    RR,
    SOA,
    SRV,
    TXT,
    A,
    DNSError,
    DNSHeader,
    DNSRecord,
)

from sampan.base.log import logger
from sampan.dns.upstream import Question, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.base.clock import Clock
    from sampan.dns.options import DNSOptions
    from sampan.dns.upstream import Upstream
    from sampan.dns.zone import Answer, ClusterZone, Record

log = logger("dns")

TTL = 5
"""Seconds, as CoreDNS' kubernetes plug-in has it."""

_UDP_MINIMUM = 512
_UDP_MAXIMUM = 1232
_ALIAS_DEPTH = 8
_READY_CACHE = 4096


class Resolver:
    """Answers queries."""

    def __init__(self, options: DNSOptions, zone: ClusterZone, upstream: Upstream, clock: Clock) -> None:
        self._zone = zone
        self._upstream = upstream
        self._clock = clock
        self._own_networks = [ipaddress.ip_network(one) for one in options.own_cidrs]
        self._ready: dict[bytes, bytes] = {}

    def forget(self) -> None:
        """Drop answers kept ready: services or endpoints changed."""
        self._ready.clear()

    def answer_nowait(self, query: bytes) -> bytes | None:
        """Answer from what was answered before, without parsing the query; None when it must be worked out."""
        ready = self._ready.get(query[2:])
        return None if ready is None else query[:2] + ready

    async def answer(self, query: bytes, *, udp: bool) -> bytes | None:
        """Answer a query; None when it is not worth one (no DNS query at all)."""
        try:
            request = DNSRecord.parse(query)
        except DNSError:
            return _format_error(query)
        if request.header.qr:
            return None
        reply, keep = await self._reply(request)
        packed = _fit(request, reply) if udp else reply.pack()
        if keep and udp:
            if len(self._ready) >= _READY_CACHE:
                self._ready.clear()
            self._ready[query[2:]] = packed[2:]
        result: bytes = packed
        return result

    async def _reply(self, request: DNSRecord) -> tuple[DNSRecord, bool]:
        """Work out a reply, and whether it may be kept as bytes (not when its order is random, or from upstream)."""
        options = [one for one in request.ar if one.rtype == QTYPE.OPT]
        if options and options[0].edns_ver > 0:
            reply = _reply_to(request)
            reply.add_ar(EDNS0(udp_len=_UDP_MAXIMUM, ext_rcode=1))
            return reply, False
        reply, keep = await self._reply_to_question(request, options)
        if options:
            reply.add_ar(EDNS0(flags="do" if options[0].edns_do else "", udp_len=_UDP_MAXIMUM))
        return reply, keep

    async def _reply_to_question(self, request: DNSRecord, options: list[RR]) -> tuple[DNSRecord, bool]:
        if request.header.opcode != OPCODE.QUERY:
            return _reply_to(request, RCODE.NOTIMP), False
        if len(request.questions) != 1:
            return _reply_to(request, RCODE.FORMERR), False
        labels = [one.decode("latin-1").lower() for one in request.q.qname.label]
        if request.q.qclass == CLASS.IN:
            if self._zone.holds(labels):
                return await self._local(request, labels)
            address = _reverse_address(labels)
            if address is not None and request.q.qtype in (QTYPE.PTR, QTYPE.ANY):
                reply = self._reverse(request, labels, address)
                if reply is not None:
                    return reply, True
        secure = bool(options and options[0].edns_do)
        return await self._forward(request, labels, secure=secure), False

    async def _local(self, request: DNSRecord, labels: list[str]) -> tuple[DNSRecord, bool]:
        type_ = QTYPE.get(request.q.qtype)
        answer = self._zone.look_up(labels, type_)
        reply = _reply_to(request, RCODE.NOERROR if answer.exists else RCODE.NXDOMAIN)
        reply.header.aa = 1
        _add(reply.rr, answer.records)
        _add(reply.ar, answer.additional)
        if answer.alias:
            await self._follow(reply, answer, request.q.qtype)
        elif type_ == "SOA" and labels == self._zone.domain.split("."):
            reply.add_answer(self._soa())
        elif not answer.records:
            reply.add_auth(self._soa())
        if len(answer.records) > 1:
            random.shuffle(reply.rr)
        return reply, len(answer.records) <= 1 and not answer.alias

    async def _follow(self, reply: DNSRecord, answer: Answer, type_: int) -> None:
        """Add what an alias leads to, as CoreDNS does: stub resolvers do not ask again."""
        for _ in range(_ALIAS_DEPTH):
            if type_ == QTYPE.CNAME:
                return
            labels = answer.alias.rstrip(".").lower().split(".")
            if not self._zone.holds(labels):
                break
            answer = self._zone.look_up(labels, QTYPE.get(type_))
            _add(reply.rr, answer.records)
            if not answer.exists:
                reply.header.rcode = RCODE.NXDOMAIN
            if not answer.alias:
                return
        else:
            return
        try:
            question = Question(tuple(one.encode() for one in labels), type_, CLASS.IN, secure=False, unchecked=False)
            found = await self._upstream.ask(question)
        except (UpstreamError, TimeoutError):
            reply.header.rcode = RCODE.SERVFAIL
        else:
            reply.rr += found.rr

    def _reverse(self, request: DNSRecord, labels: list[str], address: str) -> DNSRecord | None:
        names = self._zone.look_up_address(address)
        if not names:
            own = any(ipaddress.ip_address(address) in one for one in self._own_networks)
            return self._negative(request, RCODE.NXDOMAIN) if own else None
        reply = _reply_to(request)
        reply.header.aa = 1
        for name in names:
            reply.add_answer(RR(".".join(labels), QTYPE.PTR, ttl=TTL, rdata=PTR(name)))
        return reply

    async def _forward(self, request: DNSRecord, labels: list[str], *, secure: bool) -> DNSRecord:
        question = Question(
            tuple(one.encode("latin-1") for one in labels),
            request.q.qtype,
            request.q.qclass,
            secure,
            bool(request.header.cd),
        )
        try:
            found = await self._upstream.ask(question)
        except (UpstreamError, TimeoutError) as error:
            log.debug("Not resolved", name=".".join(labels), error=error)
            return _reply_to(request, RCODE.SERVFAIL)
        reply = _reply_to(request, found.header.rcode)
        reply.header.ad = found.header.ad
        reply.rr, reply.auth = list(found.rr), list(found.auth)
        reply.ar = [one for one in found.ar if one.rtype != QTYPE.OPT]
        return reply

    def _negative(self, request: DNSRecord, rcode: int) -> DNSRecord:
        reply = _reply_to(request, rcode)
        reply.header.aa = 1
        reply.add_auth(self._soa())
        return reply

    def _soa(self) -> RR:
        domain = self._zone.domain
        times = (int(self._clock.time()), 7200, 1800, 86400, TTL)
        return RR(domain, QTYPE.SOA, ttl=TTL, rdata=SOA(f"ns.dns.{domain}", f"hostmaster.{domain}", times))


def _reply_to(request: DNSRecord, rcode: int = RCODE.NOERROR) -> DNSRecord:
    header = DNSHeader(id=request.header.id, qr=1, ra=1, rd=request.header.rd, cd=request.header.cd, rcode=rcode)
    header.opcode = request.header.opcode
    return DNSRecord(header, questions=list(request.questions))


def _format_error(query: bytes) -> bytes | None:
    """Answer FORMERR to what has at least a query's header."""
    if len(query) < 12 or query[2] & 0x80:
        return None
    answer = DNSRecord(DNSHeader(id=int.from_bytes(query[:2]), qr=1, ra=1, rcode=RCODE.FORMERR))
    packed: bytes = answer.pack()
    return packed


def _fit(request: DNSRecord, reply: DNSRecord) -> bytes:
    """Pack for UDP: within the client's size; additional records go first, then the answer is cut and marked so."""
    size = _UDP_MINIMUM
    for one in request.ar:
        if one.rtype == QTYPE.OPT:
            size = max(_UDP_MINIMUM, min(one.edns_len, _UDP_MAXIMUM))
    packed: bytes = reply.pack()
    if len(packed) <= size:
        return packed
    reply.ar = [one for one in reply.ar if one.rtype == QTYPE.OPT]
    packed = reply.pack()
    if len(packed) <= size:
        return packed
    cut = reply.truncate()
    cut.ar = list(reply.ar)
    truncated: bytes = cut.pack()
    return truncated


def _add(section: list[RR], records: Iterable[Record]) -> None:
    section.extend(_resource_record(one) for one in records)


def _resource_record(record: Record) -> RR:
    match record.type:
        case "A":
            data = A(record.value)
        case "AAAA":
            data = AAAA(record.value)
        case "CNAME":
            data = CNAME(record.value)
        case "NS":
            data = NS(record.value)
        case "TXT":
            data = TXT(record.value)
        case _:
            weight, port, target = record.value.split(" ")
            data = SRV(0, int(weight), int(port), target)
    return RR(record.name, QTYPE.reverse[record.type], ttl=TTL, rdata=data)


def _reverse_address(labels: list[str]) -> str | None:
    """Read the address out of a name under in-addr.arpa or ip6.arpa."""
    try:
        match labels:
            case [*parts, "in-addr", "arpa"] if len(parts) == 4:
                return str(ipaddress.IPv4Address(".".join(reversed(parts))))
            case [*parts, "ip6", "arpa"] if len(parts) == 32:
                digits = "".join(reversed(parts))
                return str(ipaddress.IPv6Address(":".join(digits[at : at + 4] for at in range(0, 32, 4))))
    except ValueError:
        pass
    return None
