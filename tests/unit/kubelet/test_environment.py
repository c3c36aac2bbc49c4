from __future__ import annotations

import base64

import pytest

from sampan.kubelet import hostsfile
from sampan.kubelet.downward import DownwardError, container_resource, pod_field
from sampan.kubelet.environment import ContainerConfigError, Surroundings, environment
from sampan.kubelet.expansion import expand
from sampan.kubelet.resources import container_resources, cpu_quota, cpu_shares, oom_score
from sampan.kubelet.services import service_environment
from tests.unit.kubelet.fakes import FakeObjects, make_pod

AROUND = Surroundings(ips=["10.0.0.5"], host_ips=["192.0.2.1"], allocatable={"cpu": "2", "memory": "1Gi"})


def test_references_are_expanded_and_unknown_ones_stay() -> None:
    assert expand("$(A)-$(B)-$$(A)-$A", {"A": "1"}) == "1-$(B)-$(A)-$A"


async def test_later_sources_win_and_see_earlier_ones() -> None:
    objects = FakeObjects()
    objects.config_maps["cm"] = {"data": {"A": "from", "B": "from"}}
    objects.secrets["s"] = {"data": {"k": base64.b64encode(b"hush").decode()}}
    container = {
        "name": "c",
        "envFrom": [{"configMapRef": {"name": "cm"}, "prefix": "P_"}, {"configMapRef": {"name": "cm"}}],
        "env": [
            {"name": "A", "value": "own"},
            {"name": "C", "value": "$(A)/$(SVC)"},
            {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "NO", "valueFrom": {"configMapKeyRef": {"name": "x", "key": "k", "optional": True}}},
        ],
    }
    around = Surroundings(ips=["10.0.0.5"], host_ips=[], allocatable={}, services={"SVC": "svc", "A": "svc"})
    found = await environment(make_pod(), container, objects, around)
    assert found == {
        "P_A": "from", "P_B": "from", "A": "own", "B": "from", "C": "own/svc", "S": "hush", "IP": "10.0.0.5",
        "SVC": "svc",
    }  # fmt: skip


async def test_absent_key_is_named() -> None:
    objects = FakeObjects()
    objects.config_maps["cm"] = {"data": {}}
    container = {"name": "c", "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "k"}}}]}
    with pytest.raises(ContainerConfigError, match="couldn't find key k in ConfigMap default/cm"):
        await environment(make_pod(), container, objects, AROUND)


def test_resources_are_divided_and_rounded_up() -> None:
    pod = make_pod()
    pod["spec"]["containers"][0]["resources"] = {"limits": {"memory": "1500Ki", "cpu": "250m"}}
    assert container_resource(pod, {"resource": "limits.memory", "divisor": "1Mi"}, "c", {}) == "2"
    assert container_resource(pod, {"resource": "limits.cpu", "divisor": "1m"}, "c", {}) == "250"
    assert container_resource(pod, {"resource": "limits.cpu"}, "c", {}) == "1"
    pod["spec"]["containers"][0].pop("resources")
    assert container_resource(pod, {"resource": "limits.memory"}, "c", {"memory": "1Gi"}) == str(1 << 30)


def test_fields_of_the_pod() -> None:
    pod = make_pod()
    pod["metadata"]["annotations"] = {"b": 'say "hi"\n', "a": "1"}
    assert pod_field(pod, "metadata.annotations", ips=[], host_ips=[]) == 'a="1"\nb="say \\"hi\\"\\n"'
    assert pod_field(pod, "metadata.labels['app']", ips=[], host_ips=[]) == "p"
    with pytest.raises(DownwardError):
        pod_field(pod, "spec.containers", ips=[], host_ips=[])


def service(name: str, namespace: str, ip: str, *ports: dict[str, object]) -> dict[str, object]:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterIP": ip, "ports": list(ports)}}


def test_services_become_variables() -> None:
    services = [
        service("kubernetes", "default", "10.96.0.1", {"name": "https", "port": 443, "protocol": "TCP"}),
        service("my-db", "app", "10.96.0.7", {"port": 5432}),
        service("headless", "app", "None", {"port": 1}),
        service("other", "elsewhere", "10.96.0.8", {"port": 1}),
    ]
    found = service_environment(services, "app", links=True)
    assert found["KUBERNETES_SERVICE_PORT_HTTPS"] == "443"
    assert found["MY_DB_SERVICE_HOST"] == "10.96.0.7"
    assert found["MY_DB_PORT_5432_TCP"] == "tcp://10.96.0.7:5432"
    assert not any(name.startswith(("HEADLESS", "OTHER")) for name in found)
    assert "MY_DB_SERVICE_HOST" not in service_environment(services, "app", links=False)


def test_cpu_and_memory_become_cgroup_settings() -> None:
    assert (cpu_shares(0), cpu_shares(250), cpu_shares(1)) == (2, 256, 2)
    assert (cpu_quota(0), cpu_quota(500), cpu_quota(1)) == (0, 50_000, 1000)
    pod = make_pod()
    container = pod["spec"]["containers"][0]
    container["resources"] = {"limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"memory": "32Mi"}}
    made = container_resources(pod, container, "Burstable", 1 << 30)
    assert (made.cpu_shares, made.cpu_quota, made.memory_limit) == (512, 50_000, 64 << 20)
    assert oom_score(pod, container, "Burstable", 1 << 30) == 1000 - 31
    assert oom_score(pod, container, "Guaranteed", 1 << 30) == -997
    assert oom_score(pod, container, "BestEffort", 1 << 30) == 1000


def test_hosts_file_names_the_pod_and_its_aliases() -> None:
    pod = make_pod(subdomain="sub", hostAliases=[{"ip": "1.2.3.4", "hostnames": ["a", "b"]}])
    text = hostsfile.hosts_content(pod, ["10.0.0.5"], "cluster.local")
    assert "10.0.0.5\tp.sub.default.svc.cluster.local\tp\n" in text
    assert text.endswith("# Entries added by HostAliases.\n1.2.3.4\ta\tb\n")


def test_dns_follows_policy_and_config(tmp_path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 192.0.2.53\nsearch example.com\noptions timeout:1\n")
    pod = make_pod(dnsConfig={"searches": ["extra"], "options": [{"name": "ndots", "value": "2"}]})
    made = hostsfile.dns_config(pod, ["10.96.0.10"], "cluster.local", conf)
    assert made.servers == ["10.96.0.10"]
    assert made.searches == ["default.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.com", "extra"]
    assert made.options == ["ndots:2"]
    default = hostsfile.dns_config(make_pod(dnsPolicy="Default"), ["10.96.0.10"], "cluster.local", conf)
    assert (default.servers, default.searches, default.options) == (["192.0.2.53"], ["example.com"], ["timeout:1"])
    host = hostsfile.dns_config(make_pod(hostNetwork=True), ["10.96.0.10"], "cluster.local", conf)
    assert host.servers == ["192.0.2.53"]
