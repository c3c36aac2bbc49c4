"""Objects in the version that a webhook or policy asks for, and back to normal form after it has changed them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from sampan.api import errors, schema

if TYPE_CHECKING:
    from sampan.api.gvk import GroupVersionKind
    from sampan.api.object import Object
    from sampan.apiserver.registry.resources import Resources


class Conversion:
    """See the module."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def convert(self, obj: Object | None, kind: GroupVersionKind, wanted: GroupVersionKind) -> Object | None:
        """An object in another version of its kind; the same one when it is that already."""
        if obj is None or kind == wanted or obj.get("apiVersion") == wanted.api_version:
            return obj
        source, target = self._resources.by_kind(kind), self._resources.by_kind(wanted)
        if source is None or target is None:
            raise errors.internal(f"no conversion from {kind.api_version} to {wanted.api_version} of {kind.kind}")
        copy: Object = orjson.loads(orjson.dumps(obj))
        found: Object = target.strategy.from_stored(source.strategy.to_stored(copy))
        found["kind"], found["apiVersion"] = wanted.kind, wanted.api_version
        return found

    def normalize(self, raw: Object, kind: GroupVersionKind) -> Object:
        """Bring a changed object to normal form, with defaults. Raises schema.DecodeError."""
        registry = self._resources.by_kind(kind)
        if registry is not None:
            return registry.decode_object(raw)
        found = schema.decode(kind, raw).object
        found["kind"], found["apiVersion"] = kind.kind, kind.api_version
        return found

    def type_of(self, kind: GroupVersionKind) -> schema.TypeInfo:
        """The structure of a kind."""
        registry = self._resources.by_kind(kind)
        return schema.type_of(kind) if registry is None else registry.type
