"""What a controller is made of: a `Reconciler` that brings one object's state to what its spec says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Request(NamedTuple):
    """Which object to reconcile; namespace "" for cluster-scoped ones."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """requeue: with back-off, as after an error. requeue_after: seconds until it is to be reconciled again."""

    requeue: bool = False
    requeue_after: float | None = None


DONE = Result()


class Reconciler(Protocol):
    """Level-triggered and idempotent: reads caches, writes at most what differs."""

    async def reconcile(self, request: Request) -> Result:
        """Bring one object to its desired state. An error requeues it with back-off."""
        ...
