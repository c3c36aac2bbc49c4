"""`kubectl rollout`: look at and steer the rollouts of Deployments, DaemonSets and StatefulSets."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sampan.api.errors import APIStatusError
from sampan.api.times import format_time
from sampan.client.interface import JSON_PATCH, STRATEGIC_MERGE_PATCH
from sampan.kubectl.builder import FILE_FLAGS, Failures, Target, from_arguments, from_files
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.fetch import require_names
from sampan.kubectl.flags import Flag
from sampan.kubectl.output import OUTPUT_FLAGS
from sampan.kubectl.waiting import watch_one
from sampan.kubectl.writing import DRY_RUN_FLAGS, manager_flag, report, write_query

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sampan.api.object import Object
    from sampan.kubectl.session import Session

_REVISION = "deployment.kubernetes.io/revision"
_CAUSE = "kubernetes.io/change-cause"
_RESTARTED = "kubectl.kubernetes.io/restartedAt"
_SELECTOR = Flag(name="selector", short="l", help="Label selector.")


def _each(act: Callable[[Session, Target, Object], Awaitable[None]], usage: str) -> Any:
    async def run(session: Session, arguments: list[str], dash: int) -> None:
        del dash
        targets = await (from_files(session) if session.values.filename else from_arguments(session, arguments))
        if not targets:
            raise KubectlError(f"required resource not specified; {usage}")
        require_names(session, targets)
        failures = Failures()
        for target in targets:
            try:
                await act(session, target, await session.json("GET", target.path))
            except (APIStatusError, KubectlError) as error:
                failures.add(error)
        failures.finish()

    return run


async def _status(session: Session, target: Target, obj: Object) -> None:
    values = session.values
    viewer = _VIEWERS.get(obj["kind"])
    if viewer is None:
        raise KubectlError(f"no status viewer has been implemented for {obj['kind']}")
    shown = ""
    while True:
        text, done = viewer(obj)
        if text != shown:
            print(text, flush=True)
            shown = text
        if done or not values.watch:
            return
        async for event in watch_one(session, target, obj["metadata"]["resourceVersion"]):
            if event["type"] == "DELETED":
                raise KubectlError("object has been deleted")
            obj = event["object"]
            text, done = viewer(obj)
            if text != shown:
                print(text, flush=True)
                shown = text
            if done:
                return


def _deployment_status(obj: Object) -> tuple[str, bool]:
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    name = meta["name"]
    if meta.get("generation", 0) > status.get("observedGeneration", 0):
        return "Waiting for deployment spec update to be observed...", False
    for one in status.get("conditions") or []:
        if one["type"] == "Progressing" and one.get("reason") == "ProgressDeadlineExceeded":
            raise KubectlError(f'deployment "{name}" exceeded its progress deadline')
    wanted, updated = spec.get("replicas", 1), status.get("updatedReplicas", 0)
    total, available = status.get("replicas", 0), status.get("availableReplicas", 0)
    waiting = f'Waiting for deployment "{name}" rollout to finish:'
    if updated < wanted:
        return f"{waiting} {updated} out of {wanted} new replicas have been updated...", False
    if total > updated:
        return f"{waiting} {total - updated} old replicas are pending termination...", False
    if available < updated:
        return f"{waiting} {available} of {updated} updated replicas are available...", False
    return f'deployment "{name}" successfully rolled out', True


def _daemon_set_status(obj: Object) -> tuple[str, bool]:
    meta, status = obj["metadata"], obj.get("status") or {}
    if obj["spec"].get("updateStrategy", {}).get("type") != "RollingUpdate":
        raise KubectlError("rollout status is only available for RollingUpdate strategy type")
    if meta.get("generation", 0) > status.get("observedGeneration", 0):
        return "Waiting for daemon set spec update to be observed...", False
    wanted, updated = status.get("desiredNumberScheduled", 0), status.get("updatedNumberScheduled", 0)
    available, waiting = status.get("numberAvailable", 0), f'Waiting for daemon set "{meta["name"]}" rollout to finish:'
    if updated < wanted:
        return f"{waiting} {updated} out of {wanted} new pods have been updated...", False
    if available < wanted:
        return f"{waiting} {available} of {wanted} updated pods are available...", False
    return f'daemon set "{meta["name"]}" successfully rolled out', True


def _stateful_set_status(obj: Object) -> tuple[str, bool]:
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") != "RollingUpdate":
        raise KubectlError("rollout status is only available for RollingUpdate strategy type")
    if not status.get("observedGeneration") or meta.get("generation", 0) > status["observedGeneration"]:
        return "Waiting for statefulset spec update to be observed...", False
    wanted, ready, updated = spec.get("replicas", 1), status.get("readyReplicas", 0), status.get("updatedReplicas", 0)
    if ready < wanted:
        return f"Waiting for {wanted - ready} pods to be ready...", False
    partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
    if partition:
        if updated < wanted - partition:
            return (
                f"Waiting for partitioned roll out to finish: {updated} out of {wanted - partition} new pods have been "
                "updated..."
            ), False
        return f"partitioned roll out complete: {updated} new pods have been updated...", True
    if status.get("updateRevision") != status.get("currentRevision"):
        return (
            f"waiting for statefulset rolling update to complete {updated} pods at revision "
            f"{status.get('updateRevision', '')}..."
        ), False
    current, revision = status.get("currentReplicas", 0), status.get("currentRevision", "")
    return f"statefulset rolling update complete {current} pods at revision {revision}...", True


_VIEWERS = {"Deployment": _deployment_status, "DaemonSet": _daemon_set_status, "StatefulSet": _stateful_set_status}


async def _revisions(session: Session, obj: Object) -> dict[int, Object]:
    """Revision -> the object that holds its template: replica sets, or controller revisions."""
    from sampan.kubectl.describe.workloads import replica_sets  # noqa: PLC0415 - start-up time

    meta = obj["metadata"]
    if obj["kind"] == "Deployment":
        old, new = await replica_sets(session, obj)
        found = {}
        for one in [*old, *([new] if new else [])]:
            revision = (one["metadata"].get("annotations") or {}).get(_REVISION, "")
            if revision.isdigit():
                found[int(revision)] = one
        return found
    if obj["kind"] not in _VIEWERS:
        raise KubectlError(f'no history viewer has been implemented for "{obj["kind"]}"')
    listing = await session.json("GET", f"/apis/apps/v1/namespaces/{meta['namespace']}/controllerrevisions")
    return {
        one["revision"]: one
        for one in listing.get("items") or []
        if any(owner["uid"] == meta["uid"] for owner in one["metadata"].get("ownerReferences") or [])
    }


def _template_of(holder: Object) -> Object:
    found: Object = holder["spec"]["template"] if "spec" in holder else holder["data"]["spec"]["template"]
    return found


async def _history(session: Session, target: Target, obj: Object) -> None:
    revisions = await _revisions(session, obj)
    wanted = session.values.revision
    if wanted:
        if wanted not in revisions:
            raise KubectlError("unable to find the specified revision")
        from sampan.kubectl.describe.pod import write_template  # noqa: PLC0415 - start-up time
        from sampan.kubectl.describe.writer import Writer  # noqa: PLC0415 - start-up time

        writer = Writer()
        write_template(writer, _template_of(revisions[wanted]))
        print(f"{target.shown} with revision #{wanted}\n{writer.text()}", end="")
        return
    if not revisions:
        print(f"{target.shown} \nNo rollout history found.")
        return
    from sampan.kubectl.tabwriter import align  # noqa: PLC0415 - start-up time

    lines = ["REVISION\tCHANGE-CAUSE"]
    for revision in sorted(revisions):
        annotations = revisions[revision]["metadata"].get("annotations") or {}
        lines.append(f"{revision}\t{annotations.get(_CAUSE) or '<none>'}")
    print(f"{target.shown} \n{align(chr(10).join(lines), padding=2)}\n")


async def _undo(session: Session, target: Target, obj: Object) -> None:
    name, wanted = obj["metadata"]["name"], session.values.to_revision
    revisions = await _revisions(session, obj)
    if obj["spec"].get("paused"):
        raise KubectlError(
            f"you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume' and try "
            f"again: {name}"
        )
    if wanted:
        if wanted not in revisions:
            raise KubectlError(f"unable to find specified revision {wanted} in history")
        revision = wanted
    else:
        if len(revisions) < 2:
            kind = obj["kind"].lower()
            raise KubectlError(
                f'no rollout history found for {kind} "{name}"'
                if obj["kind"] == "Deployment"
                else "no last revision to roll back to"
            )
        revision = sorted(revisions)[-2]
    from sampan.kubectl.describe.workloads import template_without_hash  # noqa: PLC0415 - start-up time

    template = template_without_hash(_template_of(revisions[revision]))
    if template == template_without_hash(obj["spec"]["template"]):
        print(f"{target.shown} skipped rollback (current template already matches revision {revision})")
        return
    body = [{"op": "replace", "path": "/spec/template", "value": template}]
    result = await session.json(
        "PATCH", target.path, query=write_query(session.values), body=body, content_type=JSON_PATCH
    )
    report(session, target, result, "rolled back")


def _setter(paused: bool) -> Callable[[Session, Target, Object], Awaitable[None]]:  # noqa: FBT001 - a factory's parameter
    word = "paused" if paused else "resumed"

    async def act(session: Session, target: Target, obj: Object) -> None:
        if obj["kind"] != "Deployment":
            verb = "pausing" if paused else "resuming"
            raise KubectlError(f'{target.resource.qualified} "{target.name}" {verb} is not supported')
        if bool(obj["spec"].get("paused")) == paused:
            state = "already paused" if paused else "is not paused"
            raise KubectlError(f'{target.resource.qualified} "{target.name}" {state}')
        body = {"spec": {"paused": True if paused else None}}
        result = await session.json(
            "PATCH", target.path, query=write_query(session.values), body=body, content_type=STRATEGIC_MERGE_PATCH
        )
        report(session, target, result, word)

    return act


async def _restart(session: Session, target: Target, obj: Object) -> None:
    if obj["kind"] not in _VIEWERS:
        raise KubectlError(f'{target.resource.qualified} "{target.name}" restarting is not supported')
    if obj["spec"].get("paused"):
        raise KubectlError(
            f'{target.resource.qualified} "{target.name}" can\'t restart paused deployment (run rollout resume first)'
        )
    annotations = {_RESTARTED: format_time(time.time())}
    body = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
    result = await session.json(
        "PATCH", target.path, query=write_query(session.values), body=body, content_type=STRATEGIC_MERGE_PATCH
    )
    report(session, target, result, "restarted")


async def _group(session: Session, arguments: list[str], dash: int) -> None:
    del session, dash
    if arguments:
        raise KubectlError(f"unknown command \"{arguments[0]}\"\nSee 'kubectl rollout -h' for help and examples")
    print(ROLLOUT.help("kubectl rollout"))


_WRITE = (*FILE_FLAGS, *OUTPUT_FLAGS, manager_flag("rollout"), _SELECTOR)
_SUBCOMMANDS = {
    "status": Command(
        name="status",
        short="Show the status of the rollout.",
        usage="(TYPE NAME | TYPE/NAME)",
        run=_each(_status, "TYPE/NAME"),
        flags=(
            *FILE_FLAGS,
            _SELECTOR,
            Flag(name="watch", short="w", kind="bool", default=True, help="Wait for its end."),
            Flag(name="revision", kind="int", help="Accepted for compatibility."),
            Flag(name="timeout", kind="duration", help="How long to watch."),
        ),
    ),
    "history": Command(
        name="history",
        short="View rollout history.",
        usage="(TYPE NAME | TYPE/NAME)",
        run=_each(_history, "TYPE/NAME"),
        flags=(*FILE_FLAGS, *OUTPUT_FLAGS, _SELECTOR, Flag(name="revision", kind="int", help="Show this revision.")),
    ),
    "undo": Command(
        name="undo",
        short="Undo a previous rollout.",
        usage="(TYPE NAME | TYPE/NAME)",
        run=_each(_undo, "TYPE/NAME"),
        flags=(*_WRITE, *DRY_RUN_FLAGS, Flag(name="to-revision", kind="int", help="0 for the last one.")),
    ),
    "pause": Command(
        name="pause",
        short="Mark the resource as paused.",
        usage="RESOURCE",
        run=_each(_setter(True), "RESOURCE"),
        flags=_WRITE,
    ),
    "resume": Command(
        name="resume",
        short="Resume a paused resource.",
        usage="RESOURCE",
        run=_each(_setter(False), "RESOURCE"),
        flags=_WRITE,
    ),
    "restart": Command(
        name="restart", short="Restart a resource.", usage="RESOURCE", run=_each(_restart, "RESOURCE"), flags=_WRITE
    ),
}
ROLLOUT = Command(
    name="rollout", short="Manage the rollout of a resource.", usage="SUBCOMMAND", run=_group, subcommands=_SUBCOMMANDS
)
