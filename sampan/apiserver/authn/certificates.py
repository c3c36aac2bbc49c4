"""Client certificates: the TLS layer has verified the chain; common name and organizations become user and groups."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sampan.apiserver.authn.user import User

if TYPE_CHECKING:
    from sampan.apiserver.http.connection import Connection


def authenticate(connection: Connection) -> User | None:
    """The user of the connection's certificate, None without one; derived once per connection."""
    known = connection.peer
    if known is None:
        known = connection.peer = _from_transport(connection) or False
    return known or None


def _from_transport(connection: Connection) -> User | None:
    tls = connection.transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert() if tls is not None else None
    if not certificate:
        return None
    name, organizations = "", []
    for relative in certificate.get("subject", ()):
        for key, value in relative:
            if key == "commonName":
                name = value
            elif key == "organizationName":
                organizations.append(value)
    if not name:
        return None
    fingerprint = hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest()
    extra = {"authentication.kubernetes.io/credential-id": (f"X509SHA256={fingerprint}",)}
    return User(name, groups=organizations, extra=extra).authenticated()
