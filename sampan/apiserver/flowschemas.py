"""The condition ``Dangling`` of FlowSchemas: whether the priority level that they name exists.

Inside kube-apiserver the controller of API priority and fairness keeps it, so it is there without any controller
manager. Here a watch on flow schemas and priority levels does; the condition is applied a turn of the loop later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import apply, schema
from sampan.api.errors import APIStatusError, NotFound
from sampan.api.field import go_quote
from sampan.apiserver.authn.user import MASTERS, User
from sampan.apiserver.registry import metadata as meta
from sampan.apiserver.registry import ownership
from sampan.apiserver.registry.write import Write
from sampan.apiserver.storage.resourcestore import Selection
from sampan.base.log import logger

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.http.hub import Hub
    from sampan.apiserver.registry.generic import Registry
    from sampan.apiserver.registry.resources import Resources
    from sampan.apiserver.storage.entry import Entry
    from sampan.apiserver.storage.resourcestore import Batch

log = logger("flowschemas")

GROUP = "flowcontrol.apiserver.k8s.io"
_SCHEMAS, _LEVELS = "flowschemas", "prioritylevelconfigurations"
_MANAGER = "api-priority-and-fairness-config-consumer-v1"
_ITSELF = User("system:apiserver", groups=(MASTERS,))
_DANGLING = "Dangling"


class DanglingFlowSchemas:
    """Keeps the condition; a sink of both watches, since a schema or a level that changes is looked at alike."""

    def __init__(self, resources: Resources, hub: Hub) -> None:
        self._resources = resources
        self._hub = hub
        self._stale: set[str] = set()
        self._working = False

    def begin(self) -> None:
        """Look at what there is, and follow it."""
        for resource in (_SCHEMAS, _LEVELS):
            store = self._resources.store_of(GROUP, resource)
            store.watch(Selection(), self, after=store.revision)
        self._look()

    # -- WatchSink

    def events(self, batch: Batch) -> None:
        del batch  # there are a few dozen of either: all are looked at, and only what is wrong is written
        self._look()

    def progress(self, revision: int) -> None:
        """Nothing is remembered of how far the watch is: it begins anew when it breaks."""

    def expired(self) -> None:
        if not self._hub.closing:
            self.begin()

    # -- work

    def _look(self) -> None:
        for obj in self._resources.objects(GROUP, _SCHEMAS, ""):
            if self._wanted(obj) is not None:
                self._stale.add(obj["metadata"]["name"])
        if self._stale and not self._working:
            self._working = True
            self._hub.spawn(self._work(), "flow schemas")

    def _wanted(self, obj: Object) -> Object | None:
        """The condition that the object shall get; None when it has it."""
        level = obj["spec"]["priorityLevelConfiguration"]["name"]
        exists = self._resources.lookup(GROUP, _LEVELS, "", level) is not None
        what = f"This FlowSchema references the PriorityLevelConfiguration object named {go_quote(level)}"
        wanted = {
            "type": _DANGLING,
            "status": "False" if exists else "True",
            "reason": "Found" if exists else "NotFound",
            "message": f"{what} and it exists" if exists else f"{what} but there is no such object",
        }
        for one in (obj.get("status") or {}).get("conditions") or ():
            if wanted.items() <= one.items():
                return None
        return wanted

    async def _work(self) -> None:
        registry = self._resources.preferred(GROUP, _SCHEMAS)
        assert registry is not None
        try:
            while self._stale:
                await self._settle(registry, self._stale.pop())
        finally:
            self._working = False

    async def _settle(self, registry: Registry, name: str) -> None:
        write = Write(user=_ITSELF, namespace="", name=name, subresource="status", manager=_MANAGER)

        async def transform(old: Object | None, current: Entry | None) -> Object:
            assert old is not None
            assert current is not None
            live = registry.mutable(current)
            condition = self._wanted(live)
            if condition is None:
                return live
            config = self._configuration(registry, name, condition)
            record = ownership.write_for(registry, write)
            found = apply.apply(registry.type, registry.gvk, live, config, record, force=True).object
            new = schema.decode_as(registry.type, found).object
            new["kind"], new["apiVersion"] = registry.gvk.kind, registry.api_version
            return new

        try:
            await registry.update(write, transform)
        except NotFound:
            return
        except APIStatusError as error:
            log.warning("A flow schema's condition could not be written", name=name, error=error)

    @staticmethod
    def _configuration(registry: Registry, name: str, condition: Object) -> Object:
        since = meta.now_text(registry.clock.time())
        status = {"conditions": [{**condition, "lastTransitionTime": since}]}
        return {
            "apiVersion": registry.api_version, "kind": registry.gvk.kind, "metadata": {"name": name}, "status": status,
        }  # fmt: skip
