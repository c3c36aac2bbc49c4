"""What of a value can be owned: the field sets of objects by their types, and what differs between two objects.

Promises one pass over what is there, and none at all over what is equal: comparing two versions of an object costs
little more than Python's own ``==`` on the parts that did not change. Behaviour: structured-merge-diff, package typed
(field sets, comparison).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api.fieldset import MEMBER, Fields, FieldSetError, spell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.schema.types import FieldInfo, TypeInfo

LEAF, STRUCT, MAP, SET, KEYED = range(5)
"""How ownership divides a value: not at all, by declared fields, by keys, by a list's values, by items' key fields."""


class Shape:
    """How structured merge divides values of one type in one place. Shared and immutable by convention.

    keys: key fields of a KEYED list, sorted. defaults: what an absent key field means.
    """

    __slots__ = ("_children", "_elem", "defaults", "info", "keys", "kind")

    def __init__(self, info: TypeInfo | None, kind: int, field: FieldInfo | None = None) -> None:
        self.info = info
        self.kind = kind
        self._children: dict[str, Shape | None] = {}
        self._elem: Shape | None = None
        self.keys: tuple[str, ...] = ()
        self.defaults: dict[str, Any] = {}
        if kind == KEYED:
            assert field is not None
            assert info is not None
            assert info.elem is not None
            self.keys = tuple(sorted(field.list_map_keys))
            declared = info.elem.fields
            self.defaults = {
                key: declared[key].default for key in self.keys if key in declared and declared[key].default is not None
            }

    @property
    def elem(self) -> Shape:
        """Shape of the items of a list or the values of a map."""
        found = self._elem
        if found is None:
            elem = self.info.elem if self.info is not None else None
            found = self._elem = _DEDUCED if elem is None else shape_of(elem)
        return found

    def child(self, name: str) -> Shape | None:
        """Shape of a field of a struct or a value of a map, None for a field that is not declared."""
        if self.kind == MAP:
            return self.elem
        try:
            return self._children[name]
        except KeyError:
            return self._find(name)

    def declares(self, name: str) -> bool:
        """Whether the name is a field's, not a map's key."""
        return self.kind == STRUCT and self.info is not None and name in self.info.fields

    def _find(self, name: str) -> Shape | None:
        info = self.info
        if info is None:
            return _DEDUCED
        field = info.fields.get(name)
        if field is not None:
            found = self._children[name] = _shape_of_field(field)
            return found
        # Not kept: names of undeclared fields are the clients' to choose.
        return _DEDUCED if info.preserve_unknown else None


class _Deduced(Shape):
    """A value without a schema: maps divide by key, lists not at all."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(None, MAP)

    @property
    def elem(self) -> Shape:
        return self


_DEDUCED = _Deduced()
_LEAF = Shape(None, LEAF)


def shape_of(info: TypeInfo) -> Shape:
    """Return the shape of a type that is no field's: a root, a list's item, a map's value."""
    found: Shape | None = info.derived.get("shape")
    if found is None:
        if info.atomic or info.is_leaf or info.kind == "list":
            found = _LEAF
        else:
            found = Shape(info, STRUCT if info.kind == "struct" else MAP)
        info.derived["shape"] = found
    return found


def _shape_of_field(field: FieldInfo) -> Shape:
    info = field.type
    if info.is_leaf or field.atomic:
        return _LEAF
    if info.atomic:
        return Shape(info, STRUCT if info.kind == "struct" else MAP) if field.granular else _LEAF
    if info.kind != "list":
        return shape_of(info)
    if field.list_type == "set":
        return Shape(info, SET, field)
    return Shape(info, KEYED, field) if field.list_type == "map" else _LEAF


def element_of(shape: Shape, item: Any) -> str:
    """Spell the path element of an item of a SET or KEYED list. Raises FieldSetError for an item that has none."""
    if shape.kind == SET:
        if item.__class__ is dict:
            raise FieldSetError("associative list without keys has an element that's a map type")
        if item is None:
            raise FieldSetError("associative list without keys has an element that's an explicit null")
        return f"v:{spell(item)}"
    if item.__class__ is not dict:
        kind = "a null element" if item is None else "non-map elements"
        raise FieldSetError(f"associative list with keys may not have {kind}")
    parts = []
    for key in shape.keys:
        value = item.get(key)
        if value is None:
            value = shape.defaults.get(key)
            if value is None:
                continue
        parts.append(f'"{key}":{spell(value)}')
    return f"k:{{{','.join(parts)}}}"


def owned(shape: Shape, value: Any) -> Fields:
    """Return the node of a value that is wholly new: everything in it, and it itself."""
    kind = shape.kind
    if not value or kind == LEAF:
        return MEMBER
    out: Fields = {".": MEMBER}
    if value.__class__ is dict and kind in (STRUCT, MAP):
        child = shape.child
        for key, item in value.items():
            below = child(key)
            if below is not None:
                out[f"f:{key}"] = MEMBER if below.kind == LEAF else owned(below, item)
        return out
    if value.__class__ is list and kind in (SET, KEYED):
        for item in value:
            element = element_of(shape, item)
            out[element] = MEMBER if element in out or kind == SET else owned(shape.elem, item)
        return out
    return MEMBER


