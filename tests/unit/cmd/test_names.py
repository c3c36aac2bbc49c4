"""Image names, archives and join tokens."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from sampan.base.pki import CertificateAuthority
from sampan.cmd.archive import ArchiveError, archive_names, open_archive
from sampan.cmd.imagename import ImageNameError, full_name, registry_of
from sampan.cmd.jointoken import JoinToken, JoinTokenError


@pytest.mark.parametrize(
    ("typed", "full"),
    [
        ("kubia", "docker.io/library/kubia:latest"),
        ("tree9295/kubia", "docker.io/tree9295/kubia:latest"),
        ("localhost:5000/kubia", "localhost:5000/kubia:latest"),
        ("localhost/kubia:1", "localhost/kubia:1"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("registry.example/a/b:v1", "registry.example/a/b:v1"),
        ("a@sha256:" + "0" * 64, "docker.io/library/a@sha256:" + "0" * 64),
    ],
)
def test_names_are_spelled_in_full(typed, full):
    assert full_name(typed) == full


@pytest.mark.parametrize("text", ["", "UPPER", "a b", "a:", "-x", "a@sha256:12"])
def test_text_that_is_no_name_is_refused(text):
    with pytest.raises(ImageNameError, match="is not an image name"):
        full_name(text)


def test_registry_keeps_its_port():
    assert registry_of("localhost:5000/kubia:latest") == "localhost:5000"


def make_archive(path, **documents):
    with tarfile.open(path, "w") as tar:
        for name, content in documents.items():
            data = json.dumps(content).encode()
            info = tarfile.TarInfo(f"{name}.json")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_docker_archive_tells_its_tags(tmp_path):
    archive = make_archive(tmp_path / "a.tar", manifest=[{"RepoTags": ["kubia:latest", "kubia:1"]}])
    assert archive_names(archive) == ["kubia:latest", "kubia:1"]


def test_oci_archive_tells_its_reference_names(tmp_path):
    manifests = [{"annotations": {"org.opencontainers.image.ref.name": "x/y:1"}}, {}]
    assert archive_names(make_archive(tmp_path / "a.tar", index={"manifests": manifests})) == ["x/y:1"]


def test_layout_folder_is_packed(tmp_path):
    layout = tmp_path / "layout"
    layout.mkdir()
    (layout / "index.json").write_text('{"manifests": []}')
    with open_archive(layout, tmp_path) as (packed, names):
        assert tarfile.is_tarfile(packed)
        assert names == []


def test_other_files_are_refused(tmp_path):
    (tmp_path / "x").write_text("hello")
    with pytest.raises(ArchiveError, match="is not an image archive"):
        archive_names(tmp_path / "x")


def make_token(authority):
    return JoinToken(identity="abcdef", secret="0123456789abcdef", ca_hash=authority.hash)


def test_join_token_survives_a_round_trip():
    authority, _ = CertificateAuthority.create("test")
    token = make_token(authority)
    assert JoinToken.parse(f"{token}\n") == token
    token.check(authority.certificate)


def test_join_token_refuses_another_authority():
    authority, _ = CertificateAuthority.create("test")
    other, _ = CertificateAuthority.create("test")
    with pytest.raises(JoinTokenError, match="another cluster"):
        make_token(authority).check(other.certificate)


def test_malformed_join_token_is_refused_without_showing_it(tmp_path):
    (tmp_path / "token").write_text("secretsecret")
    with pytest.raises(JoinTokenError, match="not a join token") as caught:
        JoinToken.read(tmp_path / "token")
    assert "secretsecret" not in str(caught.value)
    assert "0123456789abcdef" not in repr(make_token(CertificateAuthority.create("x")[0]))
