"""`kubectl get`: objects as tables or in full, once or as they change."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from sampan.api import times
from sampan.api.errors import APIStatusError, NotFound
from sampan.kubectl.builder import FILE_FLAGS, SELECT_FLAGS, Failures, Target, from_arguments, from_files
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.fetch import fetch, typed_items
from sampan.kubectl.flags import Flag
from sampan.kubectl.output import OUTPUT_FLAGS, is_structured, print_all, printer
from sampan.kubectl.tableprint import TablePrinter

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.api.object import Object
    from sampan.kubectl.flags import Values
    from sampan.kubectl.session import Session

TABLE = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
)
"""What kubectl asks for; servers pick the first that they have."""

_FLAGS = (
    *FILE_FLAGS,
    *SELECT_FLAGS,
    *OUTPUT_FLAGS,
    Flag(name="chunk-size", kind="int", default=500, help="Objects a request; 0 for all at once."),
    Flag(name="ignore-not-found", kind="bool", help="Succeed quietly for objects that do not exist."),
    Flag(name="label-columns", short="L", kind="list", help="Labels to show as columns."),
    Flag(name="no-headers", kind="bool", help="Leave the header out."),
    Flag(name="output-watch-events", kind="bool", help="Show what happened to each object with --watch."),
    Flag(name="raw", help="Path to get from the server, printed as it comes."),
    Flag(name="server-print", kind="bool", default=True, help="Accepted for compatibility."),
    Flag(name="show-kind", kind="bool", help="Show the type before each name."),
    Flag(name="show-labels", kind="bool", help="Show all labels as the last column."),
    Flag(name="sort-by", help="JSONPath of the field to sort by."),
    Flag(name="subresource", help="Subresource to get: status, scale."),
    Flag(name="watch", short="w", kind="bool", help="Go on with changes after the list."),
    Flag(name="watch-only", kind="bool", help="Only changes, no list first."),
)


async def run(session: Session, arguments: list[str], dash: int) -> None:
    """Run the command."""
    del dash
    values = session.values
    if values.raw:
        answer = await session.request("GET", values.raw)
        sys.stdout.write(answer.body.decode())
        return
    show = printer(values) if is_structured(values.output) else None
    targets = await (from_files(session) if values.filename else from_arguments(session, arguments))
    if not targets:
        raise KubectlError(
            'You must specify the type of resource to get. Use "kubectl api-resources" for a complete list of '
            'supported resources.\n\nerror: Required resource not specified.\nUse "kubectl explain <resource>" for '
            "a detailed description of that resource (e.g. kubectl explain pods).\nSee 'kubectl get -h' for help and "
            "examples",
            prefix="",
        )
    _check(values, targets)
    if values.watch or values.watch_only:
        from sampan.kubectl.watch import watch  # noqa: PLC0415 - start-up time

        await watch(session, targets, show)
    elif show is None:
        await _print_tables(session, targets)
    else:
        await _print_objects(session, targets, show)


def _check(values: Values, targets: list[Target]) -> None:
    named = [target for target in targets if target.name]
    if named and values.all_namespaces and not values.filename:
        raise KubectlError("a resource cannot be retrieved by name across all namespaces")
    if named and (values.selector or values.field_selector) and not values.filename:
        raise KubectlError("name cannot be provided when a selector is specified")


def table_printer(session: Session, target: Target, *, with_kind: bool, with_event: bool = False) -> TablePrinter:
    """The printer of one type's table under the flags."""
    values = session.values
    return TablePrinter(
        wide=values.output == "wide",
        no_headers=values.no_headers,
        with_namespace=values.all_namespaces and target.resource.namespaced,
        with_kind=with_kind or values.show_kind,
        show_kind=target.resource.qualified_singular,
        show_labels=values.show_labels,
        label_columns=values.label_columns,
        with_event=with_event,
    )


