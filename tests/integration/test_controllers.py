"""Controllers against the real API server, in one process, over the local transport."""

import asyncio
from contextlib import asynccontextmanager

from sampan.apiserver.authn.user import MASTERS, User
from sampan.apiserver.local import LocalTransport
from sampan.apiserver.server import APIServer, ServerOptions
from sampan.base.clock import RealClock
from sampan.client.client import Client
from sampan.client.item import copy_object
from sampan.client.resources import (
    CLUSTERROLES,
    CONFIGMAPS,
    DAEMONSETS,
    DEPLOYMENTS,
    ENDPOINTS,
    ENDPOINTSLICES,
    EVENTS,
    NAMESPACES,
    NODES,
    PODS,
    REPLICASETS,
    REPLICATIONCONTROLLERS,
    SERVICEACCOUNTS,
    SERVICES,
    STATEFULSETS,
)
from sampan.controllers import ControllerContext, ControllerOptions, build
from sampan.runtime import Manager

TEMPLATE = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


class Cluster:
    def __init__(self, api):
        self.client = Client(
            LocalTransport(api, User("system:kube-controller-manager", groups=(MASTERS,)).authenticated())
        )
        options = ControllerOptions(root_ca=api.ca, signer=api.credentials.ca, load_balancer_cidr="172.30.0.0/24")
        self.context = ControllerContext(self.client, clock=RealClock(), options=options)
        self.manager = Manager(self.context.informers, build(self.context), events=self.context.events)

    def resource(self, gvr, namespace="default"):
        return self.client.resource(gvr, namespace)

    async def items(self, gvr, namespace="default"):
        return [item.object for item in (await self.resource(gvr, namespace).list()).items]

    async def until(self, gvr, condition, namespace="default"):
        """Return the objects of a resource once the condition holds for their list."""
        async with asyncio.timeout(20):
            while True:
                found = await self.resource(gvr, namespace).list()
                objects = [item.object for item in found.items]
                if condition(objects):
                    return objects
                async with self.resource(gvr, namespace).watch(resource_version=found.resource_version) as events:
                    await anext(events)

    async def make_ready(self, pod, address, node="n1"):
        name = pod["metadata"]["name"]
        target = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name},
            "target": {"kind": "Node", "name": node},
        }
        await self.resource(PODS).create(target, name=name, subresource="binding")
        status = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        }
        await self.resource(PODS).patch_status(name, {"status": status})


@asynccontextmanager
async def running():
    async with APIServer(ServerOptions(), RealClock()) as api, asyncio.TaskGroup() as group:
        cluster = Cluster(api)
        task = group.create_task(cluster.manager.run())
        try:
            await cluster.until(
                SERVICEACCOUNTS, lambda found: any(one["metadata"]["name"] == "default" for one in found)
            )
            yield cluster
        finally:
            task.cancel()


def owner(kind, replicas, selector, **spec):
    version = "v1" if kind == "ReplicationController" else "apps/v1"
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": "x"},
        "spec": {"replicas": replicas, "selector": selector, "template": TEMPLATE, **spec},
    }


async def test_fresh_cluster_gets_accounts_certificates_and_aggregated_roles():
    async with running() as cluster:
        await cluster.until(
            CONFIGMAPS, lambda found: any(one["metadata"]["name"] == "kube-root-ca.crt" for one in found)
        )
        roles = await cluster.until(
            CLUSTERROLES,
            lambda found: any(one["metadata"]["name"] == "view" and one.get("rules") for one in found),
            namespace="",
        )
        assert roles


async def test_replication_controller_scales_heals_and_goes_with_its_pods():
    async with running() as cluster:
        await cluster.resource(REPLICATIONCONTROLLERS).create(owner("ReplicationController", 20, {"app": "x"}))
        pods = await cluster.until(PODS, lambda found: len(found) == 20)
        await cluster.resource(PODS).delete(pods[0]["metadata"]["name"])
        gone = pods[0]["metadata"]["name"]
        await cluster.until(
            PODS, lambda found: len(found) == 20 and gone not in [one["metadata"]["name"] for one in found]
        )
        scale = await cluster.resource(REPLICATIONCONTROLLERS).get("x", subresource="scale")
        scale["spec"]["replicas"] = 3
        del scale["metadata"]["resourceVersion"]  # the controller may have written the status meanwhile
        await cluster.resource(REPLICATIONCONTROLLERS).update(scale, subresource="scale")
        await cluster.until(PODS, lambda found: len(found) == 3)
        (found,) = await cluster.until(REPLICATIONCONTROLLERS, lambda found: found[0]["status"]["replicas"] == 3)
        assert found["status"]["observedGeneration"] == 2
        await cluster.until(EVENTS, lambda found: "SuccessfulDelete" in [one["reason"] for one in found])
        await cluster.resource(REPLICATIONCONTROLLERS).delete("x", propagation="Background")
        await cluster.until(PODS, lambda found: not found)


