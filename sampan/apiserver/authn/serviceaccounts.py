"""Service-account tokens: signed JWTs bound to a ServiceAccount and, optionally, to a Pod, Node or Secret.

The key pair (ECDSA P-256, ES256) lies in the data directory; key id and JWKS follow kube-apiserver's OIDC discovery.
A verified token is believed for ten seconds, kube-apiserver's own cache time, before the bound objects are looked at
again.
"""

from __future__ import annotations

import hashlib
import uuid
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sampan.api import times
from sampan.api.object import uid_of
from sampan.apiserver.authn.user import SERVICE_ACCOUNT_PREFIX, User, service_account_groups
from sampan.base import pki

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import Getter
    from sampan.base.clock import Clock

_CREDENTIAL = "authentication.kubernetes.io/credential-id"
_NODE_NAME = "authentication.kubernetes.io/node-name"
_NODE_UID = "authentication.kubernetes.io/node-uid"
_POD_NAME = "authentication.kubernetes.io/pod-name"
_POD_UID = "authentication.kubernetes.io/pod-uid"
WARN_AFTER = 3607
"""Expiration that kubelets of old ask for; such tokens live a year but say when they should have been renewed."""
_LEEWAY = 60.0
EXTENDED_SECONDS = 365 * 24 * 3600


class InvalidTokenError(ValueError):
    """The token is one of ours but cannot be used; the text says why."""


_RESTORE = "restore it from a backup, or move it away: then every service-account token must be issued anew"


