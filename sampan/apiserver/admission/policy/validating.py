"""ValidatingAdmissionPolicy: what a policy's expressions refuse, warn of or note for the audit log.

Behaviour: k8s.io/apiserver/pkg/admission/plugin/policy/validating.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from sampan.api import errors
from sampan.apiserver import auditing
from sampan.apiserver.admission.policy.policies import (
    ConfigurationError,
    Evaluation,
    activation_of,
    conditions_hold,
)
from sampan.apiserver.admission.webhooks.matching import is_exempt

if TYPE_CHECKING:
    from sampan.api.errors import APIStatusError
    from sampan.api.gvk import GroupResource
    from sampan.api.object import Object
    from sampan.apiserver.admission.conversion import Conversion
    from sampan.apiserver.admission.interface import AdmissionRequest
    from sampan.apiserver.admission.policy.policies import Binding, Parameters, Policies, Policy
    from sampan.apiserver.admission.webhooks.matching import Invocation, Matcher
    from sampan.apiserver.authz.interface import Authorizer
    from sampan.apiserver.registry.strategy import Getter

_LONGEST_MESSAGE = 5 * 1024
_FAILURES = "validation.policy.admission.k8s.io/validation_failure"


@dataclass(frozen=True, slots=True)
class _Failure:
    """A validation that does not hold. index: of the expression."""

    message: str
    reason: str
    index: int


class ValidatingAdmissionPolicy:
    """See the module."""

    name = "ValidatingAdmissionPolicy"

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
        return not is_exempt(resource)

    def validate(self, request: AdmissionRequest) -> None:
        policies = self._policies.current()
        if not policies:
            return
        denied: list[APIStatusError] = []
        noted: list[Object] = []
        for policy in policies:
            found = policy.match.find(self._matcher, request)
            if found is None:
                continue
            for binding in policy.bindings:
                if binding.match is None or binding.match.find(self._matcher, request) is not None:
                    denied += self._apply(policy, binding, found, request, noted)
        if noted:
            auditing.annotate(_FAILURES, orjson.dumps(noted).decode())
        if denied:
            raise denied[0]

    def _apply(
        self, policy: Policy, binding: Binding, found: Invocation, request: AdmissionRequest, noted: list[Object]
    ) -> list[APIStatusError]:
        """Evaluate one policy under one binding; gives what it denies."""
        try:
            params = self._parameters.find(policy, binding, request)
        except ConfigurationError as error:
            return [] if policy.ignores_failures else [_denial(request, policy, binding, str(error), "")]
        denied: list[APIStatusError] = []
        for param in params:
            for failure in self._evaluate(policy, found, request, param):
                actions = binding.spec.get("validationActions") or ()
                if "Deny" in actions:
                    denied.append(_denial(request, policy, binding, failure.message, failure.reason))
                if "Audit" in actions:
                    noted.append(
                        {"message": failure.message, "policy": policy.name, "binding": binding.name,
                         "expressionIndex": failure.index, "validationActions": list(actions)}
                    )  # fmt: skip
                if "Warn" in actions:
                    who = f"ValidatingAdmissionPolicy '{policy.name}' with binding '{binding.name}'"
                    request.warnings.append(f"Validation failed for {who}: {failure.message}")
        return denied

    def _evaluate(
        self, policy: Policy, found: Invocation, request: AdmissionRequest, param: Object | None
    ) -> list[_Failure]:
        obj = self._conversion.convert(request.object, request.kind, found.kind)
        old = self._conversion.convert(request.old, request.kind, found.kind)
        activation = activation_of(
            request, found.resource, found.kind, self._authorizer, self._lookup, param, obj, old
        )  # fmt: skip
        holds, problem = conditions_hold(policy, activation)
        if not holds:
            return []
        if problem:
            return [] if policy.ignores_failures else [_Failure(problem, "", 0)]
        evaluation = Evaluation(policy, activation)
        failures = []
        for index, validation in enumerate(policy.spec.get("validations") or ()):
            value, problem = evaluation.run(validation["expression"])
            if problem:
                if not policy.ignores_failures:
                    failures.append(_Failure(problem, "", index))
            elif value is not True:
                failures.append(_Failure(_message(validation, evaluation), validation.get("reason") or "", index))
        _note(policy, evaluation)
        return failures


def _message(validation: Object, evaluation: Evaluation) -> str:
    expression = validation.get("messageExpression")
    if expression:
        text, problem = evaluation.run(expression)
        if not problem and isinstance(text, str):
            text = text.strip()
            if text and "\n" not in text and len(text) <= _LONGEST_MESSAGE:
                return text
    given = (validation.get("message") or "").strip()
    return given or f"failed expression: {validation['expression'].strip()}"


def _note(policy: Policy, evaluation: Evaluation) -> None:
    """Publish the policy's own audit annotations."""
    for one in policy.spec.get("auditAnnotations") or ():
        value: Any
        value, problem = evaluation.run(one["valueExpression"])
        if not problem and isinstance(value, str):
            auditing.annotate(f"{policy.name}/{one['key']}", value)


def _denial(request: AdmissionRequest, policy: Policy, binding: Binding, message: str, reason: str) -> APIStatusError:
    why = f"ValidatingAdmissionPolicy '{policy.name}' with binding '{binding.name}' denied request: {message}"
    return refusal(request, why, reason)


def refusal(request: AdmissionRequest, why: str, reason: str) -> APIStatusError:
    """The answer to a request that a policy denies."""
    base = errors.forbidden(request.resource, request.name, why)
    kinds: dict[str, type[APIStatusError]] = {
        "Forbidden": errors.Forbidden, "Unauthorized": errors.Unauthorized, "Invalid": errors.Invalid,
        "RequestEntityTooLarge": errors.RequestEntityTooLarge,
    }  # fmt: skip
    details = {**(base.details or {}), "causes": [{"message": why}]}
    return kinds.get(reason, errors.Invalid)(base.message, details=details)
