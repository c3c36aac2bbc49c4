"""`kubectl get --watch`: the list first, then each change as it comes, as a row of the table or as an object."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sampan.kubectl.errors import KubectlError
from sampan.kubectl.fetch import fetch, selectors, typed_items
from sampan.kubectl.get import TABLE, as_table, table_printer
from sampan.kubectl.output import without_managed_fields
from sampan.kubectl.waiting import watch_events

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.api.object import Object
    from sampan.kubectl.builder import Target
    from sampan.kubectl.session import Session

Show = "Callable[[Object], str] | None"


async def watch(session: Session, targets: list[Target], show: Callable[[Object], str] | None) -> None:
    """Print until the server ends the watch, or the time of --request-timeout is over. Raises KubectlError."""
    if len(targets) != 1:
        raise KubectlError("watch is only supported on individual resources and resource collections")
    target, values = targets[0], session.values
    sink = _Objects(session, show) if show is not None else _Rows(session, target)
    accept = TABLE if show is None else "application/json"
    first = await fetch(session, target, accept=accept)
    if not values.watch_only:
        sink.begin(first, named=bool(target.name))
    query = {**selectors(session), "watch": "true"}
    if target.name:
        query["fieldSelector"] = f"metadata.name={target.name}"
    if version := _version(first):
        query["resourceVersion"] = version
    path = target.resource.path(target.namespace)
    async for event in watch_events(session, path, query, accept=accept):
        if event["type"] != "BOOKMARK":
            sink.change(event["type"], event["object"])


def _version(answer: Object) -> str:
    if answer.get("kind") == "Table" and not (answer.get("metadata") or {}).get("resourceVersion"):
        rows = answer.get("rows") or []
        metadata = rows[0]["object"].get("metadata") if rows else {}
    else:
        metadata = answer.get("metadata")
    return str((metadata or {}).get("resourceVersion", ""))


class _Rows:
    def __init__(self, session: Session, target: Target) -> None:
        values = session.values
        self._printer = table_printer(session, target, with_kind=False, with_event=values.output_watch_events)

    def begin(self, table: Object, *, named: bool) -> None:
        del named
        if table.get("rows"):
            self.change("ADDED", table)

    def change(self, what: str, table: Object) -> None:
        for line in self._printer.lines(as_table(table), what):
            print(line, flush=True)


class _Objects:
    def __init__(self, session: Session, show: Callable[[Object], str]) -> None:
        self._show = show
        self._values = session.values
        self._count = 0

    def begin(self, answer: Object, *, named: bool) -> None:
        for obj in [answer] if named else typed_items(answer):
            self.change("ADDED", obj)

    def change(self, what: str, obj: Object) -> None:
        if self._values.output_watch_events:
            shown = obj if self._values.show_managed_fields else without_managed_fields(obj)
            obj = {"type": what, "object": shown}
        if self._values.output == "yaml" and self._count:
            sys.stdout.write("---\n")
        self._count += 1
        sys.stdout.write(self._show(obj))
        sys.stdout.flush()
