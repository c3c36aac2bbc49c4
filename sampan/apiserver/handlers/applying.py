"""apply: the patch type that states what a manager wants, and leaves the merging to the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import apply as applied
from sampan.api import errors, schema
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
    from sampan.apiserver.registry.write import Outcome
    from sampan.apiserver.storage.entry import Entry


async def apply(call: Call, writes: Writes) -> Outcome:
    """PATCH with ``application/apply-patch+yaml``."""
    options = write_options(call.query, "PatchOptions", apply=True)
    registry, info = call.registry, call.info
    config, repeated = _parse(call)
    write = write_of(call, options, "PatchOptions")

    async def transform(old: Object | None, current: Entry | None) -> Object:
        live = registry.mutable(current) if current is not None else None
        if old is None:
            writes.check_may_create(call)
        record = ownership.write_for(registry, write)
        found = applied.apply(registry.type, registry.gvk, live, config, record, force=bool(options.force))
        call.warnings[:] = repeated
        new = patches.decode_patched(call, registry.gvk, found.object, options.field_validation)
        registry.strategy.default(new)
        check_name(new, write.name, write.namespace)
        registry.check_namespace(write, new)
        request = registry.admission_request(CREATE if old is None else UPDATE, write, new, old)
        await registry.admission.mutate(request)
        return new

    if registry.store.get(info.namespace, info.name) is None and info.subresource:
        raise errors.not_found(registry.group_resource, info.name)
    return await registry.update(write, transform, forced_create=not info.subresource)


def _parse(call: Call) -> tuple[Object, list[str]]:
    body = call.body
    if not isinstance(body, bytes):
        return body, []
    try:
        parsed = schema.parse(body, yaml=True)
    except MalformedError as error:
        raise BadRequest(f"error decoding YAML: {error}") from None
    if not isinstance(parsed.value, dict):
        raise BadRequest("error decoding YAML: the configuration is no object")
    return parsed.value, list(parsed.strict)
