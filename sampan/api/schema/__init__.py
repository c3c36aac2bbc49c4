"""Schemas of all built-in types, compiled from Kubernetes' own facts when the package is built."""

from sampan.api.schema.types import FieldInfo, ListType, TypeInfo, ValueKind

__all__ = ["FieldInfo", "ListType", "TypeInfo", "ValueKind"]
