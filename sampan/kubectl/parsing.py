"""Small texts on command lines: ``key=value`` pairs, environment variables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sampan.kubectl.errors import KubectlError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.api.object import Object

_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


def pairs(text: str, what: str) -> dict[str, str]:
    """Parse ``a=b,c=d``. what: "label", for the error."""
    found = {}
    for part in text.split(","):
        key, separator, value = part.partition("=")
        if not separator or not key:
            raise KubectlError(f"unexpected {what} spec: {part}")
        found[key] = value
    return found


def environment(specs: Iterable[str]) -> list[Object]:
    """Parse ``NAME=value`` specs into env entries."""
    found = []
    for spec in specs:
        name, separator, value = spec.partition("=")
        if not separator or not name or not _VARIABLE.fullmatch(name):
            raise KubectlError(f"invalid env: {spec}")
        found.append({"name": name, "value": value} if value else {"name": name})
    return found
