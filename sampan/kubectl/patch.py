"""`kubectl patch`, `kubectl replace`: change objects by patches, or as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from sampan.api import jsonpatch, mergepatch
from sampan.api.errors import APIStatusError, NotFound
from sampan.client.interface import JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH
from sampan.kubectl.builder import FILE_FLAGS, Failures, from_arguments, from_files
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.fetch import require_names
from sampan.kubectl.flags import Flag
from sampan.kubectl.writing import VALIDATE_FLAGS, WRITE_FLAGS, dry_run_of, manager_flag, report, write_query

if TYPE_CHECKING:
    from typing import Any

    from sampan.api.object import Object
    from sampan.kubectl.builder import Target
    from sampan.kubectl.session import Session

_TYPES = {"strategic": STRATEGIC_MERGE_PATCH, "merge": MERGE_PATCH, "json": JSON_PATCH}
_PATCH_FLAGS = (
    *FILE_FLAGS,
    *WRITE_FLAGS,
    manager_flag("patch"),
    Flag(name="local", kind="bool", help="Patch what the file says, without the server."),
    Flag(name="patch", short="p", help="The patch, as JSON or YAML."),
    Flag(name="patch-file", help="File that holds the patch."),
    Flag(name="subresource", help="Subresource to patch: status, scale, resize."),
    Flag(name="type", default="strategic", help="json, merge or strategic."),
)
_REPLACE_FLAGS = (
    *FILE_FLAGS,
    *WRITE_FLAGS,
    *VALIDATE_FLAGS,
    manager_flag("replace"),
    Flag(name="cascade", default="background", bare="background", help="background, orphan or foreground (--force)."),
    Flag(name="force", kind="bool", help="Delete and create anew."),
    Flag(name="grace-period", kind="int", default=-1, help="Seconds for the old object to end (--force)."),
    Flag(name="save-config", kind="bool", help="Keep the object in its annotation, for apply."),
    Flag(name="subresource", help="Subresource to replace."),
    Flag(name="timeout", kind="duration", help="How long to wait for the old object to end (--force)."),
)


async def patch(session: Session, arguments: list[str], dash: int) -> None:
    """Run patch."""
    del dash
    values = session.values
    if values.type not in _TYPES:
        raise KubectlError(f'--type must be one of [json merge strategic], not "{values.type}"')
    if bool(values.patch) == bool(values.patch_file):
        raise KubectlError("must specify --patch or --patch-file containing the contents of the patch")
    text = values.patch or Path(values.patch_file).read_text()
    body = _parsed(text)
    targets = await (from_files(session) if values.filename else from_arguments(session, arguments))
    if not targets:
        raise KubectlError("one or more resources must be specified as <resource> <name> or <resource>/<name>")
    require_names(session, targets)
    failures = Failures()
    for target in targets:
        try:
            await _patch(session, target, body)
        except APIStatusError as error:
            failures.add(error)
    failures.finish()


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        import yaml  # noqa: PLC0415 - start-up time

        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise KubectlError(f'unable to parse "{text}": {error}') from error


async def _patch(session: Session, target: Target, body: Any) -> None:
    values = session.values
    path = target.resource.path(target.namespace, target.name, values.subresource)
    before = await session.json("GET", path)
    if dry_run_of(values) == "client" or values.local:
        result = _locally(before, body, values.type, target)
    else:
        result = await session.json(
            "PATCH", path, query=write_query(values), body=body, content_type=_TYPES[values.type]
        )
    changes = _locally(before, body, values.type, target) if dry_run_of(values) == "server" else result
    done = "patched" if changes != before else "patched (no change)"
    _report(session, target, result, done)


def _report(session: Session, target: Target, result: Object, done: str) -> None:
    """Kubectl names no dry run here."""
    if session.values.output:
        report(session, target, result, done)
    else:
        print(f"{target.shown} {done}")


def _locally(before: Object, body: Any, kind: str, target: Target) -> Object:
    if kind == "json":
        result: Object = jsonpatch.apply(before, body)
        return result
    if kind == "merge":
        merged: Object = mergepatch.apply(before, body)
        return merged
    from sampan.api import strategicmerge  # noqa: PLC0415 - start-up time
    from sampan.api.schema import type_of  # noqa: PLC0415 - start-up time

    return strategicmerge.apply(type_of(target.resource.kind), before, body)


async def replace(session: Session, arguments: list[str], dash: int) -> None:
    """Run replace."""
    del arguments, dash
    values = session.values
    if not values.filename:
        raise KubectlError("must specify one of -f and -k")
    failures = Failures()
    for target in await from_files(session):
        try:
            await _replace(session, target)
        except APIStatusError as error:
            failures.add(type(error)(f'error when replacing "{target.source}": {error.message}', code=error.code,
                                     details=error.details) if error.reason != "Invalid" else error)  # fmt: skip
    failures.finish()


async def _replace(session: Session, target: Target) -> None:
    values = session.values
    obj = target.obj or {}
    if values.save_config:
        from sampan.kubectl.apply import with_annotation  # noqa: PLC0415 - start-up time

        obj = with_annotation(obj)
    if values.force:
        await _recreate(session, target, obj)
        return
    if dry_run_of(values) == "client":
        report(session, target, obj, "replaced")
        return
    path = target.resource.path(target.namespace, target.name, values.subresource)
    report(session, target, await session.json("PUT", path, query=write_query(values), body=obj), "replaced")


async def _recreate(session: Session, target: Target, obj: Object) -> None:
    from sampan.kubectl.waiting import wait_deleted  # noqa: PLC0415 - start-up time

    values = session.values
    options: Object = {"kind": "DeleteOptions", "apiVersion": "v1"}
    if values.grace_period >= 0:
        options["gracePeriodSeconds"] = values.grace_period
    try:
        await session.json("DELETE", target.path, body=options)
        where = f" from {target.namespace} namespace" if target.namespace else ""
        print(f'{target.resource.qualified_singular} "{target.name}" deleted{where}')
        await wait_deleted(session, [(target, "")], values.timeout)
    except NotFound:
        pass
    path = target.resource.path(target.namespace)
    report(session, target, await session.json("POST", path, query=write_query(values), body=obj), "replaced")


PATCH = Command(
    name="patch", short="Update fields of a resource.", run=patch, flags=_PATCH_FLAGS,
    usage="(-f FILENAME | TYPE NAME) [-p PATCH|--patch-file FILE]",
)  # fmt: skip
REPLACE = Command(
    name="replace",
    short="Replace a resource by file name or stdin.",
    usage="-f FILENAME",
    run=replace,
    flags=_REPLACE_FLAGS,
)
