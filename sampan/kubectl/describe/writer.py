"""What every description writes with: levels of indent, labels and annotations over several lines, times, selectors."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sampan.api import times
from sampan.api.tables.text import human_duration
from sampan.kubectl.tabwriter import align

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sampan.api.object import Object

NONE = "<none>"
UNSET = "<unset>"
_ANNOTATION_WIDTH = 140
_SKIPPED = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Writer:
    """Collects tab-separated text; `text` aligns it."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def write(self, level: int, text: str) -> None:
        """Append text behind two blanks a level; it brings its own line feeds."""
        self._parts.append("  " * level + text)

    def flush(self) -> None:
        """End all columns here."""
        self._parts.append("\f")

    def text(self) -> str:
        return align("".join(self._parts), padding=2)

    def labels(self, title: str, labels: Mapping[str, str] | None, indent: str = "") -> None:
        """Write ``title: a=b``, one label a line."""
        self.lines(f"{indent}{title}", [f"{key}={value}" for key, value in sorted((labels or {}).items())])

    def lines(self, title: str, values: Sequence[str]) -> None:
        """Write one value a line, the title before the first."""
        self.write(0, f"{title}:\t{values[0] if values else NONE}\n")
        for value in values[1:]:
            self.write(0, f"\t{value}\n")

    def annotations(self, title: str, annotations: Mapping[str, str] | None) -> None:
        """Write annotations, long ones and those of several lines below their key."""
        shown = sorted((key, value) for key, value in (annotations or {}).items() if key not in _SKIPPED)
        if not shown:
            self.write(0, f"{title}:\t{NONE}\n")
            return
        start = f"{title}:\t"
        for key, text in shown:
            value = text.removesuffix("\n")
            if len(value) + len(key) + 2 < _ANNOTATION_WIDTH and "\n" not in value:
                self.write(0, f"{start}{key}: {value}\n")
            else:
                self.write(0, f"{start}{key}:\n")
                for line in value.split("\n"):
                    self.write(0, f"\t  {_shortened(line)}\n")
            start = "\t"

    def metadata(self, obj: Object, *, namespaced: bool = True) -> None:
        """Write name, namespace, labels and annotations, with which most descriptions begin."""
        meta = obj["metadata"]
        self.write(0, f"Name:\t{meta['name']}\n")
        if namespaced:
            self.write(0, f"Namespace:\t{meta.get('namespace', '')}\n")
        self.labels("Labels", meta.get("labels"))
        self.annotations("Annotations", meta.get("annotations"))


def _shortened(text: str) -> str:
    width = _ANNOTATION_WIDTH - 2
    return text if len(text) <= width else text[:width] + "..."


def rfc1123(text: str | None) -> str:
    """``Mon, 02 Jan 2006 15:04:05 +0000`` of an RFC 3339 time; "" for none, as of Go's zero time."""
    if not text:
        return "Mon, 01 Jan 0001 00:00:00 +0000"
    at = time.gmtime(times.parse(text))
    return (
        f"{_DAYS[at.tm_wday]}, {at.tm_mday:02} {_MONTHS[at.tm_mon - 1]} {at.tm_year:04} "
        f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} +0000"
    )


def since(text: str | None) -> str:
    """How long ago a time was."""
    return human_duration(time.time() - times.parse(text)) if text else "<unknown>"


def go_list(items: Sequence[Any]) -> str:
    """A list as Go prints it: ``[a b]``."""
    return "[" + " ".join(str(one) for one in items) + "]"


def true_false(value: object) -> str:
    return "True" if value else "False"


def selector_text(selector: Object | None) -> str:
    """A label selector as FormatLabelSelector spells it."""
    if selector is None:
        return NONE
    parts = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    parts += [(one["key"], _requirement(one)) for one in selector.get("matchExpressions") or []]
    return ",".join(text for _, text in sorted(parts)) or NONE


def _requirement(one: Object) -> str:
    key, values = one["key"], ",".join(sorted(one.get("values") or []))
    match one["operator"]:
        case "In":
            return f"{key} in ({values})"
        case "NotIn":
            return f"{key} notin ({values})"
        case "Exists":
            return str(key)
        case _:
            return f"!{key}"


def controlled_by(obj: Object) -> str:
    """``Kind/name`` of the controlling owner, "" for none."""
    for owner in obj["metadata"].get("ownerReferences") or []:
        if owner.get("controller"):
            return f"{owner['kind']}/{owner['name']}"
    return ""
