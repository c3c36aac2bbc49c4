"""Which slices a controller wrote and whether its cache shows them already: a stale cache must not be acted upon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.object import namespace_of, uid_of
from sampan.base.errors import SampanError
from sampan.controllers.servicepods import SERVICE_NAME_LABEL
from sampan.runtime.interface import Request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.object import Object

_GONE = -1


class StaleCacheError(SampanError):
    """The cache does not show our own last write yet; the request is retried."""


class SliceTracker:
    """Generations of slices by uid, per service."""

    def __init__(self) -> None:
        self._generations: dict[Request, dict[str, int]] = {}

    def wrote(self, service: Request, slice_: Object) -> None:
        """We created or updated a slice; slice_: the API's answer."""
        self._generations.setdefault(service, {})[uid_of(slice_)] = slice_["metadata"].get("generation", 0)

    def deleted(self, service: Request, slice_: Object) -> None:
        """We deleted a slice."""
        self._generations.setdefault(service, {})[uid_of(slice_)] = _GONE

    def seen(self, slice_: Object) -> bool:
        """The cache shows a version of a slice; return whether it is our own write (or older)."""
        found = self._of(slice_)
        generation = found.get(uid_of(slice_))
        return generation is not None and slice_["metadata"].get("generation", 0) <= generation

    def deletion_seen(self, slice_: Object) -> bool:
        """The cache shows that a slice is gone; return whether we deleted it."""
        return self._of(slice_).pop(uid_of(slice_), 0) == _GONE

    def is_stale(self, service: Request, slices: Sequence[Object]) -> bool:
        """Whether the cache's slices of a service are behind our writes."""
        generations = self._generations.get(service)
        if not generations:
            return False
        shown = {uid_of(one): one["metadata"].get("generation", 0) for one in slices}
        for uid, generation in generations.items():
            if generation == _GONE:
                if uid in shown:
                    return True
            elif shown.get(uid, _GONE) < generation:
                return True
        return False

    def forget(self, service: Request) -> None:
        """The service is gone."""
        self._generations.pop(service, None)

    def _of(self, slice_: Object) -> dict[str, int]:
        labels = slice_["metadata"].get("labels") or {}
        return self._generations.get(Request(namespace_of(slice_), labels.get(SERVICE_NAME_LABEL, "")), {})
