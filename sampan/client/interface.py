"""What a client asks and gets, whichever transport carries it.

Two transports implement `Transport`: HTTPS (`sampan.client.https`), and *local*, which enters the API server's request
pipeline behind HTTP decoding with a given identity (`sampan.apiserver.local`; the command line injects it). Both raise
the `APIStatusError` classes of `sampan.api.errors`; network faults pass as OSError or TimeoutError.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from sampan.api.gvk import GroupVersionResource
    from sampan.api.object import Object

Verb = Literal["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]

JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One API request. query: as in the URL, unescaped. body: an object, or a list for a JSON patch."""

    verb: Verb
    resource: GroupVersionResource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = JSON


class Stored(Protocol):
    """One version of one object, as caches hold it.

    ``object`` is shared and must not be changed; it may be decoded on each access, so take it once.
    """

    @property
    def namespace(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def resource_version(self) -> str: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def object(self) -> Object: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectList:
    """A list answer. continue_token: "" on the last page."""

    items: Sequence[Stored]
    resource_version: str
    continue_token: str = ""
    remaining_item_count: int | None = None


class WatchEvent(NamedTuple):
    """One watch event; ERROR events are raised as APIStatusError instead."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    item: Stored


class Transport(Protocol):
    """Carries requests to an API server."""

    async def send(self, request: Request) -> Object:
        """Return the answer's object (a Status for some deletes). Any verb but watch; a list comes as its wire form."""
        ...

    async def list(self, request: Request) -> ObjectList:
        """Send a list request and return its items without decoding them where the transport can avoid it."""
        ...

    def watch(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[Sequence[WatchEvent]]]:
        """Open a watch; batches are what arrived together. The iterator ends when the server ends the watch."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...
