"""Schemas of all built-in types, compiled from Kubernetes' own facts when the package is built."""

from sampan.api.schema.typeinfo import is_registered, type_named, type_of
from sampan.api.schema.types import FieldInfo, ListType, TypeInfo, ValueKind

__all__ = ["FieldInfo", "ListType", "TypeInfo", "ValueKind", "is_registered", "type_named", "type_of"]
