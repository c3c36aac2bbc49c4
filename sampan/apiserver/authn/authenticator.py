"""All authentication methods in kube-apiserver's order: client certificate, bearer token, anonymous.

A bearer token that nobody knows is a 401, it does not fall through to anonymous. Verified service-account tokens are
believed for ten seconds.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sampan.api.errors import Unauthorized
from sampan.apiserver.authn import certificates
from sampan.apiserver.authn.serviceaccounts import InvalidTokenError
from sampan.apiserver.authn.user import ANONYMOUS_USER, User

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.apiserver.authn.bootstraptokens import BootstrapTokens
    from sampan.apiserver.authn.serviceaccounts import ServiceAccountTokens
    from sampan.apiserver.authn.statictokens import StaticTokens
    from sampan.apiserver.http.connection import Connection
    from sampan.apiserver.http.head import Head
    from sampan.base.clock import Clock

_CACHE_SECONDS = 10.0
_CACHE_SIZE = 4096
PROTOCOL_HEADER = "sec-websocket-protocol"
_WEBSOCKET_TOKEN = "base64url.bearer.authorization.k8s.io."  # noqa: S105 - a protocol prefix


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What is known of a token. audiences: those asked for that it is good for. error: why it is no good."""

    user: User | None
    audiences: list[str]
    error: str = ""


class Authenticator:
    """Tells who sends a request."""

    def __init__(
        self,
        *,
        static: StaticTokens | None,
        service_accounts: ServiceAccountTokens,
        bootstrap: BootstrapTokens,
        clock: Clock,
        anonymous: bool = True,
    ) -> None:
        self._static = static
        self._service_accounts = service_accounts
        self._bootstrap = bootstrap
        self._anonymous = anonymous
        self._now = clock.monotonic
        self._cache: dict[tuple[str, tuple[str, ...]], tuple[float, TokenAnswer]] = {}

    def authenticate(self, head: Head, connection: Connection | None) -> User:
        """The request's user; raises Unauthorized."""
        if connection is not None and (user := certificates.authenticate(connection)) is not None:
            return user
        token = bearer_token(head)
        if token:
            if self._static is not None and (user := self._static.authenticate(token)) is not None:
                return user
            answer = self.review(token, ())
            if answer.user is None:
                raise Unauthorized("Unauthorized")
            return answer.user
        if self._anonymous:
            return ANONYMOUS_USER
        raise Unauthorized("Unauthorized")

    def review(self, token: str, audiences: Sequence[str]) -> TokenAnswer:
        """Look a token up. audiences: () for the API server's own."""
        own = self._service_accounts.audiences
        wanted = tuple(audiences) or own
        key = (token, wanted)
        now = self._now()
        cached = self._cache.get(key)
        if cached is not None and cached[0] > now:
            return cached[1]
        answer = self._look_up(token, wanted, own)
        if answer.user is not None and "." in token:
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            self._cache[key] = (now + _CACHE_SECONDS, answer)
        return answer

    def _look_up(self, token: str, wanted: tuple[str, ...], own: tuple[str, ...]) -> TokenAnswer:
        # Tokens without audiences of their own are good for the API server only.
        server = [one for one in wanted if one in own]
        if self._static is not None and (user := self._static.authenticate(token)) is not None:
            return TokenAnswer(user, server) if server else TokenAnswer(None, [])
        errors = ["invalid bearer token"]
        try:
            found = self._service_accounts.authenticate(token, wanted)
        except InvalidTokenError as error:
            errors.append(str(error))
        else:
            if found is not None:
                return TokenAnswer(*found)
        if (user := self._bootstrap.authenticate(token)) is not None and server:
            return TokenAnswer(user, server)
        text = errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]"
        return TokenAnswer(None, [], text)


def bearer_token(head: Head) -> str:
    """The request's bearer token, "" when there is none; browsers send it as a WebSocket protocol."""
    header = head.headers.get("authorization")
    if header is not None:
        parts = header.strip().split(" ", 2)
        if len(parts) >= 2 and parts[0].lower() == "bearer":
            return parts[1]
        return ""
    protocols = head.headers.get(PROTOCOL_HEADER)
    if protocols and _WEBSOCKET_TOKEN in protocols:
        for protocol in protocols.split(","):
            if protocol.strip().startswith(_WEBSOCKET_TOKEN):
                encoded = protocol.strip()[len(_WEBSOCKET_TOKEN) :]
                try:
                    return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
                except ValueError:
                    return ""
    return ""


def without_token(protocols: str) -> str:
    """A Sec-WebSocket-Protocol header without the bearer token that it may carry: no backend is to see it."""
    if _WEBSOCKET_TOKEN not in protocols:
        return protocols
    kept = [one.strip() for one in protocols.split(",")]
    return ", ".join(one for one in kept if one and not one.startswith(_WEBSOCKET_TOKEN))
