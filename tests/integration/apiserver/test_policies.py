"""Admission policies in CEL and match conditions of webhooks, on a real API server."""

import pytest

from sampan.api.errors import Forbidden, Invalid
from sampan.api.gvk import GroupVersionResource
from sampan.client.resources import CONFIGMAPS
from tests.integration.apiserver.test_webhooks import config_map, configure, hook, rules
from tests.integration.apiserver.webhookserver import webhook_server

GROUP = "admissionregistration.k8s.io"


async def install(admin, kind, spec, **binding):
    for suffix, body in (("", spec), ("Binding", {"policyName": "p", **binding})):
        name = f"{kind}AdmissionPolicy{suffix}"
        resource = admin.resource(GroupVersionResource(GROUP, "v1", f"{name.lower().removesuffix('y')}ies"))
        if suffix:
            resource = admin.resource(GroupVersionResource(GROUP, "v1", f"{name.lower()}s"))
        await resource.create(
            {"apiVersion": f"{GROUP}/v1", "kind": name, "metadata": {"name": "p" if not suffix else "b"}, "spec": body}
        )


def constraints(*operations, **more):
    return {"resourceRules": rules("configmaps", operations=operations or ("CREATE", "UPDATE")), **more}


async def create(admin, name, **data):
    return await admin.resource(CONFIGMAPS, "default").create(config_map(name, **data))


async def test_parameters_variables_and_messages_of_a_validating_policy(admin):
    spec = {
        "matchConstraints": constraints(),
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConditions": [{"name": "c", "expression": "!object.metadata.name.startsWith('free')"}],
        "variables": [{"name": "limit", "expression": "int(params.data.limit)"}],
        "validations": [
            {"expression": "object.data.size() <= variables.limit", "reason": "Forbidden",
             "messageExpression": "'at most ' + string(variables.limit)"},
        ],
    }  # fmt: skip
    await create(admin, "limits", limit="1")
    reference = {"name": "limits", "namespace": "default", "parameterNotFoundAction": "Deny"}
    await install(admin, "Validating", spec, validationActions=["Deny"], paramRef=reference)
    await create(admin, "one", a="1")
    await create(admin, "free", a="1", b="2")
    with pytest.raises(Forbidden) as refused:
        await create(admin, "two", a="1", b="2")
    assert refused.value.message == (
        "configmaps \"two\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: at most 1"
    )
    await admin.resource(CONFIGMAPS, "default").delete("limits")
    with pytest.raises(Invalid) as refused:
        await create(admin, "three", a="1")
    assert "no params found for policy binding with `Deny` parameterNotFoundAction" in refused.value.message


async def test_a_failing_variable_is_named_and_ignored_where_the_policy_says_so(admin):
    spec = {
        "matchConstraints": constraints(), "variables": [{"name": "v", "expression": "object.data.nope"}],
        "validations": [{"expression": "variables.v == 'x'"}],
    }  # fmt: skip
    await install(admin, "Validating", spec, validationActions=["Deny"])
    with pytest.raises(Invalid) as refused:
        await create(admin, "one", a="1")
    why = 'composited variable "v" fails to evaluate: no such key: nope'
    assert f"expression 'variables.v == 'x'' resulted in error: {why}" in refused.value.message
    resource = admin.resource(GroupVersionResource(GROUP, "v1", "validatingadmissionpolicies"))
    await resource.patch("p", {"spec": {"failurePolicy": "Ignore"}})
    await create(admin, "one", a="1")


async def test_a_mutating_policy_applies_configurations_and_excludes_names(admin):
    excluded = rules("configmaps")
    excluded[0]["resourceNames"] = ["alone"]
    spec = {
        "matchConstraints": constraints(excludeResourceRules=excluded), "reinvocationPolicy": "Never",
        "failurePolicy": "Fail",
        "mutations": [{
            "patchType": "ApplyConfiguration",
            "applyConfiguration": {
                "expression": "Object{metadata: Object.metadata{labels: Object.metadata.labels{team: 'crew'}}}"
            },
        }],
    }  # fmt: skip
    await install(admin, "Mutating", spec)
    made = await create(admin, "one", a="1")
    assert made["metadata"]["labels"] == {"team": "crew"}
    assert "labels" not in (await create(admin, "alone", a="1"))["metadata"]


async def test_a_policy_asks_the_authorizer(admin):
    check = "authorizer.group('').resource('pods').namespace('default').check('list').allowed()"
    spec = {
        "matchConstraints": constraints(),
        "validations": [{"expression": check}, {"expression": "!authorizer.requestResource.check('create').allowed()"}],
    }  # fmt: skip
    await install(admin, "Validating", spec, validationActions=["Deny"])
    with pytest.raises(Invalid) as refused:
        await create(admin, "one")
    assert "failed expression: !authorizer.requestResource.check('create').allowed()" in refused.value.message


async def test_a_webhook_is_called_only_when_its_conditions_hold(admin):
    async with webhook_server(lambda _: {"allowed": False}) as server:
        conditions = [{"name": "c", "expression": "object.metadata.name != 'skip-me' && request.operation == 'CREATE'"}]
        await configure(admin, "validating", hook(server, rules=rules("configmaps"), matchConditions=conditions))
        await create(admin, "skip-me")
        assert server.requests == []
        with pytest.raises(Exception, match="denied the request"):
            await create(admin, "other")
