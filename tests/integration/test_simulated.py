"""Simulated nodes against a whole control plane, over HTTPS."""

import asyncio
from contextlib import asynccontextmanager

from sampan.apiserver.proxy import NodeConnector
from sampan.apiserver.proxy.kubelets import KubeletCredentials
from sampan.base import tasks
from sampan.base.clock import RealClock
from sampan.client.client import Client
from sampan.client.https import HTTPSTransport
from sampan.client.resources import DEPLOYMENTS, JOBS, LEASES, NODES, PODS, SERVICEACCOUNTS
from sampan.kubelet.simulated import SimulatedOptions, Simulator
from sampan.testing import Cluster

TEMPLATE = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


async def until(cluster, gvr, condition, namespace="default"):
    resource = cluster.client.resource(gvr, namespace)
    async with asyncio.timeout(30):
        while True:
            found = await resource.list()
            objects = [item.object for item in found.items]
            if condition(objects):
                return objects
            async with resource.watch(resource_version=found.resource_version) as events:
                await anext(events)


@asynccontextmanager
async def simulated(tmp_path, nodes, **options):
    async with Cluster() as cluster:
        pair = cluster.api.credentials.kubelet_client()
        credentials = KubeletCredentials(ca=cluster.api.ca, certificate=pair.certificate, key=pair.key)
        cluster.api.connector = NodeConnector(credentials)
        client = Client(HTTPSTransport(cluster.config))
        settings = SimulatedOptions(nodes=nodes, pki_dir=tmp_path, cluster_ca=cluster.api.ca, **options)
        node_client = cluster.client_of("system:node:simulated-0", groups=("system:nodes",))
        simulator = Simulator(settings, client, RealClock(), node_client=node_client)
        await until(cluster, SERVICEACCOUNTS, lambda found: "default" in [one["metadata"]["name"] for one in found])
        try:
            async with asyncio.TaskGroup() as group:
                await tasks.start(group, simulator.run, name="simulator")
                try:
                    yield cluster
                finally:
                    for task in asyncio.all_tasks():
                        if task.get_name() == "simulator":
                            task.cancel()
        finally:
            await client.close()


async def test_deployment_becomes_ready_on_simulated_nodes_and_its_pods_go(tmp_path):
    async with simulated(tmp_path, 20) as cluster:
        nodes = await until(cluster, NODES, lambda found: len(found) == 20, "")
        assert nodes[0]["spec"]["podCIDR"].endswith("/24")
        await until(cluster, LEASES, lambda found: len(found) == 20, "kube-node-lease")
        spec = {"replicas": 100, "selector": {"matchLabels": {"app": "x"}}, "template": TEMPLATE}
        deployments = cluster.client.resource(DEPLOYMENTS, "default")
        await deployments.create(
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}
        )
        await until(cluster, DEPLOYMENTS, lambda found: found[0]["status"].get("readyReplicas") == 100)
        pods = await until(cluster, PODS, lambda found: len(found) == 100)
        assert len({pod["status"]["podIP"] for pod in pods}) == 100
        await deployments.patch("d", {"spec": {"replicas": 0}})
        await until(cluster, PODS, lambda found: not found)


async def test_job_completes_on_simulated_nodes(tmp_path):
    async with simulated(tmp_path, 2, job_seconds=0.0) as cluster:
        spec = {
            "completions": 10,
            "parallelism": 5,
            "template": {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}},
        }
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": spec}
        await cluster.client.resource(JOBS, "default").create(job)
        await until(cluster, JOBS, lambda found: found[0]["status"].get("succeeded") == 10)


async def test_logs_are_what_the_annotation_says(tmp_path):
    async with simulated(tmp_path, 1) as cluster:
        metadata = {"name": "p", "annotations": {"simulated.sampan.io/log": "one\ntwo"}}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": TEMPLATE["spec"]}
        await cluster.client.resource(PODS, "default").create(pod)

        def is_ready(found):
            conditions = found[0].get("status", {}).get("conditions", []) if found else []
            return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

        await until(cluster, PODS, is_ready)
        async with asyncio.timeout(20):
            while not (tmp_path / "kubelet-server.crt").exists():
                await asyncio.sleep(0.01)
        http = HTTPSTransport(cluster.config).http
        try:
            answer = await http.request("GET", "/api/v1/namespaces/default/pods/p/log", query={"tailLines": "1"})
        finally:
            await http.close()
        assert (answer.status, answer.body) == (200, b"two\n")
