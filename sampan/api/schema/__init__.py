"""Schemas of all built-in types, compiled from Kubernetes' own facts when the package is built."""

from sampan.api.schema.decode import (
    Decoded,
    DecodeError,
    FieldValidation,
    Parsed,
    cannot_handle,
    conversion_error,
    decode,
    decode_as,
    decode_body,
    decode_parsed,
    duplicates,
    kind_of,
    parse,
    unrecognized,
)
from sampan.api.schema.gojson import MalformedError
from sampan.api.schema.typeinfo import is_registered, type_named, type_of
from sampan.api.schema.types import FieldInfo, ListType, TypeInfo, ValueKind

__all__ = [
    "DecodeError",
    "Decoded",
    "FieldInfo",
    "FieldValidation",
    "ListType",
    "MalformedError",
    "Parsed",
    "TypeInfo",
    "ValueKind",
    "cannot_handle",
    "conversion_error",
    "decode",
    "decode_as",
    "decode_body",
    "decode_parsed",
    "duplicates",
    "is_registered",
    "kind_of",
    "parse",
    "type_named",
    "type_of",
    "unrecognized",
]
