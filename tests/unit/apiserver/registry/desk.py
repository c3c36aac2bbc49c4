"""What the generic registry does with a strategy, without server, admission and store."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from sampan.api import schema, scheme
from sampan.api.gvk import GroupVersionResource
from sampan.apiserver.registry.strategies import strategy_for
from sampan.apiserver.registry.strategy import Environment, Strategy, WriteContext
from sampan.base.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.api.object import Object

USER = {"username": "alice", "uid": "a", "groups": ["dev"], "extra": {}}


class Desk:
    """Creates and changes objects of one cluster in memory."""

    def __init__(self, **features: bool) -> None:
        self.clock = FakeClock()
        self.objects: dict[tuple[str, str, str, str], Object] = {}
        self.features = features
        self.environment = Environment(
            service_cidrs=("10.96.0.0/24",),
            node_ports=(30000, 30009),
            features=features,
            clock=self.clock,
            lookup=lambda *key: self.objects.get(key),
            objects=self._list,
            shared={},
        )
        self._strategies: dict[GroupVersionResource, Strategy] = {}

    def _list(self, group: str, resource: str, namespace: str) -> Iterable[Object]:
        return [one for key, one in self.objects.items() if key[:2] == (group, resource) and namespace in ("", key[2])]

    def strategy(self, gvr: GroupVersionResource) -> Strategy:
        if gvr not in self._strategies:
            info = scheme.builtin().by_resource(gvr)
            assert info is not None, gvr
            self._strategies[gvr] = strategy_for(info)
            self._strategies[gvr].attach(self.environment)
        return self._strategies[gvr]

    def context(self, subresource: str = "", *, dry_run: bool = False) -> WriteContext:
        return WriteContext(
            subresource=subresource,
            namespace="ns",
            user=USER,
            clock=self.clock,
            dry_run=dry_run,
            features=self.features,
            lookup=self.environment.lookup,
        )

    def decode(self, gvr: GroupVersionResource, body: Object) -> Object:
        strategy = self.strategy(gvr)
        obj = schema.decode(strategy.info.gvk, copy.deepcopy(body)).object
        obj["metadata"].setdefault("uid", "uid-" + obj["metadata"].get("name", ""))
        if strategy.info.namespaced:
            obj["metadata"].setdefault("namespace", "ns")
        strategy.default(obj)
        return obj

    def create(self, gvr: GroupVersionResource, body: Object, *, dry_run: bool = False) -> tuple[Object, list[str]]:
        """The object as it is stored, and what validation says about it."""
        strategy, context, obj = self.strategy(gvr), self.context(dry_run=dry_run), self.decode(gvr, body)
        finish = strategy.begin_create(context, obj)
        strategy.prepare_for_create(context, obj)
        errors = [str(one) for one in strategy.validate(context, obj)]
        if finish is not None:
            finish(not errors and not dry_run)
        if not errors and not dry_run:
            metadata = obj["metadata"]
            self.objects[gvr.group, gvr.resource, metadata.get("namespace", ""), metadata["name"]] = obj
        return obj, errors

    def update(
        self, gvr: GroupVersionResource, old: Object, change: Object, subresource: str = ""
    ) -> tuple[Object, list[str]]:
        """The changed object and what validation says about it. change: path with dots -> value, None to remove."""
        strategy, context, new = self.strategy(gvr), self.context(subresource), copy.deepcopy(old)
        for path, value in change.items():
            assign(new, path, value)
        new = self.decode(gvr, new)
        finish = None
        if subresource == "":
            finish = strategy.begin_update(context, new, old)
            strategy.prepare_for_update(context, new, old)
            found = strategy.validate_update(context, new, old)
        else:
            strategy.prepare_for_subresource_update(context, new, old)
            found = strategy.validate_subresource_update(context, new, old)
        if finish is not None:
            finish(not found)
        return new, [str(one) for one in found]


def assign(obj: Any, path: str, value: Any) -> None:
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    for part in parents:
        obj = obj[part] if isinstance(part, int) else obj.setdefault(part, {})
    if value is None:
        obj.pop(last, None)
    else:
        obj[last] = value


def gvr(api_version: str, resource: str) -> GroupVersionResource:
    group, _, version = api_version.rpartition("/")
    return GroupVersionResource(group, version, resource)