async def _print_tables(session: Session, targets: list[Target]) -> None:
    failures = Failures()
    groups: dict[tuple[str, str], tuple[Target, list[Object]]] = {}
    for target in targets:
        try:
            table = as_table(await fetch(session, target, accept=TABLE, extra=table_query(session)))
        except APIStatusError as error:
            if not (isinstance(error, NotFound) and session.values.ignore_not_found):
                failures.add(error)
            continue
        key = (str(target.resource.gvr), target.namespace)
        groups.setdefault(key, (target, []))[1].append(table)
    several = len({target.resource.gvr for target in targets}) > 1
    blocks = []
    for target, tables in groups.values():
        merged = {**tables[0], "rows": [row for table in tables for row in table.get("rows") or []]}
        if not merged["rows"]:
            continue
        if session.values.sort_by and not _sort_rows(session, merged):
            continue
        blocks.append("\n".join(table_printer(session, target, with_kind=several).lines(merged)))
    if blocks:
        sys.stdout.write("\n\n".join(blocks) + "\n")
    elif not failures.count and not session.values.ignore_not_found:
        _say_nothing_found(session, targets)
    failures.finish()


def _say_nothing_found(session: Session, targets: list[Target]) -> None:
    if session.values.all_namespaces or not any(target.resource.namespaced for target in targets):
        print("No resources found", file=sys.stderr)
    else:
        print(f"No resources found in {session.namespace} namespace.", file=sys.stderr)


async def _print_objects(session: Session, targets: list[Target], show: Callable[[Object], str]) -> None:
    failures = Failures()
    objects: list[Object] = []
    for target in targets:
        try:
            answer = await fetch(session, target)
        except APIStatusError as error:
            if not (isinstance(error, NotFound) and session.values.ignore_not_found):
                failures.add(error)
            continue
        if target.name:
            objects.append(answer)
        else:
            objects += typed_items(answer)
    if session.values.sort_by:
        objects = _sorted(session, objects)
    as_list = not all(target.name for target in targets) or len(targets) > 1
    if objects or (as_list and not failures.count):
        sys.stdout.write(print_all(show, objects, as_list=as_list))
    failures.finish()


def _sort_rows(session: Session, table: Object) -> bool:
    """Sort a table's rows; False when no row has the field, for which kubectl shows nothing."""
    by_object = {id(row["object"]): row for row in table["rows"]}
    try:
        objects = _sorted(session, [row["object"] for row in table["rows"]])
    except KubectlError:
        return False
    table["rows"] = [by_object[id(one)] for one in objects]
    return True


def table_query(session: Session) -> dict[str, str]:
    """Sorting needs the whole objects, everything else only their metadata."""
    return {"includeObject": "Object"} if session.values.sort_by else {}


def as_table(answer: Object) -> Object:
    """The answer of a server that made no table: names and ages."""
    if answer.get("kind") == "Table":
        return answer
    objects = typed_items(answer) if "items" in answer else [answer]
    columns = [{"name": "Name", "type": "string", "format": "name"}, {"name": "Age", "type": "string"}]
    rows = [{"cells": [one["metadata"].get("name", ""), age_of(one)], "object": one} for one in objects]
    return {"kind": "Table", "metadata": answer.get("metadata"), "columnDefinitions": columns, "rows": rows}


def age_of(obj: Object) -> str:
    """How old an object is."""
    from sampan.api.tables.text import human_duration  # noqa: PLC0415 - start-up time

    created = obj["metadata"].get("creationTimestamp")
    return human_duration(time.time() - times.parse(created)) if created else "<unknown>"


def _sorted(session: Session, objects: list[Object]) -> list[Object]:
    from sampan.kubectl.sorting import sort_objects  # noqa: PLC0415 - start-up time

    return sort_objects(objects, session.values.sort_by)


GET = Command(
    name="get",
    short="Show one or many objects.",
    usage="[(-o|--output=)FORMAT] (TYPE[.VERSION][.GROUP] [NAME | -l label] | TYPE/NAME ...) [flags]",
    run=run,
    flags=_FLAGS,
)
