"""One authorized request on its way through a handler: what every handler needs, whichever transport brought it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver import negotiate
    from sampan.apiserver.authn.user import User
    from sampan.apiserver.handlers.plan import Plan
    from sampan.apiserver.http.connection import HTTPRequest
    from sampan.apiserver.registry.generic import Registry
    from sampan.apiserver.requestinfo import Query, RequestInfo


class Call:
    """See the module. body: bytes from HTTP, an object (or a list: JSON patch) from the local transport."""

    __slots__ = ("body", "content_type", "headers", "http", "plan", "user", "warnings")

    http: HTTPRequest
    """The request as it came; only over HTTP."""

    def __init__(self, plan: Plan, user: User, body: Any, headers: dict[str, str]) -> None:
        self.plan = plan
        self.user = user
        self.body = body
        self.headers = headers
        self.content_type = headers.get("content-type", "")
        self.warnings: list[str] = [plan.warning] if plan.warning else []

    @property
    def info(self) -> RequestInfo:
        return self.plan.info

    @property
    def namespace(self) -> str:
        """The namespace of the objects: "" for cluster-scoped ones, also where the path says ``namespaces/<name>``."""
        plan = self.plan
        return plan.info.namespace if plan.registry is None or plan.registry.info.namespaced else ""

    @property
    def query(self) -> Query:
        return self.plan.query

    @property
    def registry(self) -> Registry:
        found = self.plan.registry
        assert found is not None
        return found

    @property
    def accepted(self) -> negotiate.Accepted:
        return self.plan.accepted

    def manager(self, given: str) -> str:
        """The field manager: the one given, else the first word of the user agent."""
        if given:
            return given
        agent = self.headers.get("user-agent", "").partition("/")[0]
        if not agent.isprintable():
            agent = "".join(char for char in agent if char.isprintable())
        return agent.strip()[:128] or "unknown"

    def write_options(self, kind: str) -> Object:
        """The operation's options as admission sees them."""
        found: Object = {"kind": kind, "apiVersion": "meta.k8s.io/v1"}
        for key, value in self.query:
            if key == "dryRun":
                found.setdefault("dryRun", []).append(value)
            elif key in ("fieldManager", "fieldValidation"):
                found[key] = value
            elif key == "force":
                found[key] = value.lower() not in ("false", "0")
        return found
