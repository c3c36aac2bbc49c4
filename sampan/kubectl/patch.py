"""`kubectl patch`: strategic merge, merge or JSON patches from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampan.api.errors import APIStatusError
from sampan.client.interface import JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH
from sampan.kubectl.builder import FILE_FLAGS, Failures, from_arguments, from_files
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.fetch import require_names
from sampan.kubectl.flags import Flag
from sampan.kubectl.writing import WRITE_FLAGS, dry_run_of, manager_flag, report, write_query

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.builder import Target
    from sampan.kubectl.flags import Values
    from sampan.kubectl.session import Session

_TYPES = {"json": JSON_PATCH, "merge": MERGE_PATCH, "strategic": STRATEGIC_MERGE_PATCH}
_FLAGS = (
    *FILE_FLAGS,
    *WRITE_FLAGS,
    manager_flag("patch"),
    Flag(name="local", kind="bool", help="Patch only what -f gives, and send nothing."),
    Flag(name="patch", short="p", help="The patch, JSON or YAML."),
    Flag(name="patch-file", help="A file with the patch."),
    Flag(name="subresource", help="Patch a subresource: status, scale, resize."),
    Flag(name="type", default="strategic", help="json, merge or strategic."),
)


async def run(session: Session, arguments: list[str], dash: int) -> None:
    """Run the command."""
    del dash
    values = session.values
    content_type = _TYPES.get(values.type.lower())
    if content_type is None:
        raise KubectlError(f'--type must be one of [json merge strategic], not "{values.type}"')
    patch = _parse(values)
    targets = await (from_files(session) if values.filename else from_arguments(session, arguments))
    if not targets:
        raise KubectlError("You must provide one or more resources by argument or filename.")
    require_names(session, targets)
    failures = Failures()
    for target in targets:
        try:
            await _patch(session, target, patch, content_type)
        except APIStatusError as error:
            failures.add(error)
    failures.finish()


def _parse(values: Values) -> Any:
    if bool(values.patch) == bool(values.patch_file):
        raise KubectlError("must specify --patch or --patch-file containing the contents of the patch"
                           if not values.patch else "cannot specify --patch and --patch-file together")  # fmt: skip
    text = values.patch
    if values.patch_file:
        try:
            text = Path(values.patch_file).read_text()
        except OSError as error:
            raise KubectlError(f"unable to read patch file: open {values.patch_file}: {error.strerror}") from error
    try:
        return json.loads(text)
    except ValueError:
        import yaml  # noqa: PLC0415 - start-up time

        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise KubectlError(f'unable to parse "{text}": {error}') from error


async def _patch(session: Session, target: Target, patch: Any, content_type: str) -> None:
    values = session.values
    before: Object = await session.json("GET", target.path)
    if dry_run_of(values) == "client" or values.local:
        report(session, target, before, "patched")
        return
    path = target.resource.path(target.namespace, target.name, values.subresource)
    after = await session.json("PATCH", path, query=write_query(values), body=patch, content_type=content_type)
    same = before["metadata"].get("resourceVersion") == after["metadata"].get("resourceVersion")
    report(session, target, after, "patched (no change)" if same and not values.subresource else "patched")


PATCH = Command(
    name="patch",
    short="Update fields of a resource.",
    usage="(-f FILENAME | TYPE NAME) [-p PATCH|--patch-file FILE]",
    run=run,
    flags=_FLAGS,
)
