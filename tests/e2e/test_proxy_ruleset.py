"""Random changes: what incremental transactions leave in the kernel is what a rebuild would make."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import orjson
import pytest

from sampan.proxy.endpoints import Place
from sampan.proxy.family import IPV4
from sampan.proxy.options import NetworkOptions
from sampan.proxy.ruleset import Ruleset
from sampan.proxy.servicerules import ServiceRenderer
from tests.e2e.proxy_lab import Lab

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

OPTIONS = NetworkOptions(
    node_name="a",
    node_ip="192.0.2.1",
    cluster_cidr="10.42.0.0/16",
    service_cidr="10.96.0.0/16",
    bridge="b",
    dummy="d",
    vxlan="v",
    table="sampan-test",
    cni_conf_dir=Path("/nowhere"),
)


@pytest.fixture
def lab():
    found = Lab()
    try:
        yield found
    finally:
        found.close()


def nft(text: str) -> None:
    result = subprocess.run(["nft", "-f", "-"], input=text, capture_output=True, text=True)
    assert result.returncode == 0, f"{result.stderr}\n{text}"


def contents():
    """The table as sets of facts, free of handles and order."""
    listing = subprocess.run(
        ["nft", "-j", "list", "table", "ip", "sampan-test"], capture_output=True, check=True
    ).stdout
    facts, rules = set(), {}
    for entry in orjson.loads(listing)["nftables"]:
        for kind, value in entry.items():
            if kind == "rule":
                rules.setdefault(value["chain"], []).append(orjson.dumps(value["expr"]))
            elif kind in ("set", "map"):
                for element in value.get("elem") or ():
                    facts.add((value["name"], orjson.dumps(element)))
                facts.add((kind, value["name"]))
            elif kind == "chain":
                facts.add((kind, value["name"]))
    return facts, rules


def random_service(chance: random.Random, name: str):
    spec = {
        "clusterIP": f"10.96.1.{int(name[1:]) + 1}",
        "ports": [
            {"name": f"p{port}", "port": port, "protocol": chance.choice(["TCP", "UDP"]), "nodePort": node_port}
            for port, node_port in ((80, 30000 + int(name[1:]) * 2), (443, 0))[: chance.randint(1, 2)]
        ],
    }
    if chance.random() < 0.4:
        spec["sessionAffinity"] = "ClientIP"
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": chance.choice([10, 20])}}
    if chance.random() < 0.4:
        spec["externalTrafficPolicy"] = "Local"
    if chance.random() < 0.3:
        spec["internalTrafficPolicy"] = "Local"
    if chance.random() < 0.3:
        spec["externalIPs"] = [f"203.0.113.{chance.randint(1, 3)}"]
    status = {}
    if chance.random() < 0.5:
        spec["type"] = "LoadBalancer"
        status = {"loadBalancer": {"ingress": [{"ip": f"172.30.0.{int(name[1:]) + 1}"}]}}
        if chance.random() < 0.5:
            spec["loadBalancerSourceRanges"] = chance.sample(["198.51.100.0/24", "192.0.2.0/24"], chance.randint(1, 2))
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec, "status": status}


def random_slice(chance: random.Random, service):
    return {
        "addressType": "IPv4",
        "ports": [{"name": one["name"], "port": 8080, "protocol": one["protocol"]} for one in service["spec"]["ports"]],
        "endpoints": [
            {
                "addresses": [f"10.42.0.{chance.randint(2, 9)}"],
                "nodeName": chance.choice("ab"),
                "conditions": {"ready": chance.random() < 0.8},
            }
            for _ in range(chance.randint(0, 4))
        ],
    }


@pytest.mark.parametrize("seed", range(4))
def test_incremental_changes_end_where_a_rebuild_ends(lab, seed):
    chance = random.Random(seed)
    renderer = ServiceRenderer(OPTIONS, Place("a"))
    ruleset = Ruleset(OPTIONS, IPV4)
    nft(ruleset.rebuild())
    ruleset.applied()
    for _ in range(40):
        for _ in range(chance.randint(1, 4)):
            name = f"s{chance.randint(0, 7)}"
            service = random_service(chance, name)
            rendered = renderer.render(service, [random_slice(chance, service)])
            gone = chance.random() < 0.2
            ruleset.set_service(f"default/{name}", None if gone else rendered.fragments[IPV4])
        if text := ruleset.transaction():
            nft(text)
        ruleset.applied()
    incremental = contents()
    nft(ruleset.rebuild())
    assert incremental == contents()
