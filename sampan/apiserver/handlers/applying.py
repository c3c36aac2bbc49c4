"""apply: the patch type that states what a manager wants, and leaves the merging to the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import apply as applied
from sampan.api import errors, jsonpatch, schema
from sampan.api.errors import BadRequest
from sampan.api.schema import MalformedError
from sampan.apiserver.admission.interface import CREATE, UPDATE
from sampan.apiserver.handlers import patch as patches
from sampan.apiserver.handlers.writes import check_name, write_of
from sampan.apiserver.options import write_options
from sampan.apiserver.registry import ownership

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.handlers.call import Call
    from sampan.apiserver.handlers.writes import Writes
    from sampan.apiserver.options import WriteOptions
    from sampan.apiserver.registry.write import Outcome, Write
    from sampan.apiserver.storage.entry import Entry


async def apply(call: Call, writes: Writes) -> Outcome:
    """PATCH with ``application/apply-patch+yaml``."""
    options = write_options(call.query, "PatchOptions", apply=True)
    config, repeated = parse_configuration(call)
    return await apply_configuration(call, writes, config, repeated, write_of(call, options, "PatchOptions"), options)


async def apply_configuration(  # noqa: PLR0917 - two callers
    call: Call, writes: Writes | None, config: Object, repeated: list[str], write: Write, options: WriteOptions
) -> Outcome:
    """Apply a parsed configuration. writes: None when an absent object must not be created."""
    registry, info = call.registry, call.info

    async def transform(old: Object | None, current: Entry | None) -> Object:
        live = registry.mutable(current) if current is not None else None
        if old is None and writes is not None:
            writes.check_may_create(call)
        record = ownership.write_for(registry, write)
        found = applied.apply(registry.type, registry.gvk, live, config, record, force=bool(options.force))
        call.warnings[:] = repeated
        new = patches.decode_patched(call, registry.gvk, found.object, options.field_validation)
        registry.strategy.default(new)
        check_name(new, write.name, write.namespace)
        registry.check_namespace(write, new)
        if write.recorded_as == "scale":
            forget_times(new)
        request = registry.admission_request(CREATE if old is None else UPDATE, write, new, old)
        request.subresource = write.recorded_as
        await registry.admission.mutate(request)
        return new

    may_create = writes is not None and not info.subresource
    if registry.store.get(call.namespace, info.name) is None and not may_create:
        raise errors.not_found(registry.group_resource, info.name)
    return await registry.update(write, transform, forced_create=may_create)


def parse_configuration(call: Call) -> tuple[Object, list[str]]:
    """The body, which may be YAML, and the keys that it repeats. Raises BadRequest."""
    body = call.body
    if not isinstance(body, bytes):
        return body, []
    try:
        parsed = schema.parse(body, yaml=True)
    except MalformedError as error:
        raise BadRequest(f"error decoding YAML: error converting YAML to JSON: {error}") from None
    value = {} if parsed.value is None else parsed.value
    if not isinstance(value, dict):
        target = "Go value of type map[string]interface {}"
        problem = f"json: cannot unmarshal {jsonpatch.json_name(value)} into {target}"
        raise BadRequest(f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {problem}")
    lines = [line for text in parsed.strict for line in text.removeprefix("yaml: unmarshal errors:\n  ").split("\n  ")]
    return value, lines


def forget_times(obj: Object) -> None:
    """Entries of the scale subresource carry no time."""
    for entry in obj["metadata"].get("managedFields") or ():
        if entry.get("subresource") == "scale":
            entry.pop("time", None)
