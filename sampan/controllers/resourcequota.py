"""The ResourceQuota controller: counts what each quota's namespace uses and writes it into the quota's status.

Behaviour: kube-controller-manager's pkg/controller/resourcequota. Admission adds to the counts as objects come; this
controller takes away what has gone, at once when it hears of it, and counts everything again every five minutes. It
counts what the API lists, not what its caches hold, so that it never gives back what a newer object uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError, NotFound
from sampan.api.quota import amounts
from sampan.api.quota.evaluators import evaluator
from sampan.client.item import copy_object
from sampan.client.resources import RESOURCEQUOTAS
from sampan.controllers.catalog import Catalog
from sampan.runtime import DONE, Controller, Request, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sampan.api.gvk import GroupVersionResource, ResourceInfo
    from sampan.api.object import Object
    from sampan.api.quota.evaluators import Evaluator
    from sampan.client.informer import SharedInformer
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext

_RESYNC_SECONDS = 300.0
_BATCH_SECONDS = 0.05
"""How long deletions gather before they are counted: a namespace that empties costs a few counts, not one a pod."""


def new(context: ControllerContext) -> Controller:
    """The ResourceQuota controller."""
    return _Quotas(context).controller


class _Quotas:
    def __init__(self, context: ControllerContext) -> None:
        self._context = context
        self._client = context.client
        self._clock = context.clock
        self._quotas = context.informer(RESOURCEQUOTAS)
        self._catalog = Catalog(context)
        self._monitors: dict[GroupVersionResource, tuple[SharedInformer, Callable[..., None]]] = {}
        self.controller = Controller("resourcequota-controller", self, clock=context.clock, workers=5)
        self._queue = self.controller.queue
        self._quotas.add_handler(self._on_quota)
        self._catalog.on_change(self._monitor)

    def _on_quota(self, old: Stored | None, new: Stored | None) -> None:
        if new is None:
            return
        quota = new.object
        if old is None or old.object["spec"] != quota["spec"] or "used" not in (quota.get("status") or {}):
            self._monitor()
            self._queue.add(Request(new.namespace, new.name))

    # -- what gives back

    def _monitor(self) -> None:
        """Watch the kinds that any quota counts; kinds of custom resources come and go."""
        named = {name for item in self._quotas.list() for name in (item.object.get("spec") or {}).get("hard") or ()}
        wanted = {info.gvr: found for info, found in self._counted() if found.matching(named)}
        for gvr in [gvr for gvr in self._monitors if gvr not in wanted]:
            informer, handler = self._monitors.pop(gvr)
            informer.remove_handler(handler)
        for gvr, found in wanted.items():
            if gvr not in self._monitors:
                informer, handler = self._context.informers.informer(gvr), self._handler(found)
                self._monitors[gvr] = (informer, handler)
                informer.add_handler(handler)

    def _counted(self) -> Iterable[tuple[ResourceInfo, Evaluator]]:
        for info in self._catalog:
            found = evaluator(info.group_resource) if info.namespaced and {"list", "watch"} <= set(info.verbs) else None
            if found is not None:
                yield info, found

    def _handler(self, found: Evaluator) -> Callable[[Stored | None, Stored | None], None]:
        def handle(old: Stored | None, new: Stored | None) -> None:
            if old is None:
                return
            if new is None or found.replenishes(old.object, new.object, self._clock.time()):
                self._replenish(old.namespace, found)

        return handle

    def _replenish(self, namespace: str, found: Evaluator) -> None:
        for item in self._quotas.list(namespace):
            if found.matching((item.object.get("spec") or {}).get("hard") or ()):
                self._queue.add_after(Request(namespace, item.name), _BATCH_SECONDS)

    # -- counting

    async def reconcile(self, request: Request) -> Result:
        """Count for one quota."""
        resource = self._client.resource(RESOURCEQUOTAS, request.namespace)
        try:
            quota = await resource.get(request.name)
        except NotFound:
            return DONE
        spec, status = quota.get("spec") or {}, quota.get("status") or {}
        hard = spec.get("hard") or {}
        counted, problem = await self._count(request.namespace, spec, hard)
        used = amounts.mask({**(status.get("used") or {}), **counted}, hard)
        same = amounts.equal(status.get("hard") or {}, hard) and amounts.equal(status.get("used") or {}, used)
        if not same or "hard" not in status or "used" not in status:
            changed = copy_object(quota)
            changed["status"] = {"hard": hard, "used": used}
            await resource.update_status(changed)
        if problem is not None:
            raise problem
        return Result(requeue_after=_RESYNC_SECONDS)

    async def _count(
        self, namespace: str, spec: Object, hard: amounts.Amounts
    ) -> tuple[amounts.Amounts, APIStatusError | None]:
        """What a namespace uses of the hard limits; a kind that cannot be listed is left out and its error told."""
        total: amounts.Amounts = {}
        problem: APIStatusError | None = None
        for info, found in self._counted():
            names = found.matching(hard)
            if not names:
                continue
            try:
                used = await self._usage(info.gvr, namespace, found, spec, names)
            except APIStatusError as error:
                problem = error
                continue
            total = amounts.add(total, used)
        return total, problem

    async def _usage(
        self, gvr: GroupVersionResource, namespace: str, found: Evaluator, spec: Object, names: list[str]
    ) -> amounts.Amounts:
        listed = await self._client.resource(gvr, namespace).list()
        used, now, kept = dict.fromkeys(names, "0"), self._clock.time(), set(names)
        for item in listed.items:
            obj = item.object
            if found.is_counted(obj, spec):
                used = amounts.add(used, amounts.mask(found.usage(obj, now), kept))
        return used
