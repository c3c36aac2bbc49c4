"""Join tokens: a bootstrap token and the hash of the CA that the joining node must find.

Written ``<id>.<secret>@sha256:<hex>``: kubeadm's token, and its discovery-token-ca-cert-hash. The hash lets a node that
knows nothing else fetch the CA over an unverified connection and trust it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sampan.base.errors import SampanError
from sampan.base.pki import certificate_hash

if TYPE_CHECKING:
    from pathlib import Path

_FORMAT = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})(?:@(sha256:[0-9a-f]{64}))")


class JoinTokenError(SampanError):
    """The token cannot be used; the message says why, without the token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinToken:
    """A parsed join token."""

    identity: str
    secret: str = field(repr=False)
    ca_hash: str

    def __str__(self) -> str:
        return f"{self.bearer}@{self.ca_hash}"

    @property
    def bearer(self) -> str:
        """The bootstrap token, as sent in the Authorization header."""
        return f"{self.identity}.{self.secret}"

    @classmethod
    def parse(cls, text: str) -> JoinToken:
        """Parse a token. Raises JoinTokenError."""
        match = _FORMAT.fullmatch(text.strip())
        if match is None:
            raise JoinTokenError(
                "not a join token; expected <id>.<secret>@sha256:<hash>, as `sampan token create` prints it"
            )
        return cls(identity=match[1], secret=match[2], ca_hash=match[3])

    @classmethod
    def read(cls, path: Path) -> JoinToken:
        """Read a token file. Raises JoinTokenError, OSError."""
        try:
            return cls.parse(path.read_text())
        except JoinTokenError as error:
            raise JoinTokenError(f"{path}: {error}") from None

    @staticmethod
    def hash_of(ca: bytes) -> str:
        return certificate_hash(ca)

    def check(self, ca: bytes) -> None:
        """Raise JoinTokenError unless ca (PEM) is the one that the token names."""
        if (found := certificate_hash(ca)) != self.ca_hash:
            raise JoinTokenError(
                f"the server's CA has the hash {found}, the token names {self.ca_hash}: "
                f"this is another cluster, or somebody is in between; make a new token with `sampan token create` there"
            )
