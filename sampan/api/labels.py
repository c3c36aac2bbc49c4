"""Label selectors: as text (``a=b,c in (d,e),!f``) and as LabelSelector objects, both compiled to one matcher.

A `Selector` is immutable and hashable by its text. It tells the pairs that a match must have (`exact_pairs`), so that a
cache can look candidates up in an index and test only those. Behaviour: apimachinery, packages labels and meta/v1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from sampan.api import field, names
from sampan.api.field import Path, go_quote
from sampan.api.textcache import text_cache
from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sampan.api.object import Object

Operator = Literal["in", "notin", "=", "==", "!=", "exists", "!", "gt", "lt"]

_OBJECT_OPERATORS: dict[str, Operator] = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}
_BINARY = "in, notin, =, ==, !=, gt, lt"
_LEXEMES = re.compile(r"[ \t\r\n]*(?:([=!<>(),]+)|([^=!<>(), \t\r\n\x00]+))")
_SYMBOLS = frozenset({"=", "==", "!=", "!", "(", ")", ",", "<", ">"})
_WORD_OPERATORS: dict[str, Operator] = {
    "in": "in",
    "notin": "notin",
    "=": "=",
    "==": "==",
    "!=": "!=",
    ">": "gt",
    "<": "lt",
}
_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_CACHE = 4096


class SelectorError(SampanError, ValueError):
    """The selector is malformed; the message is Kubernetes'."""


