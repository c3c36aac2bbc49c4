"""The type checker: finds each expression's type and, where types say enough, each call's implementation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api.cel import types as t
from sampan.api.cel.ast import Call, Ident, ListNode, Literal, Macro, MapNode, Node, Select
from sampan.api.cel.errors import CompileError
from sampan.api.cel.types import ERROR, Type, assignable, joined, substitute
from sampan.api.cel.values import TypeValue, UInt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.api.cel.overloads import Functions, Overload

TYPE_NAMES = {
    "bool": t.BOOL, "int": t.INT, "uint": t.UINT, "double": t.DOUBLE, "string": t.STRING, "bytes": t.BYTES,
    "null_type": t.NULL, "list": t.list_of(t.DYN), "map": t.map_of(t.DYN, t.DYN), "type": Type("type"),
    "optional_type": t.optional_of(t.DYN), "google.protobuf.Duration": t.DURATION,
    "google.protobuf.Timestamp": t.TIMESTAMP, "net.IP": t.IP, "net.CIDR": t.CIDR, "kubernetes.URL": t.URL,
    "kubernetes.Quantity": t.QUANTITY, "kubernetes.Semver": t.SEMVER,
}  # fmt: skip
_LITERALS: dict[type, Type] = {
    bool: t.BOOL, int: t.INT, UInt: t.UINT, float: t.DOUBLE, str: t.STRING, bytes: t.BYTES, type(None): t.NULL
}  # fmt: skip
_ESCAPES = {"__underscores__": "__", "__dot__": ".", "__dash__": "-", "__slash__": "/"}


def unescape(name: str) -> str:
    """The property that an expression's field name means."""
    for escaped, text in _ESCAPES.items():
        name = name.replace(escaped, text)
    return name[2:-2] if name.startswith("__") and name.endswith("__") and len(name) > 4 else name


def check(
    node: Node,
    source: str,
    variables: Mapping[str, Type],
    functions: Functions,
    objects: Mapping[str, Type] | None = None,
) -> Type:
    """Set the types of all nodes and return the root's. Raises CompileError."""
    checker = _Checker(variables, functions, objects or {})
    found = checker.visit(node)
    if checker.problems:
        raise CompileError(checker.problems, source)
    return found


