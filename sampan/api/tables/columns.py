"""Column definitions of tables: names and types from the printer facts, descriptions from the API's own documentation.

A description is the text of the field that a column shows, or, for columns that summarise, a text of its own. Loaded
when a table is first asked for, one group's documentation at a time.
"""

from __future__ import annotations

import gzip
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from sampan.api.schema import data
from sampan.api.tables.descriptions import FIELDS, TEXTS

if TYPE_CHECKING:
    from sampan.api.gvk import GroupVersionResource
    from sampan.api.object import Object

_NAME = "apimachinery.pkg.apis.meta.v1.ObjectMeta.name"
_CREATED = "apimachinery.pkg.apis.meta.v1.ObjectMeta.creationTimestamp"
_EVERYWHERE = {"Name": _NAME, "Age": _CREATED, "Created At": _CREATED}
_DEFAULT = [["Name", "string", "name", 0], ["Created At", "date", "", 0]]


def columns(gvr: GroupVersionResource) -> list[Object]:
    """List the column definitions of a resource's table; the caller may change neither list nor definitions."""
    return _columns(gvr.prefix, gvr.group, gvr.resource)


@lru_cache(maxsize=256)
def _columns(prefix: str, group: str, resource: str) -> list[Object]:
    known: list[list[Any]] = data.load("printer-columns.json").get(f"{prefix}/{resource}", _DEFAULT)
    return [
        {
            "name": name,
            "type": kind,
            "format": form,
            "description": _description(group, resource, name),
            "priority": priority,
        }
        for name, kind, form, priority in known
    ]


def _description(group: str, resource: str, column: str) -> str:
    text = TEXTS.get((group, resource), {}).get(column)
    if text is not None:
        return text
    place = FIELDS.get((group, resource), {}).get(column) or _EVERYWHERE.get(column)
    return _field(place) if place else ""


def _field(place: str) -> str:
    kind, _, name = place.rpartition(".")
    schema = _schemas(_document(kind)).get(f"io.k8s.{kind}", {})
    found: str = schema.get("properties", {}).get(name, {}).get("description", "")
    return found


def _document(kind: str) -> str:
    parts = kind.split(".")
    if parts[0] != "api" or parts[1] == "core":
        return "v3/api/v1"
    return f"v3/apis/{_GROUPS.get(parts[1], parts[1])}/{parts[2]}"


_GROUPS = {
    "coordination": "coordination.k8s.io", "discovery": "discovery.k8s.io", "networking": "networking.k8s.io",
    "flowcontrol": "flowcontrol.apiserver.k8s.io", "resource": "resource.k8s.io", "scheduling": "scheduling.k8s.io",
    "storage": "storage.k8s.io", "certificates": "certificates.k8s.io", "rbac": "rbac.authorization.k8s.io",
    "events": "events.k8s.io", "node": "node.k8s.io", "admissionregistration": "admissionregistration.k8s.io",
}  # fmt: skip


@lru_cache(maxsize=4)
def _schemas(path: str) -> dict[str, Any]:
    file, _ = data.load("openapi/index.json")[path]
    document = orjson.loads(gzip.decompress(data.read_bytes(f"openapi/{file}")))
    found: dict[str, Any] = document["components"]["schemas"]
    return found
