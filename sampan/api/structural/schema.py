"""One node of a structural schema, as its readers need it.

A node is made from a ``JSONSchemaProps`` in wire form and shares nothing with it but values. Children are made when
first asked for, so a schema of which nothing is used costs one object. Nodes are shared and immutable by convention.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sampan.api.object import Object

ABSENT: Any = object()
"""No value, where None is one."""


class Structural:
    """A schema node.

    properties: by name. additional: the schema of undeclared members, True for any, None for none. items: of an array.
    default: ABSENT when there is none. preserve: undeclared members are kept. raw: the wire form.
    """

    __slots__ = (
        "_additional", "_all_of", "_any_of", "_has_defaults", "_items", "_not", "_one_of", "_properties", "cache",
        "default", "embedded", "int_or_string", "is_root", "list_map_keys", "list_type", "map_type", "nullable",
        "preserve", "raw", "type",
    )  # fmt: skip

    def __init__(self, raw: Object, *, is_root: bool = False) -> None:
        self.raw = raw
        self.is_root = is_root
        self.type: str = raw.get("type") or ""
        self.nullable = bool(raw.get("nullable"))
        self.default: Any = raw["default"] if raw.get("default") is not None else ABSENT
        self.preserve = bool(raw.get("x-kubernetes-preserve-unknown-fields"))
        self.int_or_string = bool(raw.get("x-kubernetes-int-or-string"))
        self.embedded = bool(raw.get("x-kubernetes-embedded-resource"))
        self.list_type: str = raw.get("x-kubernetes-list-type") or "atomic"
        self.list_map_keys: tuple[str, ...] = tuple(raw.get("x-kubernetes-list-map-keys") or ())
        self.map_type: str = raw.get("x-kubernetes-map-type") or ""
        self.cache: dict[str, Any] = {}
        """What other modules work out of the node, by a name of their own."""
        self._properties: dict[str, Structural] | None = None
        self._additional: Structural | bool | None = ABSENT
        self._items: Structural | None = ABSENT
        self._all_of: list[Structural] | None = None
        self._any_of: list[Structural] | None = None
        self._one_of: list[Structural] | None = None
        self._not: Structural | None = ABSENT
        self._has_defaults: bool | None = None

    @property
    def properties(self) -> dict[str, Structural]:
        found = self._properties
        if found is None:
            raw = self.raw.get("properties") or {}
            found = self._properties = {name: Structural(raw[name]) for name in sorted(raw)}
        return found

    @property
    def additional(self) -> Structural | bool | None:
        found = self._additional
        if found is ABSENT:
            raw = self.raw.get("additionalProperties")
            found = Structural(raw) if isinstance(raw, dict) else (raw if raw is not None else None)
            self._additional = found
        return found

    @property
    def items(self) -> Structural | None:
        found = self._items
        if found is ABSENT:
            raw = self.raw.get("items")
            if isinstance(raw, list):
                raw = raw[0] if raw else None
            found = self._items = Structural(raw) if isinstance(raw, dict) else None
        return found

    @property
    def all_of(self) -> list[Structural]:
        if self._all_of is None:
            self._all_of = [Structural(one) for one in self.raw.get("allOf") or ()]
        return self._all_of

    @property
    def any_of(self) -> list[Structural]:
        if self._any_of is None:
            self._any_of = [Structural(one) for one in self.raw.get("anyOf") or ()]
        return self._any_of

    @property
    def one_of(self) -> list[Structural]:
        if self._one_of is None:
            self._one_of = [Structural(one) for one in self.raw.get("oneOf") or ()]
        return self._one_of

    @property
    def negated(self) -> Structural | None:
        if self._not is ABSENT:
            raw = self.raw.get("not")
            self._not = Structural(raw) if isinstance(raw, dict) else None
        return self._not

    @property
    def rules(self) -> list[Object]:
        """The node's x-kubernetes-validations."""
        found: list[Object] = self.raw.get("x-kubernetes-validations") or []
        return found

    @property
    def has_defaults(self) -> bool:
        """Whether there is a default in the node or below, so that defaulting must look at values."""
        found = self._has_defaults
        if found is None:
            found = self._has_defaults = self.default is not ABSENT or any(one.has_defaults for one in self.children())
        return found

    def children(self) -> list[Structural]:
        """The nodes of members, undeclared members and items."""
        found = list(self.properties.values())
        if isinstance(self.additional, Structural):
            found.append(self.additional)
        if self.items is not None:
            found.append(self.items)
        return found

    def member(self, name: str) -> Structural | None:
        """The schema of a member; None when it has none."""
        found = self.properties.get(name)
        if found is None and isinstance(self.additional, Structural):
            return self.additional
        return found
