"""A pod asks the cluster DNS address of its node."""

from __future__ import annotations

import asyncio
import os

import pytest
from dnslib import DNSRecord

from sampan.base.clock import RealClock
from sampan.base.tasks import start
from sampan.client.client import Client
from sampan.client.resources import NODES, SERVICES
from sampan.dns import DNSOptions, DNSServer
from sampan.proxy import NetworkOptions, PodNetwork, Proxy, cleanup_pod_network, cleanup_proxy
from sampan.testing.fake import FakeTransport
from tests.e2e.proxy_lab import Lab

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


@pytest.fixture
def lab():
    found = Lab()
    try:
        yield found
    finally:
        found.close()


async def test_pod_resolves_services_at_the_cluster_dns_address(lab, tmp_path):
    network = NetworkOptions(
        node_name="a",
        node_ip="192.0.2.1",
        cluster_cidr="10.42.0.0/16",
        service_cidr="10.96.0.0/16",
        dns_address="10.96.0.10",
        bridge="smp-test",
        dummy="smd-test",
        vxlan="smv-test",
        table="sampan-test",
        cni_conf_dir=tmp_path / "cni",
    )
    clock = RealClock()
    api = FakeTransport(clock)
    spec = {"podCIDR": "10.42.0.0/24"}
    api.add(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}, "spec": spec, "status": {}})
    for name, namespace, ip in (("kube-dns", "kube-system", "10.96.0.10"), ("web", "default", "10.96.0.9")):
        port = {"port": 53, "protocol": "UDP"}
        spec = {"clusterIP": ip, "clusterIPs": [ip], "ports": [port]}
        metadata = {"name": name, "namespace": namespace}
        api.add(SERVICES, {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    client = Client(api)
    async with asyncio.TaskGroup() as group:
        dns = DNSServer(DNSOptions(address="10.96.0.10", resolv_conf=tmp_path / "none"), client, clock)
        listening = asyncio.get_running_loop().create_future()
        serving = group.create_task(dns.run(listening.set_result))  # before its address is there
        for service in (PodNetwork(network, client, clock), Proxy(network, client, clock)):
            await start(group, service.run, name=type(service).__name__)
        await asyncio.wait_for(listening, 5)
        pod = lab.add_pod("10.42.0.2", network.bridge, "10.42.0.1")
        for namespace in (pod, lab.node):
            with lab.udp_client(namespace) as asking:
                loop = asyncio.get_running_loop()
                query = DNSRecord.question("web.default.svc.cluster.local")
                await loop.sock_sendto(asking, query.pack(), ("10.96.0.10", 53))
                answer = await asyncio.wait_for(loop.sock_recv(asking, 1000), 3)
                assert [str(one.rdata) for one in DNSRecord.parse(answer).rr] == ["10.96.0.9"]
        serving.cancel()
        for task in list(group._tasks):
            task.cancel()
    await cleanup_proxy(network)
    await cleanup_pod_network(network)