class Requirement:
    """One condition on one label. values: sorted, without duplicates."""

    __slots__ = ("_bound", "_set", "key", "operator", "values")

    def __init__(self, key: str, operator: Operator, values: Iterable[str] = ()) -> None:
        self.key = key
        self.operator: Operator = operator
        self._set = frozenset(values)
        self.values = tuple(sorted(self._set))
        self._bound = int(self.values[0]) if operator in ("gt", "lt") else 0

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether an object with these labels meets the condition."""
        value = labels.get(self.key)
        operator = self.operator
        if operator in ("in", "=", "=="):
            return value is not None and value in self._set
        if operator in ("notin", "!="):
            return value is None or value not in self._set
        if operator == "exists":
            return value is not None
        if operator == "!":
            return value is None
        number = None if value is None else _int64(value)
        if number is None:
            return False
        return number > self._bound if operator == "gt" else number < self._bound

    def __str__(self) -> str:
        key, operator = self.key, self.operator
        if operator == "exists":
            return key
        if operator == "!":
            return f"!{key}"
        listed = ",".join(self.values)
        if operator in ("in", "notin"):
            return f"{key} {operator} ({listed})"
        return f"{key}{ {'gt': '>', 'lt': '<'}.get(operator, operator) }{listed}"


class Selector:
    """All of its requirements, or nothing at all. requirements: sorted by key."""

    __slots__ = ("_pairs", "_rest", "_text", "matches_nothing", "requirements")

    def __init__(self, requirements: Iterable[Requirement] = (), *, nothing: bool = False) -> None:
        self.requirements = tuple(sorted(requirements, key=lambda one: one.key))
        self.matches_nothing = nothing
        pairs: dict[str, str] = {}
        rest = []
        for one in self.requirements:
            if one.operator in ("in", "=", "==") and len(one.values) == 1 and one.key not in pairs:
                pairs[one.key] = one.values[0]
            else:
                rest.append(one)
        self._pairs = pairs
        self._rest = rest
        self._text = ",".join(map(str, self.requirements))

    @property
    def is_everything(self) -> bool:
        return not self.requirements and not self.matches_nothing

    def exact_pairs(self) -> Mapping[str, str]:
        """Return labels that every match has, at most one value a key; not to be changed."""
        return self._pairs

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether an object with these labels is selected."""
        if self.matches_nothing:
            return False
        for key, value in self._pairs.items():
            if labels.get(key) != value:
                return False
        return all(one.matches(labels) for one in self._rest) if self._rest else True

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Selector(nothing)" if self.matches_nothing else f"Selector({self._text!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Selector):
            return NotImplemented
        return self._text == other._text and self.matches_nothing == other.matches_nothing

    def __hash__(self) -> int:
        return hash(self._text)


EVERYTHING = Selector()
NOTHING = Selector(nothing=True)


@text_cache(_CACHE)
def parse(text: str) -> Selector:
    """Parse a selector's text; "" selects everything. Raises SelectorError."""
    return Selector(_Parser(text).parse()) if text else EVERYTHING


def from_object(selector: Object | None) -> Selector:
    """Compile a metav1.LabelSelector: None selects nothing, an empty one everything. Raises SelectorError."""
    if selector is None:
        return NOTHING
    requirements = [
        _requirement(key, "=", (value,)) for key, value in sorted((selector.get("matchLabels") or {}).items())
    ]
    for expression in selector.get("matchExpressions") or ():
        operator = _OBJECT_OPERATORS.get(expression.get("operator", ""))
        if operator is None:
            raise SelectorError(f"{go_quote(expression.get('operator', ''))} is not a valid label selector operator")
        requirements.append(_requirement(expression.get("key", ""), operator, expression.get("values") or ()))
    return Selector(requirements) if requirements else EVERYTHING


def from_map(labels: Mapping[str, str] | None) -> Selector:
    """Select objects that have all these labels, unchecked; none selects everything (a Service's or RC's selector)."""
    return Selector([Requirement(key, "=", (value,)) for key, value in labels.items()]) if labels else EVERYTHING


def _int64(text: str) -> int | None:
    if not _INTEGER.fullmatch(text) or len(text) > 30:
        return None
    number = int(text)
    return number if -(2**63) <= number < 2**63 else None


def _requirement(key: str, operator: Operator, values: Iterable[str]) -> Requirement:
    """Check and build; several faults are listed in brackets. Raises SelectorError."""
    values = sorted(set(values))
    errors = []
    if messages := names.is_qualified_name(key):
        errors.append(field.invalid(Path("key"), key, "; ".join(messages)))
    if problem := _count_problem(operator, len(values)):
        errors.append(field.invalid(Path("values"), values, problem))
    if operator in ("gt", "lt"):
        errors.extend(
            field.invalid(
                Path("values").index(position), value, "for 'Gt', 'Lt' operators, the value must be an integer"
            )
            for position, value in enumerate(values)
            if _int64(value) is None
        )
    for position, value in enumerate(values):
        if messages := names.is_valid_label_value(value):
            errors.append(field.invalid(Path("values").index(position).key(key), value, "; ".join(messages)))
    if errors:
        texts = list(dict.fromkeys(map(str, errors)))
        raise SelectorError(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
    return Requirement(key, operator, values)


def _count_problem(operator: Operator, count: int) -> str:
    if operator in ("in", "notin"):
        return "" if count else "for 'in', 'notin' operators, values set can't be empty"
    if operator in ("=", "==", "!="):
        return "" if count == 1 else "exact-match compatibility requires one single value"
    if operator in ("gt", "lt"):
        return "" if count == 1 else "for 'Gt', 'Lt' operators, exactly one value is required"
    return "values set must be empty for exists and does not exist" if count else ""


Token = tuple[str, str]
"""Kind and text. Kinds: "id", "end", or the symbol or word operator itself."""
_END: Token = ("end", "")


def _scan(text: str) -> list[Token]:
    """Split into tokens; a zero byte ends the text, as it does for Kubernetes' lexer."""
    tokens: list[Token] = []
    position = 0
    while match := _LEXEMES.match(text, position):
        position = match.end()
        if word := match[2]:
            tokens.append((word if word in ("in", "notin") else "id", word))
            continue
        symbols = match[1]
        while symbols:
            size = 2 if symbols[:2] in _SYMBOLS else 1
            tokens.append((symbols[:size], symbols[:size]))
            symbols = symbols[size:]
    tokens.append(_END)
    return tokens


class _Parser:
    """Recursive descent with one token of lookahead; where a value is expected, ``in`` and ``notin`` are words."""

    def __init__(self, text: str) -> None:
        self._tokens = _scan(text)
        self._at = 0

    def parse(self) -> list[Requirement]:
        requirements: list[Requirement] = []
        while True:
            kind, text = self._peek()
            if kind == "end":
                return requirements
            if kind not in ("id", "!"):
                raise SelectorError(f"found '{text}', expected: !, identifier, or 'end of string'")
            try:
                requirements.append(self._requirement())
            except SelectorError as error:
                raise SelectorError(f"unable to parse requirement: {error}") from None
            kind, text = self._take()
            if kind == "end":
                return requirements
            if kind != ",":
                raise SelectorError(f"found '{text}', expected: ',' or 'end of string'")
            kind, text = self._peek()
            if kind not in ("id", "!"):
                raise SelectorError(f"found '{text}', expected: identifier after ','")

    def _peek(self) -> Token:
        kind, text = self._tokens[min(self._at, len(self._tokens) - 1)]
        return ("id", text) if kind in ("in", "notin") else (kind, text)

    def _take(self) -> Token:
        token = self._peek()
        self._at += 1
        return token

    def _requirement(self) -> Requirement:
        kind, text = self._take()
        negated = kind == "!"
        if negated:
            kind, text = self._take()
        if kind != "id":
            raise SelectorError(f"found '{text}', expected: identifier")
        if messages := names.is_qualified_name(text):
            raise SelectorError(str(field.invalid(None, text, "; ".join(messages))))
        key = text
        if negated:
            return _requirement(key, "!", ())
        if self._peek()[0] in ("end", ","):
            return _requirement(key, "exists", ())
        kind, text = self._tokens[min(self._at, len(self._tokens) - 1)]
        self._at += 1
        operator = _WORD_OPERATORS.get(kind)
        if operator is None:
            raise SelectorError(f"found '{text}', expected: {_BINARY}")
        values = self._values() if operator in ("in", "notin") else self._value()
        return _requirement(key, operator, values)

    def _value(self) -> set[str]:
        if self._peek()[0] in ("end", ","):
            return {""}
        kind, text = self._take()
        if kind != "id":
            raise SelectorError(f"found '{text}', expected: identifier")
        return {text}

    def _values(self) -> set[str]:
        kind, text = self._take()
        if kind != "(":
            raise SelectorError(f"found '{text}' expected: '('")
        kind, text = self._peek()
        if kind == ")":
            self._take()
            return {""}
        if kind not in ("id", ","):
            raise SelectorError(f"found '{text}', expected: ',', ')' or identifier")
        values = self._identifiers()
        if self._take()[0] != ")":
            raise SelectorError(f"found '{text}', expected: ')'")
        return values

    def _identifiers(self) -> set[str]:
        values: set[str] = set()
        while True:
            kind, text = self._take()
            following, text_after = self._peek()
            if kind == "id":
                values.add(text)
                if following == ")":
                    return values
                if following != ",":
                    raise SelectorError(f"found '{text_after}', expected: ',' or ')'")
            elif kind == ",":
                if not values:
                    values.add("")
                if following == ")":
                    values.add("")
                    return values
                if following == ",":
                    self._take()
                    values.add("")
            else:
                raise SelectorError(f"found '{text}', expected: ',', or identifier")
