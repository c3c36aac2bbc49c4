"""`kubectl events`: events, oldest first."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from sampan.kubectl.builder import from_arguments
from sampan.kubectl.command import Command
from sampan.kubectl.flags import Flag
from sampan.kubectl.output import OUTPUT_FLAGS, print_all, printer
from sampan.kubectl.tableprint import render_rows

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.session import Session

_FLAGS = (
    *OUTPUT_FLAGS,
    Flag(name="all-namespaces", short="A", kind="bool", help="In all namespaces."),
    Flag(name="chunk-size", kind="int", default=500, help="Objects a request; 0 for all at once."),
    Flag(name="for", help="Only events about TYPE/NAME."),
    Flag(name="no-headers", kind="bool", help="Leave the header out."),
    Flag(name="types", kind="list", help="Only these types: Normal, Warning."),
)


async def run(session: Session, arguments: list[str], dash: int) -> None:
    """Run the command."""
    del arguments, dash
    values = session.values
    space = "" if values.all_namespaces else f"namespaces/{session.namespace}/"
    query = {"limit": str(values.chunk_size)}
    if values.get("for"):
        target = (await from_arguments(session, [values.get("for")]))[0]
        query["fieldSelector"] = f"involvedObject.kind={target.resource.kind.kind},involvedObject.name={target.name}"
    found = (await session.json("GET", f"/api/v1/{space}events", query=query))["items"]
    if values.types:
        wanted = {one.lower() for one in values.types}
        found = [one for one in found if one.get("type", "").lower() in wanted]
    if not found:
        if values.all_namespaces:
            print("No events found.", file=sys.stderr)
        else:
            print(f"No events found in {session.namespace} namespace.", file=sys.stderr)
        return
    found.sort(key=_last_seen)
    if values.output and values.output != "wide":
        typed = [{"apiVersion": "v1", "kind": "Event", **one} for one in found]
        sys.stdout.write(print_all(printer(values), typed, as_list=True))
        return
    for line in render_rows(_rows(session, found)):
        print(line)


def _last_seen(event: Object) -> str:
    series = event.get("series") or {}
    return series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or ""


def _rows(session: Session, found: list[Object]) -> list[list[str]]:
    from sampan.kubectl.describe.events import interval_of  # noqa: PLC0415 - start-up time

    values = session.values
    namespaced = bool(values.all_namespaces)
    header = ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    rows = [] if values.no_headers else [["NAMESPACE"] * namespaced + header]
    for one in found:
        about = one["involvedObject"]
        message = json.dumps(one.get("message", "").strip(), ensure_ascii=False)[1:-1].replace('\\"', '"')
        rows.append([
            *([one["metadata"].get("namespace", "")] * namespaced), interval_of(one), one.get("type", ""),
            one.get("reason", ""), f"{about.get('kind', '')}/{about.get('name', '')}", message,
        ])  # fmt: skip
    return rows


EVENTS = Command(name="events", short="List events.", usage="[--for TYPE/NAME]", run=run, flags=_FLAGS)
