"""`kubectl scale`: set how many pods a controller keeps, through its scale subresource."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError, Conflict
from sampan.kubectl.builder import FILE_FLAGS, Failures, Target, from_arguments, from_files
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.flags import Flag
from sampan.kubectl.writing import WRITE_FLAGS, dry_run_of, report, write_query

if TYPE_CHECKING:
    from sampan.kubectl.session import Session

_FLAGS = (
    *FILE_FLAGS,
    *WRITE_FLAGS,
    Flag(name="all", kind="bool", help="All of the given types in the namespace."),
    Flag(name="current-replicas", kind="int", default=-1, help="Scale only if this many are asked for now."),
    Flag(name="replicas", kind="int", help="How many pods to keep; required."),
    Flag(name="resource-version", help="Scale only if the object is at this resourceVersion."),
    Flag(name="selector", short="l", help="Label selector."),
    Flag(name="timeout", kind="duration", help="How long to wait until the pods are there; 0 does not wait."),
)
_CONFLICTS = 10


async def run(session: Session, arguments: list[str], dash: int) -> None:
    """Run the command."""
    del dash
    values = session.values
    if "replicas" not in values.changed:
        raise KubectlError('required flag(s) "replicas" not set')
    if values.replicas < 0:
        raise KubectlError("The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0")
    targets = await (from_files(session) if values.filename else from_arguments(session, arguments))
    if not targets:
        raise KubectlError("resource(s) were provided, but no name was specified")
    failures = Failures()
    for target in [one for group in targets for one in await _members(session, group)]:
        try:
            await _scale(session, target)
        except (APIStatusError, KubectlError) as error:
            failures.add(error)
    failures.finish()


async def _members(session: Session, target: Target) -> list[Target]:
    if target.name:
        return [target]
    values = session.values
    if not values.all and not values.selector:
        raise KubectlError("resource(s) were provided, but no name was specified")
    query = {"labelSelector": values.selector} if values.selector else {}
    listing = await session.json("GET", target.resource.path(target.namespace), query=query)
    return [
        Target(resource=target.resource, namespace=target.namespace, name=one["metadata"]["name"])
        for one in listing["items"]
    ]


async def _scale(session: Session, target: Target) -> None:
    values = session.values
    path = target.resource.path(target.namespace, target.name, "scale")
    if dry_run_of(values) == "client":
        report(session, target, await session.json("GET", target.path), "scaled")
        return
    for attempt in range(_CONFLICTS):
        scale = await session.json("GET", path)
        current = scale["spec"].get("replicas", 0)
        if values.current_replicas >= 0 and current != values.current_replicas:
            raise KubectlError(f"Expected replicas to be {values.current_replicas}, was {current}")
        if values.resource_version and scale["metadata"]["resourceVersion"] != values.resource_version:
            raise KubectlError(
                f"Expected resource version to be {values.resource_version}, was {scale['metadata']['resourceVersion']}"
            )
        scale["spec"]["replicas"] = values.replicas
        try:
            await session.json("PUT", path, query=write_query(values), body=scale)
            break
        except Conflict:
            if attempt == _CONFLICTS - 1:
                raise
    obj = await session.json("GET", target.path) if values.output not in ("", "name") else {}
    report(session, target, obj, "scaled")
    if values.timeout > 0:
        from sampan.kubectl.waiting import wait_scaled  # noqa: PLC0415 - start-up time

        await wait_scaled(session, target, values.replicas, values.timeout)


SCALE = Command(
    name="scale",
    short="Set a new size for a deployment, replica set or replication controller.",
    usage="[--resource-version=version] [--current-replicas=count] --replicas=COUNT (-f FILENAME | TYPE NAME)",
    run=run,
    flags=_FLAGS,
)
