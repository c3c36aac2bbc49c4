"""Field sets: which fields of an object someone owns, as FieldsV1 spells them.

A set is the decoded FieldsV1 JSON itself, a tree whose keys are path elements: ``f:name`` a field, ``k:{...}`` a list
item by its keys, ``v:...`` a set's value, ``i:0`` a position. A node ``{}`` is a member; ``{".": {}, ...}`` is a member
with members below; without ``"."`` only those below are. So sets cost no conversion, and sharing is safe: no function
here changes its arguments, and results may share nodes with them.

Which fields a value has, its type decides: `sampan.api.ownership`. Behaviour: structured-merge-diff, package fieldpath.
"""

from __future__ import annotations

from typing import Any

import orjson

from sampan.api.textcache import text_cache
from sampan.base.errors import SampanError

Fields = dict[str, Any]
"""A field set (FieldsV1)."""

MEMBER: Fields = {}
"""A member without members below. Shared: never change it."""


class FieldSetError(SampanError, ValueError):
    """The text is no field set; the message is Kubernetes'."""


def spell(value: Any) -> str:
    """Write a key's value as Go's JSON encoder does."""
    if value.__class__ is str:
        return _spell_text(value)
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


@text_cache(8192)
def _spell_text(value: str) -> str:
    text = orjson.dumps(value).decode()
    if "<" in text or ">" in text or "&" in text:
        text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def union(left: Fields, right: Fields) -> Fields:
    """Members of either."""
    if left is right:
        return left
    if not left or not right:
        below = left or right
        return below if not below or "." in below else {".": MEMBER, **below}
    out = dict(left)
    for element, node in right.items():
        mine = out.get(element)
        out[element] = node if mine is None else union(mine, node)
    return out


def merge_roots(left: Fields, right: Fields) -> Fields:
    """`union` of whole sets: an empty one has no members, where an empty node is one."""
    if not left or not right:
        return left or right
    return union(left, right)


def difference(left: Fields, right: Fields) -> Fields | None:
    """Members of left that are not members of right, as whole nodes; None for none. left itself if nothing goes."""
    if not left:
        return None if not right or "." in right else left
    if not right:
        right = _SELF_ONLY
    out: Fields | None = None
    for element, node in right.items():
        mine = left.get(element)
        if mine is None:
            continue
        rest = None if element == "." else difference(mine, node)
        if rest is not mine:
            if out is None:
                out = dict(left)
            if rest is None:
                del out[element]
            else:
                out[element] = rest
    if out is None:
        return left
    return _tidy(out)


_SELF_ONLY: Fields = {".": MEMBER}


def _tidy(node: Fields) -> Fields | None:
    if not node:
        return None
    return MEMBER if len(node) == 1 and "." in node else node


def subtract(left: Fields, right: Fields) -> Fields:
    """`difference` of whole sets: an empty one has no members."""
    if not left or not right:
        return left
    return difference(left, right) or {}


def intersection(left: Fields, right: Fields) -> Fields | None:
    """Members of both, as whole nodes; None for none."""
    if not left:
        return MEMBER if not right or "." in right else None
    if not right:
        return MEMBER if "." in left else None
    if len(left) > len(right):
        left, right = right, left
    out: Fields = {}
    for element, node in left.items():
        other = right.get(element)
        if other is None:
            continue
        both = MEMBER if element == "." else intersection(node, other)
        if both is not None:
            out[element] = both
    return _tidy(out)


def without_paths(fields: Fields, paths: Fields) -> Fields:
    """Drop the subtrees that begin at members of paths (a whole set)."""
    out: Fields | None = None
    for element, below in paths.items():
        mine = fields.get(element)
        if mine is None or element == ".":
            continue
        if not below or "." in below:
            rest: Fields | None = None
        elif not mine:
            continue
        else:
            rest = _tidy(without_paths(mine, below))
        if rest is mine:
            continue
        out = dict(fields) if out is None else out
        if rest is None:
            del out[element]
        else:
            out[element] = rest
    return fields if out is None else out


