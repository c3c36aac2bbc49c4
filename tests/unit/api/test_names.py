"""Names: the rules and Kubernetes' words for breaking them."""

from __future__ import annotations

from sampan.api import intstr, names


def test_valid_names_have_no_messages() -> None:
    assert names.is_dns1123_label("my-name") == []
    assert names.is_dns1123_subdomain("a.b-c.d") == []
    assert names.is_dns1035_label("a1") == []
    assert names.is_qualified_name("example.com/My_name.1") == []
    assert names.is_valid_label_value("") == []
    assert names.is_config_map_key(".hidden") == []
    assert names.is_valid_port_name("http-1") == []
    assert names.is_valid_path_segment_name("system:node:x") == []
    assert names.is_wildcard_dns1123_subdomain("*.example.com") == []


def test_broken_names_are_described_as_kubernetes_does() -> None:
    assert names.is_dns1123_label("a.b") == ["must not contain dots"]
    assert names.is_dns1123_label("A") == [names.LABEL_MESSAGE]
    assert names.is_dns1123_subdomain("x" * 254) == ["must be no more than 253 characters"]
    assert names.is_qualified_name("/x") == ["prefix part must be non-empty"]
    assert names.is_qualified_name("a/b/c")[0].startswith("a valid label key must consist of")
    assert names.is_qualified_name("")[0] == "name part must be non-empty"
    assert names.is_config_map_key("..x") == ["must not start with '..'"]
    assert names.is_valid_path_segment_name("a/b%") == ["may not contain '/'", "may not contain '%'"]
    assert names.is_valid_path_segment_name("..") == ["may not be '..'"]
    assert names.is_valid_port_name("-1-") == [
        "must contain at least one letter (a-z)",
        "must not begin or end with a hyphen",
    ]


def test_lengths_count_bytes() -> None:
    assert "must be no more than 63 bytes" in names.is_valid_label_value("é" * 32)


def test_percentages_scale_and_round() -> None:
    assert intstr.scaled("25%", 10, round_up=True) == 3
    assert intstr.scaled("25%", 10, round_up=False) == 2
    assert intstr.scaled(4, 10, round_up=True) == 4
