"""The events at the end of a description."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError
from sampan.kubectl.describe.writer import NONE, since

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.describe.writer import Writer
    from sampan.kubectl.session import Session


async def events_of(session: Session, obj: Object, *, uid: str | None = None) -> list[Object]:
    """The events about an object; [] where they cannot be read."""
    meta = obj["metadata"]
    wanted = {"name": meta["name"], "namespace": meta.get("namespace", ""), "kind": obj["kind"],
              "uid": uid if uid is not None else meta.get("uid", "")}  # fmt: skip
    fields = ",".join(f"involvedObject.{key}={value}" for key, value in wanted.items() if value)
    space = f"namespaces/{meta['namespace']}/" if meta.get("namespace") else ""
    try:
        query = {"fieldSelector": fields, "limit": "500"}
        listing = await session.json("GET", f"/api/v1/{space}events", query=query)
    except APIStatusError:
        return []
    items: list[Object] = listing.get("items") or []
    return items


def write_events(writer: Writer, events: list[Object] | None) -> None:
    """Write the table of events, oldest first."""
    if events is None:
        return
    if not events:
        writer.write(0, f"Events:\t{NONE}\n")
        return
    writer.flush()
    writer.write(0, "Events:\n  Type\tReason\tAge\tFrom\tMessage\n")
    writer.write(1, "----\t------\t----\t----\t-------\n")
    for one in sorted(events, key=_order):
        source = (one.get("source") or {}).get("component") or one.get("reportingComponent", "")
        message = one.get("message", "").strip()
        if path := one["involvedObject"].get("fieldPath"):
            message = f"{path}: {message}"
        writer.write(1, f"{one.get('type', '')}\t{one.get('reason', '')}\t{interval_of(one)}\t{source}\t{message}\n")


def _order(event: Object) -> str:
    """Events sort by their first time."""
    return event.get("firstTimestamp") or ""


def interval_of(event: Object) -> str:
    """``3m``, or ``10s (x4 over 3m)`` for an event that came back."""
    first = since(event.get("eventTime") or event.get("firstTimestamp"))
    if series := event.get("series"):
        return f"{since(series.get('lastObservedTime'))} (x{series.get('count', 0)} over {first})"
    if event.get("count", 0) > 1:
        return f"{since(event.get('lastTimestamp'))} (x{event['count']} over {first})"
    return first
