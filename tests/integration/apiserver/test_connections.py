"""What clients meet on the wire: watches chunked and over WebSocket, client certificates, compression, forms."""

import asyncio
import gzip
import ssl

import orjson
import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request, TextMessage

from sampan.base.pki import write_private


class Wire:
    """A raw TLS connection as the cluster's administrator."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    async def request(self, head, body=b""):
        """One exchange on the kept-alive connection; status, headers, body."""
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        self.writer.write(f"{head}\r\nHost: x\r\n{length}\r\n".encode() + body)
        block = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in block[1:] if line)
        if headers.get("transfer-encoding") == "chunked":
            return int(block[0].split()[1]), headers, b""
        return int(block[0].split()[1]), headers, await self.reader.readexactly(int(headers["content-length"]))

    async def chunk(self):
        size = int(await self.reader.readline(), 16)
        data = await self.reader.readexactly(size)
        await self.reader.readexactly(2)
        return data


@pytest.fixture
async def wire(server, tmp_path):
    pair = server.credentials.administrator()
    write_private(tmp_path / "c.crt", pair.certificate)
    write_private(tmp_path / "c.key", pair.key)
    context = ssl.create_default_context(cadata=server.ca.decode())
    context.load_cert_chain(tmp_path / "c.crt", tmp_path / "c.key")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    yield Wire(reader, writer)
    writer.close()
    await writer.wait_closed()


def config(name, size=1):
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "x" * size}}
    return orjson.dumps(body)


POST = "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nContent-Type: application/json"


async def test_client_certificate_tells_user_and_groups(wire):
    head = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews HTTP/1.1\r\nContent-Type: application/json"
    body = orjson.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
    _, _, content = await wire.request(head, body)
    info = orjson.loads(content)["status"]["userInfo"]
    assert info["username"] == "kubernetes-admin"
    assert "system:masters" in info["groups"]


async def test_impersonation_acts_as_somebody_else(wire):
    head = "GET /api/v1/secrets HTTP/1.1\r\nImpersonate-User: eve\r\nImpersonate-Group: dev"
    status, _, content = await wire.request(head)
    assert status == 403
    assert 'User "eve" cannot list resource "secrets"' in orjson.loads(content)["message"]


async def test_chunked_watch_sends_one_line_an_event(wire, server):
    path = "/api/v1/namespaces/default/configmaps?watch=1&allowWatchBookmarks=true"
    status, _, _ = await wire.request(f"GET {path} HTTP/1.1")
    assert status == 200
    bookmark = orjson.loads(await wire.chunk())
    assert bookmark["type"] == "BOOKMARK"
    assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_watch_ends_after_its_timeout_and_the_connection_goes_on(wire):
    await wire.request("GET /api/v1/namespaces/none/configmaps?watch=1&timeoutSeconds=1 HTTP/1.1")
    assert await wire.chunk() == b""
    status, _, _ = await wire.request("GET /healthz HTTP/1.1")
    assert status == 200


async def test_too_old_version_is_an_error_event(wire, server):
    store = server.resources.store_of("", "configmaps")
    await wire.request(POST, config("a"))
    path = f"/api/v1/configmaps?watch=1&resourceVersion={store.revision + 0}&timeoutSeconds=1"
    status, _, _ = await wire.request(f"GET {path} HTTP/1.1")
    assert status == 200


async def test_websocket_watch_sends_one_message_an_event(wire):
    await wire.request(POST, config("ws"))
    socket = WSConnection(ConnectionType.CLIENT)
    path = "/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=5"
    wire.writer.write(socket.send(Request(host="x", target=path)))
    events = []
    while not any(isinstance(event, TextMessage) for event in events):
        socket.receive_data(await wire.reader.read(65536))
        events += list(socket.events())
    assert isinstance(events[0], AcceptConnection)
    assert orjson.loads(events[1].data)["object"]["metadata"]["name"] == "ws"


async def test_large_answers_are_compressed_for_who_accepts_it(wire):
    await wire.request(POST, config("big", 200_000))
    path = "/api/v1/namespaces/default/configmaps/big"
    _, headers, content = await wire.request(f"GET {path} HTTP/1.1\r\nAccept-Encoding: gzip")
    assert headers["content-encoding"] == "gzip"
    assert orjson.loads(gzip.decompress(content))["metadata"]["name"] == "big"


async def test_lists_say_the_kind_once(wire):
    await wire.request(POST, config("a"))
    _, _, content = await wire.request("GET /api/v1/namespaces/default/configmaps HTTP/1.1")
    listed = orjson.loads(content)
    assert listed["kind"] == "ConfigMapList"
    assert "kind" not in listed["items"][0]


async def test_bodies_over_three_mebibytes_are_refused(wire):
    status, _, content = await wire.request(POST, b"x" * (3 * 2**20 + 1))
    assert status == 413
    assert orjson.loads(content)["message"] == "Request entity too large: limit is 3145728"


async def test_cluster_ip_is_shown_as_an_object_until_its_service_goes(wire):
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
        "spec": {"ports": [{"port": 1}], "clusterIP": "10.96.7.7"},
    }  # fmt: skip
    head = "POST /api/v1/namespaces/default/services HTTP/1.1\r\nContent-Type: application/json"
    await wire.request(head, orjson.dumps(service))
    path = "/apis/networking.k8s.io/v1/ipaddresses/10.96.7.7"
    _, _, content = await wire.request(f"GET {path} HTTP/1.1")
    assert orjson.loads(content)["spec"]["parentRef"]["name"] == "s"
    await wire.request("DELETE /api/v1/namespaces/default/services/s HTTP/1.1")
    status, _, _ = await wire.request(f"GET {path} HTTP/1.1")
    assert status == 404


async def test_stopping_server_ends_watches_at_once(server, tmp_path):
    pair = server.credentials.administrator()
    write_private(tmp_path / "c.crt", pair.certificate)
    write_private(tmp_path / "c.key", pair.key)
    context = ssl.create_default_context(cadata=server.ca.decode())
    context.load_cert_chain(tmp_path / "c.crt", tmp_path / "c.key")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    watch = Wire(reader, writer)
    await watch.request("GET /api/v1/namespaces/none/pods?watch=1 HTTP/1.1")
    began = asyncio.get_running_loop().time()
    await server._hub.drain(1.0)
    assert asyncio.get_running_loop().time() - began < 0.5
    assert await watch.chunk() == b""
    writer.close()
    await writer.wait_closed()


async def test_prepared_documents_are_compressed_once(wire):
    _, headers, content = await wire.request("GET /openapi/v2 HTTP/1.1\r\nAccept-Encoding: gzip")
    assert headers["content-encoding"] == "gzip"
    assert orjson.loads(gzip.decompress(content))["swagger"] == "2.0"
