"""The HTTPS transport against a small TLS server of the test's own."""

import asyncio
import ssl
from contextlib import asynccontextmanager

import orjson
import pytest

from sampan.api import errors
from sampan.api.gvk import GroupVersionResource
from sampan.base.clock import FakeClock
from sampan.base.pki import CertificateAuthority
from sampan.client.client import Client
from sampan.client.config import ClientConfig, ConfigError, _load_chain
from sampan.client.http import HTTPClient, HTTPResponse
from sampan.client.https import HTTPSTransport

PODS = GroupVersionResource("", "v1", "pods")


@pytest.fixture(scope="module")
def authority():
    return CertificateAuthority.create("test-ca")[0]


class Server:
    """Answers each request by a function of (method, path, headers, body) -> bytes of the whole answer."""

    def __init__(self, answer, *, keep_alive=True):
        self.answer = answer
        self.requests = []
        self.connections = 0
        self.keep_alive = keep_alive

    async def handle(self, reader, writer):
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                line, *rest = head.decode().split("\r\n")
                method, path, _ = line.split(" ")
                headers = dict(one.split(": ", 1) for one in rest if one)
                body = await reader.readexactly(int(headers.get("Content-Length", 0)))
                self.requests.append((method, path, headers, body))
                for part in self.answer(method, path, headers, body):
                    if part is None:
                        return
                    writer.write(part)
                    await writer.drain()
                if not self.keep_alive:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def until(condition):
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("the condition never came true")


def answer(status, body, *more):
    data = orjson.dumps(body)
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data)}", "Content-Type: application/json", *more]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


@asynccontextmanager
async def serving(authority, respond, **options):
    pair = authority.issue("server", names=["127.0.0.1"], usages=["server auth"])

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load_chain(context, pair.certificate + pair.key)
    server = Server(respond, **options)
    listener = await asyncio.start_server(server.handle, "127.0.0.1", 0, ssl=context)
    port = listener.sockets[0].getsockname()[1]
    server.config = ClientConfig(server=f"https://127.0.0.1:{port}", ca=authority.certificate, token="t0ken")
    try:
        yield server
    finally:
        listener.close()
        await asyncio.sleep(0)


async def test_get_sends_path_and_token_and_reuses_the_connection(authority):
    async with serving(authority, lambda *_: [answer(200, {"kind": "Pod", "metadata": {"name": "a"}})]) as server:
        client = Client(HTTPSTransport(server.config))
        pods = client.resource(PODS, "default")
        assert (await pods.get("a"))["kind"] == "Pod"
        await pods.get("a")
        await client.close()
        method, path, headers, _ = server.requests[0]
        assert (method, path) == ("GET", "/api/v1/namespaces/default/pods/a")
        assert headers["Authorization"] == "Bearer t0ken"
        assert server.connections == 1


async def test_error_answer_becomes_its_status_class(authority):
    body = errors.not_found(PODS.group_resource, "x").to_status()
    async with serving(authority, lambda *_: [answer(404, body)]) as server:
        client = Client(HTTPSTransport(server.config))
        with pytest.raises(errors.NotFound, match='pods "x" not found'):
            await client.resource(PODS, "default").get("x")
        await client.close()


async def test_answer_without_a_status_becomes_the_class_of_its_code(authority):
    async with serving(authority, lambda *_: [b"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy"]) as server:
        client = Client(HTTPSTransport(server.config))
        with pytest.raises(errors.ServiceUnavailable, match="currently unable to handle"):
            await client.resource(PODS, "default").get("x")
        await client.close()


async def test_dead_pooled_connection_is_replaced(authority):
    async with serving(authority, lambda *_: [answer(200, {"kind": "Pod"})], keep_alive=False) as server:
        client = Client(HTTPSTransport(server.config))
        for _ in range(3):
            await client.resource(PODS, "default").get("a")
        await client.close()
        assert len(server.requests) == 3


async def test_retry_after_is_obeyed(authority):
    answers = [
        answer(429, {"kind": "Status", "reason": "TooManyRequests"}, "Retry-After: 7"),
        answer(200, {"kind": "Pod"}),
    ]
    async with serving(authority, lambda *_: [answers.pop(0)]) as server:
        clock = FakeClock()
        transport = HTTPSTransport(server.config, clock=clock)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(Client(transport).resource(PODS, "default").get("a"))
            await until(lambda: clock.sleepers)
            assert len(server.requests) == 1
            await clock.advance(7)
            assert (await task)["kind"] == "Pod"
        await transport.close()


