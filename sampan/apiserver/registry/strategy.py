"""A strategy: what is special about one kind. The generic registry does the rest.

The order of a create: decode (normal form) -> `default` -> mutating admission -> `prepare_for_create` -> `validate` ->
validating admission -> store. Of an update: patch or body -> decode -> `default` -> mutating admission ->
`prepare_for_update` -> `validate_update` -> validating admission -> store. Modelled on kube-apiserver's
``rest.RESTCreateStrategy`` and ``rest.RESTUpdateStrategy``; defaulting, there part of the scheme, sits here as well.

Allocations (cluster IPs, node ports) are made by `begin_create` and `begin_update`, right before the prepare methods;
the function that they return is called exactly once with whether the write happened.

Objects are dicts in normal form; `default` and the prepare methods change them in place, validation never does.
``old`` is shared and must not be changed.
"""

# ruff: noqa: ARG002 - the generic answers need none of their arguments

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sampan.api.field import FieldError
    from sampan.api.gvk import GroupResource, ResourceInfo
    from sampan.api.object import Object
    from sampan.base.clock import Clock

Finish = Callable[[bool], None]
"""Ends an allocation: called with True when the write was stored, with False when it failed or was a dry run."""

FieldPaths = tuple[tuple[str, ...], ...]
"""Fields as paths of names from the object's root, e.g. ``(("status",), ("metadata", "labels"))``."""

Getter = Callable[[str, str, str, str], "Object | None"]
"""Look up a current object: (group, resource, namespace, name) -> shared object or None."""


Objects = Callable[[str, str, str], "Iterable[Object]"]
"""List current objects: (group, resource, namespace or "" for all) -> shared objects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What the strategies of one server share; given to each once by `Strategy.attach`.

    service_cidrs: one per IP family, the primary first. node_ports: first and last port. lookup, objects: the watch
    cache. shared: a place where the strategies of one group keep what several of them use (allocators), by name.
    """

    service_cidrs: tuple[str, ...]
    node_ports: tuple[int, int]
    features: Mapping[str, bool]
    clock: Clock
    lookup: Getter
    objects: Objects
    shared: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteContext:
    """What a strategy may know about the write besides the objects.

    subresource: "" for the object itself. user: userInfo dict (username, uid, groups, extra). features: feature gate
    name -> on. lookup: other objects, from the watch cache.
    """

    subresource: str
    namespace: str
    user: Mapping[str, Any]
    clock: Clock
    dry_run: bool
    features: Mapping[str, bool]
    lookup: Getter


