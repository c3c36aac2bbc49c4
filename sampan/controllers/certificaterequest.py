"""What a CertificateSigningRequest asks for, and whether a signer may grant it.

The rules are Kubernetes' for its own signers (certificates API documentation, "Kubernetes signers";
pkg/apis/certificates): subjects, alternative names and usages must be exactly of the form that each signer names.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.object import Object

CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
NODE_USER = "system:node:"
NODE_GROUP = "system:nodes"

_ALLOWED = frozenset({"digital signature", "key encipherment", "client auth"})
_CLIENT_USAGES = (frozenset({"digital signature", "client auth"}), _ALLOWED)
_SERVING_USAGES = (
    frozenset({"digital signature", "server auth"}),
    frozenset({"digital signature", "key encipherment", "server auth"}),
)


class RequestError(SampanError):
    """The request breaks a rule of its signer; the text is the condition's message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRequest:
    """The parts of a PKCS #10 request that rules are about. pem: the request itself."""

    pem: bytes
    common_name: str
    organizations: tuple[str, ...]
    dns_names: tuple[str, ...]
    ip_addresses: tuple[str, ...]
    others: tuple[str, ...]


def parse(csr: Object) -> CertificateRequest:
    """Decode ``spec.request``. Raises RequestError."""
    from cryptography import x509  # noqa: PLC0415 - no server needs X.509 before somebody asks for a certificate

    try:
        pem = base64.b64decode(csr["spec"].get("request", ""), validate=True)
        request = x509.load_pem_x509_csr(pem)
    except (binascii.Error, ValueError) as error:
        raise RequestError(f"unable to parse csr {csr['metadata']['name']!r}: {error}") from error
    try:
        names = list(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        names = []
    subject = request.subject
    common = subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    organizations = subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
    plain = (x509.DNSName, x509.IPAddress)
    return CertificateRequest(
        pem=pem,
        common_name=str(common[0].value) if common else "",
        organizations=tuple(str(one.value) for one in organizations),
        dns_names=tuple(one.value for one in names if isinstance(one, x509.DNSName)),
        ip_addresses=tuple(str(one.value) for one in names if isinstance(one, x509.IPAddress)),
        others=tuple(type(one).__name__ for one in names if not isinstance(one, plain)),
    )


def check(signer: str, request: CertificateRequest, usages: Sequence[str]) -> None:
    """Check a request against its signer's rules. Raises RequestError with Kubernetes' wording."""
    wanted = frozenset(usages)
    if signer == CLIENT:
        if "client auth" not in wanted or not wanted <= _ALLOWED:
            raise RequestError("usages did not match expected [client auth digital signature key encipherment]")
    elif signer == KUBELET_CLIENT:
        _check_node_subject(request)
        if request.dns_names or request.ip_addresses or request.others:
            raise RequestError("DNS, IP, email and URI SANs are not allowed")
        if wanted not in _CLIENT_USAGES:
            raise RequestError(
                "usages did not match [client auth digital signature] or "
                "[client auth digital signature key encipherment]"
            )
    elif signer == KUBELET_SERVING:
        _check_node_subject(request)
        if request.others:
            raise RequestError("email and URI SANs are not allowed")
        if not request.dns_names and not request.ip_addresses:
            raise RequestError("DNS or IP subjectAltName is required")
        if wanted not in _SERVING_USAGES:
            raise RequestError(
                "usages did not match [digital signature server auth] or "
                "[digital signature key encipherment server auth]"
            )


def _check_node_subject(request: CertificateRequest) -> None:
    if request.organizations != (NODE_GROUP,):
        raise RequestError("subject organization is not system:nodes")
    if not request.common_name.startswith(NODE_USER):
        raise RequestError("subject common name does not begin with system:node:")


def has_condition(csr: Object, *types: str) -> bool:
    """Whether a request carries one of the conditions."""
    return any(one["type"] in types for one in (csr.get("status") or {}).get("conditions") or ())
