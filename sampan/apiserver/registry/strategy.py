"""A strategy: what is special about one kind. The generic registry does the rest.

The order of a create: decode (normal form) -> `default` -> mutating admission -> `prepare_for_create` -> `validate` ->
validating admission -> store. Of an update: patch or body -> decode -> `default` -> mutating admission ->
`prepare_for_update` -> `validate_update` -> validating admission -> store. Modelled on kube-apiserver's
``rest.RESTCreateStrategy`` and ``rest.RESTUpdateStrategy``; defaulting, there part of the scheme, sits here as well.

Objects are dicts in normal form; `default` and the prepare methods change them in place, validation never does.
``old`` is shared and must not be changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sampan.api.field import FieldError
    from sampan.api.gvk import ResourceInfo
    from sampan.api.object import Object
    from sampan.base.clock import Clock

Getter = Callable[[str, str, str, str], "Object | None"]
"""Look up a current object: (group, resource, namespace, name) -> shared object or None."""


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
    `tracks_generation` (metadata.generation grows with the spec; None: exactly when has_status and the kind has a spec),
    `name_kind` (how names are checked: "subdomain", "label", "label1035", "path", "none"), `ttl` (seconds, 0 never),
    `graceful` (deletion has a grace period).
    """

    allow_create_on_update = False
    allow_unconditional_update = True
    has_status = True
    tracks_generation: bool | None = None
    name_kind = "subdomain"
    ttl = 0
    graceful = False

    def __init__(self, info: ResourceInfo) -> None:
        self.info = info

    def default(self, obj: Object) -> None:
        """Apply the version's ``SetDefaults_*``. Idempotent; also run on objects that an older version stored."""

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        """Drop what a creator may not set. The generic part (status, generation, uid, times) is done already."""

    def prepare_for_update(self, ctx: WriteContext, new: Object, old: Object) -> None:
        """Keep from old what an updater may not change. The generic part (status split, generation) is the registry's;
        generation grows if anything but metadata and status differs after this."""

    def prepare_for_status_update(self, ctx: WriteContext, new: Object, old: Object) -> None:
        """The same for the status subresource; the registry has already put back all but status and, of the metadata,
        what a status update may change."""

    def validate(self, ctx: WriteContext, obj: Object) -> list[FieldError]:
        """Check a new object; metadata is checked by the registry before."""
        return []

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> list[FieldError]:
        """Check a change, immutability included; metadata is checked by the registry before."""
        return []

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> list[FieldError]:
        """Check a change through the status subresource."""
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

    def grace_period(self, obj: Object, requested: int | None) -> int:
        """Seconds between a delete request and the object's end, for `graceful` kinds; 0 deletes at once."""
        return requested or 0

    def get_scale(self, obj: Object) -> Object:
        """Build the autoscaling/v1 Scale of obj: kinds with a scale subresource."""
        raise LookupError(self.info.resource)

    def set_scale(self, obj: Object, scale: Object) -> None:
        """Write a Scale's replicas into obj: kinds with a scale subresource."""
        raise LookupError(self.info.resource)
