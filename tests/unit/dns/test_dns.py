"""The DNS server over loopback sockets: what clients of a cluster ask, and what they must get."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from dnslib import QTYPE, RCODE, RR, A, DNSQuestion, DNSRecord

from sampan.base.clock import FakeClock
from sampan.base.tasks import start
from sampan.client.client import Client
from sampan.client.resources import ENDPOINTSLICES, SERVICES
from sampan.dns import DNSOptions, DNSServer
from sampan.dns.upstream import resolvers
from sampan.testing.fake import FakeTransport


def service(name: str, ip: str = "10.96.0.5", *, namespace: str = "default", ports=None, **spec):
    ports = ports or [{"name": "http", "port": 80, "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": ip, "clusterIPs": [ip], "ports": ports, **spec},
    }


def endpoint_slice(service_name: str, *endpoints, namespace: str = "default"):
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service_name}-x",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service_name},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [
            {"addresses": [address], "conditions": {"ready": ready}, **({"hostname": hostname} if hostname else {})}
            for address, hostname, ready in endpoints
        ],
    }


class _Server(asyncio.DatagramProtocol):
    """An upstream that answers a name, counts, and may be told to be silent."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.silent = False

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address) -> None:
        request = DNSRecord.parse(data)
        self.asked.append(str(request.q.qname))
        if self.silent:
            return
        reply = request.reply()
        if str(request.q.qname).startswith("gone"):
            reply.header.rcode = RCODE.NXDOMAIN
        else:
            reply.add_answer(RR(request.q.qname, QTYPE.A, ttl=60, rdata=A("192.0.2.80")))
        self.transport.sendto(reply.pack(), address)


