"""What a request is about, from its method and path."""

import pytest

from sampan.apiserver import requestinfo
from sampan.apiserver.requestinfo import parse, parse_query


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", "/api/v1/pods", "", ("list", "", "v1", "", "pods", "", "")),
        ("GET", "/api/v1/namespaces/a/pods", "watch=1", ("watch", "", "v1", "a", "pods", "", "")),
        ("GET", "/api/v1/namespaces/a/pods", "watch=0", ("list", "", "v1", "a", "pods", "", "")),
        ("POST", "/api/v1/namespaces/a/pods", "", ("create", "", "v1", "a", "pods", "", "")),
        ("GET", "/api/v1/namespaces/a/pods/p/log", "", ("get", "", "v1", "a", "pods", "p", "log")),
        ("PUT", "/apis/apps/v1/namespaces/a/deployments/d", "", ("update", "apps", "v1", "a", "deployments", "d", "")),
        ("PATCH", "/api/v1/nodes/n/status", "", ("patch", "", "v1", "", "nodes", "n", "status")),
        ("DELETE", "/api/v1/namespaces/a/pods", "", ("deletecollection", "", "v1", "a", "pods", "", "")),
        ("DELETE", "/api/v1/namespaces/a", "", ("delete", "", "v1", "a", "namespaces", "a", "")),
        ("GET", "/api/v1/namespaces/a/status", "", ("get", "", "v1", "a", "namespaces", "a", "status")),
        ("GET", "/api/v1/watch/namespaces/a/pods/p", "", ("watch", "", "v1", "a", "pods", "p", "")),
        ("GET", "/api/v1/pods", "fieldSelector=metadata.name%3Dx", ("list", "", "v1", "", "pods", "x", "")),
    ],
)
def test_resource_requests_name_their_subject(method, path, query, expected):
    info = parse(method, path, parse_query(query))
    assert info.is_resource
    found = (info.verb, info.group, info.version, info.namespace, info.resource, info.name, info.subresource)
    assert found == expected


@pytest.mark.parametrize("path", ["/healthz", "/api", "/api/v1", "/apis/apps", "/apis/apps/v1", "/version", "/"])
def test_short_and_other_paths_are_no_resource_requests(path):
    info = parse("GET", path, ())
    assert not info.is_resource
    assert info.verb == "get"


def test_queries_keep_order_and_repetitions():
    assert parse_query("a=1&b=x%20y&a=2+3&c") == (("a", "1"), ("b", "x y"), ("a", "2 3"), ("c", ""))


@pytest.mark.parametrize(
    ("text", "expected"), [("true", True), ("", True), ("maybe", True), ("0", False), ("False", False)]
)
def test_boolean_parameters_are_true_unless_they_say_false(text, expected):
    assert requestinfo.is_true(text) is expected
