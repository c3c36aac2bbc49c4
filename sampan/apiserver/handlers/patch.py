"""patch: the three patches and apply, on objects, their status and other subresources.

A patch is parsed once and applied to the current object, again when that has changed meanwhile; the result is decoded,
defaulted and then treated like an update.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from sampan.api import errors, field, jsonpatch, mergepatch, schema, strategicmerge
from sampan.api.errors import BadRequest
from sampan.api.schema import DecodeError, MalformedError
from sampan.apiserver.admission.interface import UPDATE
from sampan.apiserver.handlers.writes import check_name, write_of
from sampan.apiserver.options import write_options
from sampan.apiserver.registry import ownership

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.api.gvk import GroupVersionKind
    from sampan.api.object import Object
    from sampan.apiserver.handlers.call import Call
    from sampan.apiserver.handlers.writes import Writes
    from sampan.apiserver.registry.write import Outcome, Write
    from sampan.apiserver.storage.entry import Entry

    Patcher = Callable[[Object], Any]

_JSON, _MERGE = "application/json-patch+json", "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml"
_NO_STRATEGIC = (
    "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, "
    "application/merge-patch+json, application/apply-patch+yaml"
)


def is_apply(call: Call) -> bool:
    """Whether the patch is a server-side apply."""
    return call.content_type.startswith(_APPLY)


def patcher_for(call: Call, info: schema.TypeInfo) -> Patcher:
    """Parse the body. info: the structure that a strategic merge follows. Raises BadRequest."""
    media = call.content_type.partition(";")[0].strip()
    raw, repeated = _parse(call)
    call.warnings += repeated
    if media == _JSON:
        operations = jsonpatch.decode(raw)
        return lambda current: jsonpatch.apply(current, operations)
    if media == _MERGE:
        patch = mergepatch.check(raw)
        return lambda current: mergepatch.apply(current, patch)
    if call.registry.custom and info is call.registry.type:
        raise errors.UnsupportedMediaType(_NO_STRATEGIC, details={})
    patch = strategicmerge.check(raw)

    def merged(current: Object) -> Any:
        found = strategicmerge.apply(info, current, patch)
        # It is decoded into the Go type at hand, whatever kind and version it says.
        return {**found, "kind": current["kind"], "apiVersion": current["apiVersion"]}

    return merged


def _parse(call: Call) -> tuple[Any, list[str]]:
    body = call.body
    if not isinstance(body, bytes):
        return body, []
    try:
        parsed = schema.parse(body)
        return parsed.value, schema.duplicates(parsed) if parsed.text is not None else []
    except MalformedError as error:
        raise BadRequest(f"error decoding patch: {error}") from None


def decode_patched(call: Call, kind: GroupVersionKind, raw: Any, validation: str) -> Object:
    """Bring what a patch has made to normal form, without defaults. Raises Invalid on the field "patch"."""
    repeated, call.warnings[:] = list(call.warnings), []
    if not isinstance(raw, dict):
        raise errors.BadRequest(
            f"json: cannot unmarshal {jsonpatch.json_name(raw)} into Go value of type map[string]interface {{}}"
        )
    try:
        gvk = schema.kind_of(raw, kind)
        if call.registry.custom and kind is call.registry.gvk:
            custom: Any = call.registry
            decoded = custom.decode_patched(raw)
        elif gvk == kind:
            decoded = schema.decode(kind, raw)
        else:
            decoded = _decode_other(call, kind, gvk, raw)
    except (DecodeError, MalformedError) as error:
        raise _refused(raw, str(error)) from None
    strict = [*repeated, *decoded.strict]
    if strict and validation == "Strict":
        raise _refused(raw, f"strict decoding error: {', '.join(strict)}")
    if validation != "Ignore":
        call.warnings += strict
    obj: Object = decoded.object
    if call.registry.custom and kind is call.registry.gvk:
        return obj  # its strategy judges another kind or version
    obj["kind"], obj["apiVersion"] = kind.kind, kind.api_version
    return obj


def _decode_other(call: Call, kind: GroupVersionKind, gvk: GroupVersionKind, raw: Object) -> schema.Decoded:
    """Decode what a patch has made another kind or version of; the latter is converted back.

    Raises Invalid, DecodeError.
    """
    try:
        info = schema.type_of(gvk)
    except LookupError:
        raise _unknown_kind(raw, gvk) from None
    decoded = schema.decode_as(info, raw)
    if why := schema.conversion_error(gvk, kind, info):
        raise _refused(raw, why)
    registry = call.registry
    other = registry.other_version(gvk.api_version) if registry.other_version is not None else None
    if other is None or kind != registry.gvk:
        raise _unknown_kind(raw, gvk)
    decoded.object["kind"], decoded.object["apiVersion"] = gvk.kind, gvk.api_version
    other.strategy.default(decoded.object)
    stored = other.strategy.to_stored(decoded.object)
    return schema.Decoded(object=registry.strategy.from_stored(stored), strict=decoded.strict)


def _unknown_kind(raw: Object, gvk: GroupVersionKind) -> errors.Invalid:
    return _refused(
        raw, f'no kind "{gvk.kind}" is registered for version "{gvk.api_version}" in scheme '
        '"pkg/api/legacyscheme/scheme.go:30"',
    )  # fmt: skip


def _refused(raw: Object, why: str) -> errors.Invalid:
    """The patched document as Go prints it, and what is wrong with it."""
    document = orjson.dumps({key: raw[key] for key in sorted(raw)}).decode()
    error = errors.invalid("", "", "", [field.invalid("patch", document, why)])
    if error.details is not None:
        error.details.pop("kind", None)
    return error


class Patches:
    """PATCH handlers."""

    def __init__(self, writes: Writes) -> None:
        self._writes = writes

    async def patch(self, call: Call) -> Outcome:
        """PATCH of an object or of a subresource that is written like it."""
        if is_apply(call):
            from sampan.apiserver.handlers import applying  # noqa: PLC0415 - apply's machinery is large

            return await applying.apply(call, self._writes)
        options = write_options(call.query, "PatchOptions")
        registry, info = call.registry, call.info
        write = write_of(call, options, "PatchOptions")
        patcher = patcher_for(call, registry.type)

        async def transform(old: Object | None, current: Entry | None) -> Object:
            assert old is not None
            del current
            return await self._patched(call, write, old, patcher, options.field_validation)

        if registry.store.get(call.namespace, info.name) is None:
            raise errors.not_found(registry.group_resource, info.name)
        return await registry.update(write, transform)

    async def _patched(self, call: Call, write: Write, old: Object, patcher: Patcher, validation: str) -> Object:
        registry = call.registry
        patched = patcher(registry.arranged(old))
        new = decode_patched(call, registry.gvk, patched, validation)
        registry.strategy.default(new)
        registry.check_namespace(write, new)
        check_name(new, write.name, write.namespace)
        ownership.updated(registry, write, new, old)
        request = registry.admission_request(UPDATE, write, new, old)
        await registry.admission.mutate(request)
        return new
