"""The evaluator: a checked tree compiled to closures, each of which takes the run and gives a value.

A run counts what it costs as cel-go does, by calls and by the sizes of what they walk, and ends when that is too much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api.cel.ast import Call, Ident, ListNode, Literal, Macro, MapNode, Node, Select
from sampan.api.cel.checker import TYPE_NAMES, _qualified
from sampan.api.cel.errors import CelError, CostExceededError
from sampan.api.cel.values import NONE, Optional, TypeValue, comparable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sampan.api.cel.overloads import Functions, Overload

    Closure = Callable[["Run"], Any]


class Run:
    """One evaluation. cost: so far. limit: at which it ends."""

    __slots__ = ("cost", "limit", "variables")

    def __init__(self, variables: Mapping[str, Any], limit: int) -> None:
        self.variables = dict(variables)
        self.cost = 0
        self.limit = limit

    def charge(self, cost: int) -> None:
        self.cost += cost
        if self.cost > self.limit:
            raise CostExceededError


class Compiler:
    """Compiles trees. functions: for calls that are decided at run time."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    def compile(self, node: Node) -> Closure:
        if isinstance(node, Literal):
            value = node.value
            return lambda _: value
        if isinstance(node, Ident):
            return _ident(node.name)
        if isinstance(node, Select):
            return self._select(node)
        if isinstance(node, Call):
            return self._call(node)
        if isinstance(node, ListNode):
            return self._list(node)
        if isinstance(node, MapNode):
            return self._map(node)
        assert isinstance(node, Macro)
        return self._macro(node)

    def _select(self, node: Select) -> Closure:
        name = _qualified(node)
        if name in TYPE_NAMES and node.type.name == "type":
            value = TypeValue(name)
            return lambda _: value
        operand, key, test, optional = self.compile(node.operand), node.key, node.test, node.optional

        def select(run: Run) -> Any:
            run.charge(1)
            value = operand(run)
            if value.__class__ is Optional:
                if not value.has:
                    return False if test else NONE
                value = value.value
                if not test:
                    return _optional_member(value, key)
            if value.__class__ is not dict:
                raise CelError("no such overload" if value is not None or not test else f"no such key: {key}")
            if test:
                return key in value
            if optional:
                return _optional_member(value, key)
            if key not in value:
                raise CelError(f"no such key: {key}")
            return value[key]

        return select

    def _call(self, node: Call) -> Closure:
        name = node.function
        parts = [self.compile(one) for one in ([node.target] if node.target is not None else []) + node.arguments]
        if name in ("_&&_", "_||_"):
            return _logical(parts[0], parts[1], absorbing=name == "_||_")
        if name == "_?_:_":
            return _conditional(*parts)
        if name in ("or", "orValue") and node.target is not None:
            return _or(parts[0], parts[1], unwrap=name == "orValue")
        found = node.implementation
        overloads = self._functions.find(name, member=node.target is not None, count=len(parts))
        cost = _COSTS.get(overloads[0].cost if overloads else "", _one)
        if isinstance(found, list):
            return _dispatched(parts, found, cost)
        return _direct(parts, found, cost)

    def _list(self, node: ListNode) -> Closure:
        parts, optional = [self.compile(one) for one in node.items], node.optional

        def build(run: Run) -> Any:
            run.charge(10)
            if not optional:
                return [part(run) for part in parts]
            out = []
            for position, part in enumerate(parts):
                value = part(run)
                if position not in optional:
                    out.append(value)
                elif value.has:
                    out.append(value.value)
            return out

        return build

    def _map(self, node: MapNode) -> Closure:
        entries = [
            (self.compile(key) if isinstance(key, Node) else _constant(key), self.compile(value), optional)
            for key, value, optional in node.entries
        ]
        cost = 40 if node.name else 30

        def build(run: Run) -> Any:
            run.charge(cost)
            out = {}
            for key, value, optional in entries:
                name, found = key(run), value(run)
                if optional:
                    if not found.has:
                        continue
                    found = found.value
                out[name] = found
            return out

        return build

    def _macro(self, node: Macro) -> Closure:
        over, body = self.compile(node.range), self.compile(node.body)
        condition = self.compile(node.condition) if node.condition is not None else None
        if node.kind in ("optMap", "optFlatMap"):
            return _optional_macro(over, body, node.variables[0], flat=node.kind == "optFlatMap")
        loop = _Loop(node.variables)
        return _MACROS[node.kind](loop, over, body, condition)


