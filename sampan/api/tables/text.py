"""Pieces of cells: ages, selectors, lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api import times

if TYPE_CHECKING:
    from sampan.api.object import Object

UNKNOWN = "<unknown>"
NONE = "<none>"
UNSET = "<unset>"


def human_duration(seconds: float) -> str:  # noqa: C901 - a ladder of thresholds
    """Spell a duration as kubectl does: ``42s``, ``3m20s``, ``5h``, ``8d``, ``2y3d``."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 0:
        return "0s"
    if whole < 120:
        return f"{whole}s"
    minutes, hours = whole // 60, whole // 3600
    if minutes < 10:
        return f"{minutes}m{whole % 60}s" if whole % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    days = hours // 24
    if hours < 192:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if days < 730:
        return f"{days}d"
    if days < 2920:
        return f"{days // 365}y{days % 365}d" if days % 365 else f"{days // 365}y"
    return f"{days // 365}y"


def since(text: str | None, now: float) -> str:
    """Tell how long ago a time was."""
    return human_duration(now - times.parse(text)) if text else UNKNOWN


def age(obj: Object, now: float) -> str:
    """Tell how old an object is."""
    return since(obj["metadata"].get("creationTimestamp"), now)


def labels(values: dict[str, str] | None, none: str = NONE) -> str:
    """``a=b,c=d``, by key."""
    if not values:
        return none
    return ",".join(f"{key}={values[key]}" for key in sorted(values))


def selector(value: Object | None, none: str = NONE) -> str:
    """A selector in object form, as text; by key, as Go's labels.Selector."""
    if value is None:
        return none
    parts = [(key, f"{key}={one}") for key, one in (value.get("matchLabels") or {}).items()]
    for one in value.get("matchExpressions") or ():
        key, operator = one.get("key", ""), one.get("operator", "")
        values = ",".join(sorted(one.get("values") or ()))
        spelled = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "DoesNotExist": f"!{key}"}
        parts.append((key, spelled.get(operator, key)))
    if not parts:
        return none
    return ",".join(text for _, text in sorted(parts, key=lambda part: part[0]))


def containers(template: Object | None) -> tuple[str, str]:
    """Names and images of a template's containers."""
    items = ((template or {}).get("spec") or {}).get("containers") or ()
    return ",".join(one.get("name", "") for one in items), ",".join(one.get("image", "") for one in items)


def joined(values: Any, separator: str = ",") -> str:
    return separator.join(values or ())


def title(flag: Any) -> str:
    """Spell a boolean as Go prints it with a capital."""
    return "True" if flag else "False"


def lower(flag: Any) -> str:
    return "true" if flag else "false"
