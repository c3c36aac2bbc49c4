"""Lists of metav1.Condition."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sampan.api import field
from sampan.apiserver.registry.validation import names
from sampan.apiserver.registry.validation.numbers import nonnegative

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.validation.names import Errors

_REASON = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?")
_REASON_TEXT = (
    "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric "
    "characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or "
    "'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is "
    "'[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')"
)
_STATUSES = ("False", "True", "Unknown")


def conditions(errors: Errors, path: Path, items: list[Object] | None) -> None:
    """Unique by type; each with status, reason and time."""
    seen: set[str] = set()
    for position, one in enumerate(items or ()):
        here = path.index(position)
        kind = one.get("type", "")
        if kind in seen:
            errors.append(field.duplicate(here.child("type"), kind))
        seen.add(kind)
        _condition(errors, here, one, kind)


def _condition(errors: Errors, path: Path, one: Object, kind: str) -> None:
    names.qualified_name(errors, path.child("type"), kind)
    names.one_of(errors, path.child("status"), one.get("status", ""), _STATUSES)
    nonnegative(errors, path.child("observedGeneration"), one.get("observedGeneration", 0))
    if not one.get("lastTransitionTime"):
        errors.append(field.required(path.child("lastTransitionTime"), "must be set"))
    reason = one.get("reason", "")
    if not reason:
        errors.append(field.required(path.child("reason"), "must be set"))
    else:
        if _REASON.fullmatch(reason) is None:
            errors.append(field.invalid(path.child("reason"), reason, _REASON_TEXT))
        if len(reason) > 1024:
            errors.append(field.too_long(path.child("reason"), reason, 1024))
    if len(one.get("message", "")) > 32 * 1024:
        errors.append(field.too_long(path.child("message"), one["message"], 32 * 1024))
