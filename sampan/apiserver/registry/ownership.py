"""managedFields around a write: who the manager is, and what a write through a subresource cannot come to own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.generic import Registry
    from sampan.apiserver.registry.write import Write


def created(registry: Registry, write: Write, obj: Object) -> None:
    """Record who owns the fields of a new object."""


def updated(registry: Registry, write: Write, new: Object, old: Object) -> None:
    """Record who owns the fields that a write changes."""


def ignore_times(new: Object, old: Object) -> None:
    """Keep the old managedFields when they differ in nothing but times, so that a no-op write stores nothing."""
