"""Aggregated ClusterRoles: their rules are those of all roles that their selectors match, in order of their names.

Behaviour: kube-controller-manager's pkg/controller/clusterroleaggregation, by server-side apply.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import labels
from sampan.api.errors import UnsupportedMediaType
from sampan.client.interface import APPLY_PATCH
from sampan.client.item import copy_object
from sampan.client.resources import CLUSTERROLES
from sampan.runtime import DONE, Controller, Request, Result

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext

_MANAGER = "clusterrole-aggregation-controller"


def new(context: ControllerContext) -> Controller:
    """The ClusterRole aggregation controller."""
    return _Aggregation(context).controller


class _Aggregation:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._roles = context.informer(CLUSTERROLES)
        self.controller = Controller("clusterrole-aggregation-controller", self, clock=context.clock, workers=5)
        self._roles.add_index("aggregated", _is_aggregated)
        self._roles.add_handler(self._on_role)

    def _on_role(self, _: Stored | None, __: Stored | None) -> None:
        """Any role may be part of any aggregated one."""
        for item in self._roles.by_index("aggregated", "yes"):
            self.controller.queue.add(Request("", item.name))

    async def reconcile(self, request: Request) -> Result:
        """Sync one aggregated role."""
        stored = self._roles.get("", request.name)
        if stored is None or not stored.object.get("aggregationRule"):
            return DONE
        role = stored.object
        rules = self._rules(role)
        if rules == (role.get("rules") or []):
            return DONE
        wanted = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": request.name},
            "rules": rules,
        }
        resource = self._client.resource(CLUSTERROLES)
        try:
            await resource.patch(request.name, wanted, content_type=APPLY_PATCH, field_manager=_MANAGER, force=True)
        except UnsupportedMediaType:
            await resource.update(copy_object({**role, "rules": rules}), field_manager=_MANAGER)
        return DONE

    def _rules(self, role: Object) -> list[Object]:
        found: list[Object] = []
        for selector_object in role["aggregationRule"].get("clusterRoleSelectors") or ():
            selector = labels.from_object(selector_object)
            matching = [item for item in self._roles.list() if selector.matches(item.labels)]
            for item in sorted(matching, key=lambda one: one.name):
                if item.name == role["metadata"]["name"]:
                    continue
                found.extend(rule for rule in item.object.get("rules") or () if rule not in found)
        return found


def _is_aggregated(item: Stored) -> tuple[str, ...]:
    return ("yes",) if item.object.get("aggregationRule") else ()
