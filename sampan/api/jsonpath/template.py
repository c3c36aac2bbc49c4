"""Running templates on objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from sampan.api.goformat import go_text
from sampan.api.jsonpath.nodes import (
    Constant,
    Field,
    Filter,
    Identifier,
    JSONPathError,
    Recursive,
    Slice,
    Steps,
    Text,
    Union,
    Wildcard,
)
from sampan.api.jsonpath.parser import parse_nodes
from sampan.api.textcache import text_cache

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_NOTHING: Any = object()
"""What a range over nothing runs its body on, once, to find its end."""


class Template:
    """A parsed template; may be run any number of times."""

    __slots__ = ("_nodes",)

    def __init__(self, nodes: Sequence[Steps | Text]) -> None:
        self._nodes = nodes

    def find(self, data: Any, *, allow_missing: bool = False) -> list[list[Any]]:
        """Return the values that each text and action gives. allow_missing: absent members give none.

        Raises JSONPathError.
        """
        return _Run(self._nodes, allow_missing=allow_missing).find(0, data)

    def render(self, data: Any, *, allow_missing: bool = False) -> str:
        """Print what `find` gives: blanks between values, containers as JSON. Raises JSONPathError."""
        groups = self.find(data, allow_missing=allow_missing)
        return "".join(" ".join(map(text_of, group)) for group in groups)


@text_cache(1024)
def parse(text: str) -> Template:
    """Parse a template. Raises JSONPathError."""
    return Template(parse_nodes(text))


def text_of(value: Any) -> str:
    """Print one value."""
    if isinstance(value, (dict, list)):
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
        return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return go_text(value)


class _Run:
    """One run; the counters say how many ranges are open, and which ones just began or ended."""

    def __init__(self, nodes: Sequence[Steps | Text], *, allow_missing: bool) -> None:
        self._nodes = nodes
        self._allow_missing = allow_missing
        self._beginning = self._inside = self._ending = 0
        self._last_end = -1

    def find(self, start: int, data: Any) -> list[list[Any]]:
        """Run the nodes from start on, up to the end of the range that they are in."""
        found: list[list[Any]] = []
        at = start
        while at < len(self._nodes):
            results = self._walk([data], self._nodes[at])
            if 0 < self._ending <= self._inside:
                self._ending -= 1
                self._last_end = at
                break
            if self._beginning:
                self._beginning -= 1
                self._inside += 1
                for value in results or [_NOTHING]:
                    inner = self.find(at + 1, value)
                    if results:
                        found.extend(inner)
                self._inside -= 1
                at = max(at, self._last_end)
            else:
                found.append(results)
            at += 1
        return found

    def _walk(self, values: list[Any], node: Any) -> list[Any]:
        return _WALKERS[node.__class__](self, values, node)

    def steps(self, values: list[Any], node: Steps) -> list[Any]:
        for step in node.nodes:
            values = self._walk(values, step)
        return values

    def text(self, _: list[Any], node: Text) -> list[Any]:
        return [node.text]

    def constant(self, values: list[Any], node: Constant) -> list[Any]:
        return [node.value] * len(values)

    def identifier(self, values: list[Any], node: Identifier) -> list[Any]:
        if node.name == "range":
            self._beginning += 1
            return values
        if node.name != "end":
            raise JSONPathError(f"unrecognized identifier {node.name}")
        if not self._inside:
            raise JSONPathError("not in range, nothing to end")
        self._ending += 1
        return []

    def field(self, values: list[Any], node: Field) -> list[Any]:
        if not values:
            return []
        name = node.name
        found = [value[name] for value in values if value.__class__ is dict and name in value]
        if not found and not self._allow_missing:
            raise JSONPathError(f"{name} is not found")
        return found

    def slice(self, values: list[Any], node: Slice) -> list[Any]:
        found: list[Any] = []
        for value in values:
            if value is None or value is _NOTHING:
                continue
            if value.__class__ is not list:
                raise JSONPathError(f"{_go_type(value)} is not array or slice")
            start, stop = _bounds(node, len(value))
            if start == stop:
                return found
            step = 1 if node.step is None else node.step
            if step <= 0:
                raise JSONPathError("step must be > 0")
            found.extend(value[start:stop:step])
        return found

    def wildcard(self, values: list[Any], _: Wildcard) -> list[Any]:
        return [below for value in values for below in _below(value)]

    def recursive(self, values: list[Any], node: Recursive) -> list[Any]:
        found: list[Any] = []
        for value in values:
            below = _below(value)
            if below:
                found.append(value)
                found.extend(self.recursive(below, node))
        return found

    def union(self, values: list[Any], node: Union) -> list[Any]:
        return [found for steps in node.alternatives for found in self.steps(values, steps)]

    def filter(self, values: list[Any], node: Filter) -> list[Any]:
        found: list[Any] = []
        for value in values:
            if value.__class__ is not list:
                shown = "<invalid reflect.Value>" if value is None or value is _NOTHING else go_text(value)
                raise JSONPathError(f"{shown} is not array or slice and cannot be filtered")
            found.extend(item for item in value if self._passes(item, node))
        return found

    def _passes(self, item: Any, node: Filter) -> bool:
        if node.operator == "exists":
            try:
                return bool(self.steps([item], node.left))
            except JSONPathError:
                return False
        left = self.steps([item], node.left)
        right = self.steps([item], node.right) if len(left) == 1 else left
        if not left or not right:
            return False
        if len(left) > 1 or len(right) > 1:
            raise JSONPathError("can only compare one element at a time")
        compare = _COMPARISONS.get(node.operator)
        if compare is None:
            raise JSONPathError(f"unrecognized filter operator {node.operator}")
        return compare(left[0], right[0])


_WALKERS: dict[type, Callable[[_Run, list[Any], Any], list[Any]]] = {
    Steps: _Run.steps,
    Text: _Run.text,
    Constant: _Run.constant,
    Identifier: _Run.identifier,
    Field: _Run.field,
    Slice: _Run.slice,
    Wildcard: _Run.wildcard,
    Recursive: _Run.recursive,
    Union: _Run.union,
    Filter: _Run.filter,
}


def _bounds(node: Slice, length: int) -> tuple[int, int]:
    start = node.start or 0
    if start < 0:
        start += length
    stop = length if node.stop is None else node.stop
    if stop < 0 or (stop == 0 and node.stop_derived):
        stop += length
    if start == stop:
        return start, stop
    if not 0 <= start < length:
        raise JSONPathError(f"array index out of bounds: index {start}, length {length}")
    if not 0 <= stop <= length:
        raise JSONPathError(f"array index out of bounds: index {stop - 1}, length {length}")
    if start > stop:
        raise JSONPathError(f"starting index {start} is greater than ending index {stop}")
    return start, stop


def _below(value: Any) -> list[Any]:
    """Members, items, or the bytes of a text, as Go sees one."""
    if value.__class__ is dict:
        return [value[key] for key in sorted(value)]
    if value.__class__ is list:
        found: list[Any] = value
        return found
    return list(value.encode()) if value.__class__ is str else []


_GO_TYPES = {dict: "map[string]interface {}", str: "string", bool: "bool", int: "int64", float: "float64"}


def _go_type(value: Any) -> str:
    return _GO_TYPES.get(value.__class__, "interface {}")


_ORDERED = frozenset({int, float, str})


def _check_kinds(left: Any, right: Any, *, ordered: bool) -> None:
    kinds = _ORDERED if ordered else _ORDERED | {bool}
    if left.__class__ not in kinds | {bool} or right.__class__ not in kinds | {bool}:
        raise JSONPathError("invalid type for comparison")
    if left.__class__ is not right.__class__:
        raise JSONPathError("incompatible types for comparison")
    if left.__class__ not in kinds:
        raise JSONPathError("invalid type for comparison")


def _equal(left: Any, right: Any) -> bool:
    _check_kinds(left, right, ordered=False)
    return bool(left == right)


def _less(left: Any, right: Any) -> bool:
    _check_kinds(left, right, ordered=True)
    return bool(left < right)


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<": _less,
    "<=": lambda left, right: _less(left, right) or _equal(left, right),
    ">": lambda left, right: not (_less(left, right) or _equal(left, right)),
    ">=": lambda left, right: not _less(left, right),
}