def _constant(value: Any) -> Closure:
    return lambda _: value


def _ident(name: str) -> Closure:
    if name in TYPE_NAMES:
        value = TypeValue(name)

        def named(run: Run) -> Any:
            return run.variables.get(name, value)

        return named

    def read(run: Run) -> Any:
        run.charge(1)
        try:
            return run.variables[name]
        except KeyError:
            raise CelError(f"no such attribute(s): {name}") from None

    return read


def _optional_member(value: Any, key: str) -> Optional:
    if value.__class__ is dict:
        return Optional(value[key]) if key in value else NONE
    raise CelError("no such overload")


def _logical(left: Closure, right: Closure, *, absorbing: bool) -> Closure:
    """And, or: one side decides even if the other fails."""

    def run_both(run: Run) -> Any:
        problem: CelError | None = None
        try:
            first = left(run)
            if first is absorbing:
                return absorbing
            if first.__class__ is not bool:
                problem = CelError("no such overload")
        except CostExceededError:
            raise
        except CelError as error:
            problem = error
        second = right(run)
        if second is absorbing:
            return absorbing
        if problem is not None:
            raise problem
        if second.__class__ is not bool:
            raise CelError("no such overload")
        return second

    return run_both


def _conditional(condition: Closure, first: Closure, second: Closure) -> Closure:
    def choose(run: Run) -> Any:
        value = condition(run)
        if value.__class__ is not bool:
            raise CelError("no such overload")
        return first(run) if value else second(run)

    return choose


def _or(value: Closure, other: Closure, *, unwrap: bool) -> Closure:
    def choose(run: Run) -> Any:
        run.charge(1)
        found = value(run)
        if found.__class__ is not Optional:
            raise CelError("no such overload")
        if found.has:
            return found.value if unwrap else found
        return other(run)

    return choose


def _direct(parts: list[Closure], implementation: Callable[..., Any], cost: Callable[[list[Any]], int]) -> Closure:
    if len(parts) == 2 and cost is _one:
        left, right = parts

        def run_two(run: Run) -> Any:
            one, other = left(run), right(run)
            run.charge(1)
            return implementation(one, other)

        return run_two

    def run_all(run: Run) -> Any:
        values = [part(run) for part in parts]
        run.charge(cost(values))
        return implementation(*values)

    return run_all


def _dispatched(parts: list[Closure], overloads: list[Overload], cost: Callable[[list[Any]], int]) -> Closure:
    def run_one(run: Run) -> Any:
        values = [part(run) for part in parts]
        run.charge(cost(values))
        for one in overloads:
            if one.accepts(values):
                return one.implementation(*values)
        raise CelError("no such overload")

    return run_one


# -- costs of calls


def _size(value: Any) -> int:
    return len(value) if isinstance(value, (str, bytes, list, dict)) else 1


def _one(_: list[Any]) -> int:
    return 1


