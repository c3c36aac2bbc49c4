"""A request's head, parsed once: clients on kept-alive connections send the same bytes again and again.

`HeadCache` remembers the parse of small body-less requests by their exact bytes, so that a repeated GET costs one
dictionary look-up. What the request path derives from a head (`plan`) is kept with it; credentials are checked on every
request all the same.
"""

from __future__ import annotations

from typing import Any

_CACHED_HEADS = 4096
_CACHED_BYTES = 4096


class Head:
    """Method, target and headers of one request; shared, so never changed but for `plan`.

    path: still escaped. query: the raw text behind "?". headers: by lower-case name, repeated ones joined with ", ".
    plan: derived by the pipeline; None at first.
    """

    __slots__ = ("headers", "keep_alive", "method", "path", "plan", "query")

    def __init__(self, method: str, path: str, query: str, headers: dict[str, str], *, keep_alive: bool) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.keep_alive = keep_alive
        self.plan: Any = None


class HeadCache:
    """Parsed heads by their bytes; emptied as a whole when it is full, which is rare and cheap."""

    __slots__ = ("_heads",)

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}

    def get(self, data: bytes) -> Head | None:
        return self._heads.get(data)

    def add(self, data: bytes, head: Head) -> None:
        """Remember a head; data: all that the client sent for it."""
        if len(data) > _CACHED_BYTES:
            return
        if len(self._heads) >= _CACHED_HEADS:
            self._heads.clear()
        self._heads[data] = head

    def clear(self) -> None:
        """Forget everything; after a change of what plans depend on (served resources)."""
        self._heads.clear()
