"""Who may talk to the kubelet: client certificates of the cluster CA or bearer tokens (TokenReview), then RBAC.

Authorization asks the API (SubjectAccessReview) for ``nodes/proxy``, ``nodes/log``, ``nodes/stats``, ``nodes/metrics``,
as Kubernetes' "Kubelet authentication/authorization" documents; answers are kept for a while. system:masters may do
anything, as the API server itself has it. /healthz is open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sampan.api.errors import APIStatusError
from sampan.client.resources import SUBJECTACCESSREVIEWS, TOKENREVIEWS
from sampan.kubelet.server.http import HTTPFault

if TYPE_CHECKING:
    from sampan.base.clock import Clock
    from sampan.client.client import Client
    from sampan.kubelet.server.http import HTTPRequest

_MASTERS = "system:masters"
_ALLOWED_SECONDS = 300.0
_DENIED_SECONDS = 30.0
_TOKEN_SECONDS = 120.0
_CACHE = 1024
_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_SUBRESOURCES = {"stats": "stats", "metrics": "metrics", "logs": "log", "healthz": "healthz", "pods": "pods"}
_FINE_GRAINED = ("healthz", "pods")
"""Kubelet tries nodes/healthz and nodes/pods first and then nodes/proxy (KubeletFineGrainedAuthz)."""


@dataclass(frozen=True, slots=True)
class User:
    """Whoever sent a request."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()


class Authenticator:
    """Authenticates and authorizes requests to the kubelet's server."""

    def __init__(self, client: Client, node_name: str, clock: Clock) -> None:
        self._tokens = client.resource(TOKENREVIEWS)
        self._access = client.resource(SUBJECTACCESSREVIEWS)
        self._node = node_name
        self._clock = clock
        self._users: dict[str, tuple[float, User | None]] = {}
        self._answers: dict[tuple[User, str, str], tuple[float, bool]] = {}

    async def check(self, request: HTTPRequest) -> None:
        """Raise HTTPFault 401 or 403 unless the request may go on."""
        if request.path == "/healthz":
            return
        user = await self._authenticate(request)
        if user is None:
            raise HTTPFault(401, "Unauthorized")
        verb = _VERBS.get(request.method, "get")
        subresources = self._subresources(request)
        for subresource in subresources:
            if await self._is_allowed(user, verb, subresource):
                return
        what = f"user={user.name}, verb={verb}, resource=nodes, subresource(s)=[{' '.join(subresources)}]"
        raise HTTPFault(403, f"Forbidden ({what})")

    @staticmethod
    def _subresources(request: HTTPRequest) -> list[str]:
        first = request.parts[0]
        own = _SUBRESOURCES.get(first, "proxy")
        return [own, "proxy"] if own in _FINE_GRAINED else [own]

    async def _authenticate(self, request: HTTPRequest) -> User | None:
        if request.peer:
            return _certificate_user(request.peer)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None
        now = self._clock.monotonic()
        known = self._users.get(token)
        if known is not None and known[0] > now:
            return known[1]
        user = await self._review(token)
        _remember(self._users, token, (now + _TOKEN_SECONDS, user))
        return user

    async def _review(self, token: str) -> User | None:
        review = {"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "spec": {"token": token}}
        try:
            status = (await self._tokens.create(review)).get("status") or {}
        except (APIStatusError, OSError, TimeoutError) as error:
            raise HTTPFault(500, f"token review failed: {error}") from error
        if not status.get("authenticated"):
            return None
        user = status.get("user") or {}
        return User(user.get("username", ""), user.get("uid", ""), tuple(user.get("groups") or ()))

    async def _is_allowed(self, user: User, verb: str, subresource: str) -> bool:
        if _MASTERS in user.groups:
            return True
        now = self._clock.monotonic()
        key = (user, verb, subresource)
        known = self._answers.get(key)
        if known is not None and known[0] > now:
            return known[1]
        attributes = {
            "verb": verb,
            "resource": "nodes",
            "subresource": subresource,
            "name": self._node,
            "version": "v1",
        }
        spec: dict[str, Any] = {"user": user.name, "groups": list(user.groups), "resourceAttributes": attributes}
        review = {"kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "spec": spec}
        try:
            answer = await self._access.create(review)
        except (APIStatusError, OSError, TimeoutError) as error:
            raise HTTPFault(500, f"Authorization error: {error}") from error
        allowed = bool((answer.get("status") or {}).get("allowed"))
        _remember(self._answers, key, (now + (_ALLOWED_SECONDS if allowed else _DENIED_SECONDS), allowed))
        return allowed


def _certificate_user(peer: dict[str, object]) -> User:
    """Read user and groups from a certificate that TLS has verified: CN and every O of the subject."""
    subject: Any = peer.get("subject") or ()
    pairs = [pair for part in subject for pair in part]
    name = next((value for key, value in pairs if key == "commonName"), "")
    return User(name, "", tuple(value for key, value in pairs if key == "organizationName"))


def _remember(cache: dict[Any, Any], key: Any, value: Any) -> None:
    while len(cache) >= _CACHE:
        del cache[next(iter(cache))]
    cache[key] = value