class _Checker:
    def __init__(self, variables: Mapping[str, Type], functions: Functions, objects: Mapping[str, Type]) -> None:
        self._scopes: list[Mapping[str, Type]] = [variables]
        self._functions = functions
        self._objects = objects
        self.problems: list[tuple[int, str]] = []

    def _fail(self, at: int, text: str) -> Type:
        self.problems.append((at, text))
        return ERROR

    def visit(self, node: Node) -> Type:
        found = self._visit(node)
        node.type = found
        return found

    def _visit(self, node: Node) -> Type:
        if isinstance(node, Literal):
            found = _LITERALS[node.value.__class__]
            return found.sized(len(node.value)) if isinstance(node.value, (str, bytes)) else found
        if isinstance(node, Ident):
            return self._ident(node)
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

    def _lookup(self, name: str) -> Type | None:
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        return None

    def _ident(self, node: Ident) -> Type:
        found = self._lookup(node.name)
        if found is not None:
            return found
        if node.name in TYPE_NAMES:
            return t.type_of_type(TYPE_NAMES[node.name])
        return self._fail(node.at, f"undeclared reference to '{node.name}' (in container '')")

    def _select(self, node: Select) -> Type:
        qualified = _qualified(node)
        if qualified in TYPE_NAMES and self._lookup(qualified.partition(".")[0]) is None:
            node.operand.type = t.DYN
            return t.type_of_type(TYPE_NAMES[qualified])
        operand = self.visit(node.operand)
        optional = node.optional
        if operand.name == "optional_type":
            optional, operand = True, operand.parameters[0]
        found = self._field(node, operand)
        if node.test:
            return t.BOOL
        return t.optional_of(found) if optional and found.name != "optional_type" else found

    def _field(self, node: Select, operand: Type) -> Type:
        if operand is ERROR or operand.is_dyn:
            return t.DYN
        if operand.name == "map":
            return operand.parameters[1]
        fields = operand.fields
        if fields is None:
            return self._fail(node.at, f"type '{operand}' does not support field selection")
        if node.field not in fields:
            return self._fail(node.at, f"undefined field '{node.field}'")
        node.key = unescape(node.field)
        return fields[node.field]

    def _call(self, node: Call) -> Type:
        name = node.function
        if name in ("_&&_", "_||_"):
            for one in node.arguments:
                self._expect(one, t.BOOL, name, node)
            return t.BOOL
        if name == "_?_:_":
            self._expect(node.arguments[0], t.BOOL, name, node)
            return joined(self.visit(node.arguments[1]), self.visit(node.arguments[2]))
        if isinstance(node.target, (Ident, Select)) and (space := _qualified(node.target)):
            qualified = f"{space}.{name}"
            if self._lookup(space.partition(".")[0]) is None and self._functions.knows(qualified):
                node.function, node.target = qualified, None
                name = qualified
        member = node.target is not None
        operands = [*([node.target] if node.target is not None else []), *node.arguments]
        given = [self.visit(one) for one in operands]
        if not self._functions.knows(name):
            return self._fail(node.at, f"undeclared reference to '{name}' (in container '')")
        return self._resolve(node, self._functions.find(name, member=member, count=len(given)), given)

    def _expect(self, node: Node, wanted: Type, name: str, call: Call) -> None:
        found = self.visit(node)
        if not assignable(wanted, found, {}):
            given = [one.type if hasattr(one, "type") else self.visit(one) for one in call.arguments]
            self._fail(call.at, f"found no matching overload for '{name}' applied to '({', '.join(map(str, given))})'")

    def _resolve(self, node: Call, candidates: list[Overload], given: list[Type]) -> Type:
        if any(one is ERROR for one in given):
            return ERROR
        results: list[Type] = []
        chosen: list[Overload] = []
        for one in candidates:
            bound: dict[str, Type] = {}
            if all(assignable(wanted, have, bound) for wanted, have in zip(one.parameters, given, strict=True)):
                chosen.append(one)
                results.append(substitute(one.result, bound))
        if not chosen:
            shown = [str(one) for one in given]
            text = f"{shown[0]}.({', '.join(shown[1:])})" if node.target is not None else f"({', '.join(shown)})"
            return self._fail(node.at, f"found no matching overload for '{node.function}' applied to '{text}'")
        sure = len(chosen) == 1 and not any(_is_loose(one) for one in given)
        node.implementation = chosen[0].implementation if sure or chosen[0].function in ("_==_", "_!=_") else chosen
        if all(one == results[0] for one in results):
            return results[0]
        return t.DYN

    def _list(self, node: ListNode) -> Type:
        found: Type | None = None
        for position, item in enumerate(node.items):
            kind = self.visit(item)
            if position in node.optional and kind.name == "optional_type":
                kind = kind.parameters[0]
            found = kind if found is None else joined(found, kind)
        return t.list_of(found or t.Type("dyn"), len(node.items))

    def _map(self, node: MapNode) -> Type:
        if node.name:
            return self._object(node)
        key: Type | None = None
        value: Type | None = None
        for name, item, optional in node.entries:
            kinds = self.visit(name), self.visit(item)
            if optional and kinds[1].name == "optional_type":
                kinds = kinds[0], kinds[1].parameters[0]
            key = kinds[0] if key is None else joined(key, kinds[0])
            value = kinds[1] if value is None else joined(value, kinds[1])
        return t.map_of(key or t.DYN, value or t.DYN, len(node.entries))

    def _object(self, node: MapNode) -> Type:
        found = self._objects.get(node.name)
        if found is None or found.fields is None:
            for _, item, _ in node.entries:
                self.visit(item)
            return self._fail(node.at, f"undeclared reference to '{node.name}' (in container '')")
        for name, item, optional in node.entries:
            wanted, kind = found.fields.get(name), self.visit(item)
            if optional and kind.name == "optional_type":
                kind = kind.parameters[0]
            if wanted is None:
                self._fail(node.at, f"undefined field '{name}'")
            elif not assignable(wanted, kind, {}):
                self._fail(item.at, f"expected type of field '{name}' is '{wanted}' but provided type is '{kind}'")
        return found

    def _macro(self, node: Macro) -> Type:  # noqa: C901 - one result per macro
        over = self.visit(node.range)
        if node.kind in ("optMap", "optFlatMap"):
            return self._optional_macro(node, over)
        if over.is_dyn or over is ERROR:
            kinds: tuple[Type, ...] = (t.DYN, t.DYN)
        elif over.name == "list":
            kinds = (t.INT, over.parameters[0])
        elif over.name == "map":
            kinds = over.parameters
        else:
            return self._fail(
                node.range.at,
                f"expression of type '{over}' cannot be range of a comprehension (must be list, map, or dynamic)",
            )
        if len(node.variables) == 1:
            kinds = (kinds[0],) if over.name == "map" else (kinds[1],)
        self._scopes.append(dict(zip(node.variables, kinds, strict=True)))
        body = self.visit(node.body)
        if node.condition is not None:
            self._must_be_bool(node.condition, self.visit(node.condition))
        self._scopes.pop()
        if node.kind in ("all", "exists", "exists_one", "filter"):
            self._must_be_bool(node.body, body)
        if node.kind == "filter":
            return t.list_of(kinds[0] if over.name == "map" else kinds[-1], over.size)
        if node.kind in ("map", "transformList"):
            return t.list_of(body, over.size)
        if node.kind == "transformMap":
            return t.map_of(kinds[0], body, over.size)
        return t.list_of(kinds[-1], over.size) if node.kind == "sortBy" else t.BOOL

    def _must_be_bool(self, node: Node, found: Type) -> None:
        if not assignable(t.BOOL, found, {}):
            self._fail(node.at, f"expected type 'bool' but found '{found}'")

    def _optional_macro(self, node: Macro, over: Type) -> Type:
        inner = over.parameters[0] if over.name == "optional_type" else t.DYN
        if over.name not in ("optional_type", "dyn"):
            self._fail(node.at, f"found no matching overload for '{node.kind}' applied to '{over}'")
        self._scopes.append({node.variables[0]: inner})
        body = self.visit(node.body)
        self._scopes.pop()
        return t.optional_of(body) if node.kind == "optMap" else body


def _is_loose(kind: Type) -> bool:
    return kind.is_dyn or kind.name == "null" or (kind.name == "optional_type" and kind.parameters[0].is_dyn)


def _qualified(node: Node) -> str:
    if isinstance(node, Ident):
        return node.name
    if isinstance(node, Select) and not node.test and not node.optional:
        head = _qualified(node.operand)
        return f"{head}.{node.field}" if head else ""
    return ""


def type_value(name: str) -> Any:
    """A type's name as a value."""
    return TypeValue(name)
