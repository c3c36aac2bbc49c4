"""RuntimeClasses."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.core.podspec.options import PodOptions
from sampan.apiserver.registry.core.podspec.resources import container_resources
from sampan.apiserver.registry.core.podspec.scheduling import tolerations
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import gotypes, names, selectors

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_SCHEDULING = Path("scheduling")


class RuntimeClassStrategy(Strategy):
    """Runtime classes."""

    has_status = False

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        names.dns_label(errors, Path("handler"), obj.get("handler", ""))
        overhead = (obj.get("overhead") or {}).get("podFixed")
        if overhead is not None:
            container_resources(errors, Path("overhead").child("podFixed"), {"limits": overhead}, (), PodOptions())
        scheduling = obj.get("scheduling")
        if scheduling is not None:
            selectors.labels(errors, _SCHEDULING.child("nodeSelector"), scheduling.get("nodeSelector"))
            _tolerations(errors, scheduling.get("tolerations") or [])
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        if new.get("handler") != old.get("handler"):
            return [field.invalid(Path("handler"), new.get("handler", ""), "field is immutable")]
        return []


def _tolerations(errors: Errors, items: list[Object]) -> None:
    path = _SCHEDULING.child("tolerations")
    seen: list[Object] = []
    for position, one in enumerate(items):
        if one in seen:
            errors.append(field.duplicate(path.index(position), gotypes.internal("core.v1.Toleration", one)))
        seen.append(one)
    tolerations(errors, path, items)
