"""Ways to other nodes' pods, on one L2 and through a tunnel, and announcements, in network namespaces."""

from __future__ import annotations

import asyncio
import os
import subprocess
from contextlib import asynccontextmanager
from dataclasses import replace

import orjson
import pytest

from sampan.base.clock import RealClock
from sampan.base.tasks import start
from sampan.client.client import Client
from sampan.client.resources import ENDPOINTSLICES, NODES, SERVICES
from sampan.proxy import NetworkOptions, PodNetwork, Proxy, cleanup_pod_network, cleanup_proxy
from sampan.proxy.announce import pick_node
from sampan.proxy.podnetwork import tunnel_mac
from sampan.testing.fake import FakeTransport
from tests.e2e.proxy_lab import Lab, sh

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


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
    conditions = [{"type": "Ready", "status": "True"}]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "spec": {"podCIDR": pod_cidr, "podCIDRs": [pod_cidr]},
        "status": {"addresses": [{"type": "InternalIP", "address": ip}], "conditions": conditions},
    }


@asynccontextmanager
async def running(lab, options, *, change_node=lambda _: None):
    clock = RealClock()
    api = FakeTransport(clock)
    own = node("a", "192.0.2.1", "10.42.0.0/24")
    change_node(own)
    api.add(NODES, own)
    client = Client(api)
    async with asyncio.TaskGroup() as group:
        for service in (PodNetwork(options, client, clock), Proxy(options, client, clock)):
            await start(group, service.run, name=type(service).__name__)
        try:
            yield api
        finally:
            await lab.stop()
            for task in list(group._tasks):
                task.cancel()
    await cleanup_proxy(options)
    await cleanup_pod_network(options)
    assert "smp-test" not in output("ip -br link")
    assert "proto 83" not in output("ip route")
    assert "sampan-test" not in output("nft list ruleset")


def output(command: str) -> str:
    return subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout


async def until(condition, *, seconds: float = 3) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_pods_reach_a_node_on_the_same_l2_with_their_own_address(lab, options):
    sh(f"ip -n {lab.machine} link add pods type bridge && ip -n {lab.machine} link set pods up")
    sh(f"ip -n {lab.machine} addr add 10.42.1.1/24 dev pods")
    sh(f"ip -n {lab.machine} route add 10.42.0.0/24 via 192.0.2.1")
    async with running(lab, options) as api:
        pod = lab.add_pod("10.42.0.2", options.bridge, "10.42.0.1")
        await lab.serve_tcp(lab.machine, 9000, "b")
        api.add(NODES, node("b", "192.0.2.2", "10.42.1.0/24"))

        async def routed() -> bool:
            return "10.42.1.0/24 via 192.0.2.2 dev up0" in output("ip route")

        await until(routed)
        assert await lab.get(pod, "10.42.1.1", 9000) == "b 10.42.0.2"
        api.remove(NODES, "", "b")

        async def forgotten() -> bool:
            return "10.42.1.0/24" not in output("ip route")

        await until(forgotten)


async def test_pods_reach_a_node_behind_a_router_through_a_tunnel(lab, options):
    machine = lab.machine
    sh(f"ip -n {machine} addr add 198.51.100.2/32 dev lo")
    sh("ip route add 198.51.100.2 via 192.0.2.2")
    mac = tunnel_mac("198.51.100.2")
    sh(f"ip -n {machine} link add vx0 type vxlan id 4096 dstport 8472 local 198.51.100.2 nolearning")
    sh(f"ip -n {machine} link set vx0 address {mac} up && ip -n {machine} addr add 10.42.1.0/32 dev vx0")
    sh(f"ip -n {machine} neigh add 10.42.0.0 lladdr {tunnel_mac('192.0.2.1')} dev vx0")
    sh(f"bridge -n {machine} fdb append {tunnel_mac('192.0.2.1')} dev vx0 dst 192.0.2.1")
    sh(f"ip -n {machine} route add 10.42.0.0/24 via 10.42.0.0 dev vx0 onlink")
    async with running(lab, options) as api:
        pod = lab.add_pod("10.42.0.2", options.bridge, "10.42.0.1")
        await lab.serve_tcp(machine, 9000, "b")
        api.add(NODES, node("b", "198.51.100.2", "10.42.1.0/24"))

        async def routed() -> bool:
            return "10.42.1.0/24 via 10.42.1.0 dev smv-test" in output("ip route")

        await until(routed)
        assert await lab.get(pod, "10.42.1.0", 9000) == "b 10.42.0.2"