async def test_service_gets_address_and_endpoints_that_follow_readiness():
    async with running() as cluster:
        await cluster.resource(NODES, "").create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"type": "LoadBalancer", "selector": {"app": "x"}, "ports": [{"port": 80, "targetPort": 8080}]},
        }
        await cluster.resource(SERVICES).create(service)
        await cluster.resource(REPLICASETS).create(owner("ReplicaSet", 1, {"matchLabels": {"app": "x"}}))
        (pod,) = await cluster.until(PODS, lambda found: len(found) == 1)
        await cluster.make_ready(pod, "10.244.0.9")

        def serves(found):
            mine = [one for one in found if one["metadata"]["name"].startswith("web")]
            return any(one.get("endpoints") or one.get("subsets") for one in mine)

        slices = await cluster.until(ENDPOINTSLICES, serves)
        (web,) = [one for one in slices if one["metadata"]["name"].startswith("web")]
        assert web["endpoints"][0]["addresses"] == ["10.244.0.9"]
        assert web["endpoints"][0]["conditions"] == {"ready": True, "serving": True, "terminating": False}
        assert web["ports"] == [{"name": "", "port": 8080, "protocol": "TCP"}]
        await cluster.until(ENDPOINTS, serves)
        await cluster.until(
            SERVICES,
            lambda found: any((one["status"].get("loadBalancer") or {}).get("ingress") for one in found),
        )


async def test_deployment_rolls_out_and_is_collected_in_the_foreground():
    async with running() as cluster:
        await cluster.resource(NODES, "").create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
        await cluster.resource(DEPLOYMENTS).create(owner("Deployment", 2, {"matchLabels": {"app": "x"}}))
        pods = await cluster.until(PODS, lambda found: len(found) == 2)
        for number, pod in enumerate(pods):
            await cluster.make_ready(pod, f"10.244.0.{number + 1}")

        def complete(found):
            conditions = {one["type"]: one for one in found[0]["status"].get("conditions", [])}
            return conditions.get("Progressing", {}).get("reason") == "NewReplicaSetAvailable"

        (found,) = await cluster.until(DEPLOYMENTS, complete)
        assert found["status"]["availableReplicas"] == 2
        changed = copy_object(found)
        changed["spec"]["template"]["spec"]["containers"][0]["image"] = "i2"
        await cluster.resource(DEPLOYMENTS).patch("x", {"spec": {"template": changed["spec"]["template"]}})
        await cluster.until(REPLICASETS, lambda found: len(found) == 2)
        await cluster.resource(DEPLOYMENTS).delete("x", propagation="Foreground")
        for pod in await cluster.items(PODS):
            await cluster.resource(PODS).delete(pod["metadata"]["name"], grace_period_seconds=0)
        await cluster.until(DEPLOYMENTS, lambda found: not found)
        assert await cluster.items(REPLICASETS) == []


async def test_stateful_and_daemon_sets_make_their_pods():
    async with running() as cluster:
        await cluster.resource(NODES, "").create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
        await cluster.resource(STATEFULSETS).create(
            owner("StatefulSet", 2, {"matchLabels": {"app": "x"}}, serviceName="x", podManagementPolicy="Parallel")
        )
        await cluster.until(PODS, lambda found: [one["metadata"]["name"] for one in found] == ["x-0", "x-1"])
        daemon = owner("DaemonSet", 1, {"matchLabels": {"app": "x"}})
        del daemon["spec"]["replicas"]
        await cluster.resource(DAEMONSETS).create(daemon)
        await cluster.until(
            DAEMONSETS, lambda found: found[0]["status"].get("desiredNumberScheduled") == 1 and len(found) == 1
        )
        await cluster.until(PODS, lambda found: len(found) == 3)


async def test_namespace_goes_with_everything_in_it():
    async with running() as cluster:
        await cluster.resource(NAMESPACES, "").create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gone"}}
        )
        await cluster.until(SERVICEACCOUNTS, bool, namespace="gone")
        await cluster.resource(REPLICATIONCONTROLLERS, "gone").create(owner("ReplicationController", 3, {"app": "x"}))
        await cluster.until(PODS, lambda found: len(found) == 3, namespace="gone")
        await cluster.resource(NAMESPACES, "").delete("gone")
        await cluster.until(
            NAMESPACES, lambda found: "gone" not in [one["metadata"]["name"] for one in found], namespace=""
        )
        assert await cluster.items(PODS, "gone") == []
