"""Leader election by a Lease, as client-go's leaderelection: at most one of several processes leads.

A holder renews its Lease every `retry_period`; whoever sees a Lease unrenewed for `lease_duration` by its own clock may
take it. A leader that could not renew for `renew_deadline` stops leading before others may start: the work is
cancelled. On a clean stop the Lease is released, so that the next one need not wait.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sampan.api import times
from sampan.api.errors import APIStatusError, NotFound
from sampan.base.clock import deadline
from sampan.base.errors import SampanError
from sampan.base.log import logger
from sampan.base.tasks import shielded, spawn
from sampan.client.item import copy_object
from sampan.client.resources import LEASES

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.client.client import Client

log = logger("runtime.leaderelection")


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectionOptions:
    """Which Lease, and how long. identity: unique per process. Durations in seconds, kube-controller-manager's."""

    name: str
    identity: str
    namespace: str = "kube-system"
    lease_duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0
    release_on_stop: bool = True


class LostLeadershipError(SampanError):
    """Another process leads now, or the Lease could not be renewed in time."""


class LeaderElector:
    """Campaigns for one Lease."""

    def __init__(self, client: Client, options: ElectionOptions, *, clock: Clock) -> None:
        self._leases = client.resource(LEASES, options.namespace)
        self._options = options
        self._clock = clock
        self._observed: Object | None = None
        self._observed_at = float("-inf")
        self.is_leader = False

    async def run(self, lead: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Wait for the lead, run the work while leading, and raise LostLeadershipError when it is lost."""
        while not await self._try():
            await self._clock.sleep(self._options.retry_period)
        self.is_leader = True
        log.info("Leading", lease=self._options.name, identity=self._options.identity)
        try:
            async with asyncio.TaskGroup() as group:
                work = spawn(group, lead(), name=f"leader {self._options.name}")
                try:
                    await self._renew()
                finally:
                    work.cancel()
        finally:
            self.is_leader = False
            if self._options.release_on_stop:
                await shielded(self._release(), seconds=2)
        raise LostLeadershipError(f"leader election lost: lease {self._options.namespace}/{self._options.name}")

    async def _renew(self) -> None:
        """Renew until that fails for too long."""
        while True:
            await self._clock.sleep(self._options.retry_period)
            try:
                async with deadline(self._clock, self._options.renew_deadline):
                    while not await self._try():
                        await self._clock.sleep(self._options.retry_period)
            except TimeoutError:
                return

    async def _try(self) -> bool:
        """Acquire or renew once."""
        try:
            return await self._acquire_or_renew()
        except (APIStatusError, OSError) as error:
            log.debug("Lease not updated", lease=self._options.name, error=error)
            return False

    async def _acquire_or_renew(self) -> bool:
        options = self._options
        now = times.format_micro(self._clock.time())
        try:
            lease = copy_object(await self._leases.get(options.name))
        except NotFound:
            fresh: Object = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": options.name, "namespace": options.namespace},
                "spec": self._spec(now, now, 0),
            }
            self._observe(await self._leases.create(fresh))
            return True
        if self._observed is None or self._observed.get("spec") != lease.get("spec"):
            self._observe(lease)
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder and holder != options.identity and self._is_valid(spec):
            return False
        if holder == options.identity:
            lease["spec"] = self._spec(spec.get("acquireTime", now), now, spec.get("leaseTransitions", 0))
        else:
            lease["spec"] = self._spec(now, now, spec.get("leaseTransitions", 0) + 1)
        self._observe(await self._leases.update(lease))
        return True

    def _is_valid(self, spec: Object) -> bool:
        duration = float(spec.get("leaseDurationSeconds") or self._options.lease_duration)
        return self._observed_at + duration > self._clock.monotonic()

    def _observe(self, lease: Object) -> None:
        self._observed = lease
        self._observed_at = self._clock.monotonic()

    def _spec(self, acquired: str, renewed: str, transitions: int) -> Object:
        return {
            "holderIdentity": self._options.identity,
            "leaseDurationSeconds": int(self._options.lease_duration),
            "acquireTime": acquired,
            "renewTime": renewed,
            "leaseTransitions": transitions,
        }

    async def _release(self) -> None:
        """Give the Lease up: an empty holder and a duration of one second, as client-go does."""
        observed = self._observed
        if observed is None or (observed.get("spec") or {}).get("holderIdentity") != self._options.identity:
            return
        lease = copy_object(observed)
        now = times.format_micro(self._clock.time())
        lease["spec"] = {
            "holderIdentity": "",
            "leaseDurationSeconds": 1,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": lease["spec"].get("leaseTransitions", 0),
        }
        try:
            await self._leases.update(lease)
        except (APIStatusError, OSError) as error:
            log.debug("Lease not released", lease=self._options.name, error=error)
