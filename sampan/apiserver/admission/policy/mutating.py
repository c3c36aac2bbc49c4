"""MutatingAdmissionPolicy: objects changed by apply configurations and JSON patches that expressions make.

Behaviour: k8s.io/apiserver/pkg/admission/plugin/policy/mutating.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from sampan.api import jsonpatch, schema, typed
from sampan.api.errors import APIStatusError
from sampan.api.ownership import shape_of
from sampan.apiserver.admission.interface import CREATE, UPDATE, Reinvocation
from sampan.apiserver.admission.policy.policies import (
    ConfigurationError,
    Evaluation,
    activation_of,
    conditions_hold,
)
from sampan.apiserver.admission.policy.validating import refusal
from sampan.apiserver.admission.webhooks.matching import is_exempt

if TYPE_CHECKING:
    from sampan.api.gvk import GroupResource
    from sampan.api.object import Object
    from sampan.apiserver.admission.conversion import Conversion
    from sampan.apiserver.admission.interface import AdmissionRequest
    from sampan.apiserver.admission.policy.policies import Binding, Parameters, Policies, Policy
    from sampan.apiserver.admission.webhooks.matching import Invocation, Matcher
    from sampan.apiserver.authz.interface import Authorizer
    from sampan.apiserver.registry.strategy import Getter


class MutatingAdmissionPolicy:
    """See the module."""

    name = "MutatingAdmissionPolicy"

    def __init__(  # noqa: PLR0917 - made in one place
        self, policies: Policies, matcher: Matcher, parameters: Parameters, conversion: Conversion,
        authorizer: Authorizer, lookup: Getter,
    ) -> None:  # fmt: skip
        self._policies = policies
        self._matcher = matcher
        self._parameters = parameters
        self._conversion = conversion
        self._authorizer = authorizer
        self._lookup = lookup

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:  # noqa: ARG002 - any
        return operation in (CREATE, UPDATE) and not is_exempt(resource)

    def mutate(self, request: AdmissionRequest) -> None:
        policies = self._policies.current()
        if not policies or request.object is None:
            return
        state = request.reinvocation = request.reinvocation or Reinvocation()
        for policy in policies:
            uid = f"policy/{policy.name}"
            if state.again and uid not in state.required:
                continue
            found = policy.match.find(self._matcher, request)
            if found is None:
                continue
            changed = False
            for binding in policy.bindings:
                if binding.match is None or binding.match.find(self._matcher, request) is not None:
                    changed = self._apply(policy, binding, found, request) or changed
            if changed:
                state.require_previous()
                state.wanted = True
            if policy.spec.get("reinvocationPolicy") == "IfNeeded":
                state.invoked.add(uid)

    def _apply(self, policy: Policy, binding: Binding, found: Invocation, request: AdmissionRequest) -> bool:
        """Apply one policy under one binding; tells whether the object changed."""
        before = orjson.dumps(request.object)
        try:
            for param in self._parameters.find(policy, binding, request):
                self._mutate(policy, found, request, param)
        except (ConfigurationError, _MutationError) as error:
            if policy.ignores_failures:
                return orjson.dumps(request.object) != before
            why = f"policy '{policy.name}' with binding '{binding.name}' denied request: {error}"
            raise refusal(request, why, "Invalid") from error
        return orjson.dumps(request.object) != before

    def _mutate(self, policy: Policy, found: Invocation, request: AdmissionRequest, param: Object | None) -> None:
        for position, mutation in enumerate(policy.spec.get("mutations") or ()):
            obj = self._conversion.convert(request.object, request.kind, found.kind)
            old = self._conversion.convert(request.old, request.kind, found.kind)
            assert obj is not None
            activation = activation_of(
                request, found.resource, found.kind, self._authorizer, self._lookup, param, obj, old
            )  # fmt: skip
            if position == 0:
                holds, problem = conditions_hold(policy, activation)
                if problem:
                    raise _MutationError(problem)
                if not holds:
                    return
            new = self._changed(Evaluation(policy, activation), mutation, obj, found)
            converted = self._conversion.convert(new, found.kind, request.kind)
            assert converted is not None
            assert request.object is not None
            request.object.clear()
            request.object.update(converted)

    def _changed(self, evaluation: Evaluation, mutation: Object, obj: Object, found: Invocation) -> Object:
        patch = mutation.get("patchType") == "JSONPatch"
        expression = (mutation.get("jsonPatch" if patch else "applyConfiguration") or {}).get("expression", "")
        value, problem = evaluation.run(expression)
        if problem:
            raise _MutationError(problem)
        document = orjson.loads(orjson.dumps(obj))
        try:
            if patch:
                raw = jsonpatch.apply(document, [_operation(one) for one in value])
            else:
                _check_configuration(value)
                raw = typed.merge(shape_of(self._conversion.type_of(found.kind)), document, value)
            return self._conversion.normalize(raw, found.kind)
        except (APIStatusError, schema.DecodeError, TypeError, KeyError) as error:
            raise _MutationError(f"error applying patch: {error}") from error


class _MutationError(ConfigurationError):
    """A mutation could not be made."""


def _operation(value: Any) -> Object:
    if not isinstance(value, dict):
        raise _MutationError("type mismatch: JSONPatchType.Op should return a list of JSONPatch values")
    return dict(value)


def _check_configuration(value: Any) -> None:
    """Refuse configurations that name the object anew: an apply changes neither name nor kind."""
    if not isinstance(value, dict):
        raise _MutationError("invalid return type: apply configurations are of type Object")
    for key in ("apiVersion", "kind"):
        if key in value:
            raise _MutationError(f"{key} may not be set in an apply configuration")
    for key in ("name", "namespace"):
        if key in (value.get("metadata") or {}):
            raise _MutationError(f"metadata.{key} may not be set in an apply configuration")
