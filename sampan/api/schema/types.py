"""What a type is made of: the structure that decoding, patches, managed fields and apply walk.

A `TypeInfo` describes one Go type as the wire shows it; embedded structs are already folded into their owner, in
declaration order. Infos are shared and immutable by convention, and completed lazily: a struct's `fields` are resolved
on first access, so a type costs nothing until something of that type is handled. Recursive types simply refer back.

Types of custom resources are the same structure, built by hand from a structural schema.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

ValueKind = Literal[
    "string",
    "int32",
    "int64",
    "float64",
    "bool",
    "bytes",
    "quantity",
    "time",
    "microtime",
    "duration",
    "intorstring",
    "any",
    "fields",
    "struct",
    "list",
    "map",
]
"""How a value looks on the wire.

bytes: base64 text. quantity, time, microtime, duration: text. intorstring: number or text. any: JSON of any shape
(RawExtension, JSONSchemaProps' JSON). fields: FieldsV1. map: string keys. The rest are what their names say. Of these,
struct, list and map have parts; every other kind is a leaf, and structured-merge-diff treats "any" and "fields" as
atomic.
"""

ListType = Literal["atomic", "set", "map"]


class TypeInfo:
    """One type.

    name: full Go name (``k8s.io.api.core.v1.Container``), "" for unnamed lists and maps. go_type: as Go's reflection
    prints it (``v1.Container``, ``[]string``). elem: of lists and maps. pointer: whether nil and zero differ, so that
    null is kept as an element. atomic: a struct or map that always has one owner as a whole (``structType=atomic``).
    derived: what other modules work out of the type and keep with it, so that it ends with it, by a name of their own.
    preserve_unknown: fields without a declaration are kept and owned by deduction (custom resources only).
    """

    __slots__ = (
        "_fields",
        "_resolve",
        "atomic",
        "derived",
        "elem",
        "go_type",
        "kind",
        "name",
        "pointer",
        "preserve_unknown",
    )

    def __init__(
        self,
        kind: ValueKind,
        *,
        name: str = "",
        go_type: str = "",
        elem: TypeInfo | None = None,
        fields: dict[str, FieldInfo] | None = None,
        resolve: Callable[[], dict[str, FieldInfo]] | None = None,
        atomic: bool = False,
        pointer: bool = False,
        preserve_unknown: bool = False,
    ) -> None:
        self.kind: ValueKind = kind
        self.name = name
        self.go_type = go_type or name
        self.elem = elem
        self.atomic = atomic
        self.pointer = pointer
        self.preserve_unknown = preserve_unknown
        self.derived: dict[str, Any] = {}
        self._fields = fields if resolve is None else None
        self._resolve = resolve

    @property
    def fields(self) -> dict[str, FieldInfo]:
        """Fields of a struct by wire name, in declaration order; empty for other kinds."""
        found = self._fields
        if found is None:
            found = self._fields = self._resolve() if self._resolve is not None else {}
        return found

    @property
    def is_leaf(self) -> bool:
        """Whether a value of this type has no parts of its own."""
        return self.kind not in ("struct", "list", "map")

    def __repr__(self) -> str:
        return f"TypeInfo({self.kind} {self.go_type})"


class FieldInfo:
    """One field of a struct.

    granular: the field's map or struct is divided although its type is atomic.

    omitempty: an empty value is left out of the wire form; otherwise the field is always there (null for a nil pointer,
    list or map). omitzero: also a zero struct is left out. pointer: absent and zero differ. list_type: of a list field;
    Kubernetes' default is "atomic". list_map_keys: key fields of a map list. atomic: the field's map or struct has one
    owner as a whole. patch_strategies: of strategic merge patches ("merge", "replace", "retainKeys"). patch_merge_key:
    the key field by which such a patch matches list items. default: what the schema says an absent field means, None
    for none. feature_gate: gates that are off and on which the field depends, "" for none.
    """

    __slots__ = (
        "atomic",
        "default",
        "feature_gate",
        "granular",
        "list_map_keys",
        "list_type",
        "name",
        "omitempty",
        "omitzero",
        "patch_merge_key",
        "patch_strategies",
        "pointer",
        "required",
        "type",
    )

    def __init__(
        self,
        name: str,
        type: TypeInfo,  # noqa: A002
        *,
        omitempty: bool = True,
        omitzero: bool = False,
        pointer: bool = False,
        required: bool = False,
        list_type: ListType = "atomic",
        list_map_keys: tuple[str, ...] = (),
        atomic: bool = False,
        granular: bool = False,
        patch_strategies: tuple[str, ...] = (),
        patch_merge_key: str = "",
        default: Any = None,
        feature_gate: str = "",
    ) -> None:
        self.name = name
        self.type = type
        self.omitempty = omitempty
        self.omitzero = omitzero
        self.pointer = pointer
        self.required = required
        self.list_type: ListType = list_type
        self.list_map_keys = list_map_keys
        self.atomic = atomic
        self.granular = granular
        self.patch_strategies = patch_strategies
        self.patch_merge_key = patch_merge_key
        self.default = default
        self.feature_gate = feature_gate

    def __repr__(self) -> str:
        return f"FieldInfo({self.name}: {self.type.kind})"
