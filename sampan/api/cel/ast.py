"""The syntax tree. Each node knows its offset in the source and, once checked, its type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sampan.api.cel.types import Type


class Node:
    """One expression."""

    __slots__ = ("at", "type")
    type: Type

    def __init__(self, at: int) -> None:
        self.at = at


class Literal(Node):
    """A constant."""

    __slots__ = ("value",)

    def __init__(self, at: int, value: Any) -> None:
        super().__init__(at)
        self.value = value


class Ident(Node):
    """A variable."""

    __slots__ = ("name",)

    def __init__(self, at: int, name: str) -> None:
        super().__init__(at)
        self.name = name


class Select(Node):
    """A field. test: `has()`. optional: ``a.?b``. key: the field as values have it, set by the checker."""

    __slots__ = ("field", "key", "operand", "optional", "test")

    def __init__(self, at: int, operand: Node, field: str, *, test: bool = False, optional: bool = False) -> None:
        super().__init__(at)
        self.operand = operand
        self.field = field
        self.key = field
        self.test = test
        self.optional = optional


class Call(Node):
    """A function, operator or method. implementation: chosen by the checker, None to decide at run time."""

    __slots__ = ("arguments", "function", "implementation", "target")

    def __init__(self, at: int, function: str, target: Node | None, arguments: list[Node]) -> None:
        super().__init__(at)
        self.function = function
        self.target = target
        self.arguments = arguments
        self.implementation: Any = None


class ListNode(Node):
    """A list. optional: positions of items written with ``?``."""

    __slots__ = ("items", "optional")

    def __init__(self, at: int, items: list[Node], optional: frozenset[int]) -> None:
        super().__init__(at)
        self.items = items
        self.optional = optional


class MapNode(Node):
    """A map or, with a name, an object. entries: key, value, whether it is written with ``?``."""

    __slots__ = ("entries", "name")

    def __init__(self, at: int, entries: list[tuple[Any, Node, bool]], name: str = "") -> None:
        super().__init__(at)
        self.entries = entries
        self.name = name


class Macro(Node):
    """A macro over a range: all, exists, exists_one, map, filter and their kin. variables: one or two."""

    __slots__ = ("body", "condition", "kind", "range", "variables")

    def __init__(  # noqa: PLR0917 - the fields in their order
        self, at: int, kind: str, range_: Node, variables: list[str], body: Node, condition: Node | None
    ) -> None:
        super().__init__(at)
        self.kind = kind
        self.range = range_
        self.variables = variables
        self.body = body
        self.condition = condition


def children(node: Node) -> list[Node]:
    """The nodes below."""
    if isinstance(node, Select):
        return [node.operand]
    if isinstance(node, Call):
        return [*([node.target] if node.target is not None else []), *node.arguments]
    if isinstance(node, ListNode):
        return list(node.items)
    if isinstance(node, MapNode):
        return [one for key, value, _ in node.entries for one in (key, value) if isinstance(one, Node)]
    if isinstance(node, Macro):
        return [node.range, node.body, *([node.condition] if node.condition is not None else [])]
    return []


def mentions(node: Node, name: str) -> bool:
    """Whether an expression uses a variable."""
    return (isinstance(node, Ident) and node.name == name) or any(mentions(one, name) for one in children(node))