class Strategy:
    """The generic strategy; a kind's own one overrides what differs.

    Class attributes: `allow_create_on_update` (PUT of an absent object creates it), `allow_unconditional_update`
    (PUT without resourceVersion), `has_status` (the status stanza is written only through the status subresource),
    `tracks_generation` (metadata.generation grows with the spec; None: when has_status and the kind has a spec),
    `name_kind` (how names are checked: "subdomain", "label", "label1035", "path", "none"), `ttl` (seconds, 0 never),
    `graceful` (deletion has a grace period), `selectable` (names of the field selectors beyond metadata.name and
    metadata.namespace, all that `selectable_fields` may return), `stored_as` (group and resource of the store when it
    is not the resource's own: events.k8s.io events live with the core ones; see `to_stored`), `version_annotations`
    (annotations that this version has in place of fields of the internal type).
    """

    allow_create_on_update = False
    allow_unconditional_update = True
    has_status = True
    tracks_generation: bool | None = None
    name_kind = "subdomain"
    ttl = 0
    graceful = False
    selectable: tuple[str, ...] = ()
    stored_as: GroupResource | None = None
    version_annotations: tuple[str, ...] = ()

    def __init__(self, info: ResourceInfo) -> None:
        self.info = info

    def attach(self, environment: Environment) -> None:
        """Take what the server offers; called once, when the watch cache is filled and before the first request."""

    def default(self, obj: Object) -> None:
        """Apply the version's ``SetDefaults_*``. Idempotent; also run on objects that an older version stored."""

    def to_stored(self, obj: Object) -> Object:
        """Convert from this version to the stored one, which shares the store with others; may change obj in place."""
        return obj

    def from_stored(self, obj: Object) -> Object:
        """Convert from the stored version to this one; may change obj in place."""
        return obj

    def begin_create(self, ctx: WriteContext, obj: Object) -> Finish | None:
        """Allocate what a new object needs from shared pools and write it into obj; a dry run allocates for show.

        Raises an APIStatusError when it cannot.
        """
        return None

    def begin_update(self, ctx: WriteContext, new: Object, old: Object) -> Finish | None:
        """Allocate what the change needs, and on Finish(True) release what it gives up. Raises like `begin_create`."""
        return None

    def after_delete(self, ctx: WriteContext, obj: Object) -> None:
        """Release what a deleted object held. Not called for dry runs."""

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        """Drop what a creator may not set. The generic part (status, generation, uid, times) is done already."""

    def prepare_for_update(self, ctx: WriteContext, new: Object, old: Object) -> None:
        """Keep from old what an updater may not change.

        The generic part (status split, generation) is the registry's;
        generation grows if anything but metadata and status differs after this.
        """

    def prepare_for_status_update(self, ctx: WriteContext, new: Object, old: Object) -> None:
        """The same for the status subresource.

        The registry has already put back all but status and, of the metadata, what a status update may change.
        """

    def prepare_for_subresource_update(self, ctx: WriteContext, new: Object, old: Object) -> None:
        """The same for any other subresource that writes the object.

        ctx.subresource: "ephemeralcontainers", "resize", "approval", "finalize". Put back from old all that this
        subresource does not own.
        """

    def validate(self, ctx: WriteContext, obj: Object) -> list[FieldError]:
        """Check a new object; metadata is checked by the registry before."""
        return []

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> list[FieldError]:
        """Check a change, immutability included; metadata is checked by the registry before."""
        return []

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> list[FieldError]:
        """Check a change through the status subresource."""
        return []

    def validate_subresource_update(self, ctx: WriteContext, new: Object, old: Object) -> list[FieldError]:
        """Check a change through ctx.subresource, which is neither "" nor "status"."""
        return []

    def warnings_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        """Texts for Warning headers."""
        return []

    def warnings_on_update(self, ctx: WriteContext, new: Object, old: Object) -> list[str]:
        """Texts for Warning headers."""
        return []

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        """Values of the field selectors beyond metadata.name and metadata.namespace, e.g. ``spec.nodeName``."""
        return {}

    def unsupported_field(self, name: str) -> str:
        """The message for a field selector that is neither on metadata nor in `selectable`."""
        if self.selectable:
            return f"field label not supported: {name}"
        return f'"{name}" is not a known field selector: only "metadata.name", "metadata.namespace"'

    def reset_fields(self, subresource: str) -> FieldPaths:
        """Fields that a write through the subresource cannot change, so that nobody comes to own them by it.

        subresource: "" for the object itself.
        """
        if not self.has_status:
            return ()
        return (("spec",),) if subresource == "status" else (("status",),)

    def check_delete(self, ctx: WriteContext, obj: Object) -> None:
        """Refuse a deletion by raising an APIStatusError (Forbidden, Conflict)."""

    def mark_deleted(self, ctx: WriteContext, obj: Object) -> bool:
        """Mark obj as being deleted in a way of the kind's own; False leaves the deletion to the registry."""
        return False

    def grace_period(self, obj: Object, requested: int | None) -> int:
        """Seconds between a delete request and the object's end, for `graceful` kinds; 0 deletes at once."""
        return requested or 0

    def get_scale(self, obj: Object) -> Object:
        """Build the autoscaling/v1 Scale of obj: kinds with a scale subresource."""
        raise LookupError(self.info.resource)

    def set_scale(self, obj: Object, scale: Object) -> None:
        """Write a Scale's replicas into obj: kinds with a scale subresource."""
        raise LookupError(self.info.resource)
