"""Content negotiation."""

import pytest

from sampan.api.errors import NotAcceptable
from sampan.apiserver import negotiate


@pytest.mark.parametrize(
    ("header", "media"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/yaml", "application/yaml"),
        ("application/vnd.kubernetes.protobuf, application/json", "application/vnd.kubernetes.protobuf"),
        ("application/yaml;q=0.1, application/json", "application/json"),
    ],
)
def test_first_best_media_type_is_chosen(header, media):
    assert negotiate.negotiate(header).media == media


def test_tables_and_partial_metadata_are_transformations():
    found = negotiate.negotiate("application/json;as=Table;v=v1;g=meta.k8s.io,application/json")
    assert (found.transform, found.version) == ("Table", "v1")


def test_unknown_transformation_falls_back_to_the_next_clause():
    found = negotiate.negotiate("application/json;as=Table;v=v9;g=meta.k8s.io,application/json")
    assert found.transform == ""


@pytest.mark.parametrize("header", ["text/html", "application/*", "application/xml"])
def test_router_refuses_types_nobody_sends(header):
    with pytest.raises(NotAcceptable, match="406: Not Acceptable"):
        negotiate.negotiate(header)


def test_endpoint_refuses_transformations_it_cannot_do():
    with pytest.raises(NotAcceptable, match="only the following media types are accepted"):
        negotiate.negotiate("application/json;as=Nope;v=v1;g=meta.k8s.io")


def test_yaml_cannot_be_watched():
    with pytest.raises(NotAcceptable, match="stream=watch"):
        negotiate.check_stream(negotiate.negotiate("application/yaml"))
