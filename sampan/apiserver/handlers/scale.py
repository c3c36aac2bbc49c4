"""The scale subresource: replicas of a workload as an autoscaling/v1 Scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api import errors, field, schema
from sampan.api.errors import BadRequest
from sampan.api.gvk import GroupVersionKind
from sampan.apiserver.admission.interface import UPDATE
from sampan.apiserver.handlers import applying
from sampan.apiserver.handlers import body as bodies
from sampan.apiserver.handlers import patch as patches
from sampan.apiserver.handlers.writes import check_name, write_of
from sampan.apiserver.options import write_options
from sampan.apiserver.registry import ownership
from sampan.apiserver.registry.write import Outcome, Write

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.api.object import Object
    from sampan.apiserver.handlers.call import Call
    from sampan.apiserver.registry.generic import Registry
    from sampan.apiserver.storage.entry import Entry

SCALE = GroupVersionKind("autoscaling", "v1", "Scale")


def get(call: Call) -> Outcome:
    """The current Scale."""
    registry = call.registry
    entry = registry.find(call.namespace, call.info.name)
    return Outcome(object=registry.strategy.get_scale(registry.view(entry)), as_is=True)


async def update(call: Call) -> Outcome:
    """PUT a Scale."""
    options = write_options(call.query, "UpdateOptions")
    scale = bodies.decode(call, SCALE, options.field_validation)
    check_name(scale, call.info.name, call.namespace)
    return await _change(call, write_of(call, options, "UpdateOptions"), lambda _: scale)


async def patch(call: Call) -> Outcome:
    """PATCH a Scale."""
    if patches.is_apply(call):
        return await _apply(call)
    options = write_options(call.query, "PatchOptions")
    patcher = patches.patcher_for(call, schema.type_of(SCALE))

    def patched(current: Object) -> Object:
        return patches.decode_patched(call, SCALE, patcher(current), options.field_validation)

    return await _change(call, write_of(call, options, "PatchOptions"), patched)


async def _apply(call: Call) -> Outcome:
    """Apply a Scale: what it says of replicas is applied to the workload itself."""
    options = write_options(call.query, "PatchOptions", apply=True)
    config, repeated = applying.parse_configuration(call)
    if (config.get("apiVersion"), config.get("kind")) != (SCALE.api_version, SCALE.kind):
        group, _, version = str(config.get("apiVersion") or "").rpartition("/")
        raise BadRequest(f"invalid object type: {group}/{version}, Kind={config.get('kind') or ''}")
    registry, write = call.registry, write_of(call, options, "PatchOptions")
    write.owned_as, write.subresource = "scale", ""
    replicas = (config.get("spec") or {}).get("replicas")
    if isinstance(replicas, int) and replicas < 0:
        _validate(config, write.name)
    applied = {
        "apiVersion": registry.api_version, "kind": registry.info.kind,
        "metadata": config.get("metadata") or {}, "spec": {} if replicas is None else {"replicas": replicas},
    }  # fmt: skip
    if registry.custom:
        del applied["spec"]
        if replicas is not None:
            registry.strategy.set_scale(applied, config)
    result = await applying.apply_configuration(call, None, applied, repeated, write, options)
    return Outcome(object=registry.strategy.get_scale(_object(registry, result)), as_is=True)


async def _change(call: Call, write: Write, make: Callable[[Object], Object]) -> Outcome:
    registry = call.registry
    write.owned_as, write.subresource = "scale", ""

    async def transform(old: Object | None, current: Entry | None) -> Object:
        assert old is not None
        assert current is not None
        before = registry.strategy.get_scale(old)
        scale = make(before)
        request = registry.admission_request(UPDATE, write, scale, before, SCALE)
        request.subresource = "scale"
        await registry.admission.mutate(request)
        if not registry.custom:  # what may be scaled by hand judges its own replicas
            _validate(scale, write.name)
        new = registry.mutable(current)
        registry.strategy.set_scale(new, scale)
        wanted = scale["metadata"].get("resourceVersion", "")
        if wanted:
            new["metadata"]["resourceVersion"] = wanted
        uid = scale["metadata"].get("uid", "")
        if uid and uid != old["metadata"].get("uid"):
            why = (
                f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['metadata'].get('uid', '')}"
            )
            raise errors.conflict(registry.group_resource, write.name, why)
        ownership.updated(registry, write, new, old)
        applying.forget_times(new)
        await registry.admission.validate(request)
        return new

    result = await registry.update(write, transform)
    return Outcome(object=registry.strategy.get_scale(_object(registry, result)), as_is=True)


def _object(registry: Registry, result: Outcome) -> Any:
    return registry.view(result.entry) if result.entry is not None else result.object


def _validate(scale: Object, name: str) -> None:
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if replicas < 0:
        wrong = field.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise errors.invalid("autoscaling", "Scale", name, [wrong])
