"""`kubectl delete`: objects by name, selector or file; waits until they are gone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError, NotFound
from sampan.kubectl.builder import FILE_FLAGS, SELECT_FLAGS, Failures, Target, from_arguments, from_files
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.flags import Flag
from sampan.kubectl.writing import DRY_RUN_FLAGS, dry_run_of

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.session import Session

_FLAGS = (
    *FILE_FLAGS,
    *SELECT_FLAGS,
    *DRY_RUN_FLAGS,
    Flag(name="all", kind="bool", help="All objects of the given types in the namespace."),
    Flag(name="cascade", default="background", bare="background", help="background, orphan or foreground."),
    Flag(name="force", kind="bool", help="Remove the object at once, with --grace-period=0, without confirmation."),
    Flag(name="grace-period", kind="int", default=-1, help="Seconds for the object to end; negative: its own."),
    Flag(name="ignore-not-found", kind="bool", help="Succeed for objects that do not exist."),
    Flag(name="interactive", short="i", kind="bool", help="Ask before deleting."),
    Flag(name="now", kind="bool", help="The same as --grace-period=1."),
    Flag(name="output", short="o", help="name, or nothing for a sentence."),
    Flag(name="raw", help="Path to send the DELETE to."),
    Flag(name="timeout", kind="duration", help="How long to wait for the end; 0 takes it from the object."),
    Flag(name="wait", kind="bool", default=True, help="Wait until the objects are gone."),
)
_CASCADE = {
    "background": "Background",
    "orphan": "Orphan",
    "foreground": "Foreground",
    "true": "Background",
    "false": "Orphan",
}

_NOTHING = (
    "You must provide one or more resources by argument or filename.\nExample resource specifications include:\n"
    "   '-f rsrc.yaml'\n   '--filename=rsrc.json'\n   '<resource> <name>'\n   '<resource>'"
)
_FORCED = (
    "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The "
    "resource may continue to run on the cluster indefinitely."
)


async def run(session: Session, arguments: list[str], dash: int) -> None:  # noqa: C901
    """Run the command."""
    del dash
    values = session.values
    if values.raw:
        answer = await session.request("DELETE", values.raw)
        sys.stdout.write(answer.body.decode())
        return
    options = _options(session)
    targets = await (from_files(session) if values.filename else from_arguments(session, arguments))
    if not targets:
        raise KubectlError(_NOTHING)
    if values.force:
        print(_FORCED, file=sys.stderr)
    failures = Failures()
    deleted: list[tuple[Target, str]] = []
    found = 0
    for target in targets:
        for one in await _members(session, target):
            found += 1
            try:
                uid = await _delete(session, one, options)
            except NotFound as error:
                if not (values.ignore_not_found or values.all or values.selector):
                    failures.add(error)
                continue
            except APIStatusError as error:
                failures.add(error)
                continue
            deleted.append((one, uid))
    if not found and not failures.count:
        print("No resources found")
    if values.wait and not values.force and dry_run_of(values) == "none" and deleted:
        from sampan.kubectl.waiting import wait_deleted  # noqa: PLC0415 - start-up time

        await wait_deleted(session, deleted, values.timeout)
    failures.finish()


def _options(session: Session) -> Object:
    values = session.values
    grace = values.grace_period
    if values.now:
        if grace != -1:
            raise KubectlError("--now and --grace-period cannot be specified together")
        grace = 1
    if values.force and grace < 0:
        grace = 0
    if grace == 0 and not values.force:
        if values.wait is False:
            raise KubectlError("cannot set --wait to false with --grace-period=0 and without --force")
        grace = 1  # the API's word for "as soon as it is safe"
    if values.cascade not in _CASCADE:
        raise KubectlError(f'invalid cascade value ({values.cascade}). Must be "background", "foreground", or "orphan"')
    options: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": _CASCADE[values.cascade]}
    if grace >= 0:
        options["gracePeriodSeconds"] = grace
    if dry_run_of(values) == "server":
        options["dryRun"] = ["All"]
    return options


async def _members(session: Session, target: Target) -> list[Target]:
    values = session.values
    if target.name:
        return [target]
    if not (values.all or values.selector or values.field_selector):
        raise KubectlError("resource(s) were provided, but no name was specified")
    query = {}
    if values.selector:
        query["labelSelector"] = values.selector
    if values.field_selector:
        query["fieldSelector"] = values.field_selector
    listing = await session.json("GET", target.resource.path(target.namespace), query=query)
    return [
        Target(resource=target.resource, namespace=one["metadata"].get("namespace", ""), name=one["metadata"]["name"])
        for one in listing["items"]
    ]


async def _delete(session: Session, target: Target, options: Object) -> str:
    """Delete one object and say so; returns the uid of what was deleted."""
    values = session.values
    if dry_run_of(values) == "client":
        uid = ""
    else:
        answer = await session.json("DELETE", target.path, body=options)
        uid = (answer.get("details") or answer.get("metadata") or {}).get("uid", "")
    if values.output == "name":
        print(target.shown)
        return uid
    what = "force deleted" if values.force else "deleted"
    suffix = {"none": "", "client": " (dry run)", "server": " (server dry run)"}[dry_run_of(values)]
    where = f" from {target.namespace} namespace" if target.namespace else ""
    print(f'{target.resource.qualified_singular} "{target.name}" {what}{where}{suffix}')
    return uid


DELETE = Command(
    name="delete",
    short="Delete objects by file names, names, or selector.",
    usage="([-f FILENAME] | TYPE [(NAME | -l label | --all)])",
    run=run,
    flags=_FLAGS,
)
