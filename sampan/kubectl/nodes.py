"""`kubectl cordon`, `uncordon` and `taint`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sampan.client.interface import STRATEGIC_MERGE_PATCH
from sampan.kubectl.builder import Failures, Target
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.fetch import objects_of
from sampan.kubectl.flags import Flag
from sampan.kubectl.writing import DRY_RUN_FLAGS, WRITE_FLAGS, dry_run_of, manager_flag, report, write_query

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.session import Session

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_HINT = "\nSee 'kubectl taint -h' for help and examples"
_SELECTOR = Flag(name="selector", short="l", help="Label selector of nodes.")
_SPEC = re.compile(r"([^=:]+?)(?:=([^:]*?))?(?::(\w+))?(-?)")


async def node_targets(session: Session, names: list[str]) -> list[Target]:
    """The nodes of a command line. Raises KubectlError without names or selector."""
    if not names and not session.values.selector:
        name = session.command.split()[-1]
        raise KubectlError(f"USAGE: {name} NODE [flags]\nSee 'kubectl {name} -h' for help and examples")
    resource = (await session.mapper()).resource("nodes")
    if not names:
        return [Target(resource=resource)]
    return [Target(resource=resource, name=one.removeprefix("node/").removeprefix("nodes/")) for one in names]


async def cordon(session: Session, arguments: list[str], dash: int) -> None:
    """Run cordon."""
    del dash
    await mark(session, arguments, unschedulable=True)


async def uncordon(session: Session, arguments: list[str], dash: int) -> None:
    """Run uncordon."""
    del dash
    await mark(session, arguments, unschedulable=False)


async def mark(session: Session, arguments: list[str], *, unschedulable: bool) -> list[tuple[Target, Object]]:
    """Mark nodes as (not) schedulable and say so; returns them."""
    failures = Failures()
    found = await objects_of(session, await node_targets(session, arguments), failures)
    word = "cordoned" if unschedulable else "uncordoned"
    for target, node in found:
        suffix = {"none": "", "client": " (dry run)", "server": " (server dry run)"}[dry_run_of(session.values)]
        if bool(node["spec"].get("unschedulable")) == unschedulable:
            print(f"{target.shown} already {word}{suffix}")
            continue
        if dry_run_of(session.values) != "client":
            body = {"spec": {"unschedulable": True if unschedulable else None}}
            await session.json("PATCH", target.path, query=write_query(session.values), body=body,
                               content_type=STRATEGIC_MERGE_PATCH)  # fmt: skip
        print(f"{target.shown} {word}{suffix}")
    failures.finish()
    return found


async def taint(session: Session, arguments: list[str], dash: int) -> None:
    """Run taint."""
    del dash
    values = session.values
    kind, *rest = arguments or [""]
    if kind not in ("node", "nodes", "no"):
        raise KubectlError(f"invalid resource type {kind}, only node(s) is supported")
    names = [one for one in rest if "=" not in one and ":" not in one and not one.endswith("-")]
    specs = rest[len(names) :]
    if not specs:
        raise KubectlError("at least one taint update is required")
    adding, removing = _parse(specs)
    resource = (await session.mapper()).resource("nodes")
    targets = [Target(resource=resource, name=one) for one in names] or [Target(resource=resource)]
    if not names and not values.all and not values.selector:
        raise KubectlError("one or more resources must be specified as <resource> <name> or <resource>/<name>")
    failures = Failures()
    for target, node in await objects_of(session, targets, failures):
        try:
            await _taint(session, target, node, adding, removing)
        except KubectlError as error:
            failures.add(error)
    failures.finish()


def _parse(specs: list[str]) -> tuple[list[Object], list[tuple[str, str]]]:
    adding: list[Object] = []
    removing: list[tuple[str, str]] = []
    for spec in specs:
        match = _SPEC.fullmatch(spec)
        if match is None:
            raise KubectlError(f"unknown taint spec: {spec}")
        key, value, effect, minus = match.groups()
        if effect and effect not in _EFFECTS:
            raise KubectlError(f"invalid taint effect: {effect}, unsupported taint effect{_HINT}")
        if minus:
            removing.append((key, effect or ""))
        elif not effect:
            raise KubectlError(f"unknown taint spec: {spec}")
        else:
            adding.append({"key": key, "value": value, "effect": effect} if value else {"key": key, "effect": effect})
    return adding, removing


async def _taint(
    session: Session, target: Target, node: Object, adding: list[Object], removing: list[tuple[str, str]]
) -> None:
    values = session.values
    old: list[Object] = node["spec"].get("taints") or []
    for key, effect in removing:
        if not any(one["key"] == key and effect in ("", one["effect"]) for one in old):
            shown = f"{key}:{effect}" if effect else key
            raise KubectlError(f'taint "{shown}" not found')
    taken = [one for one in adding if any((o["key"], o["effect"]) == (one["key"], one["effect"]) for o in old)]
    if taken and not values.overwrite:
        raise KubectlError(
            f"node {target.name} already has {taken[0]['key']} taint(s) with same effect(s) and --overwrite is false"
        )
    kept = [
        one for one in old
        if not any((one["key"], one["effect"]) == (new["key"], new["effect"]) for new in adding)
        and not any(one["key"] == key and effect in ("", one["effect"]) for key, effect in removing)
    ]  # fmt: skip
    result = {**node, "spec": {**node["spec"], "taints": [*adding, *kept]}}
    if dry_run_of(values) != "client":
        result = await session.json("PUT", target.path, query=write_query(values), body=result)
    report(session, target, result, "tainted" if adding and not removing else "untainted" if not adding else "modified")


CORDON = Command(name="cordon", short="Mark node as unschedulable.", usage="NODE", run=cordon,
                 flags=(*DRY_RUN_FLAGS, _SELECTOR))  # fmt: skip
UNCORDON = Command(name="uncordon", short="Mark node as schedulable.", usage="NODE", run=uncordon,
                   flags=(*DRY_RUN_FLAGS, _SELECTOR))  # fmt: skip
TAINT = Command(
    name="taint", short="Update the taints on one or more nodes.", run=taint,
    usage="NODE NAME KEY_1=VAL_1:TAINT_EFFECT_1 ... KEY_N=VAL_N:TAINT_EFFECT_N",
    flags=(*WRITE_FLAGS, manager_flag("taint"), _SELECTOR, Flag(name="all", kind="bool", help="All nodes."),
           Flag(name="overwrite", kind="bool", help="Replace taints of the same key and effect.")),
)  # fmt: skip
