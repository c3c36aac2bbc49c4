"""A HorizontalPodAutoscaler on the whole control plane: limits hold, and what is missing is told in its status."""

import asyncio

from sampan.client.resources import DEPLOYMENTS, HORIZONTALPODAUTOSCALERS
from sampan.testing import Cluster

TEMPLATE = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


async def until(cluster, gvr, condition):
    resource = cluster.client.resource(gvr, "default")
    async with asyncio.timeout(20):
        while True:
            found = await resource.list()
            objects = [item.object for item in found.items]
            if condition(objects):
                return objects
            async with resource.watch(resource_version=found.resource_version) as events:
                await anext(events)


async def test_autoscaler_scales_into_its_limits_and_tells_that_there_are_no_metrics():
    async with Cluster(scheduler=False) as cluster:
        spec = {"replicas": 5, "selector": {"matchLabels": {"app": "x"}}, "template": TEMPLATE}
        deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}
        await cluster.client.resource(DEPLOYMENTS, "default").create(deployment)
        metric = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}
        metric["resource"]["target"]["averageUtilization"] = 50
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
        spec = {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": 3, "metrics": [metric]}
        scaler = {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "h"},
            "spec": spec,
        }
        resource = cluster.client.resource(HORIZONTALPODAUTOSCALERS, "default")
        await resource.create(scaler)
        await until(cluster, DEPLOYMENTS, lambda found: found[0]["spec"]["replicas"] == 3)
        await resource.patch("h", {"spec": {"maxReplicas": 4}})

        def told(found):
            conditions = found[0].get("status", {}).get("conditions") or ()
            return any(one["type"] == "ScalingActive" and one["status"] == "False" for one in conditions)

        (found,) = await until(cluster, HORIZONTALPODAUTOSCALERS, told)
        assert found["status"]["desiredReplicas"] == 3
        reasons = {one["type"]: one["reason"] for one in found["status"]["conditions"]}
        assert reasons["ScalingActive"] == "FailedGetResourceMetric"
