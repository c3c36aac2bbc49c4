"""Damaged keys on disk are told with their cure and never replaced silently."""

from __future__ import annotations

import pytest

from sampan.apiserver.authn.serviceaccounts import SigningKey
from sampan.base.pki import CertificateAuthority, PKIError


@pytest.mark.parametrize("damaged", ["ca.crt", "ca.key"])
def test_damaged_authority_is_told_and_kept(tmp_path, damaged):
    CertificateAuthority.load_or_create(tmp_path, "ca", "test")
    (tmp_path / damaged).write_text("garbage")
    with pytest.raises(PKIError, match="restore both from a backup"):
        CertificateAuthority.load_or_create(tmp_path, "ca", "test")
    assert (tmp_path / damaged).read_text() == "garbage"


def test_authority_without_its_key_is_not_replaced(tmp_path):
    certificate = CertificateAuthority.load_or_create(tmp_path, "ca", "test").certificate
    (tmp_path / "ca.key").unlink()
    with pytest.raises(PKIError):
        CertificateAuthority.load_or_create(tmp_path, "ca", "test")
    assert (tmp_path / "ca.crt").read_bytes() == certificate


def test_damaged_token_key_is_told(tmp_path):
    SigningKey.load_or_create(tmp_path)
    (tmp_path / "sa.key").write_text("garbage")
    with pytest.raises(PKIError, match="every service-account token must be issued anew"):
        SigningKey.load_or_create(tmp_path)
