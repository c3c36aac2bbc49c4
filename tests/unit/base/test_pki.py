"""The certificate authority issues what TLS and Kubernetes accept."""

from __future__ import annotations

import ssl
import stat
from datetime import timedelta

import pytest
from cryptography import x509

from sampan.base import pki


def test_a_second_load_returns_the_same_authority(tmp_path):
    first = pki.CertificateAuthority.load_or_create(tmp_path, "ca", "test")
    second = pki.CertificateAuthority.load_or_create(tmp_path, "ca", "test")
    assert first.hash == second.hash
    assert stat.S_IMODE((tmp_path / "ca.key").stat().st_mode) == 0o600


def test_issued_server_certificate_is_accepted_for_its_names(tmp_path):
    authority, _ = pki.CertificateAuthority.create("test")
    pair = authority.issue("server", names=["localhost", "127.0.0.1"], usages=["server auth"])
    (tmp_path / "crt").write_bytes(pair.certificate)
    pki.write_private(tmp_path / "key", pair.key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    client = ssl.create_default_context(cadata=authority.certificate.decode())
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    a = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    b = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (a, b):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert a.getpeercert()["subject"] == ((("commonName", "server"),),)


def test_signed_request_keeps_subject_and_names():
    authority, _ = pki.CertificateAuthority.create("test")
    request = pki.create_csr("system:node:n1", ["system:nodes"], ["n1", "10.0.0.1"])
    signed = authority.sign_csr(request.certificate, usages=["server auth"], duration=timedelta(days=1))
    certificate = x509.load_pem_x509_certificate(signed)
    assert certificate.subject.rfc4514_string() == "CN=system:node:n1,O=system:nodes"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["n1"]


def test_garbage_request_is_refused():
    authority, _ = pki.CertificateAuthority.create("test")
    with pytest.raises(ValueError, match="Unable to load PEM"):
        authority.sign_csr(b"nonsense", usages=[], duration=timedelta(days=1))


def test_failed_write_leaves_no_temporary_file(tmp_path):
    (tmp_path / "target").mkdir()
    with pytest.raises(OSError, match="directory"):
        pki.write_private(tmp_path / "target", b"x")
    assert [one.name for one in tmp_path.iterdir()] == ["target"]
