"""JSON patches (RFC 6902) as the API server applies them.

The server's library is laxer than the RFC, and clients rely on it: ``replace`` and ``copy`` of an absent member of an
object work, a missing value means null, negative positions count from the end. Every failure to apply is the same 422
without details. Behaviour: evanphx/json-patch v4; apiserver, package endpoints/handlers (limits).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NoReturn

import orjson

from sampan.api.errors import BadRequest, Invalid, RequestEntityTooLarge

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.api.object import Object

MAX_OPERATIONS = 10000
MAX_COPIED = 3 * 1024 * 1024
"""Bytes of JSON that the copy operations of one patch may add."""

REJECTED = "the server rejected our request due to an error in our request"
_INDEX = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_TEXT_FIELDS = ("op", "path", "from")


def rejected() -> Invalid:
    """Build the answer to a patch that does not apply."""
    return Invalid(REJECTED, details={})


def decode(raw: Any) -> list[Object]:
    """Check that a parsed body is a patch. Raises BadRequest, RequestEntityTooLarge."""
    if not isinstance(raw, list):
        if raw is None:
            return []
        raise _mismatch(raw, "value of type []handlers.jsonPatchOp")
    for operation in raw:
        if not isinstance(operation, dict):
            if operation is None:
                continue
            raise _mismatch(operation, "value of type handlers.jsonPatchOp")
        for name in _TEXT_FIELDS:
            value = operation.get(name)
            if value is not None and not isinstance(value, str):
                raise _mismatch(value, f"struct field jsonPatchOp.{name} of type string")
    if len(raw) > MAX_OPERATIONS:
        raise RequestEntityTooLarge(
            "Request entity too large: The allowed maximum operations in a JSON patch is "
            f"{MAX_OPERATIONS}, got {len(raw)}"
        )
    return [operation or {} for operation in raw]


def _mismatch(value: Any, target: str) -> BadRequest:
    return BadRequest(f"error decoding patch: json: cannot unmarshal {json_name(value)} into Go {target}")


def json_name(value: Any) -> str:
    """Name a value's JSON type as Go does."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, (int, float)):
        return "number"
    return "array" if isinstance(value, list) else "object"


def apply(document: Object, operations: list[Object]) -> Any:
    """Return the patched document; the one given stays as it is, and parts that did not change are shared with it.

    Raises Invalid, without saying why, as the API server does.
    """
    patch = _Patch(document)
    for operation in operations:
        action = _ACTIONS.get(operation.get("op") or "")
        path = operation.get("path")
        if action is None or path is None:
            raise rejected()
        action(patch, path, operation)
    return patch.document


class _Patch:
    """A document being patched; containers on the way to a change are copied once."""

    def __init__(self, document: Object) -> None:
        self.document: Any = document
        self._own: set[int] = set()
        self._kept: list[Any] = []
        self._copied = 0

    def parent(self, path: str, *, change: bool) -> tuple[Any, str]:
        """Find the container that a path leads to, and the last key. change: it will be changed."""
        parts = path.split("/")
        if len(parts) < 2:
            raise rejected()
        if change:
            self.document = self._mine(self.document)
        node = self.document
        for part in parts[1:-1]:
            key = _unescape(part)
            below = self.get(node, key)
            if not isinstance(below, (dict, list)):
                raise rejected()
            if change:
                below = self._mine(below)
                node[key if isinstance(node, dict) else _position(key, len(node))] = below
            node = below
        return node, _unescape(parts[-1])

    def _mine(self, node: Any) -> Any:
        if id(node) in self._own:
            return node
        mine = node.copy()
        self._own.add(id(mine))
        # Kept alive, so that no other container gets its id.
        self._kept.append(mine)
        return mine

    @staticmethod
    def get(node: Any, key: str) -> Any:
        """Return a member, None for an absent one of an object."""
        if isinstance(node, dict):
            return node.get(key)
        return node[_position(key, len(node))]

    def add(self, path: str, operation: Object) -> None:
        self._add(path, operation.get("value"))

    def _add(self, path: str, value: Any) -> None:
        node, key = self.parent(path, change=True)
        if isinstance(node, dict):
            node[key] = value
        elif key == "-":
            node.append(value)
        else:
            node.insert(_position(key, len(node) + 1), value)

    def remove(self, path: str, _: Object) -> None:
        node, key = self.parent(path, change=True)
        if isinstance(node, dict):
            if key not in node:
                raise rejected()
            del node[key]
        else:
            del node[_position(key, len(node))]

    def replace(self, path: str, operation: Object) -> None:
        value = operation.get("value")
        if not path:
            if not isinstance(value, (dict, list)):
                raise rejected()
            self.document = value
            return
        node, key = self.parent(path, change=True)
        node[key if isinstance(node, dict) else _position(key, len(node))] = value

    def move(self, path: str, operation: Object) -> None:
        source = _source(operation)
        node, key = self.parent(source, change=False)
        value = self.get(node, key)
        self.remove(source, operation)
        self._add(path, value)

    def copy(self, path: str, operation: Object) -> None:
        node, key = self.parent(_source(operation), change=False)
        value = self.get(node, key)
        if value is not None:
            encoded = orjson.dumps(value)
            self._copied += len(encoded)
            value = orjson.loads(encoded)
        self.parent(path, change=False)
        if self._copied > MAX_COPIED:
            raise rejected()
        self._add(path, value)

    def test(self, path: str, operation: Object) -> None:
        expected = operation.get("value")
        if path:
            node, key = self.parent(path, change=False)
            actual = self.get(node, key)
        else:
            actual = self.document
        if not _equal(actual, expected):
            raise rejected()


_ACTIONS: dict[str, Callable[[_Patch, str, Object], None]] = {
    "add": _Patch.add,
    "remove": _Patch.remove,
    "replace": _Patch.replace,
    "move": _Patch.move,
    "copy": _Patch.copy,
    "test": _Patch.test,
}


def _source(operation: Object) -> str:
    source = operation.get("from")
    if source is None:
        raise rejected()
    return str(source)


def _unescape(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~") if "~" in part else part


def _position(key: str, size: int) -> int:
    if _INDEX.fullmatch(key) is None:
        _refuse()
    position = int(key)
    if not -size <= position < size:
        _refuse()
    return position + size if position < 0 else position


def _refuse() -> NoReturn:
    raise rejected()


def _equal(left: Any, right: Any) -> bool:
    """JSON equality: true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return type(left) is type(right) and bool(left == right)
