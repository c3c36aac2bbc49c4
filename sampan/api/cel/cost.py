"""How much an expression may cost at most: cel-go's estimate, by the bounds that the types of its values have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.cel.ast import Call, Ident, ListNode, Literal, Macro, MapNode, Select, children

if TYPE_CHECKING:
    from sampan.api.cel.ast import Node
    from sampan.api.cel.overloads import Functions
    from sampan.api.cel.types import Type

UNBOUNDED = 3 * 1024 * 1024 - 2
"""The size of what nothing bounds: a request can hold no more."""

_MAX = (1 << 63) - 1


def estimate(node: Node, functions: Functions) -> int:
    """The largest cost of one evaluation."""
    return min(_Estimator(functions).cost(node), _MAX)


def _ceil(size: float) -> int:
    return max(1, int(-(-size // 1)))


class _Estimator:
    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    def size(self, node: Node) -> int:
        """The largest size of an expression's value."""
        kind = node.type
        if isinstance(node, Call) and node.function == "_+_":
            return self.size(node.arguments[0]) + self.size(node.arguments[1])
        if isinstance(node, Call) and node.function == "_?_:_":
            return max(self.size(node.arguments[1]), self.size(node.arguments[2]))
        if isinstance(node, Literal):
            return len(node.value) if isinstance(node.value, (str, bytes)) else 1
        if isinstance(node, Macro) and node.kind in ("map", "filter", "transformList", "transformMap", "sortBy"):
            return self.size(node.range)
        return _bound(kind)

    def cost(self, node: Node) -> int:
        if isinstance(node, Literal):
            return 0
        if isinstance(node, Ident):
            return 1
        if isinstance(node, Select):
            return self.cost(node.operand) + (0 if node.test and isinstance(node.operand, Ident) else 1)
        if isinstance(node, ListNode):
            return 10 + sum(map(self.cost, node.items))
        if isinstance(node, MapNode):
            return (40 if node.name else 30) + sum(map(self.cost, children(node)))
        if isinstance(node, Macro):
            return self._macro(node)
        assert isinstance(node, Call)
        return self._call(node)

    def _macro(self, node: Macro) -> int:
        body = self.cost(node.body) + (self.cost(node.condition) if node.condition is not None else 0)
        if node.kind in ("optMap", "optFlatMap"):
            return self.cost(node.range) + body + 1
        # Per round: the loop's condition, and the step that joins the round's value with what there is.
        per_round = {"all": 4, "exists": 5, "exists_one": 4, "filter": 14, "map": 13}.get(node.kind, 14)
        return self.cost(node.range) + self.size(node.range) * (body + per_round) + 1

    def _call(self, node: Call) -> int:
        operands = [*([node.target] if node.target is not None else []), *node.arguments]
        costs = [self.cost(one) for one in operands]
        if node.function == "_?_:_":
            return costs[0] + max(costs[1], costs[2])
        if node.function in ("_&&_", "_||_"):
            return sum(costs)
        overloads = self._functions.find(node.function, member=node.target is not None, count=len(operands))
        kind = overloads[0].cost if overloads else ""
        return sum(costs) + self._own(kind, [self.size(one) for one in operands])

    @staticmethod
    def _own(kind: str, sizes: list[int]) -> int:
        if kind == "traverse":
            return 1 + _ceil(sizes[0] * 0.1)
        if kind == "second":
            return _ceil(sizes[1] * 0.1)
        if kind == "contains":
            return _ceil(sizes[0] * 0.1) * _ceil(sizes[1] * 0.1)
        if kind == "regex":
            return _ceil((sizes[0] + 1) * 0.1) * _ceil(sizes[1] * 0.25)
        if kind == "compare":
            return _ceil(min(sizes) * 0.1)
        if kind == "concat":
            return _ceil(sum(sizes) * 0.1)
        if kind == "list":
            return 1 + max(sizes)
        return 1 + sizes[0] * sizes[1] if kind == "product" else 1


def _bound(kind: Type) -> int:
    if kind.size is not None:
        return kind.size
    if kind.name in ("string", "bytes", "list", "map", "dyn"):
        return UNBOUNDED
    return 1
