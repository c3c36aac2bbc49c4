"""`kubectl label` and `kubectl annotate`: set and remove pairs in metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sampan.api.errors import APIStatusError
from sampan.client.interface import MERGE_PATCH
from sampan.kubectl.builder import FILE_FLAGS, SELECT_FLAGS, Failures, Target, from_arguments, from_files
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.fetch import objects_of, require_names
from sampan.kubectl.flags import Flag
from sampan.kubectl.writing import WRITE_FLAGS, dry_run_of, manager_flag, report, write_query

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.session import Session


@dataclass(frozen=True, slots=True)
class _Kind:
    """What differs between the two commands."""

    field: str
    word: str
    done: str
    removed: str


_LABELS = _Kind("labels", "label", "labeled", "unlabeled")
_ANNOTATIONS = _Kind("annotations", "annotation", "annotated", "annotated")


def _flags(command: str) -> tuple[Flag, ...]:
    return (
        *FILE_FLAGS, *SELECT_FLAGS, *WRITE_FLAGS, manager_flag(command),
        Flag(name="all", kind="bool", help="All objects of the given types in the namespace."),
        Flag(name="list", kind="bool", help="Show what the objects have."),
        Flag(name="local", kind="bool", help="Change only what -f gives, and send nothing."),
        Flag(name="overwrite", kind="bool", help="Let new values replace others."),
        Flag(name="resource-version", help="Change only if the object is at this resourceVersion."),
    )  # fmt: skip


async def run_label(session: Session, arguments: list[str], dash: int) -> None:
    """Run `kubectl label`."""
    del dash
    await _run(session, arguments, _LABELS)


async def run_annotate(session: Session, arguments: list[str], dash: int) -> None:
    """Run `kubectl annotate`."""
    del dash
    await _run(session, arguments, _ANNOTATIONS)


async def _run(session: Session, arguments: list[str], kind: _Kind) -> None:
    values = session.values
    names, new, gone = _split(arguments, kind)
    if not new and not gone and not values.list:
        raise KubectlError(f"at least one {kind.word} update is required")
    targets = await (from_files(session) if values.filename else from_arguments(session, names))
    if not targets:
        raise KubectlError("one or more resources must be specified as <resource> <name> or <resource>/<name>")
    require_names(session, targets)
    failures = Failures()
    for target, obj in await objects_of(session, targets, failures):
        try:
            await _change(session, target, obj, kind, new, gone)
        except (APIStatusError, KubectlError) as error:
            failures.add(error)
    failures.finish()


def _split(arguments: list[str], kind: _Kind) -> tuple[list[str], dict[str, str], list[str]]:
    """Take resources, new pairs and removals apart; pairs come after the resources. Raises KubectlError."""
    names: list[str] = []
    new: dict[str, str] = {}
    gone: list[str] = []
    for argument in arguments:
        key, separator, value = argument.partition("=")
        if separator:
            if not key:
                raise KubectlError(f"invalid {kind.word} spec: {argument}")
            new[key] = value
        elif argument.endswith("-") and len(argument) > 1:
            gone.append(argument[:-1])
        elif new or gone:
            raise KubectlError(f"all resources must be specified before {kind.word} changes: {argument}")
        else:
            names.append(argument)
    if both := [key for key in gone if key in new]:
        raise KubectlError(f"cannot modify and remove {kind.word}(s) in the same command: {', '.join(both)}")
    return names, new, gone


async def _change(
    session: Session, target: Target, obj: Object, kind: _Kind, new: dict[str, str], gone: list[str]
) -> None:
    values = session.values
    current: dict[str, str] = obj["metadata"].get(kind.field) or {}
    if values.list:
        for key in sorted(current):
            print(f"{key}={current[key]}")
        return
    if not values.overwrite:
        for key, value in new.items():
            if key in current and current[key] != value:
                raise KubectlError(
                    f"'{key}' already has a value ({current[key]}), and --overwrite is false"
                    if kind is _LABELS
                    else f"--overwrite is false but found the following declared annotation(s): '{key}' already has a "
                    f"value ({current[key]})"
                )
    for key in gone:
        if key not in current:
            print(f'{kind.word} "{key}" not found.')
    wanted = {**{key: value for key, value in current.items() if key not in gone}, **new}
    done = _word(kind, current, wanted, new)
    if dry_run_of(values) == "client" or values.local:
        report(session, target, {**obj, "metadata": {**obj["metadata"], kind.field: wanted}}, done)
        return
    changes: dict[str, Any] = {key: value for key, value in wanted.items() if current.get(key) != value}
    changes |= dict.fromkeys(key for key in gone if key in current)
    patch: Object = {"metadata": {kind.field: changes}} if changes else {}
    if values.resource_version:
        patch.setdefault("metadata", {})["resourceVersion"] = values.resource_version
    answer = obj
    if patch:
        query = write_query(values)
        answer = await session.json("PATCH", target.path, query=query, body=patch, content_type=MERGE_PATCH)
    report(session, target, answer, done)


def _word(kind: _Kind, current: dict[str, str], wanted: dict[str, str], new: dict[str, str]) -> str:
    if kind is _LABELS and current == wanted:
        return "not labeled"
    return kind.removed if not new else kind.done


LABEL = Command(
    name="label",
    short="Update the labels on a resource.",
    usage="[--overwrite] (-f FILENAME | TYPE NAME) KEY_1=VAL_1 ... KEY_N=VAL_N [--resource-version=version]",
    run=run_label,
    flags=_flags("label"),
)
ANNOTATE = Command(
    name="annotate",
    short="Update the annotations on a resource.",
    usage="[--overwrite] (-f FILENAME | TYPE NAME) KEY_1=VAL_1 ... KEY_N=VAL_N [--resource-version=version]",
    run=run_annotate,
    flags=_flags("annotate"),
)
