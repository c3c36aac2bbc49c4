"""What skopeo's last line means to the person who typed the command."""

from __future__ import annotations

import pytest

from sampan.cmd.registryerror import explain

_REGISTRY = "registry.example:5443"


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("trying to reuse blob: unauthorized: authentication required", "skopeo login registry.example:5443"),
        ("pinging container registry: x509: certificate signed by unknown authority", "--cert-dir"),
        ("http: server gave HTTP response to HTTPS client", "--no-tls-verify"),
        ("reading manifest 9 in registry.example:5443/x: manifest unknown", "skopeo list-tags"),
        ("dial tcp 192.0.2.1:5443: connect: connection refused", "whether it runs"),
    ],
)
def test_known_failures_name_the_registry_and_the_cure(text, cure):
    told = explain(f'time="2026-01-02T03:04:05Z" level=fatal msg="{text}"\n', _REGISTRY)
    assert told.startswith(_REGISTRY)
    assert text in told
    assert cure in told


def test_quotes_in_the_text_are_kept():
    told = explain(r'level=fatal msg="Get \"https://x/v2/\": x509: expired"', _REGISTRY)
    assert 'Get "https://x/v2/": x509: expired' in told


def test_unknown_output_is_left_to_be_shown_as_it_is():
    assert explain("Killed\n", _REGISTRY) is None
    assert explain('level=fatal msg="no space left on device"', _REGISTRY) is None
