"""`kubectl label` and `kubectl annotate`: set and remove keys of metadata by a merge patch."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError
from sampan.client.interface import MERGE_PATCH
from sampan.kubectl.builder import FILE_FLAGS, SELECT_FLAGS, Failures, Target, from_arguments, from_files
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.fetch import objects_of, require_names
from sampan.kubectl.flags import Flag
from sampan.kubectl.output import printer
from sampan.kubectl.writing import WRITE_FLAGS, dry_run_of, manager_flag, with_type, write_query

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.session import Session


def _flags(command: str) -> tuple[Flag, ...]:
    return (
        *FILE_FLAGS,
        *SELECT_FLAGS,
        *WRITE_FLAGS,
        manager_flag(command),
        Flag(name="all", kind="bool", help="All objects of the given types in the namespace."),
        Flag(name="list", kind="bool", help="Show the keys and values."),
        Flag(name="local", kind="bool", help="Do not ask the server."),
        Flag(name="overwrite", kind="bool", help="Replace values that are there."),
        Flag(name="resource-version", help="Only if the object is at this resourceVersion."),
    )


async def label(session: Session, arguments: list[str], dash: int) -> None:
    """Run label."""
    del dash
    await _run(session, arguments, "label", "labels")


async def annotate(session: Session, arguments: list[str], dash: int) -> None:
    """Run annotate."""
    del dash
    await _run(session, arguments, "annotation", "annotations")


async def _run(session: Session, arguments: list[str], what: str, field: str) -> None:
    values = session.values
    resources, changes, removals = _split(arguments, what)
    if not resources and not values.filename:
        raise KubectlError("one or more resources must be specified as <resource> <name> or <resource>/<name>")
    if not changes and not removals and not values.list:
        raise KubectlError(f"at least one {what} update is required")
    targets = await (from_files(session) if values.filename else from_arguments(session, resources))
    require_names(session, targets)
    failures = Failures()
    for target, obj in await objects_of(session, targets, failures):
        try:
            await _change(session, target, obj, (what, field), changes, removals)
        except (APIStatusError, KubectlError) as error:
            failures.add(error)
    failures.finish()


def _split(arguments: list[str], what: str) -> tuple[list[str], dict[str, str], list[str]]:
    resources: list[str] = []
    changes: dict[str, str] = {}
    removals: list[str] = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if equals and key:
            changes[key] = value
        elif argument.endswith("-") and len(argument) > 1 and not equals:
            removals.append(argument[:-1])
        elif not changes and not removals:
            resources.append(argument)
        else:
            raise KubectlError(f"all resources must be specified before {what} changes: {argument}")
    both = sorted(set(changes) & set(removals))
    if both:
        kind = "a label" if what == "label" else "an annotation"
        raise KubectlError(f"can not both modify and remove {kind} in the same command")
    return resources, changes, removals


async def _change(  # noqa: PLR0917
    session: Session, target: Target, obj: Object, words: tuple[str, str], changes: dict[str, str], removals: list[str]
) -> None:
    values, (what, field) = session.values, words
    current: dict[str, str] = obj["metadata"].get(field) or {}
    if values.list:
        _list(current)
        return
    if not values.overwrite:
        _check_overwrite(what, current, changes)
    for key in removals:
        if key not in current and what == "label":
            print(f'label "{key}" not found.')
    body: Object = {"metadata": {field: {**changes, **dict.fromkeys(removals)}}}
    if values.resource_version:
        body["metadata"]["resourceVersion"] = values.resource_version
    new = {**current, **changes}
    for key in removals:
        new.pop(key, None)
    done = _label_message(current, new, changes, removals) if what == "label" else "annotated"
    if dry_run_of(values) == "client" or (done == "not labeled" and not values.resource_version):
        result = {**obj, "metadata": {**obj["metadata"], field: new}}
    else:
        result = await session.json(
            "PATCH", target.path, query=write_query(values), body=body, content_type=MERGE_PATCH
        )
    _report(session, target, result, done)


def _check_overwrite(what: str, current: dict[str, str], changes: dict[str, str]) -> None:
    taken = [key for key, value in sorted(changes.items()) if key in current and current[key] != value]
    if not taken:
        return
    if what == "label":
        key = taken[0]
        raise KubectlError(f"'{key}' already has a value ({current[key]}), and --overwrite is false")
    shown = "; ".join(f"'{key}' already has a value ({current[key]})" for key in taken)
    raise KubectlError(f"--overwrite is false but found the following declared annotation(s): {shown}")


def _label_message(current: dict[str, str], new: dict[str, str], changes: dict[str, str], removals: list[str]) -> str:
    if current == new:
        return "not labeled"
    labelled = any(current.get(key) != value for key, value in changes.items())
    return "labeled" if labelled or not removals else "unlabeled"


def _list(current: dict[str, str]) -> None:
    for key, value in sorted(current.items()):
        print(f"{key}={value}")


def _report(session: Session, target: Target, obj: Object, done: str) -> None:
    values = session.values
    if values.output and values.output != "name":
        sys.stdout.write(printer(values)(with_type(obj, target)))
        return
    suffix = {"none": "", "client": " (dry run)", "server": " (server dry run)"}[dry_run_of(values)]
    print(target.shown if values.output else f"{target.shown} {done}{suffix}")


LABEL = Command(
    name="label",
    short="Update the labels on a resource.",
    usage="[--overwrite] (-f FILENAME | TYPE NAME) KEY_1=VAL_1 ... KEY_N=VAL_N [--resource-version=version]",
    run=label,
    flags=_flags("label"),
)
ANNOTATE = Command(
    name="annotate",
    short="Update the annotations on a resource.",
    usage="[--overwrite] (-f FILENAME | TYPE NAME) KEY_1=VAL_1 ... KEY_N=VAL_N [--resource-version=version]",
    run=annotate,
    flags=_flags("annotate"),
)
