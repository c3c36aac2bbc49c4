"""HorizontalPodAutoscalers: as many replicas as the metrics of a workload's pods ask for.

Behaviour: kube-controller-manager's pkg/controller/podautoscaler, autoscaling/v2. Each autoscaler is looked at every 15
seconds. Resource and ContainerResource metrics come from the metrics API (metrics.k8s.io), the others from
custom.metrics.k8s.io and external.metrics.k8s.io; an API that is not there shows as a failed metric.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import labels, quantity, times
from sampan.api.errors import APIStatusError, Conflict, NotFound
from sampan.api.gvk import GroupVersionKind, GroupVersionResource
from sampan.client.item import copy_object
from sampan.client.resources import HORIZONTALPODAUTOSCALERS, PODS
from sampan.controllers import hpametrics
from sampan.controllers.catalog import Catalog
from sampan.controllers.hpabehaviour import History, normalize
from sampan.controllers.hpametrics import MetricError, Tolerance
from sampan.controllers.hpastatus import Status
from sampan.runtime import DONE, Controller, Request, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.gvk import ResourceInfo
    from sampan.api.object import Object
    from sampan.client.client import ResourceClient
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext
    from sampan.controllers.hpametrics import Proposal

POD_METRICS = GroupVersionResource("metrics.k8s.io", "v1beta1", "pods")
_PERIOD = 15.0


class _ScaleError(MetricError):
    """The target has no scale."""


def new(context: ControllerContext) -> Controller:
    """The HorizontalPodAutoscaler controller."""
    return _Autoscaler(context).controller


class _Autoscaler:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._recorder = context.recorder("horizontal-pod-autoscaler")
        self._catalog = Catalog(context)
        self._autoscalers = context.informer(HORIZONTALPODAUTOSCALERS)
        self._pods = context.informer(PODS)
        self._histories: dict[Request, History] = {}
        self.controller = Controller("horizontal-pod-autoscaler-controller", self, clock=context.clock, workers=5)
        self._autoscalers.add_handler(self._on_autoscaler)

    def _on_autoscaler(self, old: Stored | None, new: Stored | None) -> None:
        """Changes of the spec are looked at at once, those of the status are our own."""
        if new is None:
            return
        if old is None or old.object["spec"] != new.object["spec"]:
            self.controller.queue.add(Request(new.namespace, new.name))

    async def reconcile(self, request: Request) -> Result:
        """Look at one autoscaler, and again in 15 seconds."""
        item = self._autoscalers.get(request.namespace, request.name)
        if item is None:
            self._histories.pop(request, None)
            return DONE
        status = Status(item.object, self._clock.time())
        try:
            await self._scale(request, item.object, status)
        except MetricError as error:
            self._recorder.event(item.object, "Warning", status.failure or "FailedComputeMetricsReplicas", str(error))
        await self._write(item.object, status)
        return Result(requeue_after=_PERIOD)

    async def _scale(self, request: Request, autoscaler: Object, status: Status) -> None:
        spec = autoscaler["spec"]
        target, scale = await self._target(request, spec["scaleTargetRef"], status)
        current = int((scale.get("spec") or {}).get("replicas", 0))
        status.current = int((scale.get("status") or {}).get("replicas", 0))
        status.desired = current
        wanted, reason = await self._wanted(request, autoscaler, scale, current, status)
        status.desired = wanted
        if wanted == current:
            return
        changed = copy_object(scale)
        changed["spec"]["replicas"] = wanted
        try:
            await target.update(changed, subresource="scale")
        except Conflict:
            raise
        except APIStatusError as error:
            message = f"the HPA controller was unable to update the target scale: {error}"
            status.set("AbleToScale", "FailedUpdateScale", message, ok=False)
            self._recorder.event(
                autoscaler, "Warning", "FailedRescale", f"New size: {wanted}; reason: {reason}; error: {error}"
            )
            status.desired = current
            return
        message = f"the HPA controller was able to update the target scale to {wanted}"
        status.set("AbleToScale", "SucceededRescale", message)
        self._recorder.event(autoscaler, "Normal", "SuccessfulRescale", f"New size: {wanted}; reason: {reason}")
        status.scaled = True
        history = self._histories.setdefault(request, History())
        history.scaled(wanted - current, self._clock.time(), spec.get("behavior"))

    async def _target(self, request: Request, reference: Object, status: Status) -> tuple[ResourceClient, Object]:
        group, _, version = reference.get("apiVersion", "").rpartition("/")
        info = self._catalog.by_kind(GroupVersionKind(group, version, reference["kind"]))
        try:
            target = self._client.resource(_found(info, reference["kind"], group).gvr, request.namespace)
            scale = await target.get(reference["name"], subresource="scale")
        except (APIStatusError, _ScaleError) as error:
            message = f"the HPA controller was unable to get the target's current scale: {error}"
            status.set("AbleToScale", "FailedGetScale", message, ok=False)
            status.failure = "FailedGetScale"
            raise _ScaleError(str(error)) from error
        message = "the HPA controller was able to get the target's current scale"
        status.set("AbleToScale", "SucceededGetScale", message)
        return target, scale

    async def _wanted(
        self, request: Request, autoscaler: Object, scale: Object, current: int, status: Status
    ) -> tuple[int, str]:
        """How many replicas there should be, and why."""
        spec = autoscaler["spec"]
        least, most = spec.get("minReplicas", 1), spec["maxReplicas"]
        if current == 0 and least != 0:
            message = "scaling is disabled since the replica count of the target is zero"
            status.set("ScalingActive", "ScalingDisabled", message, ok=False)
            return 0, ""
        history = self._histories.setdefault(request, History())
        if not history.recommendations:
            history.recommendations.append((self._clock.time(), current))
        if current > most:
            return most, "Current number of replicas above Spec.MaxReplicas"
        if current < least:
            return least, "Current number of replicas below Spec.MinReplicas"
        proposed, name = await self._proposal(request, autoscaler, scale, current, status)
        verdict = normalize(
            proposed, current, least=least, most=most, behaviour=spec.get("behavior"), history=history,
            now=self._clock.time(),
        )  # fmt: skip
        status.set("AbleToScale", *verdict.able[1:])
        status.set("ScalingLimited", *verdict.limited[1:], ok=verdict.limited[0])
        return verdict.replicas, f"{name} above target" if proposed > current else "All metrics below target"

    async def _proposal(
        self, request: Request, autoscaler: Object, scale: Object, current: int, status: Status
    ) -> tuple[int, str]:
        """The most that any metric asks for. Raises MetricError where the invalid ones could ask for more."""
        text = (scale.get("status") or {}).get("selector", "")
        if not text:
            status.set("ScalingActive", "InvalidSelector", "the HPA target's scale is missing a selector", ok=False)
            status.failure = "SelectorRequired"
            raise MetricError("selector is required")
        selector = labels.parse(text)
        pods = [item.object for item in self._pods.list(request.namespace) if selector.matches(item.labels)]
        best, name, failures = 0, "", []
        metrics: Sequence[Object] = autoscaler["spec"].get("metrics") or ()
        for metric in metrics:
            try:
                proposal, described = await self._evaluate(request, autoscaler, metric, text, pods, current, status)
            except MetricError as error:
                failures.append(_Failure(metric, str(error)))
                self._recorder.event(autoscaler, "Warning", failures[-1].reason, str(error))
                continue
            if proposal.replicas > best or not name:
                best, name = proposal.replicas, described
        if failures and (len(failures) == len(metrics) or best < current):
            first = failures[0]
            why = f"the HPA was unable to compute the replica count: {first.message}"
            status.set("ScalingActive", first.reason, why, ok=False)
            count = f"invalid metrics ({len(failures)} invalid out of {len(metrics)})"
            raise MetricError(f"{count}, first error is: failed to get {first.described} metric value: {first.message}")
        message = f"the HPA was able to successfully calculate a replica count from {name}"
        status.set("ScalingActive", "ValidMetricFound", message)
        return best, name

    async def _evaluate(  # noqa: PLR0917 - what a metric needs to know
        self, request: Request, autoscaler: Object, metric: Object, selector: str, pods: Sequence[Object], current: int,
        status: Status,
    ) -> tuple[Proposal, str]:  # fmt: skip
        kind = metric["type"]
        if kind not in ("Resource", "ContainerResource"):
            group = "external.metrics.k8s.io" if kind == "External" else "custom.metrics.k8s.io"
            raise MetricError(f"unable to fetch metrics: no {group} API registered")
        source = metric["resource" if kind == "Resource" else "containerResource"]
        name, container = source["name"], source.get("container", "")
        samples = await self._samples(request.namespace, selector, name, container)
        rules = _tolerance(autoscaler)
        now, target = self._clock.time(), source["target"]
        if target["type"] == "Utilization":
            wanted = target["averageUtilization"]
            proposal = hpametrics.by_utilization(
                current, wanted, name, pods=pods, usage=samples, tolerance=rules, now=now, container=container
            )
            described = f"{name} {'container ' if container else ''}resource utilization (percentage of request)"
        else:
            average = quantity.milli_value(target["averageValue"])
            proposal = hpametrics.by_average(current, average, name, pods=pods, usage=samples, tolerance=rules, now=now)
            described = f"{name} {'container ' if container else ''}resource"
        status.metric(metric, proposal)
        return proposal, described

    async def _samples(
        self, namespace: str, selector: str, resource: str, container: str
    ) -> dict[str, hpametrics.Sample]:
        unable = f"unable to get metrics for resource {resource}"
        try:
            answer = await self._client.resource(POD_METRICS, namespace).list(label_selector=selector)
        except NotFound as error:
            why = "the server could not find the requested resource (get pods.metrics.k8s.io)"
            raise MetricError(f"{unable}: unable to fetch metrics from resource metrics API: {why}") from error
        except APIStatusError as error:
            raise MetricError(f"{unable}: unable to fetch metrics from resource metrics API: {error}") from error
        if not answer.items:
            raise MetricError(f"{unable}: no metrics returned from resource metrics API")
        found = hpametrics.samples([item.object for item in answer.items], resource, container)
        if not found:
            raise MetricError(f"{unable}: no metrics returned from resource metrics API")
        return found

    async def _write(self, autoscaler: Object, status: Status) -> None:
        fresh = status.render(times.format_time(self._clock.time()))
        if fresh == (autoscaler.get("status") or {}):
            return
        changed = copy_object({**autoscaler, "status": fresh})
        namespace = autoscaler["metadata"]["namespace"]
        try:
            await self._client.resource(HORIZONTALPODAUTOSCALERS, namespace).update_status(changed)
        except NotFound:
            return


def _found(info: ResourceInfo | None, kind: str, group: str) -> ResourceInfo:
    if info is None:
        shown = f'"{kind}" in group "{group}"' if group else f'"{kind}"'
        raise _ScaleError(f"unable to determine resource for scale target reference: no matches for kind {shown}")
    return info


class _Failure:
    """A metric that told nothing."""

    def __init__(self, metric: Object, message: str) -> None:
        kind = metric["type"]
        source = metric.get(f"{kind[0].lower()}{kind[1:]}") or {}
        self.described = source.get("name", kind.lower())
        self.message = f"failed to get {self.described} {_KINDS.get(kind, 'metric')}: {message}"
        self.reason = f"FailedGet{kind}Metric"


_KINDS = {"Resource": "usage", "ContainerResource": "usage"}


def _tolerance(autoscaler: Object) -> Tolerance:
    """The cluster's tolerance, or that of each direction (KEP-4951)."""
    behaviour = autoscaler["spec"].get("behavior") or {}
    own = {
        key: quantity.milli_value(rules["tolerance"]) / 1000
        for key, rules in (("up", behaviour.get("scaleUp") or {}), ("down", behaviour.get("scaleDown") or {}))
        if rules.get("tolerance") is not None
    }
    return Tolerance(**own)
