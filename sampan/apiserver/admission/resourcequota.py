"""ResourceQuota: nothing is stored that would take a namespace over one of its quotas.

Behaviour: k8s.io/apiserver/pkg/admission/plugin/resourcequota. What a request uses is added to the quotas' status
before the request is stored; the quota controller puts right what was charged for a write that failed later. Requests
of one namespace that come at the same time are judged together and written once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson

from sampan.api import errors
from sampan.api.quota import amounts
from sampan.api.quota.evaluators import evaluator
from sampan.apiserver.admission.interface import UPDATE, AdmissionRequest, AdmissionServices
from sampan.apiserver.authn.user import MASTERS, User
from sampan.apiserver.registry import ownership
from sampan.apiserver.registry.write import Write
from sampan.apiserver.storage.resourcestore import Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sampan.api.gvk import GroupResource
    from sampan.api.object import Object
    from sampan.api.quota.evaluators import Evaluator
    from sampan.apiserver.registry.generic import Registry
    from sampan.apiserver.storage.entry import Entry

_USER = User("system:apiserver", groups=(MASTERS,)).authenticated()
_MANAGER = "kube-apiserver"
_ATTEMPTS = 10
"""How often a batch is judged again because a quota has changed meanwhile; only its controller changes it besides."""


class _Waiting:
    """A request in its namespace's line. done: None once it may pass, or the line's leadership (True)."""

    __slots__ = ("done", "evaluator", "request")

    def __init__(self, request: AdmissionRequest, found: Evaluator) -> None:
        self.request = request
        self.evaluator = found
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()


class ResourceQuota:
    """See the module. quotas: the registry of resource quotas."""

    name = "ResourceQuota"

    def __init__(self, services: AdmissionServices, quotas: Callable[[], Registry]) -> None:
        self._clock = services.clock
        self._quotas = quotas
        self._lines: dict[str, list[_Waiting]] = {}

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:
        found = evaluator(resource)
        return found is not None and found.handles(operation, subresource)

    async def validate_async(self, request: AdmissionRequest) -> None:
        namespace = request.namespace
        if not namespace or request.object is None or request.resource == ("", "namespaces"):
            return
        registry = self._quotas()
        if not len(registry.store) or not self._current(namespace):
            return
        found = evaluator(request.resource)
        assert found is not None
        if request.dry_run:
            quotas = [registry.view(entry) for entry in self._current(namespace)]
            self._judge(request, found, quotas)
            return
        await self._queue(namespace, _Waiting(request, found))

    def _current(self, namespace: str) -> Sequence[Entry]:
        return self._quotas().store.list(Selection(namespace=namespace)).entries

    async def _queue(self, namespace: str, waiting: _Waiting) -> None:
        """Judge all that wait in a namespace, or wait for the one that does."""
        line = self._lines.get(namespace)
        if line is not None:
            line.append(waiting)
            if not await waiting.done:
                return
        line = self._lines.setdefault(namespace, [])
        batch = [one for one in (waiting, *line) if not one.done.cancelled()]
        line.clear()
        if waiting.done.done():  # the leadership came with it; its own answer is still to come
            waiting.done = asyncio.get_running_loop().create_future()
        try:
            await self._settle(namespace, batch)
        finally:
            for one in batch:
                if not one.done.done():  # cancelled, or the store failed: the next in line tries again
                    line.append(one)
            self._hand_over(namespace, line, waiting)
        await waiting.done

    def _hand_over(self, namespace: str, line: list[_Waiting], leader: _Waiting) -> None:
        while line:
            heir = line.pop(0)
            if heir is not leader and not heir.done.done():
                heir.done.set_result(True)
                return
        self._lines.pop(namespace, None)

    async def _settle(self, namespace: str, batch: Sequence[_Waiting]) -> None:
        """Answer every request of a batch: refuse it, or write what it is charged."""
        pending, charged = list(batch), set[str]()
        registry = self._quotas()
        for _ in range(_ATTEMPTS):
            before = [registry.view(entry) for entry in self._current(namespace) if entry.name not in charged]
            quotas: Sequence[Object] = before
            passed = []
            for one in pending:
                try:
                    quotas = self._judge(one.request, one.evaluator, quotas)
                    passed.append(one)
                except errors.APIStatusError as error:
                    _refuse(one, error)
            if await self._charge(before, quotas, charged):
                for one in passed:
                    _let_pass(one)
                return
            pending = [one for one in passed if not one.done.done()]
            if not registry.store.authoritative:
                await registry.store.wait_fresh()
        for one in pending:
            _refuse(one, errors.conflict(registry.group_resource, "", "too many concurrent changes"))

    async def _charge(self, before: Sequence[Object], after: Sequence[Object], charged: set[str]) -> bool:
        """Write the quotas that changed, note which were written; False when one is no longer what it was."""
        complete = True
        for old, new in zip(before, after, strict=True):
            if new is old:
                continue
            try:
                await self._write(new)
            except (errors.Conflict, errors.NotFound):
                complete = False
            else:
                charged.add(new["metadata"]["name"])
        return complete

    async def _write(self, quota: Object) -> None:
        registry, metadata = self._quotas(), quota["metadata"]
        write = Write(
            user=_USER, namespace=metadata["namespace"], name=metadata["name"], subresource="status", manager=_MANAGER,
            options={"kind": "UpdateOptions", "apiVersion": "meta.k8s.io/v1"},
        )  # fmt: skip

        async def transform(current: Object | None, _: Entry | None) -> Object:
            assert current is not None
            obj: Object = orjson.loads(orjson.dumps(quota))
            ownership.updated(registry, write, obj, current)
            return obj

        await registry.update(write, transform)

    def _judge(self, request: AdmissionRequest, found: Evaluator, quotas: Sequence[Object]) -> Sequence[Object]:
        """Return the quotas as they are with the request. Raises Forbidden."""
        obj = request.object
        assert obj is not None
        interesting = [
            position for position, quota in enumerate(quotas)
            if found.matching(_hard(quota)) and found.is_counted(obj, quota.get("spec") or {})
        ]  # fmt: skip
        for position in interesting:
            _check_constraints(request, found, quotas[position])
        if not interesting:
            return quotas
        delta = self._delta(request, found)
        if not delta:
            return quotas
        after = list(quotas)
        for position in interesting:
            after[position] = _with_usage(request, quotas[position], delta)
        return after

    def _delta(self, request: AdmissionRequest, found: Evaluator) -> amounts.Amounts:
        obj, now = request.object, self._clock.time()
        assert obj is not None
        delta = found.usage(obj, now)
        if negative := amounts.negative(delta):
            why = f"quota usage is negative for resource(s): {amounts.names_text(negative)}"
            raise errors.forbidden(request.resource, request.name, why)
        if request.operation == UPDATE and request.old is not None:
            delta = amounts.subtract_to_zero(delta, found.usage(request.old, now))
        return amounts.without_zeros(delta)


def _hard(quota: Object) -> amounts.Amounts:
    found: amounts.Amounts = (quota.get("status") or {}).get("hard") or {}
    return found


def _used(quota: Object) -> amounts.Amounts:
    found: amounts.Amounts = (quota.get("status") or {}).get("used") or {}
    return found


def _check_constraints(request: AdmissionRequest, found: Evaluator, quota: Object) -> None:
    restricted = found.matching(_hard(quota))
    name = quota["metadata"]["name"]
    assert request.object is not None
    if missing := found.missing(request.object, restricted):
        raise errors.forbidden(request.resource, request.name, f"failed quota: {name}: {missing}")
    if any(resource not in _used(quota) for resource in restricted):
        why = f"status unknown for quota: {name}, resources: {amounts.names_text(restricted)}"
        raise errors.forbidden(request.resource, request.name, why)


def _with_usage(request: AdmissionRequest, quota: Object, delta: amounts.Amounts) -> Object:
    """Charge a quota. Raises Forbidden when that is more than it has."""
    hard, used = _hard(quota), _used(quota)
    requested = amounts.mask(delta, hard)
    if not requested:
        return quota
    total = amounts.add(used, requested)
    exceeded = amounts.exceeding(amounts.mask(total, requested), hard)
    if exceeded:
        shown = [amounts.text(amounts.mask(one, exceeded)) for one in (requested, used, hard)]
        why = (
            f"exceeded quota: {quota['metadata']['name']}, requested: {shown[0]}, used: {shown[1]}, limited: {shown[2]}"
        )
        raise errors.forbidden(request.resource, request.name, why)
    return {**quota, "status": {**quota["status"], "used": total}}


def _refuse(one: _Waiting, error: errors.APIStatusError) -> None:
    if not one.done.done():
        one.done.set_exception(error)


def _let_pass(one: _Waiting) -> None:
    if not one.done.done():
        one.done.set_result(False)
