"""Mirrored EndpointSlices; Jobs that go when their time is over."""

from sampan.client.resources import ENDPOINTS, ENDPOINTSLICES, JOBS, SERVICES

from .harness import running

MIRRORING = "endpointslice-mirroring-controller"


def service(selector=None):
    spec = {"ports": [{"port": 80}]}
    if selector:
        spec["selector"] = selector
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db", "namespace": "default"}, "spec": spec}


def endpoints(*addresses, labels=None):
    subset = {"addresses": [{"ip": one} for one in addresses], "ports": [{"port": 5432, "protocol": "TCP"}]}
    metadata = {"name": "db", "namespace": "default", "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": [subset]}


async def test_endpoints_of_a_service_without_selector_are_mirrored():
    async with running(MIRRORING) as cluster:
        cluster.api.add(SERVICES, service())
        cluster.api.add(ENDPOINTS, endpoints("10.0.0.1", "fd00::1", labels={"a": "b"}))
        await cluster.settled()
        slices = {one["addressType"]: one for one in cluster.api.all(ENDPOINTSLICES)}
        assert sorted(slices) == ["IPv4", "IPv6"]
        assert slices["IPv4"]["endpoints"] == [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}]
        assert slices["IPv4"]["metadata"]["labels"]["a"] == "b"
        cluster.api.change(ENDPOINTS, "default", "db", lambda obj: obj.update(endpoints("10.0.0.2", "10.0.0.3")))
        await cluster.advance(1)
        (left,) = [one for one in cluster.api.all(ENDPOINTSLICES) if one["endpoints"]]
        assert sorted(one["addresses"][0] for one in left["endpoints"]) == ["10.0.0.2", "10.0.0.3"]
        cluster.api.remove(ENDPOINTS, "default", "db")
        await cluster.advance(1)
        assert cluster.api.all(ENDPOINTSLICES) == []


async def test_other_endpoints_are_not_mirrored():
    async with running(MIRRORING) as cluster:
        cluster.api.add(SERVICES, service({"app": "x"}))
        cluster.api.add(ENDPOINTS, endpoints("10.0.0.1"))
        await cluster.settled()
        assert cluster.api.all(ENDPOINTSLICES) == []
        cluster.api.change(SERVICES, "default", "db", lambda obj: obj["spec"].pop("selector"))
        skip = {"endpointslice.kubernetes.io/skip-mirror": "true"}
        cluster.api.change(ENDPOINTS, "default", "db", lambda obj: obj["metadata"].update(labels=skip))
        await cluster.settled()
        assert cluster.api.all(ENDPOINTSLICES) == []


async def test_finished_job_goes_when_its_time_is_over():
    async with running("ttl-after-finished-controller") as cluster:
        stamp = "2023-11-14T22:13:20Z"
        conditions = [{"type": "Complete", "status": "True", "lastTransitionTime": stamp}]
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "work", "namespace": "default"},
            "spec": {"ttlSecondsAfterFinished": 60},
            "status": {},
        }
        cluster.api.add(JOBS, job)
        await cluster.advance(100)
        cluster.api.change(JOBS, "default", "work", lambda obj: obj["spec"].update(ttlSecondsAfterFinished=160))
        cluster.api.change(JOBS, "default", "work", lambda obj: obj["status"].update(conditions=conditions))
        await cluster.advance(59)
        assert "deletionTimestamp" not in cluster.api.get(JOBS, "default", "work")["metadata"]
        await cluster.advance(2)
        assert "deletionTimestamp" in cluster.api.get(JOBS, "default", "work")["metadata"]
