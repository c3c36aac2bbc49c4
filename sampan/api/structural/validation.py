"""Values against schemas: kube-openapi's validator, its order, its messages, its quirks.

A value that is as it was before the update (``old``) breaks no rule: ratcheting, by which an object stays writable when
its schema becomes stricter. Paths are linked tuples, rendered only for errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from sampan.api import field
from sampan.api.field import FieldError, Path
from sampan.api.goformat import go_text
from sampan.api.structural.formats import check_format
from sampan.api.structural.patterns import PatternError, compile_pattern
from sampan.api.structural.schema import ABSENT, Structural

if TYPE_CHECKING:
    from collections.abc import Callable

    Where = tuple["Where", str] | None

_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
_INT32 = range(-(1 << 31), 1 << 31)
_INT64 = range(-(1 << 63), 1 << 63)
_UINT32 = range(1 << 32)
_UINT64 = range(1 << 64)
_RANGES = {"int32": _INT32, "int64": _INT64, "uint32": _UINT32, "uint64": _UINT64}
_MAX_FLOAT32 = 3.4028234663852886e38


class TypeInvalid(FieldError):
    """A value of a wrong type: printed as an invalid value, but with a reason of its own."""

    __slots__ = ()

    def cause(self) -> dict[str, Any]:
        return {**super().cause(), "reason": "FieldValueTypeInvalid"}


def validate(schema: Structural, value: Any, *, path: Path | None = None, old: Any = ABSENT) -> list[FieldError]:
    """List the rules that value breaks. path: where value is. old: what value was before, if anything."""
    run = _Run(path)
    run.check(schema, value, None, old)
    return run.errors


def same(value: Any, other: Any) -> bool:
    """Whether two values are the same JSON; Python takes true for 1."""
    return bool(value == other) and _spell(value) == _spell(other)


def _spell(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def correlate(schema: Structural, old: Any) -> Callable[[int, Any], Any]:
    """Find the old item that a list's item was: only maps' items can be told apart."""
    if old.__class__ is not list or schema.list_type != "map":
        return lambda _position, _item: ABSENT
    keys = schema.list_map_keys
    known: dict[str, Any] = {}
    for item in old:
        if item.__class__ is dict:
            known.setdefault(repr([item.get(key) for key in keys]), item)

    def find(_position: int, item: Any) -> Any:
        return known.get(repr([item.get(key) for key in keys]), ABSENT) if item.__class__ is dict else ABSENT

    return find


def _render(where: Where) -> str:
    parts: list[str] = []
    while where is not None:
        parts.append(where[1])
        where = where[0]
    text = ""
    for part in reversed(parts):
        text += part if not text or part.startswith("[") else f".{part}"
    return text


class _Run:
    """One validation. matched: how many checks were passed, by which anyOf chooses the nearest alternative."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.errors: list[FieldError] = []
        self.matched = 0

    # -- errors

    def _at(self, name: str) -> Path | str | None:
        if not name:
            return self.path
        return Path(name) if self.path is None else self.path.child(name)

    def _invalid(self, where: Where, value: Any, rule: str) -> None:
        name = _render(where)
        self.errors.append(FieldError("Invalid value", self._at(name), value, f"{name} in body {rule}"))

    def _type(self, where: Where, value: Any, wanted: str, shown: str) -> None:
        name = _render(where)
        detail = f"{name} in body must be of type {wanted}: {field.go_quote(shown)}"
        self.errors.append(TypeInvalid("Invalid value", self._at(name), value, detail))

    def _general(self, text: str) -> None:
        self.errors.append(FieldError("Invalid value", None, "", text))

    # -- checks

    def check(self, schema: Structural, value: Any, where: Where, old: Any) -> None:
        if old is not ABSENT and same(value, old):
            return
        before = len(self.errors)
        self._check_type(schema, value, where)
        if value is not None:
            raw = schema.raw
            if "anyOf" in raw or "oneOf" in raw or "allOf" in raw or "not" in raw:
                self._check_junctors(schema, value, where, old)
            kind = value.__class__
            if kind is str:
                self._check_string(schema, value, where)
            elif kind is int or kind is float:
                self._check_number(raw, value, where)
            elif kind is list:
                self._check_list(schema, value, where, old)
        self._check_enum(schema, value, where)
        if value.__class__ is dict:
            self._check_object(schema, value, where, old)
        if len(self.errors) == before:
            self.matched += 1

    def _check_type(self, schema: Structural, value: Any, where: Where) -> None:
        wanted = "integer,string" if schema.int_or_string else schema.type
        if value is None:
            if wanted and not schema.nullable:
                self._type(where, "null", wanted, "null")
            return
        if not wanted:
            return
        name = _NAMES[value.__class__]
        if name == wanted or (schema.int_or_string and name in ("integer", "string")):
            self.matched += 1
            return
        if name == "integer" and wanted == "number":
            return
        if name == "number" and "integer" in wanted and value.is_integer():
            return
        self._type(where, name, wanted, name)

    def _check_junctors(self, schema: Structural, value: Any, where: Where, old: Any) -> None:
        name = _render(where)
        if schema.any_of:
            ok, best, _ = self._alternatives(schema.any_of, value, where, old, stop=True)
            if not ok:
                self._general(f'"{name}" must validate at least one schema (anyOf)')
                self.errors += best
        if schema.one_of:
            ok, best, _ = self._alternatives(schema.one_of, value, where, old, stop=False)
            if ok != 1:
                if not ok:
                    self.errors += best
                found = "Found none valid" if not ok else f"Found {ok} valid alternatives"
                self._general(f'"{name}" must validate one and only one schema (oneOf). {found}')
        if schema.all_of:
            ok, _, every = self._alternatives(schema.all_of, value, where, old, stop=False)
            self.errors += every
            if ok != len(schema.all_of):
                none = ". None validated" if not ok else ""
                self._general(f'"{name}" must validate all the schemas (allOf){none}')
        if schema.negated is not None:
            run = _Run(self.path)
            run.check(schema.negated, value, where, ABSENT)
            if not run.errors:
                self._general(f'"{name}" must not validate the schema (not)')

    def _alternatives(
        self, schemas: list[Structural], value: Any, where: Where, old: Any, *, stop: bool
    ) -> tuple[int, list[FieldError], list[FieldError]]:
        """How many alternatives hold, the errors of the nearest one that does not, and all errors."""
        valid, best, most = 0, [], -1
        every: list[FieldError] = []
        for one in schemas:
            run = _Run(self.path)
            run.check(one, value, where, old)
            every += run.errors
            if not run.errors:
                valid += 1
                self.matched += run.matched
                if stop:
                    break
            elif run.matched > most:
                best, most = run.errors, run.matched
        return valid, best, every

    def _check_string(self, schema: Structural, value: str, where: Where) -> None:
        raw = schema.raw
        longest, shortest, pattern = raw.get("maxLength"), raw.get("minLength"), raw.get("pattern")
        if longest is not None and len(value) > longest:
            self.errors.append(field.too_long(self._at(_render(where)) or "<nil>", value, longest))
        elif shortest is not None and len(value) < shortest:
            self._invalid(where, value, f"should be at least {shortest} chars long")
        elif pattern and not _matches(pattern, value):
            self._invalid(where, value, f"should match '{pattern}'")
        form = raw.get("format")
        if form and (check := check_format(form)) is not None and not check(value):
            self._type(where, value, form, value)

    def _check_number(self, raw: dict[str, Any], value: float, where: Where) -> None:
        form = raw.get("format")
        if form in _RANGES and isinstance(value, int) and value not in _RANGES[form]:
            self._general(f"Checked value must be of type integer with format {form} in {_render(where)}")
        elif form == "float" and abs(value) > _MAX_FLOAT32:
            self._general(f"Checked value must be of type number with format float in {_render(where)}")
        factor, top, bottom = raw.get("multipleOf"), raw.get("maximum"), raw.get("minimum")
        if factor is not None:
            quotient = value / factor
            if not float(quotient).is_integer():
                self._invalid(where, value, f"should be a multiple of {_number(factor)}")
        if top is not None:
            exclusive = raw.get("exclusiveMaximum")
            if value > top or (exclusive and value == top):
                self._invalid(where, value, f"should be less than {'' if exclusive else 'or equal to '}{_number(top)}")
        if bottom is not None:
            exclusive = raw.get("exclusiveMinimum")
            if value < bottom or (exclusive and value == bottom):
                rule = f"should be greater than {'' if exclusive else 'or equal to '}{_number(bottom)}"
                self._invalid(where, value, rule)

    def _check_list(self, schema: Structural, value: list[Any], where: Where, old: Any) -> None:
        raw, items = schema.raw, schema.items
        if items is not None:
            before = correlate(schema, old) if old is not ABSENT else None
            for position, item in enumerate(value):
                was = before(position, item) if before is not None else ABSENT
                self.check(items, item, (where, f"[{position}]"), was)
        fewest, most = raw.get("minItems"), raw.get("maxItems")
        if fewest is not None and len(value) < fewest:
            self._invalid(where, len(value), f"should have at least {fewest} items")
        if most is not None and len(value) > most:
            self.errors.append(field.too_many(self._at(_render(where)) or "<nil>", len(value), most))
        if raw.get("uniqueItems") and len({_spell(item) for item in value}) < len(value):
            self._invalid(where, value, "shouldn't contain duplicates")

    def _check_enum(self, schema: Structural, value: Any, where: Where) -> None:
        allowed = schema.raw.get("enum")
        if not allowed or (value is None and schema.nullable and None in allowed):
            return
        if any(same(value, one) for one in allowed):
            self.matched += 1
            return
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value in allowed:
            return
        texts = [one if isinstance(one, str) else orjson.dumps(one).decode() for one in allowed]
        self.errors.append(field.not_supported(self._at(_render(where)) or "<nil>", value, texts))

    def _check_object(self, schema: Structural, value: dict[str, Any], where: Where, old: Any) -> None:
        raw = schema.raw
        fewest, most = raw.get("minProperties"), raw.get("maxProperties")
        if fewest is not None and len(value) < fewest:
            self._invalid(where, len(value), f"should have at least {fewest} properties")
            return
        if most is not None and len(value) > most:
            self.errors.append(field.too_many(self._at(_render(where)) or "<nil>", len(value), most))
            return
        properties, additional = schema.properties, schema.additional
        was = old if old.__class__ is dict else {}
        for name in sorted(value):
            child = properties.get(name)
            if child is None:
                if isinstance(additional, Structural):
                    child = additional
                elif additional is False and "additionalProperties" in raw:
                    at = _render((where, name))
                    self.errors.append(field.forbidden(self._at(at) or "", f"{at} in body is a forbidden property"))
                    continue
                else:
                    continue
            self.check(child, value[name], (where, name), was.get(name, ABSENT))
        for name in raw.get("required") or ():
            if name not in value:
                self.errors.append(field.required(self._at(_render((where, name))) or ""))
            else:
                self.matched += 1


def _number(value: float) -> str:
    return go_text(float(value))


def _matches(pattern: str, value: str) -> bool:
    try:
        return compile_pattern(pattern).search(value) is not None
    except PatternError:
        return True
