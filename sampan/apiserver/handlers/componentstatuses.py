"""componentstatuses: the deprecated view of the control plane's health."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import errors
from sampan.api.gvk import GroupResource
from sampan.apiserver.registry.write import Outcome

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.handlers.call import Call

_NAMES = ("controller-manager", "scheduler", "etcd-0")
"""Controllers, scheduler and store live in the server's own process: that it answers says that they are there."""


def component_statuses(call: Call) -> Outcome:
    """GET of one or all."""
    info = call.info
    if info.has_name:
        if info.name not in _NAMES:
            raise errors.not_found(GroupResource("", "componentstatuses"), info.name)
        return Outcome(object={"kind": "ComponentStatus", "apiVersion": "v1", **_status(info.name)}, as_is=True)
    items = [_status(name) for name in _NAMES]
    return Outcome(
        object={"kind": "ComponentStatusList", "apiVersion": "v1", "metadata": {}, "items": items}, as_is=True
    )


def _status(name: str) -> Object:
    return {
        "metadata": {"name": name}, "conditions": [{"type": "Healthy", "status": "True", "message": "ok"}],
    }  # fmt: skip
