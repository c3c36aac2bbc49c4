"""Bootstrap tokens: ``<id>.<secret>`` kept in Secrets ``kube-system/bootstrap-token-<id>``, for nodes that join."""

from __future__ import annotations

import hmac
import re
from base64 import b64decode
from typing import TYPE_CHECKING

from sampan.api import times
from sampan.apiserver.authn.user import User

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import Getter
    from sampan.base.clock import Clock

_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")
SECRET_TYPE = "bootstrap.kubernetes.io/token"  # noqa: S105 - a type name
NAMESPACE = "kube-system"


class BootstrapTokens:
    """Looks bootstrap tokens up among the current Secrets."""

    def __init__(self, lookup: Getter, clock: Clock) -> None:
        self._lookup = lookup
        self._clock = clock

    def authenticate(self, token: str) -> User | None:
        match = _TOKEN.fullmatch(token)
        if match is None:
            return None
        identifier, secret_part = match.groups()
        secret = self._lookup("", "secrets", NAMESPACE, f"bootstrap-token-{identifier}")
        if secret is None or secret.get("type") != SECRET_TYPE or "deletionTimestamp" in secret["metadata"]:
            return None
        if not hmac.compare_digest(_value(secret, "token-secret"), secret_part):
            return None
        if _value(secret, "token-id") != identifier or _value(secret, "usage-bootstrap-authentication") != "true":
            return None
        if self._is_expired(_value(secret, "expiration")):
            return None
        groups = ["system:bootstrappers"]
        for group in _value(secret, "auth-extra-groups").split(","):
            if group and _GROUP.fullmatch(group) is None:
                return None
            if group:
                groups.append(group)
        return User(f"system:bootstrap:{identifier}", groups=groups).authenticated()

    def _is_expired(self, text: str) -> bool:
        if not text:
            return False
        try:
            return times.parse(text) <= self._clock.time()
        except ValueError:
            return True


def _value(secret: Object, key: str) -> str:
    try:
        return b64decode((secret.get("data") or {}).get(key) or "").decode()
    except ValueError:
        return ""
