"""Mutating and validating webhooks, called by a real API server."""

import asyncio

import pytest

from sampan.api.errors import APIStatusError, Forbidden, InternalError
from sampan.api.gvk import GroupVersionResource
from sampan.client.resources import CONFIGMAPS, HORIZONTALPODAUTOSCALERS, NAMESPACES, SECRETS
from tests.integration.apiserver.webhookserver import patch, webhook_server

GROUP = "admissionregistration.k8s.io"
KINDS = {"mutating": "MutatingWebhookConfiguration", "validating": "ValidatingWebhookConfiguration"}
ANY = [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}]


def rules(*resources, operations=("CREATE",), groups=("",), versions=("v1",), **more):
    return [
        {"apiGroups": list(groups), "apiVersions": list(versions), "operations": list(operations),
         "resources": list(resources), **more}
    ]  # fmt: skip


async def configure(admin, kind, *hooks, name="w"):
    resource = admin.resource(GroupVersionResource(GROUP, "v1", KINDS[kind].lower() + "s"))
    body = {"apiVersion": f"{GROUP}/v1", "kind": KINDS[kind], "metadata": {"name": name}, "webhooks": list(hooks)}
    return await resource.create(body)


def hook(server, name="x.example.com", *, rules, **more):
    base = {"name": name, "clientConfig": server.client_config(), "sideEffects": "None"}
    return {**base, "admissionReviewVersions": ["v1"], "rules": rules, "timeoutSeconds": 5, **more}