async def test_list_items_get_kind_and_watch_batches_lines(authority):
    def respond(method, path, headers, body):
        if "watch=true" not in path:
            items = [{"metadata": {"name": "a", "namespace": "n", "resourceVersion": "5", "labels": {"x": "y"}}}]
            return [
                answer(
                    200, {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "9"}, "items": items}
                )
            ]
        lines = [
            orjson.dumps({"type": kind, "object": {"kind": "Pod", "metadata": {"name": name, "resourceVersion": "1"}}})
            + b"\n"
            for kind, name in (("ADDED", "a"), ("MODIFIED", "b"), ("DELETED", "c"))
        ]
        data = b"".join(lines)
        chunks = [data[:30], data[30:]]
        framed = [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks]
        return [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *framed, b"0\r\n\r\n"]

    async with serving(authority, respond) as server:
        client = Client(HTTPSTransport(server.config))
        found = await client.resource(PODS).list(label_selector="x in (y,z)")
        assert found.resource_version == "9"
        assert found.items[0].object["kind"] == "Pod"
        assert found.items[0].labels == {"x": "y"}
        assert server.requests[0][1] == "/api/v1/pods?labelSelector=x%20in%20%28y%2Cz%29"
        seen = []
        async with client.resource(PODS).watch(resource_version="9") as events:
            async for batch in events:
                seen += [(event.type, event.item.name) for event in batch]
        assert seen == [("ADDED", "a"), ("MODIFIED", "b"), ("DELETED", "c")]
        await client.close()


async def test_watch_error_event_is_raised(authority):
    status = errors.expired("too old resource version: 1 (5)").to_status()
    line = orjson.dumps({"type": "ERROR", "object": status}) + b"\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(line)
    async with serving(authority, lambda *_: [head + line]) as server:
        client = Client(HTTPSTransport(server.config))
        async with client.resource(PODS).watch(resource_version="1") as events:
            with pytest.raises(errors.Expired):
                await anext(events)
        await client.close()


async def test_upgrade_hands_over_the_bare_connection(authority):
    def respond(method, path, headers, body):
        assert headers["Upgrade"] == "SPDY/3.1"
        return [b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\nraw bytes", None]

    async with serving(authority, respond) as server:
        client = HTTPClient(server.config)
        result = await client.upgrade("POST", "/exec", headers={"Connection": "Upgrade", "Upgrade": "SPDY/3.1"})
        assert not isinstance(result, HTTPResponse)
        reader, writer, headers = result
        assert headers["upgrade"] == "SPDY/3.1"
        assert await reader.readexactly(9) == b"raw bytes"
        writer.transport.abort()
        await client.close()


async def test_refused_upgrade_is_an_answer(authority):
    async with serving(authority, lambda *_: [answer(403, {"kind": "Status"})]) as server:
        client = HTTPClient(server.config)
        result = await client.upgrade("POST", "/exec", headers={"Connection": "Upgrade", "Upgrade": "SPDY/3.1"})
        assert isinstance(result, HTTPResponse)
        assert result.status == 403
        await client.close()


async def test_server_of_another_authority_is_refused(authority):
    other = CertificateAuthority.create("other")[0]
    async with serving(authority, lambda *_: [answer(200, {})]) as server:
        config = ClientConfig(server=server.config.server, ca=other.certificate)
        with pytest.raises(ssl.SSLCertVerificationError):
            await HTTPClient(config).request("GET", "/")


async def test_token_file_is_read(authority, tmp_path):
    (tmp_path / "token").write_text("from-file\n")
    async with serving(authority, lambda *_: [answer(200, {})]) as server:
        config = ClientConfig(server=server.config.server, ca=authority.certificate, token_file=str(tmp_path / "token"))
        client = HTTPClient(config)
        await client.request("GET", "/")
        await client.close()
        assert server.requests[0][2]["Authorization"] == "Bearer from-file"


def test_unreadable_certificate_names_the_file():
    with pytest.raises(ConfigError, match="unable to read client-certificate /absent"):
        ClientConfig(server="https://x", certificate_file="/absent/c.crt").ssl_context()


async def test_header_with_a_line_break_is_refused(authority):
    async with serving(authority, lambda *_: [answer(200, {})]) as server:
        client = HTTPClient(server.config)
        with pytest.raises(ValueError, match="line break"):
            await client.request("GET", "/", headers={"X": "a\r\nEvil: b"})
        await client.close()
