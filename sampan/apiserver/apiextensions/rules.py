"""x-kubernetes-validations: the rules of a schema, compiled when first needed, run on objects.

Behaviour: apiextensions-apiserver, package apiserver/schema/cel (compilation, validation).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sampan.api import cel, field
from sampan.api.cel.program import BUDGET, PER_CALL_LIMIT
from sampan.api.cel.values import NONE, Optional
from sampan.api.field import FieldError, Path
from sampan.api.structural.celtypes import cel_type, cel_value
from sampan.api.structural.schema import ABSENT, Structural
from sampan.api.structural.validation import correlate, same

if TYPE_CHECKING:
    from sampan.api.object import Object

MESSAGE_LIMIT = 5 * 1024
"""Bytes of a message that an expression makes; longer ones are not used."""

_OUT_OF_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"


class WithoutValue(FieldError):
    """A broken rule about an object or a list, whose value is not shown."""

    __slots__ = ()

    def body(self) -> str:
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


class Rule:
    """One rule. problem: why it does not compile, None when it does. message_problem: of its messageExpression."""

    __slots__ = ("message", "message_problem", "problem", "program", "raw", "uses_old")

    def __init__(self, raw: Object, schema: Structural, *, is_root: bool) -> None:
        self.raw = raw
        self.program: cel.Program | None = None
        self.message: cel.Program | None = None
        self.problem: cel.CompileError | None = None
        self.message_problem: cel.CompileError | None = None
        kind = cel_type(schema, is_root=is_root) or cel.DYN
        old = cel.optional_of(kind) if raw.get("optionalOldSelf") else kind
        environment = cel.Environment(variables={"self": kind, "oldSelf": old})
        try:
            self.program = cel.compile(raw.get("rule") or "", environment)
        except cel.CompileError as error:
            self.problem = error
        if raw.get("messageExpression"):
            try:
                self.message = cel.compile(raw["messageExpression"], environment)
            except cel.CompileError as error:
                self.message_problem = error
        self.uses_old = self.program is not None and self.program.uses("oldSelf")

    @property
    def shown(self) -> str:
        """The rule as errors of its run name it."""
        return (self.raw.get("message") or "").strip() or (self.raw.get("rule") or "").strip()


def rules_of(schema: Structural, *, is_root: bool = False) -> list[Rule]:
    """The compiled rules of a node."""
    found: list[Rule] | None = schema.cache.get("rules")
    if found is None:
        found = schema.cache["rules"] = [Rule(raw, schema, is_root=is_root) for raw in schema.rules]
    return found


def _has_rules(schema: Structural) -> bool:
    known: bool | None = schema.cache.get("has_rules")
    if known is None:
        known = bool(schema.rules) or any(_has_rules(child) for child in schema.children())
        schema.cache["has_rules"] = known
    return known


def check_rules(schema: Structural, obj: Any, old: Any = ABSENT) -> list[FieldError]:
    """List the rules that an object breaks. old: what it was, ABSENT for a new one."""
    run = _Run()
    try:
        run.check(schema, obj, old, None, is_root=True)
    except _OutOfBudgetError:
        run.found.append(field.invalid(None, None, _OUT_OF_BUDGET))
    return run.found


class _OutOfBudgetError(Exception):
    """The budget of one object is used up."""


class _Run:
    def __init__(self) -> None:
        self.found: list[FieldError] = []
        self._budget = BUDGET

    def check(self, schema: Structural, value: Any, old: Any, path: Path | None, *, is_root: bool = False) -> None:
        if value is None and not is_root:
            return
        if schema.rules:
            self._check_own(schema, value, old, path, is_root=is_root)
        if value.__class__ is dict:
            before = old if old.__class__ is dict else {}
            for name in sorted(value):
                child = schema.member(name)
                if child is None or not _has_rules(child):
                    continue
                declared = name in schema.properties
                at = Path(name) if path is None else path.child(name) if declared else path.key(name)
                self.check(child, value[name], before.get(name, ABSENT), at)
        elif value.__class__ is list and schema.items is not None and _has_rules(schema.items):
            find = correlate(schema, old)
            for position, item in enumerate(value):
                at = path.index(position) if path is not None else Path(f"[{position}]")
                self.check(schema.items, item, find(position, item), at)

    def _check_own(self, schema: Structural, value: Any, old: Any, path: Path | None, *, is_root: bool) -> None:
        seen = cel_value(schema, value)
        before = ABSENT if old is ABSENT or old is None else cel_value(schema, old)
        unchanged = old is not ABSENT and same(value, old)
        for rule in rules_of(schema, is_root=is_root):
            if rule.problem is not None:
                text = f"rule compile error: {rule.problem}"
                self._add(path, value, text, None)
                continue
            optional = bool(rule.raw.get("optionalOldSelf"))
            if rule.uses_old and before is ABSENT and not optional:
                continue
            if unchanged and not rule.uses_old:
                continue
            activation: dict[str, Any] = {"self": seen}
            if optional:
                activation["oldSelf"] = NONE if before is ABSENT else Optional(before)
            elif before is not ABSENT:
                activation["oldSelf"] = before
            self._run_one(rule, activation, value, path)

    def _run_one(self, rule: Rule, activation: dict[str, Any], value: Any, path: Path | None) -> None:
        assert rule.program is not None
        try:
            result, cost = rule.program.evaluate(activation, min(PER_CALL_LIMIT, self._budget))
        except cel.CostExceededError as error:
            if self._budget <= PER_CALL_LIMIT:
                raise _OutOfBudgetError from error
            text = f"'{error}': no further validation rules will be run due to call cost exceeds limit for rule: "
            self._add(path, value, text + rule.shown, None)
            self._budget = 0
            raise _OutOfBudgetError from error
        except cel.CelError as error:
            if str(error).startswith("no such overload"):
                text = (
                    f"'{error}': call arguments did not match a supported operator, function or macro signature "
                    "for rule: "
                )
                self._add(path, value, text + rule.shown, None)
            else:
                self._add(path, value, f"{error} evaluating rule: {rule.shown}", None)
            return
        self._budget -= cost
        if result is not True:
            self._add(
                _below(path, rule.raw.get("fieldPath") or ""),
                value,
                self._message(rule, activation),
                rule.raw.get("reason"),
            )

    def _message(self, rule: Rule, activation: dict[str, Any]) -> str:
        if rule.message is not None:
            try:
                text, cost = rule.message.evaluate(activation, min(PER_CALL_LIMIT, self._budget))
                self._budget -= cost
            except cel.CelError:
                text = None
            if isinstance(text, str) and text.strip() and "\n" not in text and len(text.encode()) <= MESSAGE_LIMIT:
                return text.strip()
        message = (rule.raw.get("message") or "").strip()
        return message or f"failed rule: {(rule.raw.get('rule') or '').strip()}"

    def _add(self, path: Path | str | None, value: Any, detail: str, reason: str | None) -> None:
        if reason == "FieldValueForbidden":
            self.found.append(field.forbidden(path or "<nil>", detail))
        elif reason == "FieldValueRequired":
            self.found.append(field.required(path or "<nil>", detail))
        elif reason == "FieldValueDuplicate":
            self.found.append(field.duplicate(path or "<nil>", value))
        elif isinstance(value, (dict, list)):
            self.found.append(WithoutValue("Invalid value", path, None, detail))
        else:
            self.found.append(field.invalid(path, value, detail))


def _below(path: Path | None, relative: str) -> Path | None:
    """A rule's fieldPath below the node: ``.spec.ports['a']``."""
    for match in re.finditer(r"\.([^.\[]+)|\['((?:[^'\\]|\\.)*)'\]", relative):
        name = match[1] if match[1] is not None else match[2]
        if match[1] is not None:
            path = Path(name) if path is None else path.child(name)
        else:
            path = Path(f"[{name}]") if path is None else path.key(name)
    return path
