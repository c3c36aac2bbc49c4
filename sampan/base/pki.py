"""Certificates: a certificate authority, the certificates it issues, and the hash that join tokens carry.

Keys are ECDSA P-256, files are 0600 and written atomically; nothing here logs or prints a key. The CA hash is
kubeadm's: SHA-256 over the CA's SubjectPublicKeyInfo, ``sha256:<hex>``.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

CA_DAYS = 3650
LEAF_DAYS = 365
_BACKDATE = timedelta(minutes=5)
"""Certificates begin this much in the past: machines' clocks differ."""

_USAGES = {"client auth": ExtendedKeyUsageOID.CLIENT_AUTH, "server auth": ExtendedKeyUsageOID.SERVER_AUTH}


class PKIError(SampanError):
    """Keys or certificates on disk cannot be used; the message names the files and the cure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A certificate chain and its private key, both PEM."""

    certificate: bytes
    key: bytes


class CertificateAuthority:
    """Issues certificates in the name of one CA."""

    def __init__(self, pair: KeyPair) -> None:
        self.certificate = pair.certificate
        self._certificate = x509.load_pem_x509_certificate(pair.certificate)
        key = serialization.load_pem_private_key(pair.key, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("the CA's key is not an elliptic curve key")
        self._key = key

    @classmethod
    def create(cls, common_name: str) -> tuple[CertificateAuthority, KeyPair]:
        """Make a new self-signed CA, valid for ten years."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(common_name, ())
        now = datetime.now(UTC)
        usage = x509.KeyUsage(
            digital_signature=True, content_commitment=False, key_encipherment=True, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATE)
            .not_valid_after(now + timedelta(days=CA_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(identifier, critical=False)
            .sign(key, hashes.SHA256())
        )
        pair = KeyPair(certificate=_pem(certificate), key=key_pem(key))
        return cls(pair), pair

    @classmethod
    def load_or_create(cls, folder: Path, name: str, common_name: str) -> CertificateAuthority:
        """Load ``<name>.crt`` and ``<name>.key`` from folder; make them if both are absent. Raises PKIError."""
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        if certificate.exists() or key.exists():
            try:
                return cls(KeyPair(certificate=certificate.read_bytes(), key=key.read_bytes()))
            except (ValueError, TypeError, FileNotFoundError) as error:
                raise PKIError(
                    f"{certificate} and {key.name} are no certificate authority ({error}): restore both from a backup; "
                    f"without them nobody's certificates are valid any more, move both away to issue new ones"
                ) from error
        authority, pair = cls.create(common_name)
        write_private(key, pair.key)
        write_private(certificate, pair.certificate, mode=0o644)
        return authority

    @property
    def hash(self) -> str:
        """``sha256:<hex>`` of the CA's public key."""
        return certificate_hash(self.certificate)

    def issue(
        self,
        common_name: str,
        *,
        organizations: Sequence[str] = (),
        names: Iterable[str] = (),
        usages: Sequence[str] = ("client auth",),
        days: float = LEAF_DAYS,
    ) -> KeyPair:
        """Issue a certificate with a new key. names: DNS names and IP addresses of a server."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(
            key.public_key(), _name(common_name, organizations), alternative_names(names), usages, timedelta(days=days)
        )
        return KeyPair(certificate=certificate, key=key_pem(key))

    def sign_csr(self, request: bytes, *, usages: Sequence[str], duration: timedelta) -> bytes:
        """Sign a PEM certificate request as it stands (subject and alternative names) and return the PEM certificate.

        usages: Kubernetes' key usages; those that are extended ones become the ExtendedKeyUsage. Raises ValueError.
        """
        csr = x509.load_pem_x509_csr(request)
        if not csr.is_signature_valid:
            raise ValueError("the certificate request's signature is not valid")
        try:
            names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            names = None
        return self._sign(csr.public_key(), csr.subject, names, usages, duration)  # type: ignore[arg-type]

    def _sign(
        self,
        public_key: ec.EllipticCurvePublicKey,
        subject: x509.Name,
        names: x509.SubjectAlternativeName | None,
        usages: Sequence[str],
        duration: timedelta,
    ) -> bytes:
        now = datetime.now(UTC)
        usage = x509.KeyUsage(
            digital_signature=True, content_commitment=False, key_encipherment="key encipherment" in usages,
            data_encipherment=False, key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False,
            decipher_only=False,
        )  # fmt: skip
        end = min(now + duration, self._certificate.not_valid_after_utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(now - _BACKDATE, self._certificate.not_valid_before_utc))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if extended := [_USAGES[one] for one in usages if one in _USAGES]:
            builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return _pem(builder.sign(self._key, hashes.SHA256()))


def certificate_hash(certificate: bytes) -> str:
    """``sha256:<hex>`` over a PEM certificate's SubjectPublicKeyInfo, as kubeadm's discovery hash."""
    loaded = x509.load_pem_x509_certificate(certificate)
    spki = loaded.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return "sha256:" + hashlib.sha256(spki).hexdigest()


def create_csr(common_name: str, organizations: Sequence[str], names: Iterable[str] = ()) -> KeyPair:
    """Make a new key and a certificate request for it; the pair's `certificate` is the PEM request."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(common_name, organizations))
    if (alternative := alternative_names(names)) is not None:
        builder = builder.add_extension(alternative, critical=False)
    request = builder.sign(key, hashes.SHA256())
    return KeyPair(certificate=request.public_bytes(serialization.Encoding.PEM), key=key_pem(key))


def expires_at(certificate: bytes) -> datetime:
    """When a PEM certificate ends."""
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc


def alternative_names(names: Iterable[str]) -> x509.SubjectAlternativeName | None:
    """DNS names and IP addresses as an extension; None when there are none."""
    general: list[x509.GeneralName] = []
    for name in dict.fromkeys(names):
        try:
            general.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            general.append(x509.DNSName(name))
    return x509.SubjectAlternativeName(general) if general else None


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Encode a private key as unencrypted PKCS#8 PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_private(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file atomically with its mode set from the first byte."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _name(common_name: str, organizations: Sequence[str]) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in organizations]
    attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    return x509.Name(attributes)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
