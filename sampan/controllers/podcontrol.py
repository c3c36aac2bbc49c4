"""Making, deleting, adopting and releasing pods for a controlled object, with kube-controller-manager's events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError, NotFound
from sampan.api.object import name_of, namespace_of, uid_of
from sampan.base.tasks import spawn
from sampan.client.item import copy_object
from sampan.client.resources import PODS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sampan.api.object import Object
    from sampan.client.client import Client
    from sampan.client.lister import Matcher
    from sampan.controllers.podview import PodView
    from sampan.runtime.events import EventRecorder


class PodControl:
    """Writes pods for controllers. Failures are recorded as events of the owner and raised."""

    def __init__(self, client: Client, recorder: EventRecorder) -> None:
        self._client = client
        self._recorder = recorder

    async def create(
        self,
        owner: Object,
        template: Object,
        reference: Object,
        *,
        name: str = "",
        change: Callable[[Object], None] | None = None,
    ) -> Object:
        """Create a pod from a template. name: "" has the server make one up from the owner's."""
        pod = pod_from_template(owner, template, reference, name=name)
        if change is not None:
            change(pod)
        try:
            created = await self._client.resource(PODS, namespace_of(owner)).create(pod)
        except APIStatusError as error:
            if not is_namespace_terminating(error):
                self._recorder.event(owner, "Warning", "FailedCreate", f"Error creating: {error}")
            raise
        self._recorder.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {name_of(created)}")
        return created

    async def delete(self, owner: Object, name: str) -> None:
        """Delete a pod. Raises NotFound when it is gone already, without an event."""
        try:
            await self._client.resource(PODS, namespace_of(owner)).delete(name)
        except NotFound:
            raise
        except APIStatusError as error:
            self._recorder.event(owner, "Warning", "FailedDelete", f"Error deleting: {error}")
            raise
        self._recorder.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {name}")


class Claims:
    """Which of the pods at hand belong to an owner: adopts orphans that match, releases own ones that no longer do."""

    def __init__(
        self,
        client: Client,
        owner: Object,
        reference: Object,
        selector: Matcher,
        fresh: Callable[[], Awaitable[Object]],
    ) -> None:
        self._pods = client.resource(PODS, namespace_of(owner))
        self._owner = owner
        self._reference = reference
        self._selector = selector
        self._fresh = fresh
        self._may_adopt: bool | None = None

    async def claim(self, candidates: Sequence[PodView]) -> list[PodView]:
        """Return the candidates that are the owner's, after adoptions and releases."""
        claimed = []
        uid, deleting = uid_of(self._owner), "deletionTimestamp" in self._owner["metadata"]
        for pod in candidates:
            matches = self._selector.matches(pod.labels)
            if pod.owner_uid:
                if pod.owner_uid != uid:
                    continue
                if matches:
                    claimed.append(pod)
                elif not deleting:
                    await self._release(pod)
            elif not deleting and matches and not pod.deleting and await self._adopt(pod):
                claimed.append(pod)
        return claimed

    async def _adopt(self, pod: PodView) -> bool:
        if self._may_adopt is None:  # the cache may be behind: ask the API once before taking what is nobody's
            current = await self._fresh()
            same = uid_of(current) == uid_of(self._owner)
            self._may_adopt = same and "deletionTimestamp" not in current["metadata"]
        if not self._may_adopt:
            return False
        try:
            await self._pods.patch(pod.name, self.adoption(pod))
        except NotFound:
            return False
        return True

    def adoption(self, pod: PodView) -> Object:
        """The patch that makes a pod the owner's."""
        return {"metadata": {"ownerReferences": [self._reference], "uid": pod.uid}}

    async def _release(self, pod: PodView) -> None:
        patch = {
            "metadata": {
                "uid": pod.uid,
                "ownerReferences": [{"$patch": "delete", "uid": self._reference["uid"]}],
            }
        }
        try:
            await self._pods.patch(pod.name, patch)
        except NotFound:
            return
        except APIStatusError as error:
            if error.code != 422:  # no longer the same pod, or no longer ours: nothing to release
                raise


def controller_reference(owner: Object, api_version: str, kind: str) -> Object:
    """The ownerReference that a controller gives what it makes."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def pod_from_template(owner: Object, template: Object, reference: Object, *, name: str = "") -> Object:
    """Build a pod: the template's labels, annotations, finalizers and spec, named after its owner."""
    wanted = template.get("metadata") or {}
    metadata: Object = {"name": name} if name else {"generateName": f"{name_of(owner)}-"}
    metadata["namespace"] = namespace_of(owner)
    for key in ("labels", "annotations", "finalizers"):
        if wanted.get(key):
            metadata[key] = wanted[key]
    metadata["ownerReferences"] = [reference]
    return copy_object({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template.get("spec") or {}})


def is_namespace_terminating(error: APIStatusError) -> bool:
    """Whether a creation failed only because its namespace is going away."""
    causes = (error.details or {}).get("causes") or ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)


async def slow_start(count: int, create: Callable[[], Awaitable[object]]) -> tuple[int, Exception | None]:
    """Call create count times, in batches of 1, 2, 4, ... that run at once; stop after a batch with a failure.

    So a quota that refuses everything is asked once, not a thousand times. Returns successes and the first error.
    """
    done, size, left = 0, min(count, 1), count
    while size > 0:
        failures = await together([create] * size)
        done += size - len(failures)
        if failures:
            return done, failures[0]
        left -= size
        size = min(2 * size, left)
    return done, None


async def together(calls: Sequence[Callable[[], Awaitable[object]]]) -> list[Exception]:
    """Await all calls at once and return the errors of those that failed with one of the API or the network."""
    failures: list[Exception] = []

    async def guarded(call: Callable[[], Awaitable[object]]) -> None:
        try:
            await call()
        except (APIStatusError, OSError) as error:
            failures.append(error)

    if len(calls) == 1:
        await guarded(calls[0])
        return failures
    async with asyncio.TaskGroup() as group:
        for call in calls:
            spawn(group, guarded(call), name="controller write")
    return failures
