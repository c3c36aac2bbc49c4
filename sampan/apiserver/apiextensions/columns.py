"""The table of a custom resource: its additional printer columns, by JSONPath.

Behaviour: apiextensions-apiserver, package registry/customresource/tableconvertor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from sampan.api import jsonpath, times
from sampan.api.goformat import go_text
from sampan.api.jsonpath import JSONPathError
from sampan.api.tables import human_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.object import Object

_NAME = (
    "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a "
    "client to request the generation of an appropriate name automatically. Name is primarily intended for creation "
    "idempotence and configuration definition. Cannot be updated. More info: "
    "https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names"
)
_AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
_CREATED = (
    "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed "
    "to be set in happens-before order across separate operations. Clients may not set this value. It is represented "
    "in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
)


class Printer:
    """Prints the objects of one version. additional: the version's additionalPrinterColumns."""

    def __init__(self, additional: Sequence[Object]) -> None:
        wanted = list(additional) or [_AGE]
        self.columns: list[Object] = [
            {"name": "Name", "type": "string", "format": "name", "description": _NAME, "priority": 0}
        ]
        self._cells: list[tuple[str, jsonpath.Template | None]] = []
        for column in wanted:
            path = column.get("jsonPath", "")
            text = column.get("description") or f"Custom resource definition column (in JSONPath format): {path}"
            if column is _AGE:
                text = _CREATED
            self.columns.append(
                {
                    "name": column.get("name", ""), "type": column.get("type", ""), "format": column.get("format", ""),
                    "description": text, "priority": column.get("priority", 0),
                }
            )  # fmt: skip
            self._cells.append((column.get("type", ""), _parsed(path)))

    def row(self, obj: Object, now: float) -> list[Any]:
        """The cells of one object. now: epoch seconds."""
        cells: list[Any] = [obj["metadata"].get("name", "")]
        for kind, template in self._cells:
            cells.append(None if template is None else _cell(kind, template, obj, now))
        return cells


def _parsed(path: str) -> jsonpath.Template | None:
    try:
        return jsonpath.parse("{" + path + "}")
    except JSONPathError:
        return None


def _cell(kind: str, template: jsonpath.Template, obj: Object, now: float) -> Any:
    try:
        found = template.find(obj, allow_missing=True)
    except JSONPathError:
        return None
    if not found or not found[0]:
        return None
    value = found[0][0]
    if value is None:
        return None
    if kind == "string":
        if isinstance(value, (dict, list)):
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
        return value if isinstance(value, str) else go_text(value)
    return _typed(kind, value, now)


def _typed(kind: str, value: Any, now: float) -> Any:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "integer":
        return int(value) if is_number else None
    if kind == "number":
        return value if is_number else None
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if kind == "date" and isinstance(value, str):
        try:
            return human_duration(now - times.parse(value))
        except ValueError:
            return "<invalid>"
    return None
