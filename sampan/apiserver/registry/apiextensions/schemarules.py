"""The schemas of CustomResourceDefinitions: what they may say, and whether their rules compile and are cheap enough.

Behaviour: apiextensions-apiserver, package apis/apiextensions/validation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api import field
from sampan.api.structural import Structural
from sampan.api.structural.celtypes import max_items
from sampan.api.structural.patterns import PatternError, compile_pattern
from sampan.apiserver.registry.apiextensions.structuralrules import check_defaults, check_structural

if TYPE_CHECKING:
    from sampan.api.field import FieldError, Path
    from sampan.api.object import Object

RULE_LIMIT = 10_000_000
"""What one rule may cost at most, all its evaluations for one object together, by the estimate."""

TOTAL_LIMIT = 100_000_000
"""What all rules of a schema may cost."""

_MOST_EXPENSIVE = 4
"""How many rules are named when the total is too much."""

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_UNSUPPORTED = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref")
_AT_ROOT = (
    "properties", "description", "required", "title", "type", "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
)  # fmt: skip
_GO_AT_ROOT = "[Type Description Items Title Required Properties XPreserveUnknownFields XValidations]"


def check_schema(raw: Object, path: Path, *, has_status: bool) -> list[FieldError]:
    """List what is wrong with an openAPIV3Schema. path: of the schema."""
    found: list[FieldError] = []
    if has_status:
        _status_root(found, raw, path)
    if raw.get("nullable"):
        found.append(field.forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    run = _Walk(found)
    run.visit(raw, path, is_root=True)
    if run.is_sound:
        _Rules(found).check(raw, path)
    structural = check_structural(raw, path)
    if structural:
        found += structural
    else:
        found += check_defaults(raw, path)
    return found


def _status_root(found: list[FieldError], raw: Object, path: Path) -> None:
    if raw.get("type") and raw["type"] != "object":
        detail = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
        found.append(field.invalid(f"{path}.type", raw["type"], detail))
    elif any(value and key not in (*_AT_ROOT, "items", "nullable") for key, value in raw.items()):
        detail = f"only {_GO_AT_ROOT} fields are allowed at the root of the schema if the status subresource is enabled"
        found.append(field.invalid(path, raw, detail))


class _Walk:
    """Goes through all nodes, those of logic too."""

    def __init__(self, found: list[FieldError]) -> None:
        self._found = found
        self._before = len(found)

    @property
    def is_sound(self) -> bool:
        """Whether nothing was wrong, so that rules can be compiled."""
        return len(self._found) == self._before

    def visit(self, raw: Object, path: Path, *, is_root: bool = False, no_defaults: str = "") -> None:
        self._check(raw, path, no_defaults)
        additional, items = raw.get("additionalProperties"), raw.get("items")
        if isinstance(additional, dict):
            self.visit(additional, path.child("additionalProperties"), no_defaults=no_defaults)
        meta = ("apiVersion", "kind", "metadata") if is_root else ()
        for name in sorted(raw.get("properties") or ()):
            reason = f"must not be set in top-level {name}" if name in meta else no_defaults
            self.visit(raw["properties"][name], path.child("properties").key(name), no_defaults=reason)
        if isinstance(raw.get("not"), dict):
            self.visit(raw["not"], path.child("not"), no_defaults=no_defaults)
        for key in ("allOf", "oneOf", "anyOf"):
            for position, one in enumerate(raw.get(key) or ()):
                self.visit(one, path.child(key).index(position), no_defaults=no_defaults)
        if isinstance(items, dict):
            self.visit(items, path.child("items"), no_defaults=no_defaults)
        self._lists(raw, path)
        _rule_texts(self._found, raw, path.child("x-kubernetes-validations"))

    def _check(self, raw: Object, path: Path, no_defaults: str) -> None:  # noqa: C901 - one case per keyword
        add = self._found.append
        if raw.get("default") is not None and no_defaults:
            add(field.forbidden(path.child("default"), no_defaults))
        for key in _UNSUPPORTED:
            if raw.get(key):
                add(field.forbidden(path.child(key), f"{key} is not supported"))
        kind = raw.get("type")
        if kind == "null":
            detail = "type cannot be set to null, use nullable as an alternative"
            add(field.forbidden(path.child("type"), detail))
        elif kind and kind not in _TYPES:
            add(field.not_supported(path.child("type"), kind, _TYPES))
        if isinstance(raw.get("items"), list):
            add(field.forbidden(path.child("items"), "items must be a schema object and not an array"))
        if raw.get("pattern"):
            try:
                compile_pattern(raw["pattern"])
            except PatternError as error:
                detail = f"must be a valid regular expression, but isn't: {error}"
                add(field.invalid(path.child("pattern"), raw["pattern"], detail))
        if raw.get("uniqueItems"):
            detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
            add(field.forbidden(path.child("uniqueItems"), detail))
        if raw.get("x-kubernetes-preserve-unknown-fields") is False:
            add(field.invalid(path.child("x-kubernetes-preserve-unknown-fields"), False, "must be true or undefined"))

    def _lists(self, raw: Object, path: Path) -> None:
        kind = raw.get("type") or ""
        map_type, list_type = raw.get("x-kubernetes-map-type"), raw.get("x-kubernetes-list-type")
        self._needs(path, kind, "object", map_type, "x-kubernetes-map-type", ("atomic", "granular"))
        self._needs(path, kind, "array", list_type, "x-kubernetes-list-type", ("atomic", "map", "set"))
        keys, items = raw.get("x-kubernetes-list-map-keys") or [], raw.get("items")
        at = path.child("x-kubernetes-list-type")
        if keys and list_type != "map":
            detail = "must be map if x-kubernetes-list-map-keys is non-empty"
            self._found.append(field.invalid(at, list_type, detail) if list_type else field.required(at, detail))
        if list_type == "set" and isinstance(items, dict):
            self._set_items(items, path.child("items"))
        if list_type == "map":
            self._map_items(keys, items, path)

    def _needs(self, path: Path, kind: str, wanted: str, value: Any, key: str, known: tuple[str, ...]) -> None:  # noqa: PLR0917 - the fields in their order
        if value is None:
            return
        if kind != wanted:
            detail, at = f"must be {wanted} if {key} is specified", path.child("type")
            self._found.append(field.invalid(at, kind, detail) if kind else field.required(at, detail))
        if value not in known:
            self._found.append(field.not_supported(path.child(key), value, known))

    def _set_items(self, items: Object, path: Path) -> None:
        detail = "must be atomic as item of a list with x-kubernetes-list-type=set"
        if items.get("nullable"):
            at = path.child("nullable")
            self._found.append(field.forbidden(at, "cannot be nullable when x-kubernetes-list-type is set"))
        if items.get("type") == "object" and items.get("x-kubernetes-map-type") != "atomic":
            at = path.child("x-kubernetes-map-type")
            self._found.append(field.invalid(at, items.get("x-kubernetes-map-type"), detail))
        if items.get("type") == "array" and items.get("x-kubernetes-list-type") not in (None, "atomic"):
            at = path.child("x-kubernetes-list-type")
            self._found.append(field.invalid(at, items["x-kubernetes-list-type"], detail))

    def _map_items(self, keys: list[str], items: Any, path: Path) -> None:
        add, at = self._found.append, path.child("x-kubernetes-list-map-keys")
        if not keys:
            add(field.required(at, "must not be empty if x-kubernetes-list-type is map"))
        if not isinstance(items, dict):
            if not items:
                add(field.required(path.child("items"), "must have a schema if x-kubernetes-list-type is map"))
            return
        if items.get("type") != "object":
            detail = "must be object if parent array's x-kubernetes-list-type is map"
            add(field.invalid(path.child("items").child("type"), items.get("type") or "", detail))
            return
        declared = items.get("properties") or {}
        seen: set[str] = set()
        for key in keys:
            below = path.child("items").child("properties").key(key)
            if key not in declared:
                add(field.invalid(at, keys, "entries must all be names of item properties"))
            elif declared[key].get("type") in ("array", "object"):
                detail = "must be a scalar type if parent array's x-kubernetes-list-type is map"
                add(field.invalid(below.child("type"), declared[key]["type"], detail))
            if key in seen:
                add(field.invalid(at, keys, "must not contain duplicate entries"))
            seen.add(key)
            self._key(items, declared.get(key), key, below)

    def _key(self, items: Object, child: Object | None, key: str, path: Path) -> None:
        if child is None:
            return
        why = "this property is in x-kubernetes-list-map-keys, so it"
        if child.get("default") is None and key not in (items.get("required") or ()):
            self._found.append(
                field.required(path.child("default"), f"{why} must have a default or be a required property")
            )
        if child.get("nullable"):
            self._found.append(field.forbidden(path.child("nullable"), f"{why} cannot be nullable"))


def _rule_texts(found: list[FieldError], raw: Object, path: Path) -> None:
    for position, rule in enumerate(raw.get("x-kubernetes-validations") or ()):
        at = path.index(position)
        text, message = (rule.get("rule") or "").strip(), rule.get("message") or ""
        if not text:
            found.append(field.required(at.child("rule"), "rule is not specified"))
        elif message and not message.strip():
            found.append(field.invalid(at.child("message"), message, "message must be non-empty if specified"))
        elif "\n" in message.strip() or "\r" in message.strip():
            found.append(field.invalid(at.child("message"), message, "message must not contain line breaks"))
        elif ("\n" in text or "\r" in text) and not message.strip():
            detail = "message must be specified if rule contains line breaks"
            found.append(field.required(at.child("message"), detail))
        expression = rule.get("messageExpression") or ""
        if expression and not expression.strip():
            detail = "messageExpression must be non-empty if specified"
            found.append(field.required(at.child("messageExpression"), detail))
        reason = rule.get("reason")
        if reason is not None and reason not in _REASONS:
            found.append(field.not_supported(at.child("reason"), reason, _REASONS))
        _field_path(found, raw, rule.get("fieldPath") or "", at.child("fieldPath"))


def _field_path(found: list[FieldError], raw: Object, text: str, path: Path) -> None:
    import re  # noqa: PLC0415 - few rules name a field

    if not text:
        return
    if not text.strip():
        found.append(field.invalid(path, text, "fieldPath must be non-empty if specified"))
        return
    if re.fullmatch(r"(?:\.[^.\[\]']+|\['(?:[^'\\]|\\.)*'\])+", text) is None:
        found.append(field.invalid(path, text, "fieldPath must be a valid path"))
        return
    node: Any = raw
    for match in re.finditer(r"\.([^.\[]+)|\['((?:[^'\\]|\\.)*)'\]", text):
        name = match[1] if match[1] is not None else match[2]
        below = (node.get("properties") or {}).get(name)
        additional = node.get("additionalProperties")
        node = below if below is not None else additional if isinstance(additional, dict) else None
        if node is None:
            found.append(field.invalid(path, text, "fieldPath must be a valid path: does not refer to a valid field"))
            return


# -- rules


class _Rules:
    """Compiles the rules of a schema and adds up what they may cost."""

    def __init__(self, found: list[FieldError]) -> None:
        self._found = found
        self._costs: list[tuple[int, Path]] = []

    def check(self, raw: Object, path: Path) -> None:
        self._visit(Structural(raw, is_root=True), path, 1, "", is_root=True)
        total = sum(cost for cost, _ in self._costs)
        if total <= TOTAL_LIMIT:
            return
        detail = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
        for _, at in sorted(self._costs, key=lambda one: -one[0])[:_MOST_EXPENSIVE]:
            self._found.append(field.forbidden(at, detail))
        name = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
        self._found.append(field.forbidden(path, cost_message(name, total, TOTAL_LIMIT)))

    def _visit(self, schema: Structural, path: Path, times: int, uncorrelatable: str, *, is_root: bool = False) -> None:
        for name, child in schema.properties.items():
            self._visit(child, path.child("properties").key(name), times, uncorrelatable)
        if isinstance(schema.additional, Structural):
            below = path.child("additionalProperties")
            self._visit(schema.additional, below, times * max_items(schema), uncorrelatable)
        if schema.items is not None:
            inside = uncorrelatable or ("" if schema.list_type == "map" else str(path))
            self._visit(schema.items, path.child("items"), times * max_items(schema), inside)
        if schema.rules:
            self._own(schema, path.child("x-kubernetes-validations"), times, uncorrelatable, is_root=is_root)

    def _own(self, schema: Structural, path: Path, times: int, uncorrelatable: str, *, is_root: bool) -> None:
        from sampan.apiserver.apiextensions.rules import rules_of  # noqa: PLC0415 - CEL is large

        for position, rule in enumerate(rules_of(schema, is_root=is_root)):
            at = path.index(position)
            if rule.program is not None:
                self._cost(rule.program.estimated_cost() * times, at.child("rule"), "estimated rule cost")
            if rule.problem is not None:
                self._wrong(at.child("rule"), rule.raw, f"compilation failed: {rule.problem}")
            elif rule.program is not None and rule.program.type.name not in ("bool", "dyn"):
                self._wrong(at.child("rule"), rule.raw, "cel expression must evaluate to a bool")
            if rule.message_problem is not None:
                text = f"messageExpression compilation failed: {rule.message_problem}"
                self._wrong(at.child("messageExpression"), rule.raw, text)
            elif rule.message is not None:
                if rule.message.type.name not in ("string", "dyn"):
                    self._wrong(at.child("messageExpression"), rule.raw, "messageExpression must evaluate to a string")
                where = at.child("messageExpression")
                self._cost(rule.message.estimated_cost() * times, where, "estimated messageExpression cost")
            if rule.uses_old and uncorrelatable:
                detail = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {uncorrelatable}"
                self._found.append(field.invalid(at.child("rule"), rule.raw.get("rule", ""), detail))
            if rule.raw.get("optionalOldSelf") is not None and not rule.uses_old and rule.problem is None:
                detail = "may not be set if oldSelf is not used in rule"
                self._found.append(field.invalid(at.child("optionalOldSelf"), rule.raw["optionalOldSelf"], detail))

    def _cost(self, cost: int, path: Path, name: str) -> None:
        self._costs.append((cost, path))
        if cost > RULE_LIMIT:
            self._found.append(field.forbidden(path, cost_message(name, cost, RULE_LIMIT)))

    def _wrong(self, path: Path, rule: Object, detail: str) -> None:
        shown = {
            "Rule": rule.get("rule") or "", "Message": rule.get("message") or "",
            "MessageExpression": rule.get("messageExpression") or "", "Reason": rule.get("reason"),
            "FieldPath": rule.get("fieldPath") or "", "OptionalOldSelf": rule.get("optionalOldSelf"),
        }  # fmt: skip
        self._found.append(field.invalid(path, shown, detail))


def cost_message(name: str, cost: int, limit: int) -> str:
    """Say by how much a cost is too high, and what to do about it."""
    factor = cost / limit
    text = "more than 100x" if factor > 100 else f"{factor:f}x" if factor < 1.5 else f"{factor:.1f}x"
    return (
        f"{name} exceeds budget by factor of {text} (try simplifying the rule, or adding maxItems, maxProperties, and "
        "maxLength where arrays, maps, and strings are declared)"
    )


# -- selectable fields

_SELECTABLE = ("string", "boolean", "integer")


def check_selectable(version: Object, raw: Object | None, path: Path) -> list[FieldError]:
    """List what is wrong with a version's selectableFields. raw: its schema."""
    found: list[FieldError] = []
    fields = version.get("selectableFields") or []
    if len(fields) > 8:
        found.append(field.too_many(path, len(fields), 8))
    seen: set[str] = set()
    for position, one in enumerate(fields):
        at, text = path.index(position).child("jsonPath"), one.get("jsonPath") or ""
        if not text:
            found.append(field.required(at, ""))
            continue
        problem = _selectable_problem(text, raw or {})
        if problem:
            found.append(field.invalid(at, text, problem))
        elif text in seen:
            found.append(field.duplicate(at, text))
        seen.add(text)
    return found


def _selectable_problem(text: str, raw: Object) -> str:
    if not text.startswith("."):
        return "must be a simple json path starting with ."
    node: Any = raw
    parts = text[1:].split(".")
    for name in parts:
        node = (node.get("properties") or {}).get(name)
        if node is None:
            return "is an invalid path: does not refer to a valid field"
    if parts[0] == "metadata":
        return "must not point to fields in metadata"
    if node.get("type") not in _SELECTABLE:
        return (
            "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are "
            "allowed."
        )
    return ""
