"""An APIService of another server: availability, discovery, forwarding as the front proxy."""

import asyncio
import base64
import json
import ssl
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sampan.api.gvk import GroupVersionResource
from sampan.base.pki import CertificateAuthority
from sampan.client.config import ClientConfig
from sampan.client.http import HTTPClient

APISERVICES = GroupVersionResource("apiregistration.k8s.io", "v1", "apiservices")
SERVICES = GroupVersionResource("", "v1", "services")
CONFIGMAPS = GroupVersionResource("", "v1", "configmaps")
RESOURCES = {
    "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metrics.example.com/v1",
    "resources": [
        {"name": "ships", "singularName": "ship", "namespaced": True, "kind": "Ship", "verbs": ["get", "list"]},
        {"name": "ships/status", "singularName": "", "namespaced": True, "kind": "Ship", "verbs": ["get"]},
    ],
}  # fmt: skip


class Extension:
    """A small aggregated server: answers discovery, echoes everything else."""

    def __init__(self, client_ca):
        self.ca, _ = CertificateAuthority.create("extension-ca")
        self.client_ca = client_ca
        self.heads = []

    async def serve(self, reader, writer):
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                lines = head.split("\r\n")
                headers = [line.partition(": ")[::2] for line in lines[1:] if line]
                length = next((int(value) for name, value in headers if name == "Content-Length"), 0)
                body = await reader.readexactly(length)
                target = lines[0].split(" ")[1]
                names = dict(writer.get_extra_info("peercert")["subject"][-1])
                if target == "/apis/metrics.example.com/v1":
                    answer = json.dumps(RESOURCES)
                else:
                    self.heads.append((lines[0], headers, names["commonName"]))
                    answer = json.dumps({"kind": "Ship", "apiVersion": "metrics.example.com/v1", "said": body.decode()})
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Its: own\r\nContent-Length: %d\r\n\r\n%b"
                    % (len(answer), answer.encode())
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def context(self):
        pair = self.ca.issue("extension", names=["ext.default.svc"], usages=("server auth",))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=self.client_ca)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "crt").write_bytes(pair.certificate)
            Path(folder, "key").write_bytes(pair.key)
            context.load_cert_chain(Path(folder, "crt"), Path(folder, "key"))
        return context


@asynccontextmanager
async def extension(admin):
    config = await until(admin, CONFIGMAPS, "kube-system", "extension-apiserver-authentication", has_front_proxy)
    running = Extension(config["data"]["requestheader-client-ca-file"])
    server = await asyncio.start_server(running.serve, "localhost", 0, ssl=running.context())
    running.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        server.close()


def has_front_proxy(config):
    return "requestheader-client-ca-file" in config["data"]


async def until(admin, gvr, namespace, name, condition):
    """Return the object once the condition holds for it."""
    resource = admin.resource(gvr, namespace)
    async with asyncio.timeout(15):
        while True:
            found = await resource.list(field_selector=f"metadata.name={name}")
            for item in found.items:
                if condition(item.object):
                    return item.object
            async with resource.watch(resource_version=found.resource_version) as events:
                await anext(events)


def available(status, reason):
    def check(obj):
        conditions = obj.get("status", {}).get("conditions", [])
        return [(one["status"], one["reason"]) for one in conditions] == [(status, reason)]

    return check


def api_service(port, ca):
    spec = {
        "group": "metrics.example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10,
        "service": {"namespace": "default", "name": "ext", "port": port}, "caBundle": base64.b64encode(ca).decode(),
    }  # fmt: skip
    metadata = {"name": "v1.metrics.example.com"}
    return {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": metadata, "spec": spec}


@pytest.fixture
async def http(server):
    pair = server.credentials.ca.issue("jane", organizations=("crew", "system:masters"))
    client = HTTPClient(ClientConfig(server=server.url, ca=server.ca, certificate=pair.certificate, key=pair.key))
    yield client
    await client.close()


async def test_requests_reach_the_other_server_with_the_users_name(admin, http):
    async with extension(admin) as other:
        answer = await http.request("GET", "/apis/metrics.example.com/v1/namespaces/default/ships")
        assert answer.status == 404
        await admin.resource(APISERVICES).create(api_service(other.port, other.ca.certificate))
        await until(admin, APISERVICES, "", "v1.metrics.example.com", available("False", "ServiceNotFound"))
        path = "/apis/metrics.example.com/v1/namespaces/default/ships"
        answer = await http.request("GET", path)
        assert (answer.status, answer.body) == (503, b"service unavailable\n")

        spec = {"type": "ExternalName", "externalName": "localhost"}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "ext"}, "spec": spec}
        await admin.resource(SERVICES, "default").create(service)
        found = await until(admin, APISERVICES, "", "v1.metrics.example.com", available("True", "Passed"))
        assert found["status"]["conditions"][0]["message"] == "all checks passed"

        answer = await http.request(
            "POST", path, body=b"ahoy", query={"a": "b c"}, headers={"X-Remote-User": "mallory", "X-Mine": "1"}
        )
        assert (answer.status, json.loads(answer.body)["said"]) == (200, "ahoy")
        assert answer.headers["x-its"] == "own"
        line, headers, certificate = other.heads[-1]
        assert line == f"POST {path}?a=b%20c HTTP/1.1"
        assert certificate == "front-proxy-client"
        assert [value for name, value in headers if name == "X-Remote-User"] == ["jane"]
        groups = [value for name, value in headers if name == "X-Remote-Group"]
        assert sorted(groups) == ["crew", "system:authenticated", "system:masters"]
        assert ("x-mine", "1") in [(name.lower(), value) for name, value in headers]
        assert ("Host", "ext.default.svc") in headers


async def test_what_the_other_server_serves_is_discovered_here(admin, http):
    async with extension(admin) as other:
        answer = await http.request("GET", "/apis/metrics.example.com/v1")
        assert answer.status == 404
        spec = {"type": "ExternalName", "externalName": "localhost"}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "ext"}, "spec": spec}
        await admin.resource(SERVICES, "default").create(service)
        await admin.resource(APISERVICES).create(api_service(other.port, other.ca.certificate))
        await until(admin, APISERVICES, "", "v1.metrics.example.com", available("True", "Passed"))
        answer = await http.request("GET", "/apis/metrics.example.com/v1")
        names = [one["name"] for one in json.loads(answer.body)["resources"]]
        assert names == ["ships", "ships/status"]
        groups = json.loads((await http.request("GET", "/apis")).body)["groups"]
        assert "metrics.example.com" in [one["name"] for one in groups]
        await admin.resource(APISERVICES).delete("v1.metrics.example.com")
        groups = json.loads((await http.request("GET", "/apis")).body)["groups"]
        assert "metrics.example.com" not in [one["name"] for one in groups]
        answer = await http.request("GET", "/apis/metrics.example.com/v1/namespaces/default/ships")
        assert answer.status == 404


async def test_a_server_that_does_not_answer_is_not_available(admin):
    spec = {"type": "ExternalName", "externalName": "localhost"}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "ext"}, "spec": spec}
    await admin.resource(SERVICES, "default").create(service)
    authority, _ = CertificateAuthority.create("nobody")
    await admin.resource(APISERVICES).create(api_service(1, authority.certificate))
    found = await until(admin, APISERVICES, "", "v1.metrics.example.com", available("False", "FailedDiscoveryCheck"))
    assert found["status"]["conditions"][0]["message"].startswith(
        "failing or missing response from https://localhost:1/"
    )
