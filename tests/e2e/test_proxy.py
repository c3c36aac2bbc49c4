"""The service proxy and the pod network in the kernel, in network namespaces of their own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sampan.base.clock import RealClock
from sampan.base.tasks import start
from sampan.client.client import Client
from sampan.client.resources import ENDPOINTSLICES, NODES, PODS, SERVICES
from sampan.proxy import NetworkOptions, PodNetwork, Proxy, cleanup_pod_network, cleanup_proxy, podnetwork
from sampan.testing.fake import FakeTransport
from tests.e2e.proxy_lab import Lab

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

CLUSTER_IP = "10.96.0.20"
LB_IP = "172.30.0.1"


@pytest.fixture
def lab():
    found = Lab()
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def options(tmp_path):
    return NetworkOptions(
        node_name="a",
        node_ip="192.0.2.1",
        cluster_cidr="10.42.0.0/16",
        service_cidr="10.96.0.0/16",
        load_balancer_cidr="172.30.0.0/24",
        dns_address="10.96.0.10",
        bridge="smp-test",
        dummy="smd-test",
        vxlan="smv-test",
        table="sampan-test",
        cni_conf_dir=tmp_path / "cni",
    )


def node(name: str, ip: str, pod_cidr: str):
    status = {
        "addresses": [{"type": "InternalIP", "address": ip}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    spec = {"podCIDR": pod_cidr, "podCIDRs": [pod_cidr]}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": spec, "status": status}


def service(name: str = "web", *, ip: str = CLUSTER_IP, protocol: str = "TCP", **spec):
    ports = [{"port": 80, "targetPort": 8080, "protocol": protocol, "nodePort": spec.pop("node_port", 0)}]
    status = {"loadBalancer": {"ingress": [{"ip": one}]} if (one := spec.pop("lb", "")) else {}}
    if one:
        spec["type"] = "LoadBalancer"
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"clusterIP": ip, "clusterIPs": [ip], "ports": ports, **spec},
        "status": status,
    }


def endpoint_slice(*addresses: str, name: str = "web", protocol: str = "TCP", node_name: str = "a", **conditions):
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-1",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "ports": [{"port": 8080, "protocol": protocol}],
        "endpoints": [
            {"addresses": [one], "conditions": {"ready": True, **conditions}, "nodeName": node_name}
            for one in addresses
        ],
    }


class Cluster:
    """One node with two pods, its proxy running."""

    def __init__(self, lab: Lab, api: FakeTransport) -> None:
        self.lab = lab
        self.api = api
        self.pods: list[str] = []

    def set_endpoints(self, *addresses: str, **more) -> None:
        fresh = endpoint_slice(*addresses, **more)

        def change(obj) -> None:
            obj["endpoints"] = fresh["endpoints"]

        self.api.change(ENDPOINTSLICES, "default", fresh["metadata"]["name"], change)


@pytest.fixture
async def cluster(lab, options):
    async with running(lab, options) as found:
        yield found


@asynccontextmanager
async def running(lab, options):
    clock = RealClock()
    api = FakeTransport(clock)
    api.add(NODES, node("a", "192.0.2.1", "10.42.0.0/24"))
    client = Client(api)
    made = Cluster(lab, api)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_start(group, PodNetwork(options, client, clock).run)),
            group.create_task(_start(group, Proxy(options, client, clock).run)),
        ]
        services = [await task for task in tasks]
        for number in (2, 3):
            pod = lab.add_pod(f"10.42.0.{number}", options.bridge, "10.42.0.1")
            await lab.serve_tcp(pod, 8080, f"pod{number}")
            await lab.serve_udp(pod, 8080, f"pod{number}")
            made.pods.append(pod)
        try:
            yield made
        finally:
            await lab.stop()
            del services
            for task in list(group._tasks):
                task.cancel()
    await cleanup_proxy(options)
    await cleanup_pod_network(options)
    rules = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    links = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout
    assert "sampan-test" not in rules
    assert "sm" not in links
    assert not list(options.cni_conf_dir.glob("*.conflist"))


async def _start(group, service):
    return await start(group, service, name=repr(service))


async def until(condition, *, seconds: float = 3):
    """Wait for a condition that an event brings about; tells how long it took."""
    begin = time.monotonic()
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.005)
    return time.monotonic() - begin


async def answers(cluster, namespace, address, port, **more) -> str:
    try:
        return await cluster.lab.get(namespace, address, port, seconds=0.5, **more)
    except (OSError, TimeoutError) as error:
        return f"{type(error).__name__}"


async def test_every_way_to_a_load_balancer_service_leads_to_its_pods(cluster):
    lab = cluster.lab
    cluster.api.add(ENDPOINTSLICES, endpoint_slice("10.42.0.2", "10.42.0.3"))
    cluster.api.add(SERVICES, service(node_port=30080, lb=LB_IP, externalIPs=["192.0.2.77"]))

    async def up() -> bool:
        return (await answers(cluster, lab.node, LB_IP, 80)).startswith("pod")

    await until(up)
    ways = [
        (lab.node, CLUSTER_IP, 80),
        (lab.node, LB_IP, 80),
        (lab.node, "127.0.0.1", 30080),
        (lab.node, "192.0.2.1", 30080),
        (lab.machine, "192.0.2.1", 30080),
        (cluster.pods[0], CLUSTER_IP, 80),
        (cluster.pods[1], LB_IP, 80),
        (cluster.pods[0], "192.0.2.1", 30080),
    ]
    for namespace, address, port in ways:
        assert (await lab.get(namespace, address, port)).startswith("pod"), (namespace, address, port)
    subprocess.run(["ip", "-n", lab.machine, "route", "add", "172.30.0.0/24", "dev", "up0"], check=True)
    assert (await lab.get(lab.machine, LB_IP, 80)).startswith("pod")


async def test_connections_are_spread_evenly_and_pods_reach_themselves(cluster):
    cluster.api.add(ENDPOINTSLICES, endpoint_slice("10.42.0.2", "10.42.0.3"))
    cluster.api.add(SERVICES, service())

    async def up() -> bool:
        return (await answers(cluster, cluster.pods[0], CLUSTER_IP, 80)).startswith("pod")

    await until(up)
    seen: Counter[str] = Counter()
    for _ in range(10):
        batch = [cluster.lab.get(cluster.pods[0], CLUSTER_IP, 80) for _ in range(40)]
        seen.update(one.split()[0] for one in await asyncio.gather(*batch))
    expected = 200
    chi_squared = sum((seen[one] - expected) ** 2 / expected for one in ("pod2", "pod3"))
    assert chi_squared < 15.1, seen  # p = 0.0001 with one degree of freedom


async def test_dead_endpoint_leaves_within_100_ms_and_a_service_without_endpoints_refuses(cluster):
    lab = cluster.lab
    cluster.api.add(ENDPOINTSLICES, endpoint_slice("10.42.0.2", "10.42.0.3"))
    cluster.api.add(SERVICES, service(node_port=30080))

    async def up() -> bool:
        return (await answers(cluster, lab.node, CLUSTER_IP, 80)).startswith("pod")

    await until(up)
    cluster.set_endpoints("10.42.0.3")

    async def gone() -> bool:
        listing = subprocess.run(["nft", "list", "table", "ip", "sampan-test"], capture_output=True, text=True).stdout
        return "10.42.0.2" not in listing

    assert await until(gone) < 0.1
    assert {(await lab.get(lab.node, CLUSTER_IP, 80)).split()[0] for _ in range(10)} == {"pod3"}
    cluster.set_endpoints()
    for namespace, address, port in (
        (lab.node, CLUSTER_IP, 80),
        (cluster.pods[0], CLUSTER_IP, 80),
        (lab.machine, "192.0.2.1", 30080),
        (lab.node, CLUSTER_IP, 81),
        (cluster.pods[0], CLUSTER_IP, 81),
    ):

        async def refused(namespace=namespace, address=address, port=port) -> bool:
            return await answers(cluster, namespace, address, port) == "ConnectionRefusedError"

        await until(refused)


async def test_session_affinity_keeps_a_client_with_its_pod(cluster):
    affinity = {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}}
    cluster.api.add(ENDPOINTSLICES, endpoint_slice("10.42.0.2", "10.42.0.3"))
    cluster.api.add(SERVICES, service(**affinity))

    async def up() -> bool:
        return (await answers(cluster, cluster.pods[0], CLUSTER_IP, 80)).startswith("pod")

    await until(up)
    seen = {(await cluster.lab.get(cluster.pods[0], CLUSTER_IP, 80)).split()[0] for _ in range(20)}
    assert len(seen) == 1
    first = seen.pop()
    other = {"pod2": "10.42.0.3", "pod3": "10.42.0.2"}[first]
    cluster.set_endpoints(other)

    async def moved() -> bool:
        return not (await answers(cluster, cluster.pods[0], CLUSTER_IP, 80)).startswith(first)

    await until(moved)

    def shorten(obj) -> None:
        obj["spec"]["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"] = 5

    cluster.api.change(SERVICES, "default", "web", shorten)

    async def replaced() -> bool:
        listing = subprocess.run(["nft", "list", "table", "ip", "sampan-test"], capture_output=True, text=True).stdout
        return "timeout 5s" in listing and "timeout 1m" not in listing

    await until(replaced)


async def test_external_policy_local_keeps_the_client_address_and_drops_without_local_endpoints(cluster):
    lab = cluster.lab
    subprocess.run(["ip", "-n", lab.machine, "route", "add", "172.30.0.0/24", "dev", "up0"], check=True)
    spec = {"externalTrafficPolicy": "Local", "healthCheckNodePort": 31999}
    cluster.api.add(ENDPOINTSLICES, endpoint_slice("10.42.0.2"))
    cluster.api.add(SERVICES, service(node_port=30080, lb=LB_IP, **spec))

    async def local() -> bool:
        return await answers(cluster, lab.machine, "192.0.2.1", 30080) == "pod2 192.0.2.2"

    await until(local)
    assert await lab.get(lab.machine, LB_IP, 80) == "pod2 192.0.2.2"

    async def checked() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", 31999)
        except ConnectionRefusedError:
            return False
        writer.close()
        return True

    await until(checked)
    reader, writer = await asyncio.open_connection("127.0.0.1", 31999)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    health = await reader.read()
    writer.close()
    assert health.startswith(b"HTTP/1.1 200 OK")
    assert health.endswith(
        b'{"service":{"namespace":"default","name":"web"},"localEndpoints":1,"serviceProxyHealthy":true}'
    )
    cluster.set_endpoints("10.42.0.2", node_name="b")

    async def dropped() -> bool:
        return await answers(cluster, lab.machine, "192.0.2.1", 30080) == "TimeoutError"

    await until(dropped)
    assert (await lab.get(lab.node, LB_IP, 80)).startswith("pod2")


async def test_source_ranges_shut_out_everyone_else(cluster):
    lab = cluster.lab
    subprocess.run(["ip", "-n", lab.machine, "route", "add", "172.30.0.0/24", "dev", "up0"], check=True)
    cluster.api.add(ENDPOINTSLICES, endpoint_slice("10.42.0.2"))
    cluster.api.add(SERVICES, service(lb=LB_IP, loadBalancerSourceRanges=["192.0.2.2/32"]))

    async def up() -> bool:
        return (await answers(cluster, lab.machine, LB_IP, 80)).startswith("pod")

    await until(up)

    def narrow(obj) -> None:
        obj["spec"]["loadBalancerSourceRanges"] = ["198.51.100.0/24"]

    cluster.api.change(SERVICES, "default", "web", narrow)

    async def shut() -> bool:
        return await answers(cluster, lab.machine, LB_IP, 80) == "TimeoutError"

    await until(shut)


async def test_udp_client_with_a_fixed_port_follows_its_service(cluster):
    lab = cluster.lab
    cluster.api.add(ENDPOINTSLICES, endpoint_slice("10.42.0.2", protocol="UDP"))
    cluster.api.add(SERVICES, service(protocol="UDP"))
    with lab.udp_client(cluster.pods[1]) as client:

        async def first() -> bool:
            try:
                return await lab.ask(client, CLUSTER_IP, 80, seconds=0.2) == "pod2"
            except (OSError, TimeoutError):
                return False

        await until(first)
        cluster.set_endpoints("10.42.0.3", protocol="UDP")

        async def moved() -> bool:
            try:
                return await lab.ask(client, CLUSTER_IP, 80, seconds=0.2) == "pod3"
            except (OSError, TimeoutError):
                return False

        assert await until(moved) < 1


async def test_pods_of_one_bridge_reach_each_other_by_service_though_the_bridge_is_not_filtered(
    lab, options, monkeypatch
):
    for name in ("iptables", "ip6tables"):
        Path(f"/proc/sys/net/bridge/bridge-nf-call-{name}").write_text("0")

    async def unfiltered() -> bool:
        return False

    monkeypatch.setattr(podnetwork, "_bridge_filtering", unfiltered)
    async with running(lab, options) as cluster:
        cluster.api.add(ENDPOINTSLICES, endpoint_slice("10.42.0.3"))
        cluster.api.add(SERVICES, service())

        async def up() -> bool:
            return await answers(cluster, cluster.pods[0], CLUSTER_IP, 80) == "pod3 10.42.0.1"

        await until(up)


async def test_pods_see_each_others_addresses_on_a_filtered_bridge(lab, options):
    for name in ("iptables", "ip6tables"):
        Path(f"/proc/sys/net/bridge/bridge-nf-call-{name}").write_text("0")
    async with running(lab, options) as cluster:
        cluster.api.add(ENDPOINTSLICES, endpoint_slice("10.42.0.3"))
        cluster.api.add(SERVICES, service())

        async def up() -> bool:
            return await answers(cluster, cluster.pods[0], CLUSTER_IP, 80) == "pod3 10.42.0.2"

        await until(up)


async def test_flushed_table_is_rebuilt_at_the_next_change(cluster):
    lab = cluster.lab
    cluster.api.add(ENDPOINTSLICES, endpoint_slice("10.42.0.2"))
    cluster.api.add(SERVICES, service())

    async def up() -> bool:
        return (await answers(cluster, lab.node, CLUSTER_IP, 80)).startswith("pod")

    await until(up)
    subprocess.run(["nft", "delete", "table", "ip", "sampan-test"], check=True)
    cluster.api.add(SERVICES, service("other", ip="10.96.0.21"))
    await until(up)


async def test_host_port_leads_to_its_pod_and_goes_with_it(cluster):
    lab = cluster.lab
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "nodeName": "a",
            "containers": [{"name": "c", "ports": [{"containerPort": 8080, "hostPort": 8888, "protocol": "TCP"}]}],
        },
        "status": {"phase": "Running", "podIP": "10.42.0.2", "podIPs": [{"ip": "10.42.0.2"}]},
    }
    cluster.api.add(PODS, pod)

    async def up() -> bool:
        return await answers(cluster, lab.machine, "192.0.2.1", 8888) == "pod2 192.0.2.2"

    await until(up)
    assert (await lab.get(lab.node, "127.0.0.1", 8888)).startswith("pod2")
    cluster.api.remove(PODS, "default", "web")

    async def gone() -> bool:
        return (await answers(cluster, lab.machine, "192.0.2.1", 8888)).endswith("Error")

    await until(gone)


async def test_pods_leave_the_cluster_with_the_nodes_address(cluster):
    lab = cluster.lab
    await lab.serve_tcp(lab.machine, 9000, "outside")
    assert await lab.get(cluster.pods[0], "192.0.2.2", 9000) == "outside 192.0.2.1"
