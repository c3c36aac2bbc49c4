"""OpenAPI documents."""

import json

import pytest

from sampan.api.errors import NotAcceptable
from sampan.api.schema.wire import fields
from sampan.apiserver.openapi import OpenAPI, Part, Redirect

PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"


def test_v2_describes_every_kind():
    document = OpenAPI().v2("application/json")
    parsed = json.loads(document.body)
    pod = parsed["definitions"]["io.k8s.api.core.v1.Pod"]
    assert pod["description"].startswith("Pod is a collection of containers")
    assert parsed["definitions"]["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]["description"]
    assert document.headers == {"Vary": "Accept"}


def test_v2_protobuf_names_kinds_in_extensions():
    document = OpenAPI().v2(PROTOBUF)
    assert document.content_type == "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    top = dict(fields(document.body))
    assert top[1 << 3 | 2] == b"2.0"
    named = {}
    for _, entry in fields(top[9 << 3 | 2]):
        parts = dict(fields(entry))
        named[parts[1 << 3 | 2]] = parts[2 << 3 | 2]
    pod = named[b"io.k8s.api.core.v1.Pod"]
    extensions = [dict(fields(value)) for tag, value in fields(pod) if tag == 31 << 3 | 2]
    assert extensions[0][1 << 3 | 2] == b"x-kubernetes-group-version-kind"
    yaml_text = dict(fields(extensions[0][2 << 3 | 2]))[2 << 3 | 2]
    assert json.loads(yaml_text) == [{"group": "", "kind": "Pod", "version": "v1"}]


def test_v3_index_links_documents_by_hash():
    openapi = OpenAPI()
    paths = json.loads(openapi.v3_index().body)["paths"]
    assert "api/v1" in paths
    url = paths["apis/apps/v1"]["serverRelativeURL"]
    assert url.startswith("/openapi/v3/apis/apps/v1?hash=")
    digest = url.rpartition("=")[2]
    document = openapi.v3("apis/apps/v1", digest=digest)
    assert document.etag == f'"{digest}"'
    assert document.headers["Cache-Control"] == "public, immutable"
    assert "io.k8s.api.apps.v1.Deployment" in json.loads(document.body)["components"]["schemas"]


def test_stale_hashes_are_redirected_and_unknown_paths_are_not_found():
    openapi = OpenAPI()
    found = openapi.v3("apis/apps/v1", digest="old")
    assert isinstance(found, Redirect)
    assert found.location.startswith("/openapi/v3/apis/apps/v1?hash=")
    assert openapi.v3("apis/nope/v1") is None


def test_dynamic_group_versions_appear_in_both():
    openapi = OpenAPI()
    before = openapi.v2().etag
    definitions = {"com.example.v1.Widget": {"type": "object"}}
    paths = {"/apis/example.com/v1/widgets": {"get": {"responses": {"200": {"description": "OK"}}}}}
    part = Part(v3={"openapi": "3.0.0", "paths": {}}, definitions=definitions, paths=paths)
    openapi.put("apis/example.com/v1", part)
    parsed = json.loads(openapi.v2().body)
    assert "com.example.v1.Widget" in parsed["definitions"]
    assert "/apis/example.com/v1/widgets" in parsed["paths"]
    assert "io.k8s.api.core.v1.Pod" in parsed["definitions"]
    assert b"com.example.v1.Widget" in openapi.v2(PROTOBUF).body
    assert "apis/example.com/v1" in json.loads(openapi.v3_index().body)["paths"]
    assert json.loads(openapi.v3("apis/example.com/v1").body)["openapi"] == "3.0.0"
    openapi.remove("apis/example.com/v1")
    assert openapi.v2().etag == before


def test_other_media_types_are_not_acceptable():
    with pytest.raises(NotAcceptable):
        OpenAPI().v2("application/xml")


def test_operations_parameters_and_responses_are_described():
    document = json.loads(OpenAPI().v3("api/v1").body)
    item = document["paths"]["/api/v1/namespaces/{namespace}/pods"]
    assert item["get"]["description"] == "list or watch objects of kind Pod"
    assert item["post"]["responses"]["201"]["description"] == "Created"
    assert all(parameter["description"] for parameter in item["get"]["parameters"] + item["parameters"])
