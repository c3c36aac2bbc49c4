"""Empty lists and maps that are stored as none at all.

kube-apiserver stores protobuf, where an empty list is nothing; read back, a field that is always written shows null.
Fields that are left out when empty never hold an empty list here, so only the others are looked at: per type a tree of
the way to them, which for most types is empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.api.schema import TypeInfo

    Plan = dict[str, "_Step"]

_CONTAINERS = ("list", "map")
_DERIVED = "empty lists"


class _Step(NamedTuple):
    """What to do with a field. nulled: it is null when empty. kind: of its value. below: for what it holds."""

    nulled: bool
    kind: str
    below: Plan


def plan_of(info: TypeInfo) -> Plan:
    """Find the fields of a type, and below, that an empty list turns to null; kept with the type."""
    found: Plan | None = info.derived.get(_DERIVED)
    if found is None:
        found = info.derived[_DERIVED] = {}  # first, since types may contain themselves
        for name, field in info.fields.items():
            kind = field.type.kind
            nulled = kind in _CONTAINERS and not field.omitempty
            held = field.type.elem if kind in _CONTAINERS else field.type
            below = plan_of(held) if held is not None and held.kind == "struct" else {}
            if nulled or below:
                found[name] = _Step(nulled, kind, below)
    return found


def settle(plan: Plan, obj: Object) -> None:
    """Write null for the empty lists and maps of an object, in place."""
    for name, (nulled, kind, below) in plan.items():
        value = obj.get(name)
        if value is None:
            continue
        if not value:
            if nulled:
                obj[name] = None
        elif below:
            if kind == "struct":
                settle(below, value)
                continue
            for item in value if kind == "list" else value.values():
                if item:
                    settle(below, item)
