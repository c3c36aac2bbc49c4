"""Admission policies and their bindings. Expressions are compiled by who evaluates them, not here."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.admissionregistration.rules import (
    default_match_resources,
    match_conditions,
    match_resources,
)
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import names, selectors

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_SPEC = Path("spec")
_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")
_ACTIONS = ("Audit", "Deny", "Warn")


class PolicyStrategy(Strategy):
    """What validating and mutating policies share."""

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        if spec.get("failurePolicy") is None:
            spec["failurePolicy"] = "Fail"
        if spec.get("matchConstraints") is not None:
            default_match_resources(spec["matchConstraints"])

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        spec = obj["spec"]
        policy = spec.get("failurePolicy")
        if policy is None:
            errors.append(field.required(_SPEC.child("failurePolicy")))
        else:
            names.one_of(errors, _SPEC.child("failurePolicy"), policy, ("Fail", "Ignore"))
        if spec.get("paramKind") is not None:
            _param_kind(errors, _SPEC.child("paramKind"), spec["paramKind"])
        constraints = spec.get("matchConstraints")
        if constraints is None:
            errors.append(field.required(_SPEC.child("matchConstraints")))
        else:
            match_resources(errors, _SPEC.child("matchConstraints"), constraints, rules_required=True)
        match_conditions(errors, _SPEC.child("matchConditions"), spec.get("matchConditions") or [])
        _variables(errors, spec)
        self.body(errors, spec)
        return errors

    def body(self, errors: Errors, spec: Object) -> None:
        """Check what the policy does."""

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        return self.validate(ctx, new)


class ValidatingAdmissionPolicyStrategy(PolicyStrategy):
    """Validating admission policies."""

    def body(self, errors: Errors, spec: Object) -> None:
        validations, annotations = spec.get("validations") or [], spec.get("auditAnnotations") or []
        if not validations and not annotations:
            detail = "validations or auditAnnotations must contain at least one item"
            errors.append(field.required(_SPEC.child("validations"), detail))
            errors.append(field.required(_SPEC.child("auditAnnotations"), detail))
            return
        for position, one in enumerate(validations):
            _validation(errors, _SPEC.child("validations").index(position), one)
        seen: set[str] = set()
        for position, one in enumerate(annotations):
            path, key = _SPEC.child("auditAnnotations").index(position), one.get("key", "")
            if not key:
                errors.append(field.required(path.child("key")))
            else:
                names.qualified_name(errors, path.child("key"), key)
            if key in seen:
                errors.append(field.duplicate(path.child("key"), key))
            seen.add(key)
            if not one.get("valueExpression", "").strip():
                errors.append(field.required(path.child("valueExpression"), "valueExpression is not specified"))


class MutatingAdmissionPolicyStrategy(PolicyStrategy):
    """Mutating admission policies."""

    has_status = False
    tracks_generation = True

    def body(self, errors: Errors, spec: Object) -> None:
        mutations = spec.get("mutations") or []
        if not mutations:
            errors.append(field.required(_SPEC.child("mutations"), "mutations must contain at least one item"))
        for position, one in enumerate(mutations):
            path, kind = _SPEC.child("mutations").index(position), one.get("patchType", "")
            names.one_of_required(errors, path.child("patchType"), kind, ("ApplyConfiguration", "JSONPatch"))
            for key, name in (("ApplyConfiguration", "applyConfiguration"), ("JSONPatch", "jsonPatch")):
                body = one.get(name)
                if kind == key and body is None:
                    detail = f"must be specified when patchType is {key}"
                    errors.append(field.required(path.child(name), detail))
                elif kind != key and body is not None:
                    detail = f"must not be specified when patchType is not {key}"
                    errors.append(field.invalid(path.child(name), "{}", detail))
                elif kind == key and not (body or {}).get("expression", "").strip():
                    errors.append(field.required(path.child(name, "expression"), "expression is not specified"))
        if not spec.get("reinvocationPolicy"):
            errors.append(field.required(_SPEC.child("reinvocationPolicy")))
        else:
            where = _SPEC.child("reinvocationPolicy")
            names.one_of(errors, where, spec["reinvocationPolicy"], ("IfNeeded", "Never"))


def _validation(errors: Errors, path: Path, one: Object) -> None:
    if not one.get("expression", "").strip():
        errors.append(field.required(path.child("expression"), "expression is not specified"))
    message, from_expression = one.get("message", ""), one.get("messageExpression", "")
    if message and not message.strip():
        errors.append(field.invalid(path.child("message"), message, "message must be non-empty if specified"))
    elif "\n" in message:
        errors.append(field.invalid(path.child("message"), message, "message must not contain line breaks"))
    if from_expression and not from_expression.strip():
        detail = "must be non-empty if specified"
        errors.append(field.invalid(path.child("messageExpression"), from_expression, detail))
    if "\n" in one.get("expression", "") and not message and not from_expression:
        detail = "message must be specified if expression contains line breaks"
        errors.append(field.required(path.child("message"), detail))
    if one.get("reason") is not None:
        names.one_of(errors, path.child("reason"), one["reason"], _REASONS)


def _variables(errors: Errors, spec: Object) -> None:
    for position, one in enumerate(spec.get("variables") or ()):
        path, name = _SPEC.child("variables").index(position), one.get("name", "")
        if not name:
            errors.append(field.required(path.child("name"), "name is not specified"))
        elif not (name.isidentifier() and name.isascii()):
            errors.append(field.invalid(path.child("name"), name, "name is not a valid CEL identifier"))
        if not one.get("expression", "").strip():
            errors.append(field.required(path.child("expression"), "expression is not specified"))


def _param_kind(errors: Errors, path: Path, value: Object) -> None:
    version, kind = value.get("apiVersion", ""), value.get("kind", "")
    if not version:
        errors.append(field.required(path.child("apiVersion")))
    elif version.count("/") > 1:
        errors.append(field.invalid(path.child("apiVersion"), version, f"unexpected GroupVersion string: {version}"))
    else:
        group, slash, name = version.rpartition("/")
        if slash:
            names.dns_subdomain(errors, path.child("apiVersion"), group)
        names.dns1035_label(errors, path.child("apiVersion"), name)
    if not kind:
        errors.append(field.required(path.child("kind")))
    else:
        names.report(errors, path.child("kind"), kind, names.lower_dns1035_messages(kind))


class PolicyBindingStrategy(Strategy):
    """Bindings of validating policies."""

    has_status = False
    tracks_generation = True
    validating = True

    def default(self, obj: Object) -> None:
        if (obj.get("spec") or {}).get("matchResources") is not None:
            default_match_resources(obj["spec"]["matchResources"])

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        spec = obj.get("spec") or {}
        name = spec.get("policyName", "")
        if not name:
            errors.append(field.required(_SPEC.child("policyName")))
        else:
            names.dns_subdomain(errors, _SPEC.child("policyName"), name)
        if spec.get("paramRef") is not None:
            _param_ref(errors, _SPEC.child("paramRef"), spec["paramRef"])
        if spec.get("matchResources") is not None:
            match_resources(errors, _SPEC.child("matchResources"), spec["matchResources"], rules_required=False)
        if self.validating:
            _actions(errors, spec.get("validationActions") or [])
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        return self.validate(ctx, new)


class MutatingPolicyBindingStrategy(PolicyBindingStrategy):
    """Bindings of mutating policies."""

    validating = False


def _actions(errors: Errors, actions: list[str]) -> None:
    path = _SPEC.child("validationActions")
    if not actions:
        errors.append(field.required(path, "at least one validation action is required"))
    for position, one in enumerate(actions):
        names.one_of(errors, path.index(position), one, _ACTIONS)
        if one in actions[:position]:
            errors.append(field.duplicate(path.index(position), one))
    if "Deny" in actions and "Warn" in actions:
        detail = (
            "must not contain both Deny and Warn (repeating the same validation failure "
            "information in the API response and headers serves no purpose)"
        )
        errors.append(field.invalid(path, actions, detail))


def _param_ref(errors: Errors, path: Path, reference: Object) -> None:
    name, selector = reference.get("name", ""), reference.get("selector")
    if name:
        names.path_segment(errors, path.child("name"), name)
        if selector is not None:
            detail = "name and selector are mutually exclusive"
            errors.append(field.forbidden(path.child("name"), detail))
    if selector is not None:
        selectors.label_selector(errors, path.child("selector"), selector)
        if name:
            errors.append(field.forbidden(path.child("selector"), "name and selector are mutually exclusive"))
    if not name and selector is None:
        errors.append(field.required(path, "one of name or selector must be specified"))
    action = reference.get("parameterNotFoundAction")
    where = path.child("parameterNotFoundAction")
    if action is None:
        errors.append(field.required(where))
    else:
        names.one_of(errors, where, action, ("Allow", "Deny"))
