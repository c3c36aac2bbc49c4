"""The registry of custom resources: the generic one, with decoding, types and conversion by the definition.

Objects are stored in the storage version, pruned by its schema. Reading goes the same way back: defaults, conversion,
pruning. As long as nothing of that would change a stored object, its stored bytes are the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from sampan.api import errors, field, jsonpatch, schema
from sampan.api.errors import BadRequest, MethodNotAllowed
from sampan.api.fieldset import FieldSetError
from sampan.api.schema import Decoded, DecodeError, MalformedError
from sampan.api.schema.typeinfo import type_named
from sampan.api.structural import apply_defaults, drop_nulls, prune
from sampan.apiserver.apiextensions.strategy import CustomResourceStrategy
from sampan.apiserver.registry.generic import Registry
from sampan.apiserver.storage.resourcestore import Selection

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.admission.chain import AdmissionChain
    from sampan.apiserver.apiextensions.definition import Definition
    from sampan.apiserver.apiextensions.version import ServedVersion
    from sampan.apiserver.registry.strategy import Environment
    from sampan.apiserver.registry.write import Outcome, Write
    from sampan.apiserver.storage.entry import Entry
    from sampan.apiserver.storage.resourcestore import ResourceStore

_META = "k8s.io.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_LOOK_AT = 20_000
"""Objects that are looked at to see whether stored bytes can be answered as they are; with more it would take long."""


class CustomResourceRegistry(Registry):
    """One version of one definition."""

    custom = True

    def __init__(
        self, definition: Definition, version: ServedVersion, store: ResourceStore, admission: AdmissionChain,
        environment: Environment,
    ) -> None:  # fmt: skip
        super().__init__(version.info, CustomResourceStrategy(version), store, admission, environment)
        self.version = version
        self.definition = definition
        self.printer = version.printer
        self.item_prefix = b"{"
        self.has_versions = len(definition.versions) > 1
        self._stored = definition.storage
        self.converts = version.name != self._stored.name or not self._is_clean()

    def _is_clean(self) -> bool:
        """Whether every stored object is as it would be answered."""
        entries = self.store.list(Selection()).entries
        if len(entries) > _LOOK_AT:
            return False
        for entry in entries:
            obj = entry.copy()
            if obj.get("apiVersion") != self.api_version or self._seen(entry.copy()) != obj:
                return False
        return True

    # -- types and forms

    @property
    def type(self) -> schema.TypeInfo:
        return self.version.type

    def empty_status(self) -> Any:
        return None

    def _seen(self, obj: Object) -> Object:
        """A stored object in this version; changes obj."""
        stored = self.definition.by_name(obj.get("apiVersion", "").rpartition("/")[2]) or self._stored
        if stored is not self.version:
            self._check_convertible(self.version)
        drop_nulls(stored.schema, obj)
        apply_defaults(stored.schema, obj)
        if stored is not self.version:
            obj["apiVersion"] = self.api_version
        prune(self.version.schema, obj, is_root=True)
        return obj

    def _check_convertible(self, target: ServedVersion) -> None:
        """Raise InternalError where a webhook would have to convert: an object taken over as it is would be wrong."""
        if self.definition.converts_by_webhook:
            kind = target.kind
            why = f"conversion webhook for {kind.api_version}, Kind={kind.kind} failed: webhooks are not called"
            raise errors.internal(why)

    def view(self, entry: Entry) -> Object:
        return self._seen(entry.copy()) if self.converts else entry.object

    def wire(self, entry: Entry) -> bytes:
        return orjson.dumps(self._seen(entry.copy())) if self.converts else entry.wire

    def mutable(self, entry: Entry) -> Object:
        obj = entry.copy()
        return self._seen(obj) if self.converts else obj

    def _to_store(self, obj: Object) -> Object:
        stored = self._stored
        if stored is not self.version:
            self._check_convertible(stored)
            obj["apiVersion"] = stored.kind.api_version
            prune(stored.schema, obj, is_root=True)
        return obj

    def convert_for_ownership(self, obj: Object, api_version: str) -> tuple[schema.TypeInfo, Object] | None:
        if api_version == self.api_version:
            return self.type, obj
        group, _, name = api_version.rpartition("/")
        other = self.definition.by_name(name) if group == self.info.group else None
        if other is None or not other.raw.get("served"):
            return None
        copy = orjson.loads(orjson.dumps(obj))
        copy["apiVersion"] = api_version
        if prune(other.schema, copy, is_root=True):
            # Conversion does not prune, and what a version does not declare cannot be owned in it.
            raise FieldSetError("field not declared in schema")
        return other.type, copy

    # -- decoding

    def normal(self, raw: Object) -> Decoded:
        """A parsed object with its metadata in normal form, pruned and defaulted. Raises DecodeError."""
        obj = dict(raw)
        strict: list[str] = []
        metadata = obj.get("metadata")
        if metadata is not None:
            decoded = schema.decode_as(type_named(_META), metadata)
            strict += [_within_metadata(text) for text in decoded.strict]
            obj["metadata"] = decoded.object
        else:
            obj["metadata"] = {}
        obj = {key: value if key == "metadata" else _own(value) for key, value in obj.items()}
        unknown: list[str] = []
        prune(self.version.schema, obj, is_root=True, unknown=unknown)
        strict += [f"unknown field {field.go_quote(path)}" for path in sorted(unknown)]
        drop_nulls(self.version.schema, obj)
        apply_defaults(self.version.schema, obj)
        return Decoded(object=obj, strict=strict)

    def decode_request(self, body: Any, *, yaml: bool, validation: str) -> Decoded:
        """A request's body. Raises BadRequest."""
        kind = self.gvk
        if not isinstance(body, bytes):
            raw, repeated = body, []
        else:
            try:
                parsed = schema.parse(body, yaml=yaml)
                raw, repeated = parsed.value, schema.duplicates(parsed)
            except MalformedError as error:
                own = str(error).startswith("yaml:")
                prefix = "" if own else "couldn't get version/kind; json parse error: "
                raise schema.unrecognized(kind.kind, f"{prefix}{error}", body) from None
        if not isinstance(raw, dict):
            why = f"json: cannot unmarshal {jsonpatch.json_name(raw)} into Go value of type map[string]interface {{}}"
            raise schema.cannot_handle(kind, kind.kind, why)
        self._check_kind(raw, body)
        try:
            decoded = self.normal(raw)
        except DecodeError as error:
            raise schema.cannot_handle(kind, kind.kind, str(error)) from None
        strict = [*repeated, *decoded.strict]
        if strict and validation == "Strict":
            raise schema.cannot_handle(kind, kind.kind, f"strict decoding error: {', '.join(strict)}")
        return Decoded(object=decoded.object, strict=[] if validation == "Ignore" else strict)

    def _check_kind(self, raw: Object, body: Any) -> None:
        kind = self.gvk
        if not raw.get("kind"):
            shown = body.decode(errors="replace") if isinstance(body, bytes) else orjson.dumps(raw).decode()
            raise schema.cannot_handle(kind, kind.kind, f"Object 'Kind' is missing in '{shown}'")
        if raw.get("apiVersion") and raw["apiVersion"] != kind.api_version:
            message = f"the API version in the data ({raw['apiVersion']}) does not match the expected API version"
            raise BadRequest(f"{message} ({kind.api_version})")

    def decode_patched(self, raw: Object) -> Decoded:
        """What a patch has made. Raises DecodeError."""
        return self.normal(raw)

    def decode_object(self, raw: Object) -> Object:
        return self.normal(raw).object

    # -- writing

    async def create_admitted(self, write: Write, obj: Object, request: Any) -> Outcome:
        if self.definition.terminating:
            known = errors.method_not_supported(self.group_resource, "create")
            message = "create not allowed while custom resource definition is terminating"
            raise MethodNotAllowed(message, details=known.details)
        if not self.info.namespaced:
            obj["metadata"].pop("namespace", None)
        return await super().create_admitted(write, obj, request)


def _own(value: Any) -> Any:
    return orjson.loads(orjson.dumps(value)) if isinstance(value, (dict, list)) else value


def _within_metadata(text: str) -> str:
    head, quote, rest = text.partition('"')
    return f"{head}{quote}metadata.{rest}"