class Asker:
    def __init__(self, api, port: int, clock, upstream) -> None:
        self.api, self.port, self.clock, self.upstream = api, port, clock, upstream

    async def ask(self, name: str, type_: str = "A", *, tcp: bool = False, **header) -> DNSRecord:
        request = DNSRecord(q=DNSQuestion(name, getattr(QTYPE, type_)))
        for key, value in header.items():
            setattr(request.header, key, value)
        data = await (self.tcp(request.pack()) if tcp else self.udp(request.pack()))
        reply = DNSRecord.parse(data)
        assert reply.header.id == request.header.id
        return reply

    async def udp(self, query: bytes) -> bytes:
        answer = asyncio.get_running_loop().create_future()

        class One(asyncio.DatagramProtocol):
            def connection_made(self, transport) -> None:
                transport.sendto(query)

            def datagram_received(self, data: bytes, _address) -> None:
                answer.set_result(data)

        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(One, remote_addr=("127.0.0.1", self.port))
        try:
            return await asyncio.wait_for(answer, 5)
        finally:
            transport.close()

    async def tcp(self, query: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(len(query).to_bytes(2) + query)
        length = int.from_bytes(await reader.readexactly(2))
        data = await reader.readexactly(length)
        writer.close()
        await writer.wait_closed()
        return data


@asynccontextmanager
async def running(tmp_path, *objects):
    clock = FakeClock()
    api = FakeTransport(clock)
    for one in objects:
        api.add(SERVICES if one["kind"] == "Service" else ENDPOINTSLICES, one)
    conf = tmp_path / "resolv.conf"
    conf.write_text("search example.com\nnameserver 127.0.0.1\n")
    options = DNSOptions(address="127.0.0.1", port=0, resolv_conf=conf, own_cidrs=("10.96.0.0/16", "10.42.0.0/16"))
    server = DNSServer(options, Client(api), clock)
    loop = asyncio.get_running_loop()
    transport, upstream = await loop.create_datagram_endpoint(_Server, local_addr=("127.0.0.1", 0))
    beyond = server._resolver._upstream
    beyond._port, beyond._own_address = transport.get_extra_info("sockname")[1], "10.96.0.10"
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(start(group, server.run, name="dns"))
            _, port = await task
            yield Asker(api, port, clock, upstream)
            for one in list(group._tasks):
                one.cancel()
    finally:
        transport.close()
        for _ in range(3):
            await asyncio.sleep(0)


def values(reply: DNSRecord) -> list[str]:
    return sorted(str(one.rdata) for one in reply.rr)


async def test_service_has_its_cluster_ip_and_no_ipv6_address(tmp_path):
    async with running(tmp_path, service("web")) as dns:
        reply = await dns.ask("WEB.default.svc.cluster.local")
        assert values(reply) == ["10.96.0.5"]
        assert (reply.header.aa, reply.rr[0].ttl) == (1, 5)
        none = await dns.ask("web.default.svc.cluster.local", "AAAA")
        assert (none.header.rcode, none.rr) == (RCODE.NOERROR, [])
        assert none.auth[0].rtype == QTYPE.SOA
        assert none.auth[0].ttl == 5


@pytest.mark.parametrize(
    "name",
    ["nope.default.svc", "web.other.svc", "x.web.default.svc", "google.com", "default", "_http._udp.web.default.svc"],
)
async def test_absent_names_do_not_exist_and_are_not_asked_elsewhere(tmp_path, name):
    async with running(tmp_path, service("web")) as dns:
        reply = await dns.ask(f"{name}.cluster.local")
        assert reply.header.rcode == RCODE.NXDOMAIN
        assert reply.auth[0].rtype == QTYPE.SOA
        assert dns.upstream.asked == []


@pytest.mark.parametrize("name", ["svc", "default.svc", "_tcp.web.default.svc", "pod"])
async def test_names_above_others_exist_without_data(tmp_path, name):
    async with running(tmp_path, service("web")) as dns:
        reply = await dns.ask(f"{name}.cluster.local")
        assert (reply.header.rcode, reply.rr) == (RCODE.NOERROR, [])


async def test_headless_service_lists_ready_endpoints_and_names_each(tmp_path):
    endpoints = endpoint_slice("db", ("10.42.0.2", "db-0", True), ("10.42.0.3", "", True), ("10.42.0.4", "", False))
    async with running(tmp_path, service("db", "None"), endpoints) as dns:
        assert values(await dns.ask("db.default.svc.cluster.local")) == ["10.42.0.2", "10.42.0.3"]
        assert values(await dns.ask("db-0.db.default.svc.cluster.local")) == ["10.42.0.2"]
        assert values(await dns.ask("10-42-0-3.db.default.svc.cluster.local")) == ["10.42.0.3"]
        ports = await dns.ask("_http._tcp.db.default.svc.cluster.local", "SRV")
        assert values(ports) == [
            "0 50 8080 10-42-0-3.db.default.svc.cluster.local.",
            "0 50 8080 db-0.db.default.svc.cluster.local.",
        ]
        assert {str(one.rdata) for one in ports.ar} == {"10.42.0.2", "10.42.0.3"}
        back = await dns.ask("2.0.42.10.in-addr.arpa", "PTR")
        assert values(back) == ["db-0.db.default.svc.cluster.local."]


async def test_headless_service_without_endpoints_exists(tmp_path):
    async with running(tmp_path, service("db", "None")) as dns:
        reply = await dns.ask("db.default.svc.cluster.local")
        assert (reply.header.rcode, reply.rr) == (RCODE.NOERROR, [])


async def test_named_port_of_a_service_has_an_srv_record(tmp_path):
    async with running(tmp_path, service("web")) as dns:
        reply = await dns.ask("_http._tcp.web.default.svc.cluster.local", "SRV")
        assert values(reply) == ["0 100 80 web.default.svc.cluster.local."]
        assert [str(one.rdata) for one in reply.ar] == ["10.96.0.5"]
        back = await dns.ask("5.0.96.10.in-addr.arpa", "PTR")
        assert values(back) == ["web.default.svc.cluster.local."]
        unknown = await dns.ask("99.0.96.10.in-addr.arpa", "PTR")
        assert unknown.header.rcode == RCODE.NXDOMAIN


async def test_change_of_a_service_is_answered_at_once(tmp_path):
    async with running(tmp_path, service("web")) as dns:
        assert values(await dns.ask("web.default.svc.cluster.local")) == ["10.96.0.5"]
        assert values(await dns.ask("web.default.svc.cluster.local")) == ["10.96.0.5"]

        def move(obj) -> None:
            obj["spec"].update(clusterIP="10.96.0.6", clusterIPs=["10.96.0.6"])

        dns.api.change(SERVICES, "default", "web", move)
        for _ in range(20):
            await asyncio.sleep(0)
        assert values(await dns.ask("web.default.svc.cluster.local")) == ["10.96.0.6"]
        dns.api.remove(SERVICES, "default", "web")
        for _ in range(20):
            await asyncio.sleep(0)
        assert (await dns.ask("web.default.svc.cluster.local")).header.rcode == RCODE.NXDOMAIN


async def test_external_name_is_an_alias_with_what_it_leads_to(tmp_path):
    alias = service("ext", "", type="ExternalName", externalName="www.example.com")
    inside = service("in", "", type="ExternalName", externalName="web.default.svc.cluster.local")
    async with running(tmp_path, alias, inside, service("web")) as dns:
        assert values(await dns.ask("ext.default.svc.cluster.local")) == ["192.0.2.80", "www.example.com."]
        assert values(await dns.ask("in.default.svc.cluster.local")) == ["10.96.0.5", "web.default.svc.cluster.local."]


async def test_pod_names_spell_their_address(tmp_path):
    async with running(tmp_path) as dns:
        assert values(await dns.ask("10-42-0-7.default.pod.cluster.local")) == ["10.42.0.7"]
        assert (await dns.ask("nothing.default.pod.cluster.local")).header.rcode == RCODE.NXDOMAIN


async def test_other_names_are_forwarded_and_cached_with_their_ttl_counted_down(tmp_path):
    async with running(tmp_path) as dns:
        assert values(await dns.ask("www.example.com")) == ["192.0.2.80"]
        await dns.clock.advance(10)
        again = await dns.ask("www.example.com")
        assert again.rr[0].ttl == 50
        assert len(dns.upstream.asked) == 1
        await dns.clock.advance(25)
        await dns.ask("www.example.com")
        assert len(dns.upstream.asked) == 2
        assert (await dns.ask("gone.example.com")).header.rcode == RCODE.NXDOMAIN


async def test_long_answer_is_cut_by_udp_and_whole_by_tcp(tmp_path):
    endpoints = endpoint_slice("big", *[(f"10.42.1.{number}", "", True) for number in range(1, 101)])
    async with running(tmp_path, service("big", "None"), endpoints) as dns:
        cut = await dns.ask("big.default.svc.cluster.local")
        assert cut.header.tc == 1
        whole = await dns.ask("big.default.svc.cluster.local", tcp=True)
        assert len(whole.rr) == 100


async def test_garbage_gets_a_format_error_and_answers_get_none(tmp_path):
    async with running(tmp_path) as dns:
        broken = await dns.udp(b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xff\xff")
        assert DNSRecord.parse(broken).header.rcode == RCODE.FORMERR
        reply = await dns.ask("svc.cluster.local", opcode=4)
        assert reply.header.rcode == RCODE.NOTIMP


def test_resolv_conf_lines_are_read_as_the_c_library_does():
    assert resolvers("# x\nnameserver 10.0.0.1\n nameserver\t::1 \noptions ndots:5\nnameserver\n") == [
        "10.0.0.1",
        "::1",
    ]
