"""Plug-ins about certificate signing requests: who may approve, who may sign, and what may not be asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import errors
from sampan.api.gvk import GroupResource
from sampan.apiserver.admission.interface import CREATE, UPDATE, AdmissionRequest, AdmissionServices
from sampan.apiserver.authn.user import MASTERS
from sampan.apiserver.authz.interface import Attributes

if TYPE_CHECKING:
    from sampan.apiserver.authz.interface import Authorizer

_REQUESTS = GroupResource("certificates.k8s.io", "certificatesigningrequests")
_CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"


def _may(authorizer: Authorizer, request: AdmissionRequest, verb: str, signer: str) -> bool:
    """Whether the user may do this for a signer, by its name or by its domain with any path."""
    domain = signer.partition("/")[0]
    for name in (signer, f"{domain}/*"):
        attributes = Attributes(request.user, verb, _REQUESTS.group, "*", "signers", "", "", name)
        if authorizer.authorize(attributes).allowed:
            return True
    return False


class CertificateApproval:
    """Approving needs the verb "approve" on the request's signer."""

    name = "CertificateApproval"

    def __init__(self, services: AdmissionServices) -> None:
        self._authorizer = services.authorizer

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:
        return operation == UPDATE and resource == _REQUESTS and subresource == "approval"

    def validate(self, request: AdmissionRequest) -> None:
        signer = ((request.old or {}).get("spec") or {}).get("signerName", "")
        if not _may(self._authorizer, request, "approve", signer):
            why = f'user not permitted to approve requests with signerName "{signer}"'
            raise errors.forbidden(_REQUESTS, request.name, why)


class CertificateSigning:
    """Issuing a certificate needs the verb "sign" on the request's signer."""

    name = "CertificateSigning"

    def __init__(self, services: AdmissionServices) -> None:
        self._authorizer = services.authorizer

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:
        return operation == UPDATE and resource == _REQUESTS and subresource == "status"

    def validate(self, request: AdmissionRequest) -> None:
        old, new = (request.old or {}).get("status") or {}, (request.object or {}).get("status") or {}
        if old.get("certificate") == new.get("certificate") and old.get("conditions") == new.get("conditions"):
            return
        signer = ((request.old or {}).get("spec") or {}).get("signerName", "")
        if not _may(self._authorizer, request, "sign", signer):
            why = f'user not permitted to sign requests with signerName "{signer}"'
            raise errors.forbidden(_REQUESTS, request.name, why)


class CertificateSubjectRestriction:
    """Nobody becomes a superuser by a client certificate from the cluster's own signer."""

    name = "CertificateSubjectRestriction"

    def __init__(self, services: AdmissionServices) -> None:
        del services

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:
        return operation == CREATE and resource == _REQUESTS and not subresource

    def validate(self, request: AdmissionRequest) -> None:
        spec = (request.object or {}).get("spec") or {}
        if spec.get("signerName") != _CLIENT_SIGNER:
            return
        from base64 import b64decode  # noqa: PLC0415 - only for certificate requests

        from cryptography import x509  # noqa: PLC0415
        from cryptography.x509.oid import NameOID  # noqa: PLC0415

        try:
            csr = x509.load_pem_x509_csr(b64decode(spec.get("request") or ""))
        except ValueError as error:
            raise errors.forbidden(_REQUESTS, request.name, f"failed to parse CSR: {error}") from error
        organizations = [one.value for one in csr.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
        if MASTERS in organizations:
            why = f"use of {_CLIENT_SIGNER} signer with {MASTERS} group is not allowed"
            raise errors.forbidden(_REQUESTS, request.name, why)
