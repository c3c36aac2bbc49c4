"""From services and endpoint slices to rules: who gets traffic, and what a change costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from sampan.proxy.cni import conflist
from sampan.proxy.endpoints import Place, choose, endpoints_of
from sampan.proxy.family import IPV4, IPV6, split_cidrs
from sampan.proxy.hostport import render_host_ports
from sampan.proxy.options import NetworkOptions
from sampan.proxy.podnetwork import pod_rules, tunnel_mac
from sampan.proxy.ruleset import Ruleset
from sampan.proxy.serviceport import health_check_node_port, is_proxied, service_ports
from sampan.proxy.servicerules import ServiceRenderer

OPTIONS = NetworkOptions(
    node_name="a",
    node_ip="192.0.2.1",
    cluster_cidr="10.42.0.0/16,fd00:42::/48",
    service_cidr="10.96.0.0/16,fd00:96::/112",
    bridge="b",
    dummy="d",
    vxlan="v",
    table="t",
    dns_address="10.96.0.10",
    cni_conf_dir=Path("/nowhere"),
)
HERE = Place("a", "z1")


def service(name="web", ip="10.96.0.1", **spec):
    port = {"port": 80, "protocol": "TCP", "nodePort": spec.pop("node_port", 0)}
    status = {"loadBalancer": {"ingress": spec.pop("ingress", [])}}
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"clusterIP": ip, "clusterIPs": [ip], "ports": [port], **spec},
        "status": status,
    }


def endpoint(address, node="a", *, hints=None, **conditions):
    return {"addresses": [address], "nodeName": node, "conditions": conditions, **({"hints": hints} if hints else {})}


def endpoint_slice(*endpoints, family="IPv4"):
    return {"addressType": family, "ports": [{"port": 8080, "protocol": "TCP"}], "endpoints": list(endpoints)}


def chosen(*endpoints, place=HERE, **spec):
    port = service_ports(service(**spec), IPV4)[0]
    choice = choose(port, endpoints_of([endpoint_slice(*endpoints)], "", "tcp", IPV4, place), place)
    return [one.ip for one in choice.cluster], [one.ip for one in choice.local]


def test_endpoints_without_conditions_are_ready():
    assert chosen({"addresses": ["10.0.0.1"]}) == (["10.0.0.1"], [])


def test_terminating_endpoints_serve_only_when_no_other_is_ready():
    leaving = endpoint("10.0.0.1", ready=False, serving=True, terminating=True)
    assert chosen(leaving, endpoint("10.0.0.2", ready=True))[0] == ["10.0.0.2"]
    assert chosen(leaving, endpoint("10.0.0.3", ready=False, serving=False, terminating=True))[0] == ["10.0.0.1"]


def test_local_policy_keeps_to_the_node_and_falls_back_to_its_terminating_ones():
    far = endpoint("10.0.0.9", "b", ready=True)
    leaving = endpoint("10.0.0.1", ready=False, serving=True, terminating=True)
    assert chosen(far, leaving, externalTrafficPolicy="Local") == (["10.0.0.9"], ["10.0.0.1"])


def test_hints_count_only_when_every_endpoint_has_them():
    near = endpoint("10.0.0.1", hints={"forZones": [{"name": "z1"}]})
    far = endpoint("10.0.0.2", hints={"forZones": [{"name": "z2"}]})
    assert chosen(near, far)[0] == ["10.0.0.1"]
    assert chosen(near, far, endpoint("10.0.0.3"))[0] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert chosen(far, place=HERE)[0] == ["10.0.0.2"]


@pytest.mark.parametrize(
    ("change", "proxied"),
    [
        ({}, True),
        ({"clusterIP": "None"}, False),
        ({"type": "ExternalName"}, False),
    ],
)
def test_headless_and_external_name_services_are_not_proxied(change, proxied):
    one = service()
    one["spec"].update(change)
    assert is_proxied(one) is proxied
    labelled = service()
    labelled["metadata"]["labels"] = {"service.kubernetes.io/service-proxy-name": "other"}
    assert not is_proxied(labelled)


def test_health_check_port_is_only_of_local_load_balancers():
    spec = {"type": "LoadBalancer", "healthCheckNodePort": 31000}
    assert health_check_node_port(service(externalTrafficPolicy="Local", **spec)) == 31000
    assert health_check_node_port(service(**spec)) == 0


def rules_for(one, *slices, family=IPV4):
    rendered = ServiceRenderer(OPTIONS, HERE).render(one, slices)
    return rendered.fragments[family]


def test_ipv6_targets_are_bracketed_and_only_in_their_table():
    one = service(ip="fd00:96::1")
    slices = endpoint_slice(endpoint("fd00:42::2"), family="IPv6")
    assert rules_for(one, slices).chains == {}
    (rules,) = rules_for(one, slices, family=IPV6).chains.values()
    assert rules == ("meta l4proto tcp dnat ip6 to [fd00:42::2]:8080",)


def test_proxied_load_balancer_addresses_are_not_rendered():
    ingress = [{"ip": "172.30.0.1", "ipMode": "Proxy"}, {"ip": "172.30.0.2"}]
    one = service(type="LoadBalancer", ingress=ingress)
    keys = {key for _, key in rules_for(one, endpoint_slice(endpoint("10.42.0.2"))).elements}
    assert "172.30.0.2 . tcp . 80" in keys
    assert "172.30.0.1 . tcp . 80" not in keys


def test_the_dns_address_of_the_node_is_left_to_its_server():
    assert rules_for(service(ip="10.96.0.10"), endpoint_slice(endpoint("10.42.0.2"))).elements == {}


def test_a_change_of_endpoints_touches_only_its_service():
    ruleset = Ruleset(OPTIONS, IPV4)
    for number in range(50):
        fragment = rules_for(service(f"s{number}", f"10.96.1.{number}"), endpoint_slice(endpoint(f"10.42.0.{number}")))
        ruleset.set_service(f"default/s{number}", fragment)
    ruleset.rebuild()
    ruleset.applied()
    assert ruleset.transaction() == ""
    ruleset.set_service("default/s7", rules_for(service("s7", "10.96.1.7"), endpoint_slice(endpoint("10.42.9.9"))))
    lines = ruleset.transaction().splitlines()
    assert len(lines) == 4  # hairpin element out, chain flushed, rule in, hairpin element in
    assert all("s7" in line or "hairpin" in line for line in lines)


def test_change_that_is_taken_back_before_it_was_applied_costs_nothing():
    ruleset = Ruleset(OPTIONS, IPV4)
    before = rules_for(service(), endpoint_slice(endpoint("10.42.0.2")))
    ruleset.set_service("default/web", before)
    ruleset.rebuild()
    ruleset.applied()
    ruleset.set_service("default/web", None)
    ruleset.set_service("default/web", before)
    assert ruleset.transaction() == ""


def test_address_claimed_twice_passes_to_the_next_when_the_first_goes():
    ruleset = Ruleset(OPTIONS, IPV4)
    slices = endpoint_slice(endpoint("10.42.0.2"))
    for name, ip in (("one", "10.96.0.1"), ("two", "10.96.0.2")):
        ruleset.set_service(f"default/{name}", rules_for(service(name, ip, externalIPs=["203.0.113.1"]), slices))
    text = ruleset.rebuild()
    assert text.count("203.0.113.1 . tcp . 80 : goto ext-") == 1
    ruleset.applied()
    ruleset.set_service("default/one", None)
    added = [line for line in ruleset.transaction().splitlines() if line.startswith("add element ip t service-ips")]
    assert "203.0.113.1 . tcp . 80 : goto ext-" in added[0]
    assert "default/two" in added[0]


def test_host_ports_need_an_address_and_a_network_of_their_own():
    port = {"containerPort": 80, "hostPort": 8080, "protocol": "UDP", "hostIP": "192.0.2.1"}
    pod = {
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [{"ports": [port]}]},
        "status": {"podIP": "10.42.0.2"},
    }
    rendered = render_host_ports(pod, OPTIONS.families)
    assert rendered.fragments[IPV4].elements["service-ips", "192.0.2.1 . udp . 8080"].startswith("goto hp-")
    assert rendered.fragments[IPV6].elements == {}
    assert rendered.udp[IPV4].addresses
    assert render_host_ports({**pod, "status": {}}, OPTIONS.families) is None
    pod["spec"]["hostNetwork"] = True
    assert render_host_ports(pod, OPTIONS.families) is None


def test_names_of_chains_stay_within_the_kernels_limits():
    one = service("n" * 63)
    one["metadata"]["namespace"] = "s" * 63
    fragment = rules_for(one, endpoint_slice(endpoint("10.42.0.2")))
    assert all(len(name) <= 120 for name in fragment.chains)


def test_pod_rules_masquerade_only_what_leaves_the_cluster():
    text = pod_rules(OPTIONS)
    assert "ip saddr 10.42.0.0/16 ip daddr != { 10.42.0.0/16, 224.0.0.0/4 } masquerade" in text
    assert "ip6 saddr fd00:42::/48" in text


def test_tunnel_mac_is_unicast_and_local():
    first = int(tunnel_mac("192.0.2.1").split(":")[0], 16)
    assert first & 0x03 == 0x02


def test_dual_stack_network_configuration_has_a_range_and_a_default_route_of_each_family():
    conf = conflist(OPTIONS, ("10.42.1.0/24", "fd00:42:0:1::/64"), 1450)
    ipam = conf["plugins"][0]["ipam"]
    assert len(ipam["ranges"]) == 2
    assert [one["dst"] for one in ipam["routes"]] == ["0.0.0.0/0", "::/0"]


def test_cidr_lists_are_checked():
    assert split_cidrs("10.1.2.3/16, fd00::/48") == ("10.1.0.0/16", "fd00::/48")
    with pytest.raises(ValueError, match="bad"):
        split_cidrs("bad")
