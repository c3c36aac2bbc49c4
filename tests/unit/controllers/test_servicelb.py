"""Addresses for services of type LoadBalancer."""

from sampan.client.resources import SERVICES

from .harness import running

NAME = "service-lb-controller"


def service(name, **spec):
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "LoadBalancer", **spec},
        "status": {"loadBalancer": {}},
    }


def address(cluster, name):
    ingress = cluster.api.get(SERVICES, "default", name)["status"]["loadBalancer"].get("ingress")
    return ingress[0]["ip"] if ingress else None


async def test_addresses_are_given_kept_and_given_again():
    async with running(NAME, load_balancer_cidr="172.30.0.0/29") as cluster:
        cluster.api.add(SERVICES, service("a"))
        cluster.api.add(SERVICES, service("b"))
        cluster.api.add(SERVICES, service("plain", type="ClusterIP"))
        await cluster.settled()
        assert (address(cluster, "a"), address(cluster, "b")) == ("172.30.0.1", "172.30.0.2")
        assert address(cluster, "plain") is None
        cluster.api.change(SERVICES, "default", "b", lambda obj: obj["spec"].update(ports=[{"port": 1}]))
        cluster.api.change(SERVICES, "default", "a", lambda obj: obj["spec"].update(type="ClusterIP"))
        await cluster.settled()
        assert (address(cluster, "a"), address(cluster, "b")) == (None, "172.30.0.2")
        cluster.api.add(SERVICES, service("c"))
        await cluster.settled()
        assert address(cluster, "c") == "172.30.0.1"


async def test_restart_keeps_addresses():
    def prepare(api):
        api.add(SERVICES, service("new"))
        old = service("old")
        old["status"]["loadBalancer"] = {"ingress": [{"ip": "172.30.0.1", "ipMode": "VIP"}]}
        api.add(SERVICES, old)

    async with running(NAME, load_balancer_cidr="172.30.0.0/29", prepare=prepare) as cluster:
        assert (address(cluster, "old"), address(cluster, "new")) == ("172.30.0.1", "172.30.0.2")


async def test_wanted_address_is_honoured_or_refused_with_an_event():
    async with running(NAME, load_balancer_cidr="172.30.0.0/29") as cluster:
        cluster.api.add(SERVICES, service("a", loadBalancerIP="172.30.0.5"))
        await cluster.settled()
        cluster.api.add(SERVICES, service("b", loadBalancerIP="172.30.0.5"))
        cluster.api.add(SERVICES, service("c", loadBalancerIP="10.0.0.1"))
        await cluster.settled()
        assert [address(cluster, name) for name in "abc"] == ["172.30.0.5", None, None]
        assert [event[1] for event in cluster.events()].count("SyncLoadBalancerFailed") == 2


async def test_waiting_service_gets_a_freed_address():
    async with running(NAME, load_balancer_cidr="172.30.0.0/30") as cluster:
        for name in "abc":
            cluster.api.add(SERVICES, service(name))
        await cluster.settled()
        assert address(cluster, "c") is None
        cluster.api.remove(SERVICES, "default", "a")
        await cluster.settled()
        assert address(cluster, "c") == "172.30.0.1"


async def test_other_load_balancer_classes_are_left_alone():
    async with running(NAME, load_balancer_cidr="172.30.0.0/29") as cluster:
        cluster.api.add(SERVICES, service("a", loadBalancerClass="other/class"))
        await cluster.settled()
        assert address(cluster, "a") is None