def _ceil(size: float) -> int:
    return max(1, int(-(-size // 1)))


_COSTS: dict[str, Callable[[list[Any]], int]] = {
    "": _one,
    "traverse": lambda v: 1 + _ceil(_size(v[0]) * 0.1),
    "second": lambda v: _ceil(_size(v[1]) * 0.1),
    "contains": lambda v: _ceil(_size(v[0]) * 0.1 * _size(v[1]) * 0.1),
    "regex": lambda v: _ceil((1 + _size(v[0])) * 0.1) * _ceil(_size(v[1]) * 0.25),
    "compare": lambda v: _ceil(min(_size(v[0]), _size(v[1])) * 0.1),
    "concat": lambda v: _ceil((_size(v[0]) + _size(v[1])) * 0.1),
    "list": lambda v: 1 + max(map(_size, v)),
    "product": lambda v: 1 + _size(v[0]) * _size(v[1]),
}


# -- macros


class _Loop:
    """Runs closures over a range, its variables set."""

    def __init__(self, variables: list[str]) -> None:
        self._variables = variables

    def pairs(self, value: Any) -> list[tuple[Any, ...]]:
        """What the variables are set to, in turn."""
        two = len(self._variables) == 2
        if value.__class__ is list:
            return list(enumerate(value)) if two else [(item,) for item in value]
        if value.__class__ is dict:
            return list(value.items()) if two else [(key,) for key in value]
        raise CelError("no such overload")

    def each(self, run: Run, value: Any, visit: Callable[[Any], bool]) -> None:
        """Call visit in each round with the (last) variable's value until it says stop."""
        variables = run.variables
        before = {name: variables[name] for name in self._variables if name in variables}
        try:
            for values in self.pairs(value):
                run.charge(3)
                for name, one in zip(self._variables, values, strict=True):
                    variables[name] = one
                if visit(values):
                    break
        finally:
            for name in self._variables:
                variables.pop(name, None)
            variables.update(before)


def _bool(value: Any) -> bool:
    if value.__class__ is not bool:
        raise CelError("no such overload")
    return bool(value)


def _quantifier(loop: _Loop, over: Closure, body: Closure, *, stops_at: bool) -> Closure:
    def quantify(run: Run) -> Any:
        result = not stops_at
        problem: CelError | None = None

        def visit(_: Any) -> bool:
            nonlocal result, problem
            try:
                if _bool(body(run)) is stops_at:
                    result = stops_at
                    return True
            except CostExceededError:
                raise
            except CelError as error:
                problem = problem or error
            return False

        loop.each(run, over(run), visit)
        if problem is not None and result is not stops_at:
            raise problem
        return result

    return quantify


def _exists_one(loop: _Loop, over: Closure, body: Closure, _: Closure | None) -> Closure:
    def count(run: Run) -> Any:
        found = 0

        def visit(_: Any) -> bool:
            nonlocal found
            found += _bool(body(run))
            return False

        loop.each(run, over(run), visit)
        return found == 1

    return count


def _filter(loop: _Loop, over: Closure, body: Closure, _: Closure | None) -> Closure:
    def keep(run: Run) -> Any:
        out: list[Any] = []

        def visit(values: tuple[Any, ...]) -> bool:
            if _bool(body(run)):
                out.append(values[-1])
            return False

        loop.each(run, over(run), visit)
        return out

    return keep


def _transform(loop: _Loop, over: Closure, body: Closure, condition: Closure | None) -> Closure:
    def transform(run: Run) -> Any:
        out: list[Any] = []

        def visit(_: Any) -> bool:
            if condition is None or _bool(condition(run)):
                out.append(body(run))
            return False

        loop.each(run, over(run), visit)
        return out

    return transform


def _map_map(loop: _Loop, over: Closure, body: Closure, condition: Closure | None) -> Closure:
    """``map(x, condition, body)``: with three arguments the first of the two is the condition."""
    return _transform(loop, over, body, condition)


def _transform_map(loop: _Loop, over: Closure, body: Closure, condition: Closure | None) -> Closure:
    def transform(run: Run) -> Any:
        out: dict[Any, Any] = {}

        def visit(values: tuple[Any, ...]) -> bool:
            if condition is None or _bool(condition(run)):
                out[values[0]] = body(run)
            return False

        loop.each(run, over(run), visit)
        return out

    return transform


def _sort_by(loop: _Loop, over: Closure, body: Closure, _: Closure | None) -> Closure:
    def sort(run: Run) -> Any:
        keyed: list[tuple[Any, Any]] = []

        def visit(values: tuple[Any, ...]) -> bool:
            keyed.append((comparable(body(run)), values[-1]))
            return False

        loop.each(run, over(run), visit)
        return [item for _, item in sorted(keyed, key=lambda pair: pair[0])]

    return sort


def _optional_macro(over: Closure, body: Closure, name: str, *, flat: bool) -> Closure:
    def apply(run: Run) -> Any:
        value = over(run)
        if value.__class__ is not Optional:
            raise CelError("no such overload")
        if not value.has:
            return NONE
        absent = object()
        before = run.variables.get(name, absent)
        run.variables[name] = value.value
        try:
            found = body(run)
        finally:
            if before is absent:
                del run.variables[name]
            else:
                run.variables[name] = before
        return found if flat else Optional(found)

    return apply


_MACROS: dict[str, Callable[..., Closure]] = {
    "all": lambda loop, over, body, _: _quantifier(loop, over, body, stops_at=False),
    "exists": lambda loop, over, body, _: _quantifier(loop, over, body, stops_at=True),
    "exists_one": _exists_one, "filter": _filter, "map": _map_map, "transformList": _transform,
    "transformMap": _transform_map, "sortBy": _sort_by,
}  # fmt: skip
