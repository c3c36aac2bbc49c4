"""How to reach an API server and as whom: what a kubeconfig's context comes to, or what a component is given.

File paths are read when a connection is made, so that rotated certificates and tokens take effect. Secrets have no
``repr``.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sampan import __version__
from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ConfigError(SampanError):
    """A kubeconfig or connection setting is wrong or unreadable; the text names the file and the cure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Impersonation:
    """Another user to act as (``--as``, ``--as-group``)."""

    user: str = ""
    uid: str = ""
    groups: Sequence[str] = ()
    extra: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def headers(self) -> list[tuple[str, str]]:
        """The Impersonate-* headers."""
        if not self.user:
            return []
        found = [("Impersonate-User", self.user)]
        if self.uid:
            found.append(("Impersonate-Uid", self.uid))
        found.extend(("Impersonate-Group", group) for group in self.groups)
        found.extend((f"Impersonate-Extra-{key}", value) for key, values in self.extra.items() for value in values)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """One API server and one identity.

    server: ``https://host:port[/prefix]`` (http too). ca, certificate, key: PEM bytes; the ``_file`` forms are read at
    each new connection. insecure: do not verify the server (only when a user asked for it). server_name: verify this
    name instead of the host. username and password: basic authentication.
    """

    server: str
    ca: bytes = b""
    ca_file: str = ""
    certificate: bytes = field(default=b"", repr=False)
    certificate_file: str = ""
    key: bytes = field(default=b"", repr=False)
    key_file: str = ""
    token: str = field(default="", repr=False)
    token_file: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    insecure: bool = False
    server_name: str = ""
    impersonate: Impersonation = field(default_factory=Impersonation)
    user_agent: str = f"sampan/{__version__}"
    namespace: str = "default"

    def ssl_context(self) -> ssl.SSLContext:
        """Build the TLS settings. Raises ConfigError naming the file that cannot be used."""
        context = ssl.create_default_context()
        try:
            if self.insecure:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            elif self.ca:
                context.load_verify_locations(cadata=self.ca.decode())
            elif self.ca_file:
                context.load_verify_locations(cafile=self.ca_file)
        except (OSError, ValueError) as error:
            raise ConfigError(f"unable to read certificate-authority {self.ca_file or 'data'}: {error}") from error
        certificate = self.certificate or _read(self.certificate_file, "client-certificate")
        if certificate:
            key = self.key or _read(self.key_file, "client-key")
            _load_chain(context, certificate + b"\n" + key)
        context.set_alpn_protocols(["http/1.1"])
        return context

    @property
    def has_files(self) -> bool:
        """Whether any TLS material lives in files, which may be rotated."""
        return bool(self.ca_file or self.certificate_file)


def _read(path: str, what: str) -> bytes:
    if not path:
        return b""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        reason = error.strerror.lower() if error.strerror else str(error)
        raise ConfigError(f"unable to read {what} {path}: {reason}") from error


def _load_chain(context: ssl.SSLContext, pem: bytes) -> None:
    """OpenSSL takes a key only from a file: one in memory where there are such, so that no key reaches the disk."""
    try:
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("client-key")
            with os.fdopen(descriptor, "wb") as file:
                file.write(pem)
                file.flush()
                context.load_cert_chain(f"/proc/self/fd/{descriptor}")
            return
        with tempfile.NamedTemporaryFile() as named:
            named.write(pem)
            named.flush()
            context.load_cert_chain(named.name)
    except ssl.SSLError as error:
        raise ConfigError(f"the client certificate and its key cannot be used: {error}") from error