class SigningKey:
    """The key that service-account tokens are signed with."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self.private = key
        self.public = key.public_key()
        der = self.public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.key_id = _base64(hashlib.sha256(der).digest())

    @classmethod
    def load_or_create(cls, folder: Path | None) -> SigningKey:
        """Load ``sa.key`` from folder or make it; without a folder the key lives as long as the process.

        Raises PKIError.
        """
        path = None if folder is None else folder / "sa.key"
        if path is not None and path.exists():
            try:
                key = serialization.load_pem_private_key(path.read_bytes(), password=None)
            except ValueError as error:
                raise pki.PKIError(f"{path} is damaged ({error}): {_RESTORE}") from error
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise pki.PKIError(f"{path} is not an elliptic curve key: {_RESTORE}")
            return cls(key)
        key = ec.generate_private_key(ec.SECP256R1())
        if path is not None:
            pki.write_private(path, pki.key_pem(key))
        return cls(key)

    def jwks(self) -> Object:
        """The public key as a JSON Web Key Set."""
        numbers = self.public.public_numbers()
        key = {
            "use": "sig", "kty": "EC", "kid": self.key_id, "crv": "P-256", "alg": "ES256",
            "x": _base64(numbers.x.to_bytes(32, "big")), "y": _base64(numbers.y.to_bytes(32, "big")),
        }  # fmt: skip
        return {"keys": [key]}


class ServiceAccountTokens:
    """Issues and verifies tokens."""

    def __init__(self, key: SigningKey, issuer: str, audiences: Sequence[str], lookup: Getter, clock: Clock) -> None:
        self.key = key
        self.issuer = issuer
        self.audiences = tuple(audiences)
        self._lookup = lookup
        self._clock = clock

    def issue(  # noqa: PLR0917 - one call
        self,
        account: Object,
        audiences: Sequence[str],
        seconds: int,
        bound: Object | None,
        kind: str,
        node: Object | None,
    ) -> tuple[str, float]:
        """Sign a token. bound: the object that ends it, of this kind. Returns it and its expiration (epoch seconds)."""
        import jwt  # noqa: PLC0415 - start-up time

        metadata = account["metadata"]
        now = int(self._clock.time())
        private: dict[str, Any] = {
            "namespace": metadata["namespace"],
            "serviceaccount": {"name": metadata["name"], "uid": uid_of(account)},
        }
        if bound is not None:
            private[kind.lower()] = {"name": bound["metadata"]["name"], "uid": uid_of(bound)}
        if node is not None:
            private["node"] = {key: node["metadata"][key] for key in ("name", "uid") if key in node["metadata"]}
        expires = now + seconds
        if seconds == WARN_AFTER and kind == "Pod":
            private["warnafter"] = expires
            expires = now + EXTENDED_SECONDS
        claims = {
            "aud": list(audiences), "exp": expires, "iat": now, "iss": self.issuer, "jti": str(uuid.uuid4()),
            "kubernetes.io": private, "nbf": now,
            "sub": f"{SERVICE_ACCOUNT_PREFIX}{metadata['namespace']}:{metadata['name']}",
        }  # fmt: skip
        token = jwt.encode(claims, self.key.private, algorithm="ES256", headers={"kid": self.key.key_id})
        return token, float(now + seconds)

    def authenticate(self, token: str, audiences: Sequence[str]) -> tuple[User, list[str]] | None:
        """The token's user and which of the audiences it is for; None when the token is not of this issuer.

        Raises InvalidTokenError for a token of this issuer that does not hold.
        """
        import jwt  # noqa: PLC0415

        try:
            claims = jwt.decode(token, options={"verify_signature": False, "verify_exp": False})
        except (jwt.InvalidTokenError, ValueError):
            return None
        if claims.get("iss") != self.issuer:
            return None
        options = {"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False}
        try:
            claims = jwt.decode(token, self.key.public, algorithms=["ES256"], options=options)  # type: ignore[arg-type]
        except jwt.InvalidTokenError as error:
            raise InvalidTokenError("invalid signature") from error
        known = claims.get("aud") or []
        granted = [one for one in audiences if one in known]
        if not granted:
            raise InvalidTokenError(
                f"token audiences {_go_list(known)} is invalid for the target audiences {_go_list(audiences)}"
            )
        self._check_times(claims)
        return self._user(claims), granted

    def _check_times(self, claims: Object) -> None:
        now = self._clock.time()
        if now > claims.get("exp", 0):
            raise InvalidTokenError("service account token has expired")
        if now + 10 < claims.get("nbf", 0):
            raise InvalidTokenError("service account token is not valid yet")

    def _user(self, claims: Object) -> User:
        private = claims.get("kubernetes.io") or {}
        namespace = private.get("namespace", "")
        account = private.get("serviceaccount") or {}
        name = account.get("name", "")
        self._bound("serviceaccounts", namespace, account)
        extra: dict[str, tuple[str, ...]] = {}
        if jti := claims.get("jti"):
            extra[_CREDENTIAL] = (f"JTI={jti}",)
        node = private.get("node") or {}
        if secret := private.get("secret"):
            self._bound("secrets", namespace, secret)
        if pod := private.get("pod"):
            self._bound("pods", namespace, pod)
            extra[_POD_NAME], extra[_POD_UID] = (pod["name"],), (pod["uid"],)
        elif node:
            self._bound("nodes", "", node)
        if node:
            extra[_NODE_NAME] = (node["name"],)
            if node.get("uid"):
                extra[_NODE_UID] = (node["uid"],)
        groups = service_account_groups(namespace)
        user = User(
            f"{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}", uid=account.get("uid", ""), groups=groups, extra=extra
        )
        return user.authenticated()

    def _bound(self, resource: str, namespace: str, reference: Object) -> None:
        """Insist that an object is still the one that the token was issued for."""
        found = self._lookup("", resource, namespace, reference.get("name", ""))
        gone = found is None or uid_of(found) != reference.get("uid", "")
        if gone or (found is not None and self._is_long_deleted(found)):
            raise InvalidTokenError("service account token has been invalidated")

    def _is_long_deleted(self, obj: Object) -> bool:
        """Whether an object's deletion is due for a minute: what still runs then has had its time."""
        deleted = obj["metadata"].get("deletionTimestamp")
        return deleted is not None and times.parse(deleted) < self._clock.time() - _LEEWAY


def discovery_document(issuer: str, jwks_uri: str) -> Object:
    """``/.well-known/openid-configuration``."""
    return {
        "issuer": issuer, "jwks_uri": jwks_uri, "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["ES256"],
    }  # fmt: skip


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _go_list(values: Sequence[str]) -> str:
    return "[" + " ".join(f'"{value}"' for value in values) + "]"
