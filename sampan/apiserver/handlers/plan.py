"""What a request's head asks for, worked out once: route, registry, negotiated form, list options, selectors.

A plan depends only on method, target and headers, so it is kept with the cached head. Errors found while planning are
kept too and raised when the request has been authorized, as kube-apiserver's handlers run behind its filters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.apiserver import negotiate
from sampan.apiserver.requestinfo import first

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.api.errors import APIStatusError
    from sampan.apiserver.authn.user import User
    from sampan.apiserver.authz.interface import Attributes
    from sampan.apiserver.options import ListOptions
    from sampan.apiserver.registry.generic import Registry
    from sampan.apiserver.requestinfo import Query, RequestInfo
    from sampan.apiserver.storage.resourcestore import Selection


class Plan:
    """See the module.

    handler: called with a `Call` when the request may proceed. error: raised instead. metric: the request's
    counters. warning: of a deprecated API, "" for none. granted_to, granted_at: the user whom RBAC
    let do this, and RBAC's generation then.
    """

    __slots__ = (
        "accepted", "attributes", "error", "granted_at", "granted_to", "handler", "include", "info", "list_options",
        "metric", "pretty", "query", "registry", "selection", "warning",
    )  # fmt: skip

    def __init__(self, info: RequestInfo, query: Query) -> None:
        self.info = info
        self.query = query
        self.handler: Callable[[Any], Any] | None = None
        self.registry: Registry | None = None
        self.error: APIStatusError | None = None
        self.accepted = negotiate.PLAIN_JSON
        self.pretty = False
        self.include = first(query, "includeObject")
        self.list_options: ListOptions | None = None
        self.selection: Selection | None = None
        self.warning = ""
        self.attributes: Attributes | None = None
        self.granted_to: User | None = None
        self.granted_at = -1
        self.metric: Any = None


def wants_pretty(query: Query, accepted: negotiate.Accepted, agent: str) -> bool:
    """Whether JSON is to be indented: ``?pretty``, an Accept parameter, or a person with curl or wget."""
    asked = first(query, "pretty")
    if asked is not None:
        return asked.lower() not in ("false", "0")
    if accepted.pretty is not None:
        return accepted.pretty
    return agent.startswith(("curl", "Wget", "Mozilla/5.0"))
