"""What the kubelet knows of a pod's sandboxes and containers: kept from its own calls and the runtime's events.

Records change in place. A container's exit is recorded from the event, before the runtime's own status says so, and is
never taken back by a later, staler reading.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sampan.kubelet import pods
from sampan.kubelet.runtime import ContainerState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sampan.kubelet.runtime import ContainerStatus, Sandbox


@dataclass(slots=True, kw_only=True)
class SandboxRecord:
    """A sandbox. created_at: nanoseconds. host_network: where its network lives."""

    id: str
    attempt: int
    ready: bool
    created_at: int
    ips: Sequence[str] = ()


@dataclass(slots=True, kw_only=True)
class ContainerRecord:
    """A container. Times are nanoseconds, 0 when not reached. hash: of the spec it was made from."""

    id: str
    name: str
    attempt: int
    state: ContainerState
    created_at: int
    hash: str
    sandbox_id: str = ""
    started_at: int = 0
    finished_at: int = 0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    image: str = ""
    image_ref: str = ""
    log_path: str = ""
    termination_path: str = ""
    termination_policy: str = "File"
    user: tuple[int, int, tuple[int, ...]] | None = None

    @property
    def running(self) -> bool:
        return self.state is ContainerState.RUNNING

    @property
    def ended(self) -> bool:
        return self.state is ContainerState.EXITED

    @property
    def succeeded(self) -> bool:
        return self.ended and self.exit_code == 0

    def exited(self, *, exit_code: int, at: int) -> bool:
        """Record the exit; False when it was known. The reason is the runtime's default for the code."""
        if self.ended:
            return False
        self.state = ContainerState.EXITED
        self.exit_code = exit_code
        self.finished_at = at
        self.reason = self.reason or ("Completed" if exit_code == 0 else "Error")
        return True

    def out_of_memory(self) -> None:
        """Record that the kernel killed a process of the container."""
        self.reason = "OOMKilled"

    def refresh(self, status: ContainerStatus) -> None:
        """Take over the runtime's reading, unless the record is ahead of it."""
        self.started_at = status.started_at or self.started_at
        self.image, self.image_ref = status.image, status.image_ref
        self.user = status.user
        if self.ended:
            return
        self.state = status.state
        if status.state is ContainerState.EXITED:
            self.exit_code, self.finished_at = status.exit_code, status.finished_at
            self.reason = status.reason or ("Completed" if status.exit_code == 0 else "Error")
            self.message = status.message


@dataclass(slots=True)
class PodRecords:
    """A pod's sandboxes, newest first, and its containers by name, newest first."""

    sandboxes: list[SandboxRecord] = field(default_factory=list)
    containers: dict[str, list[ContainerRecord]] = field(default_factory=dict)

    def latest(self, name: str) -> ContainerRecord | None:
        found = self.containers.get(name)
        return found[0] if found else None

    def by_id(self, container_id: str) -> ContainerRecord | None:
        return next((record for record in self if record.id == container_id), None)

    def add(self, record: ContainerRecord) -> None:
        self.containers.setdefault(record.name, []).insert(0, record)

    def forget(self, container_id: str) -> None:
        for records in self.containers.values():
            records[:] = [record for record in records if record.id != container_id]

    def running(self) -> list[ContainerRecord]:
        """List containers whose process may live: running ones and those of unknown state."""
        return [r for r in self if r.state in (ContainerState.RUNNING, ContainerState.UNKNOWN)]

    @property
    def sandbox(self) -> SandboxRecord | None:
        """The newest sandbox, ready or not."""
        return self.sandboxes[0] if self.sandboxes else None

    @property
    def ready_sandbox(self) -> SandboxRecord | None:
        return next((sandbox for sandbox in self.sandboxes if sandbox.ready), None)

    def __iter__(self) -> Iterator[ContainerRecord]:
        for records in self.containers.values():
            yield from records

    def sort(self) -> None:
        """Put the newest first: after a relist."""
        self.sandboxes.sort(key=lambda s: (s.created_at, s.attempt), reverse=True)
        for records in self.containers.values():
            records.sort(key=lambda r: (r.created_at, r.attempt), reverse=True)


def sandbox_record(sandbox: Sandbox, ips: Sequence[str] = ()) -> SandboxRecord:
    return SandboxRecord(
        id=sandbox.id, attempt=sandbox.attempt, ready=sandbox.ready, created_at=sandbox.created_at, ips=ips
    )


def container_record(status: ContainerStatus, sandbox_id: str = "") -> ContainerRecord:
    """Rebuild a record from the runtime's status and the annotations that the kubelet left."""
    notes: Mapping[str, str] = status.annotations
    record = ContainerRecord(
        id=status.id,
        sandbox_id=sandbox_id,
        name=status.labels.get(pods.CONTAINER_NAME, status.name),
        attempt=int(notes.get(pods.RESTART_COUNT, status.attempt)),
        state=ContainerState.CREATED,
        created_at=status.created_at,
        hash=notes.get(pods.CONTAINER_HASH, ""),
        log_path=status.log_path,
        termination_path=notes.get(pods.TERMINATION_PATH, ""),
        termination_policy=notes.get(pods.TERMINATION_POLICY, "File"),
    )
    record.refresh(status)
    return record
