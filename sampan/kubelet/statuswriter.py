"""One pod's status on its way to the API: the newest one wins, one request at a time, retried until it is through."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError, Conflict, NotFound
from sampan.api.object import name_of, namespace_of, uid_of
from sampan.base.log import logger
from sampan.kubelet.statuspatch import status_patch

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.kubelet.interface import PodAPI

_log = logger("kubelet.status")

_RETRY_SECONDS = (0.05, 0.2, 1.0, 2.0, 5.0)


class StatusWriter:
    """Writes a pod's status. run() must be running for anything to be written."""

    def __init__(self, pod: Object, api: PodAPI, clock: Clock) -> None:
        self._namespace, self._name, self._uid = namespace_of(pod), name_of(pod), uid_of(pod)
        self._api = api
        self._clock = clock
        self._written: Object = pod.get("status") or {}
        self._version = _version(pod)
        self._wanted: Object | None = None
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.gone = False
        """The API has no pod of this uid any more."""

    def observe(self, pod: Object) -> None:
        """Notice that somebody else changed what is the kubelet's to say, such as Ready while the node was away.

        Only what matters is compared, and only in versions newer than our own last write: otherwise a difference in
        spelling between us and the server would make us write for ever.
        """
        version = _version(pod)
        status = pod.get("status") or {}
        if version <= self._version or not self._idle.is_set() or self._wanted is None:
            return
        self._version = version
        if _essence(status, self._wanted) != _essence(self._wanted, self._wanted):
            self._written = status
            self.write(self._wanted)

    def write(self, status: Object) -> None:
        """Have this status written soon; it replaces one that waits."""
        self._wanted = status
        if not self.gone and status_patch(self._uid, self._written, status) is not None:
            self._idle.clear()
            self._changed.set()

    async def wait_written(self) -> None:
        """Return when nothing waits to be written."""
        await self._idle.wait()

    async def run(self) -> None:
        """Write until cancelled."""
        failures = 0
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._write_once()
                failures = 0
            except (APIStatusError, OSError, TimeoutError) as error:
                _log.warning("Status update failed", pod=f"{self._namespace}/{self._name}", error=error)
                await self._clock.sleep(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)])
                failures += 1
                self._changed.set()
                continue
            if not self._changed.is_set():
                self._idle.set()

    async def _write_once(self) -> None:
        wanted = self._wanted
        if wanted is None or self.gone:
            return
        patch = status_patch(self._uid, self._written, wanted)
        if patch is None:
            return
        try:
            answer = await self._api.patch_pod_status(self._namespace, self._name, patch)
        except (NotFound, Conflict):
            # Gone, or another pod has the name now: the uid in the patch does not fit.
            self.gone = True
            return
        self._version = _version(answer)
        ours = {c["type"] for c in wanted["conditions"]}
        others = [c for c in (answer.get("status") or {}).get("conditions") or () if c["type"] not in ours]
        self._written = {**(answer.get("status") or {}), **wanted, "conditions": [*wanted["conditions"], *others]}


def _version(pod: Object) -> int:
    text = str(pod["metadata"].get("resourceVersion") or "0")
    return int(text) if text.isdigit() else 0


def _essence(status: Object, of: Object) -> tuple[object, dict[str, object]]:
    """Reduce a status to its phase and the states of the conditions that `of` has."""
    types = {c["type"] for c in of.get("conditions") or ()}
    states = {c["type"]: c["status"] for c in status.get("conditions") or () if c["type"] in types}
    return status.get("phase"), states