def fields_of(shape: Shape, value: Any) -> Fields | None:
    """Return the node of what an applied configuration states: its leaves, items and map keys; None for nothing."""
    kind = shape.kind
    if kind == LEAF or value.__class__ not in (dict, list):
        return MEMBER
    if value.__class__ is dict:
        if kind not in (STRUCT, MAP):
            return MEMBER
        return _fields_of_map(shape, value)
    if kind not in (SET, KEYED):
        return MEMBER
    out: Fields = {}
    for item in value:
        element = element_of(shape, item)
        below = MEMBER if element in out or kind == SET else fields_of(shape.elem, item)
        out[element] = {".": MEMBER, **below} if below else MEMBER
    return out or None


def _fields_of_map(shape: Shape, value: dict[str, Any]) -> Fields | None:
    out: Fields = {}
    for key, item in value.items():
        below = shape.child(key)
        if below is None:
            continue
        node = MEMBER if item is None else fields_of(below, item)
        if item.__class__ is dict and not item:
            node = MEMBER
        elif not shape.declares(key):
            # A map's key is a member besides what is below it.
            node = {".": MEMBER, **node} if node else MEMBER
        if node is not None:
            out[f"f:{key}"] = node
    return out or None


def with_named_fields(shape: Shape | None, fields: Fields) -> Fields:
    """Make every declared field a member that has members below (not map keys, not items)."""
    out: Fields = {}
    for element, node in fields.items():
        if not node or element == ".":
            out[element] = node
            continue
        name = element[2:] if element.startswith("f:") else ""
        below = None
        if shape is not None:
            if name and shape.kind in (STRUCT, MAP):
                below = shape.child(name)
            elif not name and shape.kind in (SET, KEYED):
                below = shape.elem
        children = with_named_fields(below, node)
        if name and shape is not None and shape.declares(name) and "." not in children:
            children = {".": MEMBER, **children}
        out[element] = children
    return out


def reconciled(shape: Shape, fields: Fields) -> Fields:
    """Adapt a set to a schema that has changed since: who owns parts of what is atomic now owns all of it.

    Returns the set itself if nothing had to be adapted.
    """
    out: Fields | None = None
    for element, node in fields.items():
        if not node or element == ".":
            continue
        if shape.kind in (STRUCT, MAP):
            below = shape.child(element[2:]) if element.startswith("f:") else None
        else:
            below = shape.elem
        if below is None:
            continue
        adapted = MEMBER if below.kind == LEAF else reconciled(below, node)
        if adapted is not node:
            out = dict(fields) if out is None else out
            out[element] = adapted
    return fields if out is None else out


class Comparison:
    """What differs between two values. changed: added or modified; removed: no longer there. Whole sets."""

    __slots__ = ("changed", "removed")

    def __init__(self, changed: Fields, removed: Fields) -> None:
        self.changed = changed
        self.removed = removed


def compare(shape: Shape, old: Any, new: Any) -> Comparison:
    """Compare two objects of one type."""
    changed, removed = _compare(shape, old, new)
    return Comparison(changed or {}, removed or {})


Nodes = tuple["Fields | None", "Fields | None"]
_SAME: Nodes = (None, None)
_MODIFIED: Nodes = (MEMBER, None)


def _compare(shape: Shape, old: Any, new: Any) -> Nodes:
    """Compare two values that are both there; None for no difference."""
    if old == new:
        return _SAME
    kind = shape.kind
    if kind == LEAF or not (old or new):
        return _MODIFIED
    if kind in (STRUCT, MAP):
        if (old is None or old.__class__ is dict) and (new is None or new.__class__ is dict):
            return _compare_maps(shape, old or {}, new or {})
    elif (old is None or old.__class__ is list) and (new is None or new.__class__ is list):
        return _compare_lists(shape, old or [], new or [])
    return _MODIFIED


def _compare_maps(shape: Shape, old: dict[str, Any], new: dict[str, Any]) -> Nodes:
    changed: Fields = {}
    removed: Fields = {}
    child = shape.child
    for key, value in new.items():
        if key not in old:
            below = child(key)
            if below is not None:
                changed[f"f:{key}"] = owned(below, value)
            continue
        before = old[key]
        if before == value:
            continue
        below = child(key)
        if below is not None:
            more, less = _compare(below, before, value)
            if more is not None:
                changed[f"f:{key}"] = more
            if less is not None:
                removed[f"f:{key}"] = less
    if not old.keys() <= new.keys():
        gone = {key: value for key, value in old.items() if key not in new}
        removed.update((element, node) for element, node in owned(shape, gone).items() if element != ".")
    return changed or None, removed or None


def _by_element(shape: Shape, items: list[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for item in items:
        found.setdefault(element_of(shape, item), []).append(item)
    return found


def _compare_lists(shape: Shape, old: list[Any], new: list[Any]) -> Nodes:
    before, after = _by_element(shape, old), _by_element(shape, new)
    elem = _LEAF if shape.kind == SET else shape.elem
    changed: Fields = {}
    removed: Fields = {}
    for element in before | after:
        left, right = before.get(element, ()), after.get(element, ())
        more, less = _compare_items(elem, left, right)
        if more is not None:
            changed[element] = more
        if less is not None:
            removed[element] = less
    return changed or None, removed or None


def _compare_items(elem: Shape, left: Sequence[Any], right: Sequence[Any]) -> Nodes:
    """Compare the items of one key; duplicates, which only old objects have, count as one leaf."""
    if len(left) > 1 and len(right) > 1:
        return _SAME if left == right else _MODIFIED
    if len(left) > 1:
        return (owned(elem, right[0]) if right else None), MEMBER
    if len(right) > 1:
        return MEMBER, (owned(elem, left[0]) if left else None)
    if not left:
        return owned(elem, right[0]), None
    if not right:
        return None, owned(elem, left[0])
    return _compare(elem, left[0], right[0])
