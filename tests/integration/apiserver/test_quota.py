"""ResourceQuota: admission charges, the controller counts."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from sampan.api.errors import Forbidden
from sampan.apiserver.authn.user import MASTERS, User
from sampan.apiserver.local import LocalTransport
from sampan.base.clock import RealClock
from sampan.client.client import Client
from sampan.client.resources import CONFIGMAPS, PODS, RESOURCEQUOTAS, SERVICEACCOUNTS, SERVICES
from sampan.controllers import ControllerContext, ControllerOptions, build
from sampan.runtime import Manager


@asynccontextmanager
async def quota_controller(server):
    client = Client(LocalTransport(server, User("system:kube-controller-manager", groups=(MASTERS,)).authenticated()))
    options = ControllerOptions(controllers=("resourcequota-controller",))
    context = ControllerContext(client, clock=RealClock(), options=options)
    manager = Manager(context.informers, build(context), events=context.events)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(manager.run())
        try:
            yield
        finally:
            task.cancel()


async def wait_used(admin, name, **wanted):
    """Return once the quota's status says that much is used."""
    quotas = admin.resource(RESOURCEQUOTAS, "default")
    wanted = {key.replace("__", "/").replace("_", "."): value for key, value in wanted.items()}
    async with asyncio.timeout(10):
        while True:
            found = await quotas.list()
            quota = next(item.object for item in found.items if item.name == name)
            used = quota.get("status", {}).get("used", {})
            if all(used.get(key) == value for key, value in wanted.items()):
                return quota
            async with quotas.watch(resource_version=found.resource_version) as events:
                await anext(events)


def quota(name, hard, **spec):
    return {"metadata": {"name": name}, "spec": {"hard": hard, **spec}}


def pod(name, cpu=None, memory=None, **spec):
    asked = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    container = {"name": "c", "image": "i", "resources": {"requests": asked} if asked else {}}
    return {"metadata": {"name": name}, "spec": {"containers": [container], **spec}}


async def create(admin, gvr, obj):
    kinds = {PODS: "Pod", RESOURCEQUOTAS: "ResourceQuota", CONFIGMAPS: "ConfigMap", SERVICES: "Service"}
    return await admin.resource(gvr, "default").create({"apiVersion": "v1", "kind": kinds[gvr], **obj})


@pytest.fixture
async def account(admin):
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    await admin.resource(SERVICEACCOUNTS, "default").create(account)


async def test_a_quota_counts_what_is_there_and_refuses_what_is_too_much(server, admin, account):
    await create(admin, PODS, pod("old", "100m", "64Mi"))
    async with quota_controller(server):
        await create(admin, RESOURCEQUOTAS, quota("q", {"pods": "3", "requests.cpu": "500m", "requests.memory": "1Gi"}))
        await wait_used(admin, "q", pods="1", requests_cpu="100m", requests_memory="64Mi")
        await create(admin, PODS, pod("new", "300m", "64Mi"))
        found = await wait_used(admin, "q", pods="2", requests_cpu="400m", requests_memory="128Mi")
        assert found["status"]["hard"] == {"pods": "3", "requests.cpu": "500m", "requests.memory": "1Gi"}
        with pytest.raises(Forbidden) as refused:
            await create(admin, PODS, pod("big", "200m", "1Mi"))
        assert refused.value.message == (
            'pods "big" is forbidden: exceeded quota: q, requested: requests.cpu=200m, used: requests.cpu=400m, '
            "limited: requests.cpu=500m"
        )
        with pytest.raises(Forbidden) as refused:
            await create(admin, PODS, pod("silent"))
        assert refused.value.message == (
            'pods "silent" is forbidden: failed quota: q: must specify requests.cpu for: c; requests.memory for: c'
        )
        await admin.resource(PODS, "default").delete("new", grace_period_seconds=0)
        await wait_used(admin, "q", pods="1", requests_cpu="100m")


async def test_requests_at_the_same_time_never_pass_the_limit_together(server, admin, account):
    async with quota_controller(server):
        await create(admin, RESOURCEQUOTAS, quota("q", {"count/configmaps": "10", "configmaps": "7"}))
        await create(admin, RESOURCEQUOTAS, quota("other", {"count/configmaps": "20"}))
        await wait_used(admin, "q", count__configmaps="0", configmaps="0")
        await wait_used(admin, "other", count__configmaps="0")
        made = await asyncio.gather(
            *(create(admin, CONFIGMAPS, {"metadata": {"name": f"c{number}"}}) for number in range(30)),
            return_exceptions=True,
        )
        assert sum(isinstance(one, dict) for one in made) == 7
        assert all(isinstance(one, (dict, Forbidden)) for one in made)
        await wait_used(admin, "q", count__configmaps="7", configmaps="7")
        await wait_used(admin, "other", count__configmaps="7")


async def test_a_dry_run_is_judged_and_not_charged(server, admin):
    async with quota_controller(server):
        await create(admin, RESOURCEQUOTAS, quota("q", {"configmaps": "1"}))
        await wait_used(admin, "q", configmaps="0")
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
        resource = admin.resource(CONFIGMAPS, "default")
        await resource.create(body, dry_run=True)
        await wait_used(admin, "q", configmaps="0")
        await resource.create(body)
        with pytest.raises(Forbidden):
            await resource.create({**body, "metadata": {"name": "d"}}, dry_run=True)


async def test_services_are_counted_by_their_type(server, admin):
    async with quota_controller(server):
        hard = {"services": "5", "services.nodeports": "2", "services.loadbalancers": "0"}
        await create(admin, RESOURCEQUOTAS, quota("q", hard))
        await wait_used(admin, "q", services="1")
        ports = [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]
        await create(admin, SERVICES, {"metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": ports}})
        await wait_used(admin, "q", services="2", services_nodeports="2")
        with pytest.raises(Forbidden) as refused:
            await create(admin, SERVICES, {"metadata": {"name": "t"}, "spec": {"type": "LoadBalancer", "ports": ports}})
        assert "exceeded quota: q, requested: services.loadbalancers=1,services.nodeports=2" in refused.value.message
        service = await admin.resource(SERVICES, "default").get("s")
        service["spec"]["type"] = "ClusterIP"
        for port in service["spec"]["ports"]:
            del port["nodePort"]
        await admin.resource(SERVICES, "default").update(service)
        await wait_used(admin, "q", services="2", services_nodeports="0")


async def test_scopes_choose_pods(server, admin, account):
    async with quota_controller(server):
        await create(admin, RESOURCEQUOTAS, quota("best", {"pods": "1"}, scopes=["BestEffort"]))
        await create(admin, RESOURCEQUOTAS, quota("ending", {"pods": "1"}, scopes=["Terminating"]))
        await wait_used(admin, "best", pods="0")
        await wait_used(admin, "ending", pods="0")
        await create(admin, PODS, pod("a"))
        await create(admin, PODS, pod("b", "1m", activeDeadlineSeconds=30))
        await wait_used(admin, "best", pods="1")
        await wait_used(admin, "ending", pods="1")
        await create(admin, PODS, pod("c", "1m"))
        with pytest.raises(Forbidden):
            await create(admin, PODS, pod("d"))
