"""Which handler serves which verb, subresource and virtual resource: the explicit table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sampan.apiserver.handlers import read, watch, writes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sampan.apiserver.server import APIServer

    Handler = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """See `routes.Router`."""

    verbs: Mapping[str, Handler]
    subresources: Mapping[tuple[str, str, str, str], Handler]
    virtual: Mapping[tuple[str, str], Handler]
    connect: Handler


def handlers_of(server: APIServer) -> Handlers:
    """All handlers of a server."""
    objects = writes.Writes(server.authorizer)
    verbs: dict[str, Handler] = {
        "get": read.get, "list": read.list_, "watch": watch.watch, "create": writes.create, "update": objects.update,
        "delete": writes.delete, "deletecollection": writes.delete_collection,
    }  # fmt: skip
    return Handlers(verbs=verbs, subresources={}, virtual={}, connect=None)
