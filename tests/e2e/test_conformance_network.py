"""The network as pods and API clients see it: services, names, the proxy subresources, logs over WebSocket."""

from __future__ import annotations

import json

import pytest

from tests.e2e.machine import until
from tests.e2e.probes import Probes, pod

SERVE = """mkdir -p /www/cgi-bin; echo "<a href='/x'>$HOSTNAME</a>" > /www/index.html
printf '#!/bin/sh\\necho Content-type: text/plain; echo; echo $REQUEST_METHOD $QUERY_STRING' > /www/cgi-bin/x
chmod +x /www/cgi-bin/x; exec httpd -f -p 8080 -h /www"""


@pytest.fixture(scope="module")
def probes(machine, tmp_path_factory):
    probes = Probes(machine, "conformance-network", tmp_path_factory.mktemp("probe"))
    container = {
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"port": "http"}, "periodSeconds": 1},
    }
    web = {"metadata": {"labels": {"app": "web"}}, "container": container}
    probes.create(
        service("web", selector={"app": "web"}, ports=[{"name": "http", "port": 80, "targetPort": "http"}]),
        service("headless", clusterIP="None", selector={"app": "web"}, ports=[{"port": 8080}]),
        service("split", ports=[{"name": "a", "port": 80}, {"name": "b", "port": 81}]),
    )
    probes.running(
        pod("one", SERVE, hostname="first", subdomain="headless", **web), pod("two", SERVE, **web),
        pod("client", "sleep 600"),
    )  # fmt: skip
    yield probes
    probes.remove()


def service(name, **spec):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def fetch(probes, address, port):
    script = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {address} {port} | tail -1"
    return probes.kubectl("exec", "client", "--", "sh", "-c", script)


def test_session_affinity_can_be_turned_on_and_off(probes):
    address = probes.get("service", "web")["spec"]["clusterIP"]

    def answering():
        script = f"for i in 1 2 3 4 5 6 7 8 9 10 11 12; do printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc {address} 80; done"
        pages = probes.kubectl("exec", "client", "--", "sh", "-c", script)
        return {name for name in ("first", "two") if f">{name}<" in pages}

    until(lambda: answering() == {"first", "two"}, "both answer")
    for kind, count in (("ClientIP", 1), ("None", 2)):
        patch = json.dumps({"spec": {"sessionAffinity": kind}})
        probes.kubectl("patch", "service", "web", "--type=merge", "-p", patch)
        until(lambda count=count: len(answering()) == count, f"affinity {kind}")


def test_endpoint_slices_of_a_service_without_selector_are_used_port_by_port(probes):
    pods = {name: probes.get("pod", name)["status"]["podIP"] for name in ("one", "two")}
    for port, address in zip("ab", pods.values(), strict=True):
        slice_ = {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": f"split-{port}", "labels": {"kubernetes.io/service-name": "split"}},
            "ports": [{"name": port, "port": 8080}], "endpoints": [{"addresses": [address]}],
        }  # fmt: skip
        probes.create(slice_)
    address = probes.get("service", "split")["spec"]["clusterIP"]
    until(lambda: ">first<" in fetch(probes, address, 80), "first slice")
    until(lambda: ">two<" in fetch(probes, address, 81), "second slice")


def test_pods_and_services_have_names_both_ways(probes):
    zone = "conformance-network.svc.cluster.local"
    address = probes.get("pod", "one")["status"]["podIP"]
    assert probes.kubectl("exec", "one", "--", "hostname", "-f") == f"first.headless.{zone}\n"
    script = f"nslookup first.headless.{zone}; nslookup {address}; nslookup -type=srv _http._tcp.web.{zone}"
    answers = probes.kubectl("exec", "client", "--", "sh", "-c", script)
    assert f"Address: {address}" in answers
    assert f"name = first.headless.{zone}" in answers
    assert f"80 web.{zone}" in answers


@pytest.mark.parametrize(
    "target",
    ["pods/one:8080", "pods/http:one:8080", "services/web", "services/web:80", "services/http:web:http"],
)
def test_the_api_proxies_to_pods_and_services(probes, target):
    root = f"/api/v1/namespaces/conformance-network/{target}/proxy"
    page = probes.kubectl("get", "--raw", f"{root}/", in_namespace=False)
    assert f"href='{root}/x'" in page
    script = probes.kubectl("get", "--raw", f"{root}/cgi-bin/x?a=b", in_namespace=False)
    assert script == "GET a=b\n"
