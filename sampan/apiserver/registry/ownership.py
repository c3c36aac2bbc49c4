"""managedFields around a write: who the manager is, and what a write through a subresource cannot come to own."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from sampan.api import fieldset, managedfields, schema
from sampan.apiserver.registry import metadata as meta

if TYPE_CHECKING:
    from sampan.api.fieldset import Fields
    from sampan.api.gvk import GroupVersionKind
    from sampan.api.object import Object
    from sampan.apiserver.registry.base import RegistryBase
    from sampan.apiserver.registry.strategy import FieldPaths
    from sampan.apiserver.registry.write import Write
    from sampan.base.clock import Clock


@lru_cache(maxsize=1024)
def _fields(paths: FieldPaths) -> Fields:
    return fieldset.paths_to_fields(paths)


def write_for(registry: RegistryBase, write: Write) -> managedfields.Write:
    """What managedFields must know of a write."""
    subresource = write.recorded_as
    return managedfields.Write(
        manager=write.manager, api_version=registry.api_version, now=meta.now_text(registry.clock.time()),
        subresource=subresource, reset_fields=_fields(registry.strategy.reset_fields(subresource)),
        convert=registry.convert_for_ownership if registry.has_versions else None,
    )  # fmt: skip


def created(registry: RegistryBase, write: Write, obj: Object) -> None:
    """Record who owns the fields of a new object."""
    managedfields.update(registry.type, None, obj, write_for(registry, write))


def updated(registry: RegistryBase, write: Write, new: Object, old: Object) -> None:
    """Record who owns the fields that a write changes."""
    managedfields.update(registry.type, old, new, write_for(registry, write))


def virtual(kind: GroupVersionKind, obj: Object, *, manager: str, subresource: str, clock: Clock) -> None:
    """Record who owns the fields of an object that is answered but stored nowhere (reviews, token requests)."""
    write = managedfields.Write(
        manager=manager, api_version=kind.api_version, now=meta.now_text(clock.time()), subresource=subresource,
        reset_fields={},
    )  # fmt: skip
    managedfields.update(schema.type_of(kind), None, obj, write)


def ignore_times(new: Object, old: Object) -> None:
    """Keep the old managedFields when they differ in nothing but times, so that a no-op write stores nothing."""
    managedfields.settle(new, old)
