"""CEL's types as the checker sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Type:
    """A type. name: as cel-go prints it, without parameters. parameters: of lists, maps, optionals.

    fields: of objects, by name as expressions write it. is_variable: a type parameter of a function.
    size: largest number of characters, items or entries that a value may have; None when nothing bounds it.
    """

    __slots__ = ("_fields", "is_variable", "name", "parameters", "size")

    def __init__(
        self, name: str, parameters: tuple[Type, ...] = (), *, fields: Callable[[], Mapping[str, Type]] | None = None,
        is_variable: bool = False, size: int | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.parameters = parameters
        self._fields: Callable[[], Mapping[str, Type]] | Mapping[str, Type] | None = fields
        self.is_variable = is_variable
        self.size = size

    @property
    def fields(self) -> Mapping[str, Type] | None:
        """An object's fields; None for what is no object."""
        if callable(self._fields):
            self._fields = self._fields()
        return self._fields

    @property
    def is_dyn(self) -> bool:
        return self.name == "dyn"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Type) and self.name == other.name and self.parameters == other.parameters

    def __hash__(self) -> int:
        return hash((self.name, self.parameters))

    def __str__(self) -> str:
        if self.parameters:
            return f"{self.name}({', '.join(map(str, self.parameters))})"
        return self.name

    def sized(self, size: int | None) -> Type:
        """The same type with a bound."""
        fields = self._fields
        return Type(
            self.name, self.parameters, fields=fields if callable(fields) or fields is None else lambda: fields,
            is_variable=self.is_variable, size=size,
        )  # fmt: skip


DYN, BOOL, INT, UINT, DOUBLE = Type("dyn"), Type("bool"), Type("int"), Type("uint"), Type("double")
STRING, BYTES, NULL = Type("string"), Type("bytes"), Type("null")
DURATION, TIMESTAMP = Type("google.protobuf.Duration"), Type("google.protobuf.Timestamp")
QUANTITY, URL, IP, CIDR = Type("kubernetes.Quantity"), Type("kubernetes.URL"), Type("net.IP"), Type("net.CIDR")
SEMVER, FORMAT = Type("kubernetes.Semver"), Type("kubernetes.NamedFormat")
AUTHORIZER, PATH_CHECK = Type("kubernetes.authorization.Authorizer"), Type("kubernetes.authorization.PathCheck")
GROUP_CHECK = Type("kubernetes.authorization.GroupCheck")
RESOURCE_CHECK, DECISION = Type("kubernetes.authorization.ResourceCheck"), Type("kubernetes.authorization.Decision")
ERROR = Type("!error!")
A, B, K, V = (Type(name, is_variable=True) for name in "ABKV")


def list_of(elem: Type, size: int | None = None) -> Type:
    return Type("list", (elem,), size=size)


def map_of(key: Type, value: Type, size: int | None = None) -> Type:
    return Type("map", (key, value), size=size)


def optional_of(elem: Type) -> Type:
    return Type("optional_type", (elem,))


def type_of_type(elem: Type) -> Type:
    return Type("type", (elem,))


def object_type(name: str, fields: Callable[[], Mapping[str, Type]]) -> Type:
    """An object type; fields are asked for when first needed."""
    return Type(name, fields=fields)


def substitute(kind: Type, bound: dict[str, Type]) -> Type:
    """Replace type parameters by what they are bound to; unbound ones become dyn."""
    if kind.is_variable:
        return bound.get(kind.name, DYN)
    if not kind.parameters:
        return kind
    return Type(kind.name, tuple(substitute(one, bound) for one in kind.parameters), size=kind.size)


def assignable(wanted: Type, given: Type, bound: dict[str, Type]) -> bool:
    """Whether a value of one type can stand where another is wanted; binds type parameters."""
    if wanted.is_variable:
        known = bound.get(wanted.name)
        if known is None or (known.is_dyn and not given.is_dyn) or known.name == "null":
            bound[wanted.name] = given
            return True
        return assignable(known, given, bound) or (assignable(given, known, bound) and not given.is_variable)
    if wanted.is_dyn or given.is_dyn or given is ERROR:
        return True
    if wanted.name != given.name:
        nullable = ("google.protobuf.", "kubernetes.", "net.", "optional_type")
        return given.name == "null" and (wanted.fields is not None or wanted.name.startswith(nullable))
    return len(wanted.parameters) == len(given.parameters) and all(
        assignable(one, other, bound) for one, other in zip(wanted.parameters, given.parameters, strict=True)
    )


def joined(one: Type, other: Type) -> Type:
    """The type of a value that is of one type or of the other."""
    if one is ERROR:
        return other
    if one == other:
        return one if (one.size or 0) >= (other.size or 0) or one.size is None else other
    if assignable(one, other, {}):
        return one
    return other if assignable(other, one, {}) else DYN
