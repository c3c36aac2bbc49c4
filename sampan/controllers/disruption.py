"""PodDisruptionBudgets' status: how many of their pods may be evicted now.

Behaviour: kube-controller-manager's pkg/controller/disruption. The eviction subresource of the API server spends what
this controller allows and notes the pod in ``status.disruptedPods``; a pod noted there that is not deleted within two
minutes counts again. Errors allow nothing until they are gone (fail safe). Beside that, DisruptionTarget conditions of
pods that were not deleted after all are taken back after two minutes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import labels, times
from sampan.api.errors import APIStatusError, Conflict, NotFound
from sampan.api.intstr import IntStrError, scaled
from sampan.client.item import copy_object
from sampan.client.resources import PODDISRUPTIONBUDGETS, PODS
from sampan.controllers.disruptionscale import Scales, UnknownScaleError
from sampan.controllers.podview import condition, pod_index
from sampan.runtime import DONE, Controller, Request, Result, add_batched

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sampan.api.object import Object
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext
    from sampan.controllers.podview import PodView

_DELETION_TIMEOUT = 120.0
"""Seconds in which an eviction that was allowed must have become a deletion."""
_STALE_CONDITION = 120.0
_UNMANAGED = (
    "Pods selected by this PodDisruptionBudget (selector: {}) were found to be unmanaged. As a result, the status of "
    "the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please "
    'set ".spec.minAvailable" field of the PDB to an integer value.'
)


def new(context: ControllerContext) -> Controller:
    """The disruption controller."""
    return _Disruption(context).controller


def new_condition_cleaner(context: ControllerContext) -> Controller:
    """What takes back DisruptionTarget conditions of pods that stayed."""
    return _StaleConditions(context).controller


class _Disruption:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._recorder = context.recorder("controllermanager")
        self._budgets = context.informer(PODDISRUPTIONBUDGETS)
        self._pods = context.informer(PODS)
        self._views = pod_index(self._pods).views
        self._scales = Scales(context)
        self._selectors = self._budgets.add_view(_selector_of)
        self._sizes: dict[Request, int] = {}
        self.controller = Controller("disruption-controller", self, clock=context.clock, workers=5)
        self._budgets.add_handler(self._on_budget)
        self._pods.add_handler(self._on_pod)

    def _on_budget(self, _: Stored | None, new: Stored | None) -> None:
        if new is not None:
            self.controller.queue.add(Request(new.namespace, new.name))

    def _on_pod(self, old: Stored | None, new: Stored | None) -> None:
        item = new or old
        assert item is not None
        for budget in self._budgets.list(item.namespace):
            selector = self._selectors[f"{budget.namespace}/{budget.name}"]
            if any(one is not None and selector.matches(one.labels) for one in (old, new)):
                request = Request(budget.namespace, budget.name)
                add_batched(self.controller.queue, request, self._sizes.get(request, 0))

    async def reconcile(self, request: Request) -> Result:
        """Bring one budget's status up to date."""
        item = self._budgets.get(request.namespace, request.name)
        if item is None:
            self._sizes.pop(request, None)
            return DONE
        budget = item.object
        try:
            return await self._sync(budget, self._selectors[f"{item.namespace}/{item.name}"])
        except Conflict:
            raise
        except (APIStatusError, UnknownScaleError, IntStrError) as error:
            await self._fail_safe(budget, str(error))
            raise

    async def _sync(self, budget: Object, selector: labels.Selector) -> Result:
        pods = [
            self._views[f"{one.namespace}/{one.name}"]
            for one in self._pods.list(budget["metadata"]["namespace"])
            if selector.matches(one.labels)
        ]
        self._sizes[Request(budget["metadata"]["namespace"], budget["metadata"]["name"])] = len(pods)
        if not pods:
            self._recorder.event(budget, "Normal", "NoPods", "No matching pods found")
        expected, desired = await self._expected(budget, pods)
        now = self._clock.time()
        disrupted = self._disrupted(budget, pods, now)
        healthy = sum(_is_healthy(pod, disrupted) for pod in pods)
        allowed = max(0, healthy - desired) if expected > 0 else 0
        fresh: Object = {
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "expectedPods": expected,
            "disruptionsAllowed": allowed,
            "observedGeneration": budget["metadata"].get("generation", 0),
        }
        if disrupted:
            fresh["disruptedPods"] = disrupted
        await self._write(budget, fresh, now)
        waits = [times.parse(when) + _DELETION_TIMEOUT - now for when in disrupted.values()]
        return Result(requeue_after=min(waits)) if waits else DONE

    async def _expected(self, budget: Object, pods: Sequence[PodView]) -> tuple[int, int]:
        """How many pods there should be, and how many of them must be healthy."""
        spec = budget.get("spec") or {}
        if (most := spec.get("maxUnavailable")) is not None:
            expected = await self._scale(budget, pods)
            return expected, max(0, expected - scaled(most, expected, round_up=True))
        least = spec.get("minAvailable")
        if isinstance(least, str):
            expected = await self._scale(budget, pods)
            return expected, scaled(least, expected, round_up=True)
        return len(pods), least or 0

    async def _scale(self, budget: Object, pods: Sequence[PodView]) -> int:
        """The wanted replicas of all controllers of the pods."""
        try:
            expected, unmanaged = await self._scales.of(pods, lambda pod: self._pods.get(pod.namespace, pod.name))
        except UnknownScaleError as error:
            message = f"Failed to calculate the number of expected pods: {error}"
            self._recorder.event(budget, "Warning", "CalculateExpectedPodCountFailed", message)
            raise
        if unmanaged:
            shown = _shown(budget["spec"].get("selector") or {})
            self._recorder.event(budget, "Warning", "UnmanagedPods", _UNMANAGED.format(shown))
        return expected

    def _disrupted(self, budget: Object, pods: Sequence[PodView], now: float) -> dict[str, str]:
        """The evicted pods that are still to be deleted; who stayed too long is told of and forgotten."""
        noted: Mapping[str, str] = (budget.get("status") or {}).get("disruptedPods") or {}
        found = {}
        for pod in pods:
            when = noted.get(pod.name)
            if when is None or pod.deleting:
                continue
            if times.parse(when) + _DELETION_TIMEOUT <= now:
                item = self._pods.get(pod.namespace, pod.name)
                if item is not None:
                    place = f"{pod.namespace}/{budget['metadata']['name']}"
                    message = f"Pod was expected by PDB {place} to be deleted but it wasn't"
                    self._recorder.event(item.object, "Warning", "NotDeleted", message)
                continue
            found[pod.name] = when
        return found

    async def _fail_safe(self, budget: Object, message: str) -> None:
        """Allow nothing while the state is unknown."""
        status = {**(budget.get("status") or {}), "disruptionsAllowed": 0}
        failed = _condition(status, "False", "SyncFailed", message, times.format_time(self._clock.time()))
        await self._put(budget, status, failed)

    async def _write(self, budget: Object, fresh: Object, now: float) -> None:
        enough = fresh["disruptionsAllowed"] > 0
        old = {**(budget.get("status") or {})}
        merged = {"conditions": old.get("conditions") or [], **fresh}
        reason = "SufficientPods" if enough else "InsufficientPods"
        stamp = times.format_time(now)
        await self._put(budget, merged, _condition(merged, "True" if enough else "False", reason, "", stamp))

    async def _put(self, budget: Object, status: Object, allowed: Object) -> None:
        """Write a status with the DisruptionAllowed condition, if anything differs."""
        others = [one for one in status.get("conditions") or () if one.get("type") != "DisruptionAllowed"]
        status = {**status, "conditions": [*others, allowed]}
        if status == (budget.get("status") or {}):
            return
        changed = copy_object({**budget, "status": status})
        resource = self._client.resource(PODDISRUPTIONBUDGETS, budget["metadata"]["namespace"])
        try:
            await resource.update_status(changed)
        except NotFound:
            return


