"""One version of a definition, as it is served: names, schema, subresources, columns, selectable fields."""

from __future__ import annotations

import base64
import hashlib
from functools import cached_property
from typing import TYPE_CHECKING

from sampan.api.gvk import GroupVersionKind, ResourceInfo, SubresourceInfo
from sampan.api.structural import Structural, resource_type

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.api.schema import TypeInfo
    from sampan.apiserver.apiextensions.columns import Printer

VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
_SUB_VERBS = ("get", "patch", "update")


class ServedVersion:
    """See the module. Everything that costs is made when first asked for."""

    def __init__(self, definition: Object, version: Object) -> None:
        self.definition = definition
        self.raw = version
        self.name: str = version["name"]
        spec = definition["spec"]
        self.group: str = spec["group"]
        names = (definition.get("status") or {}).get("acceptedNames") or spec["names"]
        self.names: Object = names if names.get("plural") else spec["names"]
        self.kind = GroupVersionKind(self.group, self.name, self.names["kind"])
        self.namespaced = spec["scope"] == "Namespaced"
        subresources: Object = version.get("subresources") or {}
        self.has_status = subresources.get("status") is not None
        self.scale: Object | None = subresources.get("scale")
        self.selectable = tuple(one["jsonPath"].removeprefix(".") for one in version.get("selectableFields") or ())

    @cached_property
    def info(self) -> ResourceInfo:
        """The resource as discovery lists it."""
        names = self.names
        subresources = {}
        if self.has_status:
            subresources["status"] = SubresourceInfo(name="status", kind=self.kind, verbs=_SUB_VERBS)
        if self.scale is not None:
            scale = GroupVersionKind("autoscaling", "v1", "Scale")
            subresources["scale"] = SubresourceInfo(name="scale", kind=scale, verbs=_SUB_VERBS)
        text = f"{self.group}/{self.name}/{names['kind']}".encode()
        return ResourceInfo(
            group=self.group, version=self.name, resource=names["plural"], singular=names.get("singular", ""),
            kind=names["kind"], namespaced=self.namespaced, verbs=VERBS,
            short_names=tuple(names.get("shortNames") or ()), categories=tuple(names.get("categories") or ()),
            storage_version_hash=base64.b64encode(hashlib.sha256(text).digest()[:8]).decode(),
            subresources=subresources,
        )  # fmt: skip

    @cached_property
    def schema(self) -> Structural:
        """The structural schema; without one everything is preserved."""
        raw = (self.raw.get("schema") or {}).get("openAPIV3Schema")
        if raw is None or (self.definition["spec"].get("preserveUnknownFields") is True):
            raw = {**(raw or {"type": "object"}), "x-kubernetes-preserve-unknown-fields": True}
        return Structural(raw, is_root=True)

    @cached_property
    def type(self) -> TypeInfo:
        """The structure for managed fields and apply."""
        return resource_type(self.schema, f"{self.group}/{self.name}.{self.kind.kind}")

    @cached_property
    def printer(self) -> Printer:
        """The table's columns."""
        from sampan.apiserver.apiextensions.columns import Printer  # noqa: PLC0415 - only for those who ask

        return Printer(self.raw.get("additionalPrinterColumns") or ())

    @property
    def warning(self) -> str:
        """The deprecation warning, "" for none."""
        if not self.raw.get("deprecated"):
            return ""
        default = f"{self.group}/{self.name} {self.kind.kind} is deprecated"
        return self.raw.get("deprecationWarning") or default
