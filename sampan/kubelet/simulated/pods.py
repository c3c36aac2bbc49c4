"""All pods of the simulated nodes: follows them in the API, and brings them where their time says.

Pods come page by page and then by one watch; of each only a small record is kept. One status write makes a pod Ready
when nothing is to be waited for.
"""

from __future__ import annotations

import random as randomness
from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError, Conflict, Expired, Gone, NotFound
from sampan.base.errors import SampanError
from sampan.base.log import logger
from sampan.client.interface import MERGE_PATCH
from sampan.client.resources import PODS
from sampan.kubelet.simulated.behaviour import Behaviours
from sampan.kubelet.simulated.pod import SimulatedPod
from sampan.runtime import DONE, Controller, Request, Result

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.base.tasks import Started
    from sampan.client.client import Client
    from sampan.kubelet.simulated.addresses import Addresses
    from sampan.kubelet.simulated.options import SimulatedOptions

_log = logger("kubelet.simulated")
_PAGE = 500
_WATCH_SECONDS = 300
_RETRY_SECONDS = 1.0


class SimulatedPods:
    """Records by ``namespace/name``. addresses: of the nodes that are ours, and of their pods."""

    def __init__(self, options: SimulatedOptions, client: Client, clock: Clock, addresses: Addresses) -> None:
        self._client = client
        self._clock = clock
        self._addresses = addresses
        self._behaviours = Behaviours(options)
        self._random = randomness.Random()  # noqa: S311 - jitter, no secret
        self._round = 0
        self.records: dict[Request, SimulatedPod] = {}
        self.controller = Controller("simulated pods", self, clock=clock, workers=options.workers)

    # -- what the API says

    async def follow(self, started: Started) -> None:
        """List and watch until cancelled; started is called after the first list."""
        while True:
            try:
                version = await self._list()
                started()
                while True:
                    version = await self._watch(version)
            except (Expired, Gone):
                continue
            except (SampanError, OSError) as error:
                _log.warning("Pods cannot be followed", error=error)
                await self._clock.sleep(_RETRY_SECONDS * (1 + self._random.random()))

    async def _list(self) -> str:
        self._round += 1
        token = ""
        while True:
            page = await self._client.resource(PODS).list(
                field_selector="spec.nodeName!=", limit=_PAGE, continue_token=token
            )
            for item in page.items:
                self.observe(item.object)
            token = page.continue_token
            if not token:
                break
        for request in [request for request, record in self.records.items() if record.round != self._round]:
            self._forget(request)
        return page.resource_version

    async def _watch(self, version: str) -> str:
        resource = self._client.resource(PODS)
        seconds = int(_WATCH_SECONDS * (1 + self._random.random()))
        async with resource.watch(
            resource_version=version, field_selector="spec.nodeName!=", timeout_seconds=seconds
        ) as batches:
            async for batch in batches:
                for event in batch:
                    if event.type == "DELETED":
                        self._forget(Request(event.item.namespace, event.item.name))
                    elif event.type != "BOOKMARK":
                        self.observe(event.item.object)
                version = batch[-1].item.resource_version
        return version

    def observe(self, pod: Object) -> None:
        """Take a pod's newest version; those of other nodes are none of ours."""
        node = pod["spec"].get("nodeName", "")
        if node not in self._addresses:
            return
        metadata = pod["metadata"]
        request = Request(metadata["namespace"], metadata["name"])
        record = self.records.get(request)
        if record is not None and record.uid != metadata["uid"]:
            self._forget(request)
            record = None
        if record is None:
            record = self._new(pod, node)
            self.records[request] = record
            self.controller.queue.add(request)
        else:
            condemned, behaviour = record.condemned, record.behaviour
            record.observe(pod)
            record.behaviour = self._behaviours.of(pod)
            if record.condemned != condemned or record.behaviour != behaviour:
                self.controller.queue.add(request)
        record.round = self._round

    def _new(self, pod: Object, node: str) -> SimulatedPod:
        host = self._addresses.node(node)
        own = host if pod["spec"].get("hostNetwork") else self._addresses.take(node, pod["metadata"]["uid"])
        return SimulatedPod(pod, self._behaviours.of(pod), ip=own, host_ip=host, now=self._clock.time())

    def _forget(self, request: Request) -> None:
        record = self.records.pop(request, None)
        if record is not None:
            self._addresses.give_back(record.node, record.uid)

    # -- what time does

    async def reconcile(self, request: Request) -> Result:
        """Bring one pod to where it is now."""
        record = self.records.get(request)
        if record is None:
            return DONE
        now = self._clock.time()
        end = record.deletion_due
        if end is not None:
            if now < end:
                return Result(requeue_after=end - now)
            await self._guarded(record, self._delete)
            return DONE
        changed, due = record.advance(now)
        if changed:
            await self._guarded(record, self._write)
        return DONE if due is None else Result(requeue_after=max(due - self._clock.time(), 0.001))

    async def _guarded(self, record: SimulatedPod, write: Callable[[SimulatedPod], Awaitable[None]]) -> None:
        """A pod that is gone, or is another by now, needs nothing: its event is on the way."""
        try:
            await write(record)
        except (NotFound, Conflict):
            return
        except APIStatusError as error:
            if error.code == 422:
                _log.warning("Status refused", pod=f"{record.namespace}/{record.name}", error=error)
                return
            raise

    async def _write(self, record: SimulatedPod) -> None:
        patch = {"metadata": {"uid": record.uid}, "status": record.status()}
        resource = self._client.resource(PODS, record.namespace)
        await resource.patch_status(record.name, patch, content_type=MERGE_PATCH)

    async def _delete(self, record: SimulatedPod) -> None:
        await self._client.resource(PODS, record.namespace).delete(record.name, grace_period_seconds=0, uid=record.uid)
