"""Describing any object by its fields: names in words, levels by indent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sampan.api.goformat import go_text
from sampan.kubectl.describe.events import events_of, write_events

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.describe.writer import Writer
    from sampan.kubectl.session import Session

_INITIALISMS = frozenset(
    [
        "API",
        "CPU",
        "UID",
        "IP",
        "TLS",
        "HTTP",
        "HTTPS",
        "JSON",
        "URL",
        "URI",
        "ID",
        "DNS",
        "SSH",
        "TTL",
        "TCP",
        "UDP",
        "ACL",
    ]
)
_SKIPPED = {"metadata": frozenset({"name", "namespace", "labels", "annotations", "managedFields"})}
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^A-Za-z\d]+")
_WITHOUT_EVENTS = frozenset({"Event"})


async def describe_generic(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe an object without a description of its own."""
    writer.metadata(obj)
    _write(writer, 0, obj, "")
    write_events(writer, await events_of(session, obj) if events else None)


def _write(writer: Writer, level: int, content: Object, path: str) -> None:
    for field in sorted(content):
        if not path and field == "metadata":
            inner = {key: value for key, value in content[field].items() if key not in _SKIPPED["metadata"]}
            writer.write(level, "Metadata:\n")
            _write(writer, level + 1, inner, ".metadata")
            continue
        _write_field(writer, level, field, content[field], f"{path}.{field}")


def _write_field(writer: Writer, level: int, field: str, value: Any, path: str) -> None:
    title = _title(field)
    if isinstance(value, dict):
        writer.write(level, f"{title}:\n")
        _write(writer, level + 1, value, path)
    elif isinstance(value, list):
        writer.write(level, f"{title}:\n")
        for item in value:
            if isinstance(item, dict):
                _write(writer, level + 1, item, path)
            else:
                writer.write(level + 1, f"{go_text(item)}\n")
    else:
        writer.write(level, f"{title}:\t{go_text(value)}\n")


def _title(field: str) -> str:
    """``leaseDurationSeconds`` as ``Lease Duration Seconds``."""
    words = [word for word in _WORDS.findall(field) if word.strip()]
    return " ".join(word.upper() if word.upper() in _INITIALISMS else word[:1].upper() + word[1:] for word in words)