class _StaleConditions:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._pods = context.informer(PODS)
        self._since = self._pods.add_view(_condemned_since)
        self.controller = Controller("stale-disruption-condition-controller", self, clock=context.clock, workers=1)
        self._pods.add_handler(self._on_pod)

    def _on_pod(self, _: Stored | None, new: Stored | None) -> None:
        if new is not None and self._since[f"{new.namespace}/{new.name}"] is not None:
            self.controller.queue.add(Request(new.namespace, new.name))

    async def reconcile(self, request: Request) -> Result:
        """Take back one pod's condition when its time is over."""
        since = self._since.get(str(request))
        if since is None:
            return DONE
        wait = since + _STALE_CONDITION - self._clock.time()
        if wait > 0:
            return Result(requeue_after=wait)
        item = self._pods.get(request.namespace, request.name)
        assert item is not None
        stamp = times.format_time(self._clock.time())
        found = condition(item.object, "DisruptionTarget") or {}
        patch = {
            "metadata": {"uid": item.object["metadata"]["uid"]},
            "status": {"conditions": [{**found, "status": "False", "lastTransitionTime": stamp}]},
        }
        try:
            await self._client.resource(PODS, request.namespace).patch_status(request.name, patch)
        except NotFound:
            return DONE
        return DONE


def _selector_of(item: Stored) -> labels.Selector:
    """Without a selector a budget has no pods, with an empty one all of its namespace."""
    selector = (item.object.get("spec") or {}).get("selector")
    try:
        return labels.Selector(nothing=True) if selector is None else labels.from_object(selector)
    except labels.SelectorError:
        return labels.Selector(nothing=True)


