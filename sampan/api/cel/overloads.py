"""Functions by name: their signatures for the checker, their implementations for the evaluator.

An implementation takes its arguments in order, the target of a method first, and raises `CelError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sampan.api.cel.values import Duration, Opaque, Optional, Timestamp, TypeValue, UInt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sampan.api.cel.types import Type

_CLASSES: dict[str, tuple[type, ...]] = {
    "bool": (bool,), "int": (int,), "uint": (UInt,), "double": (float,), "string": (str,), "bytes": (bytes,),
    "list": (list,), "map": (dict,), "null": (type(None),), "type": (TypeValue,), "optional_type": (Optional,),
    "google.protobuf.Duration": (Duration,), "google.protobuf.Timestamp": (Timestamp,),
}  # fmt: skip


class Overload(NamedTuple):
    """One signature. cost: which size-dependent cost a call has: "" (1), "traverse", "regex", "concat", "list"."""

    function: str
    is_member: bool
    parameters: tuple[Type, ...]
    result: Type
    implementation: Callable[..., Any]
    cost: str

    def accepts(self, values: Iterable[Any]) -> bool:
        """Whether values are of the parameters' types."""
        return all(_is(kind, value) for kind, value in zip(self.parameters, values, strict=True))


def _is(kind: Type, value: Any) -> bool:
    if kind.is_variable or kind.is_dyn:
        return True
    classes = _CLASSES.get(kind.name)
    if classes is None:
        return isinstance(value, Opaque) and value.kind == kind.name
    return value.__class__ in classes


class Functions:
    """A table of functions."""

    def __init__(self) -> None:
        self._table: dict[str, list[Overload]] = {}

    def add(
        self, function: str, parameters: Iterable[Type], result: Type, implementation: Callable[..., Any],
        *, member: bool = False, cost: str = "",
    ) -> None:  # fmt: skip
        """Add an overload."""
        found = Overload(function, member, tuple(parameters), result, implementation, cost)
        self._table.setdefault(function, []).append(found)

    def find(self, function: str, *, member: bool, count: int) -> list[Overload]:
        """The overloads of a function with so many arguments, the target included."""
        return [
            one for one in self._table.get(function, ()) if one.is_member == member and len(one.parameters) == count
        ]

    def knows(self, function: str) -> bool:
        """Whether there is a function of the name."""
        return function in self._table