async def test_host_firewall_that_drops_forwarded_packets_lets_pods_through(lab, options):
    policy = "type filter hook forward priority 0; policy drop;"
    subprocess.run(
        ["nft", "-f", "-"], input=f"table ip filter {{\n chain FORWARD {{\n {policy}\n }}\n}}\n", text=True, check=True
    )
    async with running(lab, options):
        pod = lab.add_pod("10.42.0.2", options.bridge, "10.42.0.1")
        await lab.serve_tcp(lab.machine, 9000, "outside")
        assert await lab.get(pod, "192.0.2.2", 9000) == "outside 192.0.2.1"
    assert "accept" not in output("nft list chain ip filter FORWARD")


async def test_dual_stack_services_are_reached_by_both_families(lab, options):
    options = replace(
        options,
        cluster_cidr="10.42.0.0/16,fd00:42::/48",
        service_cidr="10.96.0.0/16,fd00:96::/112",
        load_balancer_cidr="",
    )

    def both(obj) -> None:
        obj["spec"]["podCIDRs"] = ["10.42.0.0/24", "fd00:42::/64"]

    async with running(lab, options, change_node=both) as api:
        pod = lab.add_pod("10.42.0.2", options.bridge, "10.42.0.1")
        sh(f"ip -n {pod} addr add fd00:42::2/64 dev eth0 nodad && ip -n {pod} route add default via fd00:42::1")
        await lab.serve_tcp(pod, 8080, "pod", host="::")
        port = {"port": 80, "protocol": "TCP", "nodePort": 30080}
        spec = {"clusterIP": "10.96.0.20", "clusterIPs": ["10.96.0.20", "fd00:96::20"], "ports": [port]}
        metadata = {"name": "web", "namespace": "default"}
        api.add(SERVICES, {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
        for family, address in (("IPv4", "10.42.0.2"), ("IPv6", "fd00:42::2")):
            labels = {"kubernetes.io/service-name": "web"}
            endpoint_slice = {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": f"web-{family.lower()}", "namespace": "default", "labels": labels},
                "addressType": family,
                "ports": [{"port": 8080, "protocol": "TCP"}],
                "endpoints": [{"addresses": [address], "conditions": {"ready": True}, "nodeName": "a"}],
            }
            api.add(ENDPOINTSLICES, endpoint_slice)

        async def answered(namespace: str, address: str, number: int) -> bool:
            try:
                return (await lab.get(namespace, address, number, seconds=0.5)).startswith("pod")
            except (OSError, TimeoutError):
                return False

        for namespace, address, number in (
            (lab.node, "fd00:96::20", 80),
            (lab.node, "10.96.0.20", 80),
            (pod, "fd00:96::20", 80),
            (lab.node, "fd00:42::1", 30080),
        ):

            async def up(namespace=namespace, address=address, number=number) -> bool:
                return await answered(namespace, address, number)

            await until(up)


async def test_network_configuration_names_the_nodes_range_and_its_own_bridge(lab, options):
    async with running(lab, options):
        conf = orjson.loads((options.cni_conf_dir / "10-sampan.conflist").read_bytes())
        assert conf["name"] == "sampan-test"
        assert conf["plugins"][0]["bridge"] == "smp-test"
        assert conf["plugins"][0]["ipam"]["ranges"] == [[{"subnet": "10.42.0.0/24"}]]
        assert conf["plugins"][0]["mtu"] == 1500


async def test_load_balancer_address_is_held_by_one_ready_node_and_moves_when_it_fails(lab, options):
    address = next(
        one for one in (f"172.30.0.{number}" for number in range(1, 50)) if pick_node(one, ["a", "b"]) == "b"
    )
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.9", "ports": [{"port": 80, "protocol": "TCP"}]},
        "status": {"loadBalancer": {"ingress": [{"ip": address}]}},
    }
    async with running(lab, options) as api:
        api.add(NODES, node("b", "192.0.2.2", "10.42.1.0/24"))
        api.add(SERVICES, service)

        async def known() -> bool:
            return address in output("nft list table ip sampan-test")

        await until(known)
        assert address not in output("ip addr show dev smd-test")
        api.change(NODES, "", "b", lambda obj: obj["status"]["conditions"][0].update(status="Unknown"))

        async def taken() -> bool:
            return f"{address}/32" in output("ip addr show dev smd-test")

        await until(taken)
        api.change(NODES, "", "b", lambda obj: obj["status"]["conditions"][0].update(status="True"))

        async def released() -> bool:
            return address not in output("ip addr show dev smd-test")

        await until(released)