def config_map(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def test_a_denied_request_says_who_and_why(admin):
    async with webhook_server(lambda _: {"allowed": False, "status": {"message": "no", "code": 403}}) as server:
        await configure(admin, "validating", hook(server, rules=rules("configmaps")))
        with pytest.raises(APIStatusError) as refused:
            await admin.resource(CONFIGMAPS, "default").create(config_map("c"))
        assert refused.value.to_status() == {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 403,
            "message": 'admission webhook "x.example.com" denied the request: no',
        }  # fmt: skip
        server.answer = lambda _: {"allowed": False}
        with pytest.raises(APIStatusError) as refused:
            await admin.resource(CONFIGMAPS, "default").create(config_map("c"))
        assert refused.value.message == 'admission webhook "x.example.com" denied the request without explanation'
        assert refused.value.code == 400
        server.answer = lambda _: {"allowed": False, "status": {"reason": "Forbidden", "code": 403}}
        with pytest.raises(Forbidden):
            await admin.resource(CONFIGMAPS, "default").create(config_map("c"))
        await admin.resource(SECRETS, "default").create({**config_map("s"), "kind": "Secret", "data": {}})


async def test_the_review_holds_what_kubernetes_sends(admin):
    async with webhook_server(lambda _: {"allowed": True, "warnings": ["careful"]}) as server:
        operations = ["CREATE", "UPDATE", "DELETE"]
        await configure(admin, "validating", hook(server, rules=rules("configmaps", operations=operations)))
        resource = admin.resource(CONFIGMAPS, "default")
        created = await resource.create(config_map("c", a="1"))
        await resource.update({**created, "data": {"a": "2"}})
        await resource.delete("c")
        create, update, delete = server.requests
        assert create["kind"] == create["requestKind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
        assert create["resource"] == {"group": "", "version": "v1", "resource": "configmaps"}
        assert (create["name"], create["namespace"], create["operation"]) == ("c", "default", "CREATE")
        assert create["object"]["metadata"]["uid"]
        assert create["oldObject"] is None
        assert create["dryRun"] is False
        assert create["userInfo"]["groups"] == ["system:masters", "system:authenticated"]
        assert create["options"] == {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}
        assert (update["object"]["data"], update["oldObject"]["data"]) == ({"a": "2"}, {"a": "1"})
        assert delete["object"] is None
        assert delete["oldObject"]["data"] == {"a": "2"}
        assert server.targets == ["/hook?timeout=5s"] * 3


async def test_mutations_run_in_order_and_earlier_hooks_are_called_again(admin):
    calls = []

    def first(request):
        calls.append("first")
        return patch({"op": "add", "path": "/data/first", "value": str(len(request["object"]["data"]))})

    def second(request):
        calls.append("second")
        return patch({"op": "add", "path": "/data/second", "value": "yes"})

    async with webhook_server(first) as one, webhook_server(second) as two:
        await configure(
            admin, "mutating", hook(one, "a.example.com", rules=rules("configmaps"), reinvocationPolicy="IfNeeded"),
            hook(two, "b.example.com", rules=rules("configmaps")),
        )  # fmt: skip
        created = await admin.resource(CONFIGMAPS, "default").create(config_map("c", a="1"))
        assert calls == ["first", "second", "first"]
        assert created["data"] == {"a": "1", "first": "3", "second": "yes"}


async def test_an_unreachable_webhook_fails_closed_or_open(admin):
    async with webhook_server(lambda _: {"allowed": True}) as server:
        dead = hook(server, rules=rules("configmaps"))
        dead["clientConfig"]["url"] = "https://127.0.0.1:1/x"
        await configure(admin, "validating", dead)
        with pytest.raises(InternalError) as refused:
            await admin.resource(CONFIGMAPS, "default").create(config_map("c"))
        assert refused.value.message == (
            'Internal error occurred: failed calling webhook "x.example.com": failed to call webhook: '
            'Post "https://127.0.0.1:1/x?timeout=5s": dial tcp 127.0.0.1:1: connect: connection refused'
        )
        resource = admin.resource(GroupVersionResource(GROUP, "v1", "validatingwebhookconfigurations"))
        change = {"webhooks": [{"name": "x.example.com", "failurePolicy": "Ignore"}]}
        await resource.patch("w", change, content_type="application/strategic-merge-patch+json")
        await admin.resource(CONFIGMAPS, "default").create(config_map("c"))


async def test_a_slow_webhook_times_out(admin):
    async def never(_):
        await asyncio.Event().wait()

    async with webhook_server(never) as server:
        await configure(admin, "validating", hook(server, rules=rules("configmaps"), timeoutSeconds=1))
        with pytest.raises(InternalError) as refused:
            await admin.resource(CONFIGMAPS, "default").create(config_map("c"))
        assert refused.value.message.endswith('?timeout=1s": context deadline exceeded')


async def test_selectors_and_scope_choose_requests(admin):
    async with webhook_server(lambda _: {"allowed": False}) as server:
        for name, labels in (("in", {"hooked": "yes"}), ("out", {})):
            metadata = {"name": name, "labels": labels}
            await admin.resource(NAMESPACES).create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        await configure(
            admin, "validating",
            hook(server, rules=rules("*", scope="Namespaced"), namespaceSelector={"matchLabels": {"hooked": "yes"}},
                 objectSelector={"matchExpressions": [{"key": "skip", "operator": "DoesNotExist"}]}),
        )  # fmt: skip
        await admin.resource(CONFIGMAPS, "out").create(config_map("c"))
        skipped = config_map("skipped")
        skipped["metadata"]["labels"] = {"skip": ""}
        await admin.resource(CONFIGMAPS, "in").create(skipped)
        with pytest.raises(APIStatusError):
            await admin.resource(CONFIGMAPS, "in").create(config_map("c"))


async def test_a_rule_matches_equivalent_versions_and_gets_the_object_in_its_own(admin):
    async with webhook_server(
        lambda _: patch({"op": "replace", "path": "/spec/targetCPUUtilizationPercentage", "value": 33})
    ) as server:
        wanted = rules("horizontalpodautoscalers", groups=("autoscaling",), versions=("v1",))
        await configure(admin, "mutating", hook(server, rules=wanted))
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
        metric = {
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
        }
        created = await admin.resource(HORIZONTALPODAUTOSCALERS, "default").create(
            {
                "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
                "spec": {"scaleTargetRef": target, "maxReplicas": 3, "metrics": [metric]},
            }
        )  # fmt: skip
        assert server.requests[0]["kind"]["version"] == "v1"
        assert server.requests[0]["requestKind"]["version"] == "v2"
        assert created["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 33


async def test_a_dry_run_is_refused_by_hooks_with_side_effects(admin):
    async with webhook_server(lambda _: {"allowed": True}) as server:
        wanted = rules("configmaps")
        await configure(admin, "validating", hook(server, rules=wanted, sideEffects="NoneOnDryRun"))
        await admin.resource(CONFIGMAPS, "default").create(config_map("c"), dry_run=True)
        assert server.requests[0]["dryRun"] is True


async def test_configurations_of_webhooks_escape_them(admin):
    async with webhook_server(lambda _: {"allowed": False}) as server:
        await configure(admin, "validating", hook(server, rules=ANY))
        await configure(admin, "mutating", hook(server, rules=rules("secrets")), name="m")
        await admin.resource(GroupVersionResource(GROUP, "v1", "validatingwebhookconfigurations")).delete("w")
        assert server.requests == []


async def test_a_wrong_answer_counts_as_a_failure(admin):
    async with webhook_server(lambda _: {"allowed": True, "uid": "other"}) as server:
        await configure(admin, "mutating", hook(server, rules=rules("configmaps")))
        with pytest.raises(InternalError) as refused:
            await admin.resource(CONFIGMAPS, "default").create(config_map("c"))
        uid = server.requests[0]["uid"]
        assert refused.value.message.endswith(
            f'received invalid webhook response: expected response.uid="{uid}", got "other"'
        )
        server.answer = lambda _: {"allowed": True, "patch": "W10="}
        with pytest.raises(InternalError) as refused:
            await admin.resource(CONFIGMAPS, "default").create(config_map("c"))
        assert refused.value.message.endswith("webhook returned response.patch but not response.patchType")


async def test_a_service_is_reached_through_its_endpoints(admin):
    async with webhook_server(lambda _: {"allowed": False}) as server:
        wanted = hook(server, rules=rules("configmaps"))
        bundle = wanted["clientConfig"]["caBundle"]
        service = {"namespace": "default", "name": "hook", "path": "/there"}
        wanted["clientConfig"] = {"service": service, "caBundle": bundle}
        await configure(admin, "validating", wanted)
        with pytest.raises(InternalError) as refused:
            await admin.resource(CONFIGMAPS, "default").create(config_map("c"))
        assert refused.value.message.endswith(
            'Post "https://hook.default.svc:443/there?timeout=5s": service "hook" not found'
        )
        services = GroupVersionResource("", "v1", "services")
        spec = {"ports": [{"port": 443, "targetPort": server.port}]}
        await admin.resource(services, "default").create(
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hook"}, "spec": spec}
        )
        with pytest.raises(InternalError) as refused:
            await admin.resource(CONFIGMAPS, "default").create(config_map("c"))
        assert refused.value.message.endswith('no endpoints available for service "hook"')
