"""Namespace deletion: everything in it goes, pods first, then the namespace itself.

Behaviour: kube-controller-manager's pkg/controller/namespace with ordered deletion. The conditions of a terminating
namespace say what is still there. Other than there, a request is not held back 5 seconds (that serves several API
servers with lagging caches) and pods' ends wake the namespace up, so that an empty one is gone at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sampan.api import times
from sampan.api.errors import APIStatusError, Conflict, MethodNotAllowed, NotFound
from sampan.base.errors import SampanError
from sampan.client.item import copy_object
from sampan.client.resources import NAMESPACES, PODS
from sampan.controllers.catalog import Catalog
from sampan.runtime import DONE, Controller, Request, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.gvk import ResourceInfo
    from sampan.api.object import Object
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext

_FINALIZER = "kubernetes"
_FINALIZER_ESTIMATE = 15
"""Seconds that other finalizers are given before the namespace is looked at again."""


def new(context: ControllerContext) -> Controller:
    """The Namespace controller."""
    return _Namespaces(context).controller


class ContentError(SampanError):
    """Some content could not be deleted; the namespace is retried."""


@dataclass(slots=True)
class _Remaining:
    """What a round of deletions left. counts: objects per resource; finalizers: objects per finalizer."""

    counts: dict[str, int] = field(default_factory=dict)
    finalizers: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    estimate: int = 0


class _Namespaces:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._catalog = Catalog(context)
        self._namespaces = context.informer(NAMESPACES)
        self.controller = Controller("namespace-controller", self, clock=context.clock, workers=10)
        self._namespaces.add_handler(self._on_namespace)
        context.informer(PODS).add_handler(self._on_pod)

    def _on_namespace(self, _: Stored | None, new: Stored | None) -> None:
        if new is not None and "deletionTimestamp" in new.object["metadata"]:
            self.controller.queue.add(Request("", new.name))

    def _on_pod(self, old: Stored | None, new: Stored | None) -> None:
        if new is None and old is not None:
            namespace = self._namespaces.get("", old.namespace)
            if namespace is not None and "deletionTimestamp" in namespace.object["metadata"]:
                self.controller.queue.add(Request("", old.namespace))

    async def reconcile(self, request: Request) -> Result:
        """Sync one namespace."""
        resource = self._client.resource(NAMESPACES)
        try:
            namespace = await resource.get(request.name)
        except NotFound:
            return DONE
        if "deletionTimestamp" not in namespace["metadata"]:
            return DONE
        if (namespace.get("status") or {}).get("phase") != "Terminating":
            changed = copy_object(namespace)
            changed.setdefault("status", {})["phase"] = "Terminating"
            namespace = await resource.update_status(changed)
        if not (namespace.get("spec") or {}).get("finalizers"):
            return DONE
        remaining = await self._delete_content(namespace)
        await self._update_conditions(namespace, remaining)
        if remaining.failures:
            raise ContentError("; ".join(remaining.failures))
        if remaining.estimate or remaining.counts:
            return Result(requeue_after=remaining.estimate / 2 + 1)
        await self._finalize(request.name)
        return DONE

    async def _finalize(self, name: str) -> None:
        """Take our finalizer away, which lets the API delete the namespace."""
        resource = self._client.resource(NAMESPACES)
        try:
            namespace = copy_object(await resource.get(name))
            spec = namespace.setdefault("spec", {})
            spec["finalizers"] = [one for one in spec.get("finalizers") or () if one != _FINALIZER]
            await resource.update(namespace, subresource="finalize")
        except NotFound:
            return

    async def _delete_content(self, namespace: Object) -> _Remaining:
        """Delete what is there, pods before all else, and count what stays."""
        name: str = namespace["metadata"]["name"]
        remaining = _Remaining()
        infos = [info for info in self._catalog if info.namespaced and "list" in info.verbs and "delete" in info.verbs]
        for info in infos:
            if info.gvr == PODS:
                await self._delete_all(info, name, remaining)
        if remaining.counts:
            return remaining
        for info in infos:
            if info.gvr != PODS:
                await self._delete_all(info, name, remaining)
        return remaining

    async def _delete_all(self, info: ResourceInfo, namespace: str, remaining: _Remaining) -> None:
        resource = self._client.resource(info.gvr, namespace)
        try:
            found = (await resource.list()).items
            if not found:
                return
            if "deletecollection" in info.verbs:
                await resource.delete_collection(propagation="Background")
            else:
                for item in found:
                    await self._delete_one(info, namespace, item.name)
            left = [item.object for item in (await resource.list()).items]
        except (NotFound, MethodNotAllowed):
            return  # the resource is no longer served
        except APIStatusError as error:
            remaining.failures.append(f"failed to delete all resource types, {info.resource}: {error}")
            return
        _count(info, left, remaining)

    async def _delete_one(self, info: ResourceInfo, namespace: str, name: str) -> None:
        try:
            await self._client.resource(info.gvr, namespace).delete(name, propagation="Background")
        except NotFound:
            return

    async def _update_conditions(self, namespace: Object, remaining: _Remaining) -> None:
        now = times.format_time(self._clock.time())
        status = copy_object(namespace.get("status") or {})
        if not _set_conditions(status, _conditions(remaining), now):
            return
        try:
            await self._client.resource(NAMESPACES).update_status({**namespace, "status": status})
        except (Conflict, NotFound):
            return  # the next round reads it anew


def _count(info: ResourceInfo, left: Sequence[Object], remaining: _Remaining) -> None:
    if not left:
        return
    remaining.counts[f"{info.resource}.{info.group}"] = len(left)
    for obj in left:
        for finalizer in obj["metadata"].get("finalizers") or ():
            remaining.finalizers[finalizer] = remaining.finalizers.get(finalizer, 0) + 1
    if any(obj["metadata"].get("finalizers") for obj in left):
        remaining.estimate = max(remaining.estimate, _FINALIZER_ESTIMATE)
    for obj in left:
        grace = obj["metadata"].get("deletionGracePeriodSeconds") or 0
        remaining.estimate = max(remaining.estimate, grace)


def _conditions(remaining: _Remaining) -> list[tuple[str, bool, str, str]]:
    failed = bool(remaining.failures)
    counts = ", ".join(f"{name} has {count} resource instances" for name, count in sorted(remaining.counts.items()))
    finalizers = ", ".join(
        f"{name} in {count} resource instances" for name, count in sorted(remaining.finalizers.items())
    )
    return [
        ("NamespaceDeletionDiscoveryFailure", False, "ResourcesDiscovered", "All resources successfully discovered"),
        (
            "NamespaceDeletionGroupVersionParsingFailure", False, "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        (
            "NamespaceDeletionContentFailure", failed, "ContentDeletionFailed" if failed else "ContentDeleted",
            f"Failed to delete all resource types, {len(remaining.failures)} remaining: {'; '.join(remaining.failures)}"
            if failed else "All content successfully deleted, may be waiting on finalization",
        ),
        (
            "NamespaceContentRemaining", bool(counts), "SomeResourcesRemain" if counts else "ContentRemoved",
            f"Some resources are remaining: {counts}" if counts else "All content successfully removed",
        ),
        (
            "NamespaceFinalizersRemaining", bool(finalizers),
            "SomeFinalizersRemain" if finalizers else "ContentHasNoFinalizers",
            f"Some content in the namespace has finalizers remaining: {finalizers}"
            if finalizers else "All content-preserving finalizers finished",
        ),
    ]  # fmt: skip


def _set_conditions(status: Object, wanted: Sequence[tuple[str, bool, str, str]], now: str) -> bool:
    current = {one["type"]: one for one in status.get("conditions") or ()}
    changed = False
    for type_, is_true, reason, message in wanted:
        value = "True" if is_true else "False"
        before = current.get(type_)
        if before is not None and (before["status"], before.get("reason"), before.get("message")) == (
            value,
            reason,
            message,
        ):
            continue
        transition = now if before is None or before["status"] != value else before.get("lastTransitionTime", now)
        current[type_] = {
            "type": type_,
            "status": value,
            "lastTransitionTime": transition,
            "reason": reason,
            "message": message,
        }
        changed = True
    if changed:
        status["conditions"] = list(current.values())
    return changed
