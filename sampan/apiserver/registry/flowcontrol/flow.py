"""FlowSchemas and PriorityLevelConfigurations."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from math import ceil, log2
from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import gotypes, names

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_SPEC = Path("spec")
_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")
_SUBJECTS = {"Group": "group", "ServiceAccount": "serviceAccount", "User": "user"}
_MAX_PRECEDENCE = 10000
_MAX_QUEUES = 10 * 1000 * 1000


class FlowSchemaStrategy(Strategy):
    """Flow schemas."""

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        if not spec.get("matchingPrecedence"):
            spec["matchingPrecedence"] = 1000

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        spec, name = obj["spec"], obj["metadata"].get("name", "")
        precedence, where = spec.get("matchingPrecedence", 0), _SPEC.child("matchingPrecedence")
        if precedence <= 0:
            errors.append(field.invalid(where, precedence, "must be a positive value"))
        if precedence > _MAX_PRECEDENCE:
            errors.append(field.invalid(where, precedence, f"must not be greater than {_MAX_PRECEDENCE}"))
        if precedence == 1 and name != "exempt":
            errors.append(
                field.invalid(where, precedence, "only the schema named 'exempt' may have matchingPrecedence 1")
            )
        method = spec.get("distinguisherMethod")
        if method is not None and method.get("type") not in ("ByNamespace", "ByUser"):
            shown = gotypes.internal("flowcontrol.v1.FlowDistinguisherMethod", method)
            where = _SPEC.child("distinguisherMethod", "type")
            errors.append(field.not_supported(where, shown, ("ByNamespace", "ByUser")))
        level = (spec.get("priorityLevelConfiguration") or {}).get("name", "")
        where = _SPEC.child("priorityLevelConfiguration", "name")
        if level:
            names.dns_subdomain(errors, where, level)
        else:
            errors.append(field.required(where, "must reference a priority level"))
        for position, rule in enumerate(spec.get("rules") or ()):
            _rule(errors, _SPEC.child("rules").index(position), rule)
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        return self.validate(ctx, new)

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        return condition_types(new)


def condition_types(obj: Object) -> Errors:
    """Conditions of status: unique types, no empty ones."""
    errors: Errors = []
    seen: set[str] = set()
    path = Path("status").child("conditions")
    for position, one in enumerate((obj.get("status") or {}).get("conditions") or ()):
        kind = one.get("type", "")
        if kind in seen:
            errors.append(field.duplicate(path.index(position).child("type"), kind))
        seen.add(kind)
        if not kind:
            errors.append(field.required(path.index(position).child("type"), "must not be empty"))
    return errors


def _rule(errors: Errors, path: Path, rule: Object) -> None:
    subjects = rule.get("subjects") or []
    if not subjects:
        errors.append(field.required(path.child("subjects"), "subjects must contain at least one value"))
    for position, subject in enumerate(subjects):
        _subject(errors, path.child("subjects").index(position), subject)
    resources, urls = rule.get("resourceRules") or [], rule.get("nonResourceRules") or []
    if not resources and not urls:
        detail = "at least one of resourceRules and nonResourceRules has to be non-empty"
        errors.append(field.required(path, detail))
    for position, one in enumerate(resources):
        _resource_rule(errors, path.child("resourceRules").index(position), one)
    for position, one in enumerate(urls):
        _url_rule(errors, path.child("nonResourceRules").index(position), one)


def _subject(errors: Errors, path: Path, subject: Object) -> None:
    kind = subject.get("kind", "")
    if kind not in _SUBJECTS:
        errors.append(field.not_supported(path.child("kind"), kind, tuple(_SUBJECTS)))
        return
    key = _SUBJECTS[kind]
    value = subject.get(key)
    if value is None:
        article = {"Group": "group", "ServiceAccount": "serviceAccount", "User": "user"}[kind]
        detail = f"{article} is required when subject kind is '{kind}'"
        errors.append(field.required(path.child(key), detail))
    elif kind == "ServiceAccount":
        _account(errors, path.child(key), value)
    elif not value.get("name"):
        errors.append(field.required(path.child(key, "name")))
    for other, other_key in _SUBJECTS.items():
        if other != kind and subject.get(other_key) is not None:
            detail = f"{other_key} is forbidden when subject kind is not '{other}'"
            errors.append(field.forbidden(path.child(other_key), detail))


def _account(errors: Errors, path: Path, value: Object) -> None:
    name, namespace = value.get("name", ""), value.get("namespace", "")
    if not name:
        errors.append(field.required(path.child("name")))
    elif name != "*":
        names.dns_subdomain(errors, path.child("name"), name)
    if namespace:
        names.dns_label(errors, path.child("namespace"), namespace)
    else:
        detail = "must specify namespace for service account"
        errors.append(field.required(path.child("namespace"), detail))


def _verbs(errors: Errors, path: Path, verbs: list[str]) -> None:
    if not verbs:
        errors.append(field.required(path, "verbs must contain at least one value"))
    elif "*" in verbs and len(verbs) > 1:
        errors.append(field.invalid(path, verbs, "if '*' is present, must not specify other verbs"))
    elif verbs != ["*"] and not set(verbs) <= set(_VERBS):
        errors.append(field.not_supported(path, verbs, _VERBS))


def _listed(errors: Errors, path: Path, values: list[str], what: str, plural: str) -> None:
    if not values:
        errors.append(field.required(path, f"resource rules must supply at least one {what}"))
    elif "*" in values and len(values) > 1:
        errors.append(field.invalid(path, values, f"if '*' is present, must not specify other {plural}"))


def _resource_rule(errors: Errors, path: Path, rule: Object) -> None:
    _verbs(errors, path.child("verbs"), rule.get("verbs") or [])
    _listed(errors, path.child("apiGroups"), rule.get("apiGroups") or [], "api group", "api groups")
    _listed(errors, path.child("resources"), rule.get("resources") or [], "resource", "resources")
    namespaces = rule.get("namespaces") or []
    where = path.child("namespaces")
    if not namespaces and not rule.get("clusterScope"):
        detail = "resource rules that are not cluster scoped must supply at least one namespace"
        errors.append(field.required(where, detail))
    elif "*" in namespaces:
        if len(namespaces) > 1:
            errors.append(field.invalid(where, namespaces, "if '*' is present, must not specify other namespaces"))
    else:
        for position, one in enumerate(namespaces):
            names.dns_label(errors, where.index(position), one)


def _url_rule(errors: Errors, path: Path, rule: Object) -> None:
    _verbs(errors, path.child("verbs"), rule.get("verbs") or [])
    urls = rule.get("nonResourceURLs") or []
    where = path.child("nonResourceURLs")
    if not urls:
        errors.append(field.required(where, "nonResourceURLs must contain at least one value"))
    elif "*" in urls and len(urls) > 1:
        errors.append(field.invalid(where, urls, "if '*' is present, must not specify other non-resource URLs"))
    elif urls != ["*"]:
        for position, url in enumerate(urls):
            fault = _url_fault(url)
            if fault:
                errors.append(field.invalid(where.index(position), url, fault))


def _url_fault(url: str) -> str:
    if not url:
        return "non-resource URL must not be empty"
    if url == "/":
        return ""
    if not url.startswith("/"):
        return "non-resource URL must start with slash"
    if " " in url:
        return "non-resource URL must not contain white-space"
    if "//" in url:
        return "non-resource URL must not contain double slash"
    wildcard = url.find("*")
    if wildcard >= 0 and (wildcard != len(url) - 1 or not url.endswith("/*")):
        return "wildcard can only do suffix matching"
    return ""


class PriorityLevelStrategy(Strategy):
    """Priority level configurations."""

    def default(self, obj: Object) -> None:  # noqa: C901 - one branch a field
        spec = obj.setdefault("spec", {})
        exempt, limited = spec.get("exempt"), spec.get("limited")
        if exempt is not None:
            for key in ("nominalConcurrencyShares", "lendablePercent"):
                if exempt.get(key) is None:
                    exempt[key] = 0
        if spec.get("type") == "Exempt" and exempt is None:
            spec["exempt"] = {"nominalConcurrencyShares": 0, "lendablePercent": 0}
        if limited is not None:
            if limited.get("nominalConcurrencyShares") is None:
                limited["nominalConcurrencyShares"] = 30
            if limited.get("lendablePercent") is None:
                limited["lendablePercent"] = 0
            queuing = (limited.get("limitResponse") or {}).get("queuing")
            if queuing is not None:
                for key, value in (("handSize", 8), ("queues", 64), ("queueLengthLimit", 50)):
                    if not queuing.get(key):
                        queuing[key] = value

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        spec, name = obj["spec"], obj["metadata"].get("name", "")
        kind, limited, exempt = spec.get("type", ""), spec.get("limited"), spec.get("exempt")
        if (name == "exempt") != (kind == "Exempt") and kind in ("Exempt", "Limited"):
            detail = "type must be 'Exempt' if and only if `name` is 'exempt'"
            errors.append(field.invalid(_SPEC.child("type"), kind, detail))
        if kind == "Exempt":
            if limited is not None:
                errors.append(field.forbidden(_SPEC.child("limited"), "must be nil if the type is not Limited"))
            if exempt is None:
                errors.append(field.required(_SPEC.child("exempt"), "must not be empty when type is Exempt"))
            else:
                _shares(errors, _SPEC.child("exempt"), exempt)
        elif kind == "Limited":
            if exempt is not None:
                errors.append(field.forbidden(_SPEC.child("exempt"), "must be nil if the type is Limited"))
            if limited is None:
                errors.append(field.required(_SPEC.child("limited"), "must not be empty when type is Limited"))
            else:
                _limited(errors, _SPEC.child("limited"), limited)
        else:
            errors.append(field.not_supported(_SPEC.child("type"), kind, ("Exempt", "Limited")))
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        return self.validate(ctx, new)

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        return condition_types(new)


def _shares(errors: Errors, path: Path, value: Object) -> None:
    shares, percent = value.get("nominalConcurrencyShares", 0), value.get("lendablePercent")
    if shares < 0:
        where = path.child("nominalConcurrencyShares")
        errors.append(field.invalid(where, shares, "must be a non-negative integer"))
    if percent is not None and not 0 <= percent <= 100:
        where = path.child("lendablePercent")
        errors.append(field.invalid(where, percent, "must be between 0 and 100, inclusive"))


def _limited(errors: Errors, path: Path, value: Object) -> None:
    _shares(errors, path, value)
    response = value.get("limitResponse") or {}
    where, kind, queuing = path.child("limitResponse"), response.get("type", ""), response.get("queuing")
    if kind == "Reject":
        if queuing is not None:
            errors.append(
                field.forbidden(where.child("queuing"), "must be nil if limited.limitResponse.type is not Limited")
            )
    elif kind == "Queue":
        if queuing is None:
            detail = "must not be empty if limited.limitResponse.type is Limited"
            errors.append(field.required(where.child("queuing"), detail))
        else:
            _queuing(errors, where.child("queuing"), queuing)
    else:
        errors.append(field.not_supported(where.child("type"), kind, ("Queue", "Reject")))
    borrowing = value.get("borrowingLimitPercent")
    if borrowing is not None and borrowing < 0:
        detail = "if specified, must be a non-negative integer"
        errors.append(field.invalid(path.child("borrowingLimitPercent"), borrowing, detail))


def _queuing(errors: Errors, path: Path, queuing: Object) -> None:
    limit, queues, hand = (queuing.get(key, 0) for key in ("queueLengthLimit", "queues", "handSize"))
    if limit <= 0:
        errors.append(field.invalid(path.child("queueLengthLimit"), limit, "must be positive"))
    if queues <= 0:
        errors.append(field.invalid(path.child("queues"), queues, "must be positive"))
    elif queues > _MAX_QUEUES:
        errors.append(field.invalid(path.child("queues"), queues, f"must not be greater than {_MAX_QUEUES}"))
    if hand <= 0:
        errors.append(field.invalid(path.child("handSize"), hand, "must be positive"))
    elif hand > queues:
        detail = f"should not be greater than queues ({queues})"
        errors.append(field.invalid(path.child("handSize"), hand, detail))
    elif _entropy_bits(queues, hand) > 60:
        detail = f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than 60"
        errors.append(field.invalid(path.child("handSize"), hand, detail))


def _entropy_bits(deck: int, hand: int) -> int:
    return ceil(sum(log2(deck - dealt) for dealt in range(hand)))
