"""The audit event of the request under way, for those deep inside who annotate it (admission).

Without an audit policy there is no event and annotating does nothing.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableMapping

CURRENT: ContextVar[MutableMapping[str, str] | None] = ContextVar("audit annotations", default=None)
"""The annotations of the current request's event."""


def annotate(key: str, value: str) -> None:
    """Add an annotation; the first value of a key stays."""
    found = CURRENT.get()
    if found is not None:
        found.setdefault(key, value)