def paths_to_fields(paths: tuple[tuple[str, ...], ...]) -> Fields:
    """Build a set from paths of field names."""
    out: Fields = {}
    for path in paths:
        node: Fields = {}
        for name in reversed(path):
            node = {f"f:{name}": node}
        out = merge_roots(out, node)
    return out


def paths_of(fields: Fields) -> list[str]:
    """List the members as Kubernetes prints paths: of each level first its members, then what is below."""
    out: list[str] = []
    _collect("", fields, out)
    return out


def _collect(prefix: str, fields: Fields, out: list[str]) -> None:
    elements = sorted((one for one in fields if one != "."), key=_rank)
    out.extend(prefix + show(one) for one in elements if not fields[one] or "." in fields[one])
    for one in elements:
        if fields[one]:
            _collect(prefix + show(one), fields[one], out)


@text_cache(8192)
def show(element: str) -> str:
    """Spell a path element as conflict messages do: ``.name``, ``[name="a"]``, ``[="value"]``, ``[0]``."""
    kind, text = element[:2], element[2:]
    if kind == "f:":
        return f".{text}"
    if kind == "k:":
        pairs = ",".join(f"{key}={spell(value)}" for key, value in orjson.loads(text).items())
        return f"[{pairs}]"
    return f"[={text}]" if kind == "v:" else f"[{text}]"


@text_cache(16384)
def _rank(element: str) -> tuple[Any, ...]:
    if element == ".":
        return (0,)
    kind, text = element[:2], element[2:]
    if kind == "f:":
        return (1, text)
    if kind == "k:":
        return (2, *((key, *_rank_value(value)) for key, value in sorted(orjson.loads(text).items())))
    if kind == "v:":
        return (3, *_rank_value(orjson.loads(text)))
    return (4, int(text))


def _rank_value(value: Any) -> tuple[int, Any]:
    if isinstance(value, bool):
        return (3, value)
    if isinstance(value, (int, float)):
        return (1, value)
    return (2, value) if isinstance(value, str) else (4, str(value))


def ordered(fields: Fields) -> Fields:
    """Return the set with its keys in the canonical order."""
    if len(fields) < 2:
        for element, node in fields.items():
            return {element: ordered(node)} if node else fields
        return fields
    return {element: ordered(fields[element]) if fields[element] else MEMBER for element in sorted(fields, key=_rank)}


def decode(raw: Any) -> Fields:
    """Check FieldsV1 that a client sent and bring its elements to canonical spelling. Raises FieldSetError."""
    if not isinstance(raw, dict):
        raise FieldSetError("expected an object")
    out: Fields = {}
    for element, node in raw.items():
        if element == ".":
            out["."] = MEMBER
            continue
        below = decode(node)
        if below or node == {}:
            out[canonical_element(element)] = below if below != _SELF_ONLY else MEMBER
    return out


def canonical_element(element: str) -> str:
    """Bring one path element to canonical spelling. Raises FieldSetError."""
    if len(element) < 2:
        raise FieldSetError("key must be 2 characters long")
    if element[1] != ":":
        raise FieldSetError(f"missing colon in {element!r}")
    kind, text = element[0], element[2:]
    if kind == "f":
        return element
    try:
        if kind == "k":
            pairs = orjson.loads(text)
            if not isinstance(pairs, dict):
                raise FieldSetError("key must be an object")
            return "k:{" + ",".join(f'"{key}":{spell(value)}' for key, value in sorted(pairs.items())) + "}"
        if kind == "v":
            return f"v:{spell(orjson.loads(text))}"
        if kind == "i":
            return f"i:{int(text)}"
    except ValueError as error:
        raise FieldSetError(str(error)) from error
    raise FieldSetError(f"unknown path element type {kind!r}")
