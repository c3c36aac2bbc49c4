"""MutatingAdmissionWebhook and ValidatingAdmissionWebhook: the plug-ins that call webhooks.

Behaviour: k8s.io/apiserver/pkg/admission/plugin/webhook, mutating and validating dispatchers. Mutating webhooks are
called one after the other; when one changes the object, those before it that ask for it are called once more.
Validating ones are called at the same time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson

from sampan.api import errors, jsonpatch, schema
from sampan.api.errors import APIStatusError
from sampan.apiserver import auditing
from sampan.apiserver.admission.interface import Reinvocation
from sampan.apiserver.admission.webhooks import caller, conditions, review
from sampan.apiserver.admission.webhooks.caller import CallError
from sampan.apiserver.admission.webhooks.matching import is_exempt
from sampan.base.log import logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.gvk import GroupResource
    from sampan.api.object import Object
    from sampan.apiserver.admission.conversion import Conversion
    from sampan.apiserver.admission.interface import AdmissionRequest
    from sampan.apiserver.admission.webhooks.hooks import Hook, Hooks
    from sampan.apiserver.admission.webhooks.matching import Invocation, Matcher
    from sampan.apiserver.admission.webhooks.review import Verdict
    from sampan.apiserver.authz.interface import Authorizer
    from sampan.apiserver.outbound import Outbound

log = logger("apiserver.webhooks")


class _Webhooks:
    """What both plug-ins share."""

    def __init__(
        self, hooks: Hooks, matcher: Matcher, outbound: Outbound, conversion: Conversion, authorizer: Authorizer
    ) -> None:
        self._hooks = hooks
        self._matcher = matcher
        self._outbound = outbound
        self._conversion = conversion
        self._authorizer = authorizer

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:  # noqa: ARG002 - any
        return not is_exempt(resource)

    def _invocation(self, hook: Hook, request: AdmissionRequest) -> Invocation | None:
        found = self._matcher.invocation(hook, request)
        if found is not None and hook.conditions:
            obj = self._conversion.convert(request.object, request.kind, found.kind)
            old = self._conversion.convert(request.old, request.kind, found.kind)
            if not conditions.matches(hook, found, request, self._authorizer, obj, old):
                return None
        return found

    async def _call(self, invocation: Invocation, request: AdmissionRequest, *, mutating: bool) -> Verdict:
        obj = self._conversion.convert(request.object, request.kind, invocation.kind)
        old = self._conversion.convert(request.old, request.kind, invocation.kind)
        verdict = await caller.call(self._outbound, invocation, request, obj, old, mutating=mutating)
        for key, value in verdict.annotations.items():
            auditing.annotate(f"{invocation.hook.name}/{key}", str(value))
        request.warnings.extend(verdict.warnings)
        if not verdict.allowed:
            raise review.denied(invocation.hook.name, verdict.result)
        return verdict


class MutatingAdmissionWebhook(_Webhooks):
    """See the module."""

    name = "MutatingAdmissionWebhook"

    async def mutate_async(self, request: AdmissionRequest) -> None:
        hooks = self._hooks.current()
        if not hooks:
            return
        state = request.reinvocation or Reinvocation()
        request.reinvocation = state
        if state.again and state.output is not None and state.output != orjson.dumps(request.object):
            state.require_previous()  # built-in plug-ins have changed the object since
        try:
            for position, hook in enumerate(hooks):
                await self._run(hook, position, request, state)
        finally:
            state.output = orjson.dumps(request.object)

    async def _run(self, hook: Hook, position: int, request: AdmissionRequest, state: Reinvocation) -> None:
        if state.again and hook.uid not in state.required:
            return
        invocation = self._invocation(hook, request)
        if invocation is None:
            return
        changed = False
        try:
            changed = await self._apply(invocation, position, request, state)
        except CallError as error:
            if not hook.ignores_failures:
                raise caller.refusal(error) from error
            log.warning("Failed calling webhook, failing open", webhook=hook.name, error=str(error))
            key = f"failed-open.mutation.webhook.admission.k8s.io/round_{int(state.again)}_index_{position}"
            auditing.annotate(key, hook.name)
        if changed:
            state.require_previous()
            state.wanted = True
        if hook.reinvoked_if_needed:
            state.invoked.add(hook.uid)

    async def _apply(
        self, invocation: Invocation, position: int, request: AdmissionRequest, state: Reinvocation
    ) -> bool:
        """Call a webhook and patch the object; tells whether it changed."""
        verdict = await self._call(invocation, request, mutating=True)
        if not verdict.patch:
            return False
        try:
            operations = jsonpatch.decode(orjson.loads(verdict.patch))
        except (orjson.JSONDecodeError, APIStatusError) as error:
            raise errors.internal(error) from error
        if not operations:
            return False
        if request.object is None:
            raise errors.internal(
                f'admission webhook "{invocation.hook.name}" attempted to modify the object, which is not supported '
                "for this operation"
            )
        before = orjson.dumps(request.object)
        new = self._patched(invocation, request, operations)
        request.object.clear()
        request.object.update(new)
        changed = orjson.dumps(new) != before
        key = f"mutation.webhook.admission.k8s.io/round_{int(state.again)}_index_{position}"
        note = {"configuration": invocation.hook.configuration, "webhook": invocation.hook.name, "mutated": changed}
        auditing.annotate(key, orjson.dumps(note).decode())
        return changed

    def _patched(self, invocation: Invocation, request: AdmissionRequest, operations: list[Object]) -> Object:
        document = self._conversion.convert(request.object, request.kind, invocation.kind)
        try:
            raw: Any = jsonpatch.apply(orjson.loads(orjson.dumps(document)), operations)
            new = self._conversion.normalize(raw, invocation.kind)
        except (APIStatusError, schema.DecodeError) as error:
            raise errors.internal(error) from error
        converted = self._conversion.convert(new, invocation.kind, request.kind)
        assert converted is not None
        return converted


class ValidatingAdmissionWebhook(_Webhooks):
    """See the module."""

    name = "ValidatingAdmissionWebhook"

    async def validate_async(self, request: AdmissionRequest) -> None:
        hooks = self._hooks.current()
        if not hooks:
            return
        found = [one for hook in hooks if (one := self._invocation(hook, request)) is not None]
        if not found:
            return
        if len(found) == 1:
            problems: Sequence[APIStatusError | None] = [await self._judge(found[0], request)]
        else:
            problems = await asyncio.gather(*(self._judge(one, request) for one in found))
        for problem in problems:
            if problem is not None:
                raise problem

    async def _judge(self, invocation: Invocation, request: AdmissionRequest) -> APIStatusError | None:
        hook = invocation.hook
        try:
            await self._call(invocation, request, mutating=False)
        except CallError as error:
            if not hook.ignores_failures:
                return caller.refusal(error)
            log.warning("Failed calling webhook, failing open", webhook=hook.name, error=str(error))
            auditing.annotate("failed-open.validating.webhook.admission.k8s.io/round_0_index_0", hook.name)
        except APIStatusError as error:
            return error
        return None
