"""Which handler serves which verb, subresource and virtual resource: the explicit table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sampan.apiserver.handlers import connect, read, scale, watch, writes
from sampan.apiserver.handlers.componentstatuses import component_statuses
from sampan.apiserver.handlers.patch import Patches
from sampan.apiserver.handlers.pods import Pods
from sampan.apiserver.handlers.reviews import Reviews
from sampan.apiserver.handlers.tokenrequests import TokenRequests

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
    patches = Patches(objects)
    pods = Pods(server.resources)
    tokens = TokenRequests(server.tokens, server.resources.lookup)
    reviews = Reviews(server.authorizer, server.rbac, lambda: server.authenticator, server.clock)
    verbs: dict[str, Handler] = {
        "get": read.get, "list": read.list_, "watch": watch.watch, "create": writes.create, "update": objects.update,
        "patch": patches.patch, "delete": writes.delete, "deletecollection": writes.delete_collection,
    }  # fmt: skip
    subresources: dict[tuple[str, str, str, str], Handler] = {
        ("*", "*", "*", "get"): read.get,
        ("*", "*", "*", "update"): objects.update,
        ("*", "*", "*", "patch"): patches.patch,
        ("*", "*", "scale", "get"): scale.get,
        ("*", "*", "scale", "update"): scale.update,
        ("*", "*", "scale", "patch"): scale.patch,
        ("", "pods", "binding", "create"): pods.bind,
        ("", "pods", "eviction", "create"): pods.evict,
        ("", "serviceaccounts", "token", "create"): tokens.create,
    }
    virtual: dict[tuple[str, str], Handler] = {
        **reviews.table(), ("", "bindings"): pods.bind_by_object, ("", "componentstatuses"): component_statuses,
    }  # fmt: skip
    return Handlers(verbs=verbs, subresources=subresources, virtual=virtual, connect=connect.Connect(server).handle)
