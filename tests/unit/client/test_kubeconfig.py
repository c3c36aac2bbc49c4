"""Kubeconfig files: merging, resolving, writing."""

import stat

import pytest

from sampan.client import kubeconfig
from sampan.client.config import ConfigError

ONE = """
apiVersion: v1
kind: Config
clusters:
- {name: a, cluster: {server: "https://one:6443", certificate-authority: ca.crt}}
users:
- {name: u, user: {token: secret, as: jane, as-groups: [dev]}}
contexts:
- {name: c, context: {cluster: a, user: u, namespace: ns}}
current-context: c
"""
TWO = """
clusters:
- {name: a, cluster: {server: "https://two"}}
- {name: b, cluster: {server: "https://b"}}
contexts:
- {name: d, context: {cluster: b}}
current-context: d
"""


def test_first_file_of_the_list_wins(tmp_path):
    (tmp_path / "one").write_text(ONE)
    (tmp_path / "two").write_text(TWO)
    listed = f"{tmp_path / 'one'}:{tmp_path / 'absent'}:{tmp_path / 'two'}"
    config = kubeconfig.load(environment={"KUBECONFIG": listed})
    assert config.current_context == "c"
    assert sorted(config.clusters) == ["a", "b"]
    resolved = config.resolve()
    assert resolved.server == "https://one:6443"
    assert resolved.ca_file == str(tmp_path / "ca.crt")
    assert (resolved.token, resolved.namespace) == ("secret", "ns")
    assert resolved.impersonate.headers() == [("Impersonate-User", "jane"), ("Impersonate-Group", "dev")]
    assert config.resolve(context="d").server == "https://b"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"context": "x"}, 'context "x" does not exist'),
        ({"cluster": "x"}, 'cluster "x" does not exist'),
        ({"user": "x"}, 'auth info "x" does not exist'),
    ],
)
def test_unknown_names_are_refused(tmp_path, options, message):
    (tmp_path / "one").write_text(ONE)
    with pytest.raises(ConfigError, match=message):
        kubeconfig.load(tmp_path / "one").resolve(**options)


def test_credential_plugin_is_refused(tmp_path):
    (tmp_path / "f").write_text(ONE.replace("token: secret", "exec: {command: x}"))
    with pytest.raises(ConfigError, match="credential plug-in"):
        kubeconfig.load(tmp_path / "f").resolve()


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        kubeconfig.load(tmp_path / "absent")
    (tmp_path / "bad").write_text("a: [")
    with pytest.raises(ConfigError, match="bad"):
        kubeconfig.load(tmp_path / "bad")


def test_written_file_is_private_and_reads_back(tmp_path):
    config = kubeconfig.build(
        name="sampan", server="https://127.0.0.1:6443", ca=b"CA", certificate=b"CERT", key=b"KEY", namespace="n"
    )
    path = tmp_path / "deep" / "config"
    kubeconfig.write(path, config)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    resolved = kubeconfig.load(path).resolve()
    assert (resolved.ca, resolved.certificate, resolved.key, resolved.namespace) == (b"CA", b"CERT", b"KEY", "n")
    assert "KEY" not in repr(resolved)


def test_merging_keeps_what_is_there_and_removal_leaves_it(tmp_path):
    path = tmp_path / "config"
    path.write_text(ONE)
    mine = kubeconfig.build(name="sampan", server="https://x", ca=b"", token="t")
    kubeconfig.merge_into(path, mine)
    merged = kubeconfig.load(path)
    assert (merged.current_context, sorted(merged.contexts)) == ("sampan", ["c", "sampan"])
    kubeconfig.remove_from(path, "sampan")
    left = kubeconfig.load(path)
    assert (left.current_context, sorted(left.users)) == ("", ["u"])


def test_nothing_configured_says_how_to_start(tmp_path):
    with pytest.raises(ConfigError, match="sampan up"):
        kubeconfig.load(environment={"HOME": str(tmp_path)}).resolve()
