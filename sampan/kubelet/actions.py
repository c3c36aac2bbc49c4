"""What must be done to bring a pod from what runs to what its spec says. Pure; kubelet's ``computePodActions``.

Order of starting: ephemeral containers when the pod is up, init containers one after the other (a sidecar counts as
done once it started), then all regular containers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sampan.kubelet.pods import (
    container_hash,
    containers_of,
    ephemeral_containers_of,
    init_containers_of,
    is_sidecar,
    restart_policy,
)
from sampan.kubelet.runtime import ContainerState

if TYPE_CHECKING:
    from collections.abc import Collection

    from sampan.api.object import Object
    from sampan.kubelet.records import ContainerRecord, PodRecords


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeVerdicts:
    """What probes say of containers, by container id.

    unstarted: whose startup probe has not succeeded yet. failed_liveness, failed_startup: to be killed.
    """

    unstarted: Collection[str] = ()
    failed_liveness: Collection[str] = ()
    failed_startup: Collection[str] = ()


@dataclass(slots=True)
class PodActions:
    """What a pass is to do.

    kill_pod: stop the sandbox and all in it. create_sandbox: with `attempt`. kill: container -> why. start: in order.
    kill_sidecars: the regular containers are done for good, the sidecars end in reverse order.
    """

    kill_pod: bool = False
    create_sandbox: bool = False
    attempt: int = 0
    kill: list[tuple[ContainerRecord, str]] = field(default_factory=list)
    start: list[Object] = field(default_factory=list)
    kill_sidecars: list[ContainerRecord] = field(default_factory=list)


def compute(pod: Object, records: PodRecords, verdicts: ProbeVerdicts) -> PodActions:
    """Decide what to do next."""
    actions = PodActions()
    sandbox = records.sandbox
    changed = sandbox is None or not sandbox.ready
    if changed:
        _restart_sandbox(pod, records, actions, had_sandbox=sandbox is not None)
        return actions
    for container in ephemeral_containers_of(pod):
        if records.latest(container["name"]) is None:
            actions.start.append(container)
    if not _initialize(pod, records, verdicts, actions):
        return actions
    keep = _regular(pod, records, verdicts, actions)
    if keep == 0 and not any(c in actions.start for c in containers_of(pod)) and not _pending(pod, records):
        _finish(pod, records, actions)
    return actions


def should_restart(pod: Object, container: Object, record: ContainerRecord | None) -> bool:
    """Tell whether a container that does not run is to be started (again)."""
    if record is None or record.state is ContainerState.CREATED:
        return True
    if record.running:
        return False
    if record.state is ContainerState.UNKNOWN:
        return True
    for rule in container.get("restartPolicyRules") or ():
        if rule.get("action") == "Restart" and _matches(rule.get("exitCodes") or {}, record.exit_code):
            return True
    policy = container.get("restartPolicy") or restart_policy(pod)
    return policy == "Always" or (policy == "OnFailure" and record.exit_code != 0)


def _matches(requirement: Object, code: int) -> bool:
    listed = code in (requirement.get("values") or ())
    return listed if requirement.get("operator") == "In" else not listed


def _restart_sandbox(pod: Object, records: PodRecords, actions: PodActions, *, had_sandbox: bool) -> None:
    actions.kill_pod = bool(records.sandboxes)
    attempt = records.sandboxes[0].attempt + 1 if had_sandbox else 0
    wanted = [c for c in containers_of(pod) if should_restart(pod, c, _as_dead(records.latest(c["name"])))]
    never_again = restart_policy(pod) == "Never" and attempt != 0 and any(True for _ in records)
    if never_again or (not wanted and any(True for _ in records)):
        actions.kill_pod = bool(records.running()) or any(s.ready for s in records.sandboxes)
        return
    actions.create_sandbox, actions.attempt = True, attempt
    init = init_containers_of(pod)
    if init:
        actions.start.append(init[0])
    else:
        actions.start.extend(wanted)


def _as_dead(record: ContainerRecord | None) -> ContainerRecord | None:
    """A container of a dead sandbox is not running, whatever its record says; it counts as to be started anew."""
    return None if record is not None and record.running else record


def _initialize(pod: Object, records: PodRecords, verdicts: ProbeVerdicts, actions: PodActions) -> bool:
    """Handle init containers and sidecars; True when regular containers may run."""
    init = init_containers_of(pod)
    if not init:
        return True
    # Once any regular container was started, ordinary init containers are history; sidecars are still kept up.
    done = any(
        (record := records.latest(c["name"])) is not None and record.state is not ContainerState.CREATED
        for c in containers_of(pod)
    )
    for container in init:
        record = records.latest(container["name"])
        if is_sidecar(container):
            if not _keep_sidecar(container, record, verdicts, actions) and not done:
                return False
            continue
        if done or (record is not None and record.succeeded):
            continue
        if record is not None and record.running:
            return False
        if record is not None and record.ended and restart_policy(pod) == "Never":
            actions.kill_pod = True
            return False
        actions.start.append(container)
        return False
    return True


def _keep_sidecar(
    container: Object, record: ContainerRecord | None, verdicts: ProbeVerdicts, actions: PodActions
) -> bool:
    """Start or restart a sidecar; True when it has started, so that the next container may."""
    if record is None or not record.running:
        actions.start.append(container)
        return False
    reason = _reason_to_kill(container, record, verdicts)
    if reason:
        actions.kill.append((record, reason))
        return False
    return record.id not in verdicts.unstarted


def _regular(pod: Object, records: PodRecords, verdicts: ProbeVerdicts, actions: PodActions) -> int:
    """Decide on every regular container; return how many stay as they are and run."""
    keep = 0
    for container in containers_of(pod):
        record = records.latest(container["name"])
        if record is None or not record.running:
            if should_restart(pod, container, record):
                if record is not None and record.state is ContainerState.UNKNOWN:
                    # It may still run: it must be dead for certain before another one starts.
                    actions.kill.append((record, 'Container is in "unknown" state, try killing it before restart'))
                actions.start.append(container)
            continue
        reason = _reason_to_kill(container, record, verdicts)
        if reason is None:
            keep += 1
            continue
        actions.kill.append((record, reason))
        if restart_policy(pod) != "Never" or "definition changed" in reason:
            actions.start.append(container)
    return keep


def _reason_to_kill(container: Object, record: ContainerRecord, verdicts: ProbeVerdicts) -> str | None:
    name = container["name"]
    if record.hash and record.hash != container_hash(container):
        return f"Container {name} definition changed"
    if record.id in verdicts.failed_liveness:
        return f"Container {name} failed liveness probe"
    if record.id in verdicts.failed_startup:
        return f"Container {name} failed startup probe"
    return None


def _pending(pod: Object, records: PodRecords) -> bool:
    """Tell whether a container is being killed and its end is still to be seen."""
    return any((record := records.latest(c["name"])) is not None and record.running for c in containers_of(pod))


def _finish(pod: Object, records: PodRecords, actions: PodActions) -> None:
    """All regular containers have ended for good: sidecars go, then the pod."""
    names = {c["name"] for c in init_containers_of(pod) if is_sidecar(c)}
    alive = [r for r in records.running() if r.name in names]
    actions.start = []
    if alive:
        actions.kill_sidecars = alive
    else:
        actions.kill_pod = True
