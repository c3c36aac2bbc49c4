"""Keys and certificates of a server: its CA, its serving certificate, the service-account key, administrators' pairs.

Files lie in ``<data dir>/pki``; without a data directory everything lives as long as the process.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sampan.apiserver.authn.serviceaccounts import SigningKey
from sampan.apiserver.authn.user import MASTERS
from sampan.base import pki
from sampan.base.pki import CertificateAuthority, KeyPair

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")


class Credentials:
    """See the module."""

    def __init__(self, data_dir: Path | None) -> None:
        folder = None if data_dir is None else data_dir / "pki"
        if folder is None:
            self.ca, self._ca_pair = CertificateAuthority.create("kubernetes")
        else:
            self.ca = CertificateAuthority.load_or_create(folder, "ca", "kubernetes")
        self.service_accounts = SigningKey.load_or_create(folder)
        self._folder = folder
        self._proxy: CertificateAuthority | None = None

    def administrator(self) -> KeyPair:
        """A client certificate of the cluster's administrator."""
        return self.ca.issue("kubernetes-admin", organizations=(MASTERS,))

    def kubelet_client(self) -> KeyPair:
        """The certificate that the server shows to node agents."""
        return self.ca.issue("kube-apiserver-kubelet-client", organizations=("kubeadm:cluster-admins", MASTERS))

    def _front_proxy_authority(self) -> CertificateAuthority:
        if self._proxy is None:
            name = "front-proxy-ca"
            if self._folder is None:
                self._proxy, _ = CertificateAuthority.create(name)
            else:
                self._proxy = CertificateAuthority.load_or_create(self._folder, name, name)
        return self._proxy

    @property
    def front_proxy_ca(self) -> bytes:
        """The CA of the certificate that aggregated servers know this server by, PEM."""
        return self._front_proxy_authority().certificate

    def front_proxy(self) -> KeyPair:
        """The certificate that the server shows to aggregated servers."""
        return self._front_proxy_authority().issue("front-proxy-client")

    def tls(self, names: Sequence[str]) -> ssl.SSLContext:
        """A server context with a new certificate for these names and addresses beside the usual ones."""
        every = list(dict.fromkeys([*_NAMES, "localhost", socket.gethostname(), "127.0.0.1", "::1", *names]))
        pair = self.ca.issue("kube-apiserver", names=[name for name in every if _usable(name)], usages=("server auth",))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=self.ca.certificate.decode())
        with tempfile.TemporaryDirectory(prefix="sampan-") as folder:  # the ssl module reads files only
            certificate, key = Path(folder) / "tls.crt", Path(folder) / "tls.key"
            pki.write_private(certificate, pair.certificate)
            pki.write_private(key, pair.key)
            context.load_cert_chain(certificate, key)
        return context


def _usable(name: str) -> bool:
    """Wildcard addresses name nobody."""
    try:
        return not ipaddress.ip_address(name).is_unspecified
    except ValueError:
        return bool(name)