def _shown(selector: Object) -> str:
    """Spell a selector as Go prints it."""
    pairs = "".join(f"{key}: {value}," for key, value in sorted((selector.get("matchLabels") or {}).items()))
    requirements = "".join(_requirement(one) for one in selector.get("matchExpressions") or ())
    expressions = f"[]LabelSelectorRequirement{{{requirements}}}"
    return f"&LabelSelector{{MatchLabels:map[string]string{{{pairs}}},MatchExpressions:{expressions},}}"


def _requirement(one: Object) -> str:
    values = " ".join(one.get("values") or ())
    return f"LabelSelectorRequirement{{Key:{one['key']},Operator:{one['operator']},Values:[{values}],}},"


def _is_healthy(pod: PodView, disrupted: Mapping[str, str]) -> bool:
    return pod.ready and not pod.deleting and pod.name not in disrupted


def _condition(status: Object, value: str, reason: str, message: str, now: str) -> Object:
    """The DisruptionAllowed condition; its time changes only with its status."""
    found = [one for one in status.get("conditions") or () if one.get("type") == "DisruptionAllowed"]
    known: Object = found[0] if found else {}
    same = known.get("status") == value
    made: Object = {
        "type": "DisruptionAllowed",
        "status": value,
        "lastTransitionTime": known["lastTransitionTime"] if same else now,
        "reason": reason,
        "message": message,
    }
    if status.get("observedGeneration"):
        made["observedGeneration"] = status["observedGeneration"]
    return made


def _condemned_since(item: Stored) -> float | None:
    """Since when a pod that is neither finished nor being deleted is said to be a target of disruption."""
    pod = item.object
    if "deletionTimestamp" in pod["metadata"]:
        return None
    status = pod.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed"):
        return None
    found = condition(pod, "DisruptionTarget")
    if found is None or found.get("status") != "True" or found.get("reason") == "TerminationByKubelet":
        return None
    since = found.get("lastTransitionTime")
    return times.parse(since) if since else 0.0
