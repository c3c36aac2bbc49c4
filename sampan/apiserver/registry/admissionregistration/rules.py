"""Rules that say which requests admission looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.apiserver.registry.validation import names, selectors

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.validation.names import Errors

_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES = ("*", "Cluster", "Namespaced")
_MAX_CONDITIONS = 64


def resource_rule(errors: Errors, path: Path, rule: Object) -> None:  # noqa: C901 - one check a field
    """operations, apiGroups, apiVersions, resources, scope."""
    operations = rule.get("operations") or []
    for key, what in (("apiGroups", "apiGroups"), ("apiVersions", "apiVersions"), ("resources", "resources")):
        values = rule.get(key) or []
        where = path.child(key)
        if not values:
            errors.append(field.required(where))
        if key != "resources" and len(values) > 1 and "*" in values:
            detail = f"if '*' is present, must not specify other {_PLURAL[what]}"
            errors.append(field.invalid(where, values, detail))
        if key == "apiVersions":
            for position, one in enumerate(values):
                if not one:
                    errors.append(field.required(where.index(position)))
        if key == "resources":
            _resources(errors, where, values)
    if rule.get("scope") is not None:
        names.one_of(errors, path.child("scope"), rule["scope"], _SCOPES)
    where = path.child("operations")
    if not operations:
        errors.append(field.required(where))
    if len(operations) > 1 and "*" in operations:
        errors.append(field.invalid(where, operations, "if '*' is present, must not specify other operations"))
    for position, one in enumerate(operations):
        names.one_of(errors, where.index(position), one, _OPERATIONS)


_PLURAL = {"apiGroups": "API groups", "apiVersions": "API versions"}


def _resources(errors: Errors, path: Path, values: list[str]) -> None:
    stars = [one for one in values if one in ("*", "*/*")]
    for position, value in enumerate(values):
        if not value:
            errors.append(field.required(path.index(position)))
            continue
        resource, slash, _ = value.partition("/")
        if slash and f"{resource}/*" in values and value != f"{resource}/*":
            detail = f"if '{resource}/*' is present, must not specify {value}"
            errors.append(field.invalid(path.index(position), value, detail))
    if len(values) > 1 and "*/*" in stars:
        errors.append(field.invalid(path, values, "if '*/*' is present, must not specify other resources"))
    elif len(values) > 1 and "*" in stars and any("/" not in one and one != "*" for one in values):
        detail = "if '*' is present, must not specify other resources without subresources"
        errors.append(field.invalid(path, values, detail))


def match_conditions(errors: Errors, path: Path, conditions: list[Object]) -> None:
    """CEL conditions: names and presence; their expressions are compiled by who evaluates them."""
    if len(conditions) > _MAX_CONDITIONS:
        errors.append(field.too_many(path, len(conditions), _MAX_CONDITIONS))
    seen: set[str] = set()
    for position, one in enumerate(conditions):
        here, name = path.index(position), one.get("name", "")
        if not one.get("expression", "").strip():
            errors.append(field.required(here.child("expression")))
        if not name:
            errors.append(field.required(here.child("name")))
        else:
            names.qualified_name(errors, here.child("name"), name)
            if name in seen:
                errors.append(field.duplicate(here.child("name"), name))
            seen.add(name)


def match_resources(errors: Errors, path: Path, value: Object, *, rules_required: bool) -> None:
    """MatchConstraints of policies, matchResources of bindings."""
    for key in ("namespaceSelector", "objectSelector"):
        if value.get(key) is None:
            errors.append(field.required(path.child(key)))
        else:
            selectors.label_selector(errors, path.child(key), value[key])
    rules = value.get("resourceRules") or []
    if rules_required and not rules:
        errors.append(field.required(path.child("resourceRules")))
    for key in ("resourceRules", "excludeResourceRules"):
        for position, rule in enumerate(value.get(key) or ()):
            here = path.child(key).index(position)
            resource_rule(errors, here, rule)
            names_seen = rule.get("resourceNames") or []
            for index, one in enumerate(names_seen):
                if one in names_seen[:index]:
                    errors.append(field.duplicate(here.child("resourceNames").index(index), one))
    if value.get("matchPolicy") is not None:
        names.one_of(errors, path.child("matchPolicy"), value["matchPolicy"], ("Equivalent", "Exact"))


def default_match_resources(value: Object) -> None:
    """Default matchConstraints or matchResources."""
    if value.get("matchPolicy") is None:
        value["matchPolicy"] = "Equivalent"
    for key in ("namespaceSelector", "objectSelector"):
        if value.get(key) is None:
            value[key] = {}
    for key in ("resourceRules", "excludeResourceRules"):
        for rule in value.get(key) or ():
            if rule.get("scope") is None:
                rule["scope"] = "*"
