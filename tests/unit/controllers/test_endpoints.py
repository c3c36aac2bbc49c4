"""Endpoints and EndpointSlices follow services and pods."""

from sampan.client.resources import ENDPOINTS, ENDPOINTSLICES, NODES, PODS, SERVICES

from .harness import running

BOTH = ("endpoints-controller", "endpointslice-controller")


def service(**spec):
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default", "labels": {"team": "a"}},
        "spec": {
            "selector": {"app": "web"},
            "clusterIP": "10.96.0.7",
            "ipFamilies": ["IPv4"],
            "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}],
            **spec,
        },
    }


def pod(number, *, ready=True, **metadata):
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2023-11-14T22:13:20Z"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"web-{number}", "namespace": "default", "labels": {"app": "web"}, **metadata},
        "spec": {
            "nodeName": "n",
            "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]}],
        },
        "status": {
            "phase": "Running",
            "podIPs": [{"ip": f"10.244.{number // 200}.{number % 200}"}],
            "conditions": [condition],
        },
    }


def with_node(api):
    labels = {"topology.kubernetes.io/zone": "z"}
    api.add(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": labels}})


async def test_ready_and_unready_pods_are_told_apart():
    async with running(*BOTH, prepare=with_node) as cluster:
        cluster.api.add(SERVICES, service())
        cluster.api.add(PODS, pod(1))
        cluster.api.add(PODS, pod(2, ready=False))
        await cluster.settled()
        (subset,) = cluster.api.get(ENDPOINTS, "default", "web")["subsets"]
        assert [one["ip"] for one in subset["addresses"]] == ["10.244.0.1"]
        assert [one["ip"] for one in subset["notReadyAddresses"]] == ["10.244.0.2"]
        assert subset["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
        (slice_,) = cluster.api.all(ENDPOINTSLICES)
        assert slice_["metadata"]["labels"] == {
            "team": "a",
            "kubernetes.io/service-name": "web",
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        }
        ready = {one["addresses"][0]: one["conditions"] for one in slice_["endpoints"]}
        assert ready["10.244.0.1"] == {"ready": True, "serving": True, "terminating": False}
        assert ready["10.244.0.2"] == {"ready": False, "serving": False, "terminating": False}
        assert {one["zone"] for one in slice_["endpoints"]} == {"z"}


async def test_terminating_pod_leaves_endpoints_and_stays_serving_in_slices():
    async with running(*BOTH, prepare=with_node) as cluster:
        cluster.api.add(SERVICES, service())
        cluster.api.add(PODS, pod(1))
        await cluster.settled()
        await cluster.client.resource(PODS, "default").delete("web-1")
        await cluster.settled()
        assert cluster.api.get(ENDPOINTS, "default", "web")["subsets"] == []
        (endpoint,) = cluster.api.all(ENDPOINTSLICES)[0]["endpoints"]
        assert endpoint["conditions"] == {"ready": False, "serving": True, "terminating": True}
        cluster.api.remove(PODS, "default", "web-1")
        await cluster.settled()
        (slice_,) = cluster.api.all(ENDPOINTSLICES)
        assert slice_["endpoints"] == []


async def test_service_without_pods_has_a_placeholder_and_no_selector_means_nothing():
    async with running(*BOTH) as cluster:
        cluster.api.add(SERVICES, service())
        other = service(selector=None)
        other["metadata"]["name"] = "manual"
        cluster.api.add(SERVICES, other)
        await cluster.settled()
        (slice_,) = cluster.api.all(ENDPOINTSLICES)
        assert (slice_["endpoints"], slice_["ports"]) == ([], [])
        assert [one["metadata"]["name"] for one in cluster.api.all(ENDPOINTS)] == ["web"]


async def test_many_pods_fill_slices_of_a_hundred_and_one_change_writes_one_slice():
    def prepare(api):
        with_node(api)
        for number in range(1, 251):
            api.add(PODS, pod(number))
        api.add(SERVICES, service())

    async with running(*BOTH, prepare=prepare) as cluster:
        sizes = sorted(len(one["endpoints"]) for one in cluster.api.all(ENDPOINTSLICES))
        assert sizes == [50, 100, 100]
        before = len(cluster.api.writes)
        cluster.api.remove(PODS, "default", "web-7")
        await cluster.advance(1)
        writes = [one for one in cluster.api.writes[before:] if one.resource == ENDPOINTSLICES]
        assert len(writes) == 1
        cluster.api.add(PODS, pod(300))
        await cluster.advance(1)
        assert sum(len(one["endpoints"]) for one in cluster.api.all(ENDPOINTSLICES)) == 250
        assert len(cluster.api.all(ENDPOINTSLICES)) == 3


async def test_change_of_a_pod_that_no_service_cares_for_writes_nothing():
    async with running(*BOTH, prepare=with_node) as cluster:
        cluster.api.add(SERVICES, service())
        cluster.api.add(PODS, pod(1))
        await cluster.settled()
        before = len(cluster.api.writes)
        cluster.api.change(PODS, "default", "web-1", lambda obj: obj["metadata"].update(annotations={"a": "b"}))
        await cluster.settled()
        assert len(cluster.api.writes) == before


async def test_deleted_slice_is_made_again_and_foreign_change_undone():
    async with running(*BOTH, prepare=with_node) as cluster:
        cluster.api.add(SERVICES, service())
        cluster.api.add(PODS, pod(1))
        await cluster.settled()
        name = cluster.api.all(ENDPOINTSLICES)[0]["metadata"]["name"]
        cluster.api.remove(ENDPOINTSLICES, "default", name)
        await cluster.settled()
        (slice_,) = cluster.api.all(ENDPOINTSLICES)
        assert len(slice_["endpoints"]) == 1

        def spoil(obj):
            obj["endpoints"] = []
            obj["metadata"]["generation"] += 1

        cluster.api.change(ENDPOINTSLICES, "default", slice_["metadata"]["name"], spoil)
        await cluster.settled()
        assert len(cluster.api.all(ENDPOINTSLICES)[0]["endpoints"]) == 1


async def test_hints_follow_the_traffic_distribution():
    async with running(*BOTH, prepare=with_node) as cluster:
        cluster.api.add(SERVICES, service(trafficDistribution="PreferSameNode"))
        cluster.api.add(PODS, pod(1))
        await cluster.settled()
        (endpoint,) = cluster.api.all(ENDPOINTSLICES)[0]["endpoints"]
        assert endpoint["hints"] == {"forZones": [{"name": "z"}], "forNodes": [{"name": "n"}]}
        cluster.api.change(SERVICES, "default", "web", lambda obj: obj["spec"].pop("trafficDistribution"))
        await cluster.settled()
        (endpoint,) = cluster.api.all(ENDPOINTSLICES)[0]["endpoints"]
        assert "hints" not in endpoint


async def test_headless_service_names_hosts_and_deleted_service_takes_its_endpoints():
    async with running(*BOTH, prepare=with_node) as cluster:
        one = pod(1)
        one["spec"].update(hostname="h", subdomain="web")
        cluster.api.add(PODS, one)
        cluster.api.add(SERVICES, service(clusterIP="None", ports=None))
        await cluster.settled()
        (endpoint,) = cluster.api.all(ENDPOINTSLICES)[0]["endpoints"]
        assert endpoint["hostname"] == "h"
        endpoints = cluster.api.get(ENDPOINTS, "default", "web")
        assert endpoints["metadata"]["labels"]["service.kubernetes.io/headless"] == ""
        assert endpoints["subsets"][0]["addresses"][0]["hostname"] == "h"
        cluster.api.remove(SERVICES, "default", "web")
        await cluster.settled()
        assert cluster.api.all(ENDPOINTS) == []
