from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import pytest

from sampan.api.errors import AlreadyExists, NotFound
from sampan.base.clock import FakeClock
from sampan.base.pki import CertificateAuthority
from sampan.client.item import Item
from sampan.kubelet import certificates, gc
from sampan.kubelet.cgroups import PodCgroups
from sampan.kubelet.endpointgate import EndpointSliceGate
from sampan.kubelet.images import ImageManager
from sampan.kubelet.nodestatus import NodeStatus, allocatable
from sampan.kubelet.options import KubeletOptions
from sampan.kubelet.probes import httpget
from sampan.kubelet.probes.checks import Checker, Outcome
from sampan.kubelet.statuspatch import status_patch
from tests.unit.kubelet.fakes import FakeObjects, FakeRecorder, FakeRuntime, make_pod

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.kubelet.fakes import FakeNode


class FakeResource:
    """One resource of a fake API: objects by name, calls in order."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, Any]] = []

    async def get(self, name: str) -> dict[str, Any]:
        if name not in self.objects:
            raise NotFound(name)
        return self.objects[name]

    async def create(self, obj: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(("create", obj))
        name = obj["metadata"].get("name") or obj["metadata"]["generateName"] + "x"
        if name in self.objects:
            raise AlreadyExists(name)
        self.objects[name] = {**obj, "metadata": {**obj["metadata"], "name": name, "uid": f"uid-{name}"}}
        return self.objects[name]

    async def update(self, obj: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(("update", obj))
        return obj

    async def patch(self, name: str, patch: Any) -> dict[str, Any]:
        self.calls.append(("patch", patch))
        return self.objects[name]

    async def patch_status(self, name: str, patch: Any) -> dict[str, Any]:
        self.calls.append(("status", patch))
        return self.objects[name]


class FakeClient:
    def __init__(self) -> None:
        self.resources: dict[str, FakeResource] = {}

    def resource(self, gvr: Any, namespace: str = "") -> FakeResource:
        return self.resources.setdefault(gvr.resource, FakeResource())


def make_status(path: Path, runtime: FakeRuntime | None = None) -> tuple[NodeStatus, FakeClient, FakeClock]:
    clock = FakeClock()
    client = FakeClient()
    options = KubeletOptions(node_name="n1", node_ips=["192.0.2.1"], data_dir=path, runtime_endpoint="")
    node = NodeStatus(options, client, runtime or FakeRuntime(clock), FakeRecorder(), clock, port=lambda: 10250)
    return node, client, clock


async def test_node_registers_with_addresses_capacity_and_labels(tmp_path: Path) -> None:
    status, client, _ = make_status(tmp_path)
    await status.register()
    node = client.resources["nodes"].objects["n1"]
    assert node["metadata"]["labels"]["kubernetes.io/hostname"] == "n1"
    assert node["status"]["addresses"] == [
        {"type": "InternalIP", "address": "192.0.2.1"},
        {"type": "Hostname", "address": "n1"},
    ]
    assert node["status"]["daemonEndpoints"] == {"kubeletEndpoint": {"Port": 10250}}
    conditions = {c["type"]: (c["status"], c["reason"]) for c in node["status"]["conditions"]}
    assert conditions["Ready"] == ("True", "KubeletReady")
    assert conditions["MemoryPressure"] == ("False", "KubeletHasSufficientMemory")
    assert node["status"]["nodeInfo"]["containerRuntimeVersion"] == "containerd://1.6.20"
    assert node["status"]["capacity"]["pods"] == "110"


async def test_existing_node_keeps_its_spec_and_gets_missing_labels(tmp_path: Path) -> None:
    status, client, _ = make_status(tmp_path)
    nodes = client.resource(type("G", (), {"resource": "nodes"}))
    nodes.objects["n1"] = {"metadata": {"name": "n1", "uid": "u", "labels": {}}, "spec": {"unschedulable": True}}
    node = await status.register()
    assert node["spec"]["unschedulable"] is True
    assert [kind for kind, _ in nodes.calls] == ["create", "patch"]


async def test_network_that_is_not_ready_makes_the_node_not_ready(tmp_path: Path) -> None:
    clock = FakeClock()
    runtime = FakeRuntime(clock)

    async def conditions() -> dict[str, tuple[bool, str, str]]:
        return {
            "RuntimeReady": (True, "", ""),
            "NetworkReady": (False, "NetworkPluginNotReady", "cni plugin not initialized"),
        }

    runtime.conditions = conditions  # type: ignore[method-assign]
    status, _, _ = make_status(tmp_path, runtime)
    ready = (await status.status())["conditions"][-1]
    assert (ready["status"], ready["reason"]) == ("False", "KubeletNotReady")
    assert ready["message"] == (
        "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:cni plugin not "
        "initialized"
    )


async def test_unchanged_status_is_reported_every_few_minutes_only(tmp_path: Path) -> None:
    status, client, clock = make_status(tmp_path)
    await status.register()
    calls = client.resources["nodes"].calls
    async with asyncio.TaskGroup() as group:
        task = group.create_task(status.run())
        await clock.advance(1)
        begin = len(calls)
        await clock.advance(200)
        assert len(calls) - begin <= 1  # free memory may cross a threshold on a busy machine, nothing else changes
        await clock.advance(200)
        assert len(calls) > begin
        task.cancel()


async def test_lease_is_created_once_and_renewed(tmp_path: Path) -> None:
    status, client, clock = make_status(tmp_path)
    await status.register()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(status.keep_lease())
        await clock.advance(25)
        task.cancel()
    calls = client.resources["leases"].calls
    assert [kind for kind, _ in calls] == ["create", "update", "update"]
    assert calls[0][1]["spec"]["leaseDurationSeconds"] == 40
    assert calls[0][1]["metadata"]["ownerReferences"][0]["uid"] == "uid-n1"


def test_allocatable_leaves_room_for_the_system(tmp_path: Path) -> None:
    status, _, _ = make_status(tmp_path)
    machine = status.machine
    options = KubeletOptions(
        node_name="n", node_ips=[], data_dir=tmp_path, runtime_endpoint="", system_reserved={"cpu": "100m"}
    )
    found = allocatable(machine, options)
    reserved = sum(machine.hugepages.values()) + (100 << 20)
    assert found["memory"] == f"{(machine.memory - reserved) // 1024}Ki"
    assert found["cpu"] == f"{machine.cpus * 1000 - 100}m"


async def test_certificate_is_asked_for_and_written_with_its_key(tmp_path: Path) -> None:
    client, clock = FakeClient(), FakeClock()
    authority, _ = CertificateAuthority.create("ca")
    wanted = certificates.client_certificate("n1")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(certificates.obtain(client, wanted, tmp_path / "pki", clock))
        await clock.advance(0)
        request = client.resources["certificatesigningrequests"].objects["csr-x"]
        assert request["spec"]["signerName"] == "kubernetes.io/kube-apiserver-client-kubelet"
        pair = authority.issue("system:node:n1")
        request["status"] = {"certificate": base64.b64encode(pair.certificate).decode()}
        await clock.advance(1)
        assert task.done()
    certificate, key = certificates.files(tmp_path / "pki", wanted)
    assert certificate.read_bytes() == pair.certificate
    assert key.stat().st_mode & 0o777 == 0o600


async def test_denied_certificate_says_why(tmp_path: Path) -> None:
    client, clock = FakeClient(), FakeClock()
    resource = client.resource(type("G", (), {"resource": "certificatesigningrequests"}))
    resource.objects["csr"] = {"status": {"conditions": [{"type": "Denied", "message": "no"}]}}
    with pytest.raises(certificates.CertificateDeniedError, match="csr is denied: no"):
        await certificates._wait_issued(client, "csr", clock)


class FakeInformer:
    """What the gate needs of an informer."""

    has_synced = True

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.handlers: list[Any] = []

    def add_index(self, name: str, function: Any) -> None:
        self.function = function

    def add_handler(self, handler: Any) -> None:
        self.handlers.append(handler)

    def by_index(self, name: str, value: str) -> list[Item]:
        return [item for item in self.items if value in self.function(item)]

    def set(self, *, ready: bool) -> None:
        endpoint = {"targetRef": {"uid": "uid-p"}, "conditions": {"ready": ready}}
        self.items = [Item({"metadata": {"name": "s", "namespace": "default"}, "endpoints": [endpoint]})]
        for handler in self.handlers:
            handler(None, self.items[0])


async def test_gate_opens_when_no_slice_offers_the_pod() -> None:
    informer, clock = FakeInformer(), FakeClock()
    gate = EndpointSliceGate(informer, clock)  # type: ignore[arg-type]
    await gate.wait_withdrawn(make_pod())  # no Service: at once
    informer.set(ready=True)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(gate.wait_withdrawn(make_pod()))
        await clock.advance(0.3)
        assert not task.done()
        informer.set(ready=False)
        await clock.advance(0.05)
        assert not task.done()  # other nodes' proxies get a moment
        await clock.advance(0.1)
        assert task.done()


async def test_gate_does_not_wait_for_ever() -> None:
    informer, clock = FakeInformer(), FakeClock()
    gate = EndpointSliceGate(informer, clock)  # type: ignore[arg-type]
    informer.set(ready=True)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(gate.wait_withdrawn(make_pod()))
        await clock.advance(1.1)
        assert task.done()


def test_patch_holds_only_what_differs() -> None:
    old = {
        "phase": "Pending",
        "podIPs": [{"ip": "a"}],
        "conditions": [
            {"type": "Ready", "status": "False", "reason": "X"},
            {"type": "Other", "status": "True"},
            {"type": "Same", "status": "True"},
        ],
    }
    new = {
        "phase": "Running",
        "podIPs": [{"ip": "b"}],
        "conditions": [
            {"type": "Ready", "status": "True", "lastProbeTime": None},
            {"type": "Same", "status": "True", "lastProbeTime": None},
        ],
    }
    patch = status_patch("u", old, new)
    assert patch == {
        "metadata": {"uid": "u"},
        "status": {
            "phase": "Running",
            "podIPs": [{"ip": "b"}, {"$patch": "replace"}],
            "conditions": [{"reason": None, "type": "Ready", "status": "True", "lastProbeTime": None}],
            "$setElementOrder/conditions": [{"type": "Ready"}, {"type": "Same"}, {"type": "Other"}],
        },
    }
    assert status_patch("u", new, new) is None


async def test_dead_containers_but_the_newest_are_collected(node: FakeNode) -> None:
    await node.post(make_pod())
    for _ in range(3):
        node.runtime.exit(node.runtime.newest("c"), 1)
        await node.advance(45)
    assert len(node.runtime.containers) == 4
    await gc.collect_containers(node.workers, node.runtime)
    worker = node.workers.find("default", "p")
    assert [record.attempt for record in worker.records.containers["c"]] == [3, 2]
    assert len(node.runtime.containers) == 2


async def test_images_are_collected_when_the_disk_is_full_only(tmp_path: Path) -> None:
    clock = FakeClock()
    runtime = FakeRuntime(clock)
    images = ImageManager(runtime, FakeObjects(), FakeRecorder(), clock)

    class Nobody:
        def all(self) -> list[Any]:
            return []

    for high, removed in ((101, 0), (0, 1)):
        options = KubeletOptions(
            node_name="n", node_ips=[], data_dir=tmp_path, runtime_endpoint="", image_gc_high_percent=high,
            image_gc_low_percent=0, image_minimum_age=0,
        )  # fmt: skip
        collector = gc.ImageCollector(options, runtime, images, FakeRecorder(), clock)
        await collector.collect(Nobody(), {})  # type: ignore[arg-type]
        assert len([c for c in runtime.calls if c[0] == "remove_image"]) == removed


def test_cgroups_of_a_pod_are_made_and_removed(tmp_path: Path) -> None:
    for controller in ("cpu", "memory"):
        (tmp_path / controller).mkdir()
    cgroups = PodCgroups("/sampan-x", tmp_path)
    cgroups.create("u1", "Burstable", shares=512, quota=0, memory=1)
    assert cgroups.parent("u1", "Burstable") == "/sampan-x/kubepods/burstable/podu1"
    assert (tmp_path / "cpu/sampan-x/kubepods/burstable/podu1").is_dir()
    assert cgroups.pods() == {"u1"}
    cgroups.remove("u1")
    assert cgroups.pods() == set()
    cgroups.clean()
    assert not (tmp_path / "cpu/sampan-x").exists()


async def serve(answers: list[bytes]) -> tuple[asyncio.Server, int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers.pop(0))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("answer", "outcome", "output"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Outcome.SUCCESS, "ok"),
        (b"HTTP/1.0 503 No\r\n\r\n", Outcome.FAILURE, "HTTP probe failed with statuscode: 503"),
        (b"HTTP/1.1 301 Away\r\nLocation: http://elsewhere.example/\r\n\r\n", Outcome.SUCCESS, ""),
        (b"", Outcome.FAILURE, 'Get "http://127.0.0.1:{port}/": EOF'),
    ],
)
async def test_http_probe_judges_the_status(answer: bytes, outcome: Outcome, output: str) -> None:
    server, port = await serve([answer])
    clock = FakeClock()
    probe = {"httpGet": {"port": "web", "path": "/"}, "timeoutSeconds": 1}
    container = {"name": "c", "ports": [{"name": "web", "containerPort": port}]}
    verdict = await Checker(FakeRuntime(clock), clock).check(probe, container, "id", "127.0.0.1")
    assert (verdict.outcome, verdict.output) == (outcome, output.format(port=port))
    server.close()


async def test_redirects_on_the_same_host_are_followed() -> None:
    redirect = b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"
    server, port = await serve([redirect, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"])
    assert (await httpget.get(f"http://127.0.0.1:{port}/", [])).body == "x"
    server.close()


async def test_refused_connections_read_as_in_go() -> None:
    clock = FakeClock()
    checker = Checker(FakeRuntime(clock), clock)
    verdict = await checker.check({"tcpSocket": {"port": 1}}, {"name": "c"}, "id", "127.0.0.1")
    assert verdict.output == "dial tcp 127.0.0.1:1: connect: connection refused"
    verdict = await checker.check({"httpGet": {"port": 1}}, {"name": "c"}, "id", "127.0.0.1")
    assert verdict.output == 'Get "http://127.0.0.1:1/": dial tcp 127.0.0.1:1: connect: connection refused'
    verdict = await checker.check({"httpGet": {"port": "none"}}, {"name": "c"}, "id", "127.0.0.1")
    assert verdict.outcome is Outcome.ERROR
