"""`kubectl wait`: until objects meet a condition, are deleted, created, or a field has a value."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sampan.api.errors import APIStatusError, NotFound
from sampan.kubectl.builder import FILE_FLAGS, SELECT_FLAGS, Failures, from_arguments, from_files
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.fetch import fetch, member, require_names, typed_items
from sampan.kubectl.flags import Flag
from sampan.kubectl.output import relaxed
from sampan.kubectl.waiting import watch_one

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.api.object import Object
    from sampan.kubectl.builder import Target
    from sampan.kubectl.session import Session

_FLAGS = (
    *FILE_FLAGS,
    *SELECT_FLAGS,
    Flag(name="all", kind="bool", help="All objects of the given types."),
    Flag(name="for", kind="array", help="create, delete, condition=NAME[=VALUE] or jsonpath='{...}'[=value]."),
    Flag(name="timeout", kind="duration", default=30.0, help="How long to wait; 0 checks once."),
)
_A_WEEK = 7 * 86400.0
_CREATE_POLL = 1.0


async def run(session: Session, arguments: list[str], dash: int) -> None:
    """Run the command."""
    del dash
    values = session.values
    wanted = values.get("for")
    if not wanted:
        raise KubectlError("unrecognized condition: []")
    for one in wanted:
        _checker(one)
    targets = await (from_files(session) if values.filename else from_arguments(session, arguments))
    require_names(session, targets)
    failures = Failures()
    shown = 0
    for group in targets:
        for target in await _members(session, group, wanted[0]):
            shown += 1
            try:
                await _wait(session, target, wanted[0])
            except (APIStatusError, KubectlError) as error:
                failures.add(error)
    if not shown and not failures.count and wanted[0] != "delete":
        raise KubectlError("no matching resources found")
    failures.finish()


async def _members(session: Session, target: Target, condition: str) -> list[Target]:
    if target.name:
        return [target]
    listing = await fetch(session, target)
    del condition
    return [member(target, one) for one in typed_items(listing)]


def _checker(spec: str) -> Callable[[Object], bool]:
    kind, _, rest = spec.partition("=")
    if spec in ("delete", "create"):
        return lambda _: True
    if kind == "condition":
        name, _, value = rest.partition("=")
        return lambda obj: _has_condition(obj, name, value or "true")
    if kind == "jsonpath":
        return _path_checker(rest)
    raise KubectlError(f'unrecognized condition: "{spec}"')


def _has_condition(obj: Object, name: str, value: str) -> bool:
    for one in (obj.get("status") or {}).get("conditions") or []:
        if one["type"].lower() == name.lower():
            generation = obj["metadata"].get("generation", 0)
            observed = one.get("observedGeneration", (obj.get("status") or {}).get("observedGeneration", generation))
            return bool(observed >= generation and one["status"].lower() == value.lower())
    return False


def _path_checker(text: str) -> Callable[[Object], bool]:
    from sampan.api import jsonpath  # noqa: PLC0415 - start-up time
    from sampan.api.goformat import go_text  # noqa: PLC0415 - start-up time

    expression, value = _split_path(text)
    try:
        parsed = jsonpath.parse(relaxed(expression))
    except jsonpath.JSONPathError as error:
        raise KubectlError(str(error)) from error

    def check(obj: Object) -> bool:
        found: list[Any] = [one for group in parsed.find(obj, allow_missing=True) for one in group]
        if value is None:
            return bool(found)
        return len(found) == 1 and go_text(found[0]) == value

    return check


def _split_path(text: str) -> tuple[str, str | None]:
    text = text.strip("'\"")
    if text.startswith("{"):
        end = text.rfind("}") + 1
        expression, rest = text[:end], text[end:]
    else:
        expression, equals, value = text.partition("=")
        rest = equals + value
    return expression, rest[1:].strip("'\"") if rest.startswith("=") else None


async def _wait(session: Session, target: Target, spec: str) -> None:
    timeout = session.values.timeout
    seconds = timeout if timeout > 0 else 0.001 if timeout == 0 else _A_WEEK
    try:
        async with asyncio.timeout(seconds if timeout else None):
            await _until(session, target, spec, once=timeout == 0)
    except TimeoutError:
        raise KubectlError(
            f"timed out waiting for the condition on {target.resource.qualified}/{target.name}"
        ) from None


async def _until(session: Session, target: Target, spec: str, *, once: bool) -> None:  # noqa: C901
    check = _checker(spec)
    while True:
        try:
            obj = await session.json("GET", target.path)
        except NotFound:
            if spec == "delete":
                return
            if spec == "create" and not once:
                await asyncio.sleep(_CREATE_POLL)
                continue
            raise
        if spec != "delete" and check(obj):
            print(f"{target.shown} condition met")
            return
        if once:
            raise TimeoutError
        async for event in watch_one(session, target, obj["metadata"]["resourceVersion"]):
            if event["type"] == "DELETED":
                if spec == "delete":
                    print(f"{target.shown} condition met")
                    return
                break
            if spec != "delete" and check(event["object"]):
                print(f"{target.shown} condition met")
                return


WAIT = Command(
    name="wait",
    short="Wait for a specific condition on one or many resources.",
    usage="([-f FILENAME] | resource.group/resource.name | resource.group [(-l label | --all)]) "
    "[--for=create|--for=delete|--for condition=available|--for=jsonpath='{}'[=value]]",
    run=run,
    flags=_FLAGS,
)
