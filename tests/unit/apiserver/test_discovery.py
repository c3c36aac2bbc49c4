"""Discovery documents."""

import json

from sampan.api.gvk import GroupVersionKind, ResourceInfo, SubresourceInfo
from sampan.apiserver.discovery import Discovery, DynamicVersion, aggregated_version, version_rank

CLIENT_GO = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)
WIDGETS = ResourceInfo(
    group="example.com",
    version="v1",
    resource="widgets",
    singular="widget",
    kind="Widget",
    namespaced=True,
    verbs=("delete", "get", "list"),
    short_names=("wd",),
    subresources={
        "status": SubresourceInfo(
            name="status", kind=GroupVersionKind("example.com", "v1", "Widget"), verbs=("get", "update")
        )
    },
)


def body(document):
    return json.loads(document.body)


def test_legacy_documents_have_kubernetes_shapes():
    discovery = Discovery(server_address="10.0.0.1:6443")
    api = body(discovery.legacy("/api"))
    address = {"clientCIDR": "0.0.0.0/0", "serverAddress": "10.0.0.1:6443"}
    assert api == {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [address]}
    groups = body(discovery.legacy("/apis"))["groups"]
    assert [group["name"] for group in groups[:3]] == ["apiregistration.k8s.io", "apps", "events.k8s.io"]
    autoscaling = body(discovery.legacy("/apis/autoscaling"))
    assert autoscaling["preferredVersion"] == {"groupVersion": "autoscaling/v2", "version": "v2"}
    core = body(discovery.legacy("/api/v1/"))
    assert "apiVersion" not in core
    assert {"name": "pods/binding", "singularName": "", "namespaced": True, "kind": "Binding", "verbs": ["create"]} in (
        core["resources"]
    )
    scale = next(r for r in body(discovery.legacy("/apis/apps/v1"))["resources"] if r["name"] == "deployments/scale")
    assert (scale["group"], scale["version"], scale["kind"]) == ("autoscaling", "v1", "Scale")


def test_unknown_paths_have_no_document():
    discovery = Discovery()
    assert all(discovery.legacy(path) is None for path in ("/api/v2", "/apis/nope", "/apis/apps/v2", "/apis/apps/v1/x"))


def test_aggregated_document_nests_subresources_and_has_an_etag():
    document = Discovery().aggregated("/apis")
    assert document.content_type == "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    assert document.etag.startswith('"')
    apps = next(item for item in body(document)["items"] if item["metadata"]["name"] == "apps")
    deployments = next(r for r in apps["versions"][0]["resources"] if r["resource"] == "deployments")
    assert deployments["responseKind"] == {"group": "", "version": "", "kind": "Deployment"}
    assert [sub["subresource"] for sub in deployments["subresources"]] == ["scale", "status"]
    core = body(Discovery().aggregated("/api"))["items"]
    assert [version["version"] for version in core[0]["versions"]] == ["v1"]


def test_dynamic_versions_come_and_go():
    discovery = Discovery()
    before = discovery.aggregated("/apis")
    assert discovery.aggregated("/apis") is before
    for version in ("v1beta1", "v1", "v2alpha1"):
        discovery.put(DynamicVersion(group="example.com", version=version, resources=[WIDGETS]))
    assert body(discovery.legacy("/apis"))["groups"][-1]["name"] == "example.com"
    assert [v["version"] for v in body(discovery.legacy("/apis/example.com"))["versions"]] == [
        "v1",
        "v1beta1",
        "v2alpha1",
    ]
    names = [resource["name"] for resource in body(discovery.legacy("/apis/example.com/v1"))["resources"]]
    assert names == ["widgets", "widgets/status"]
    item = body(discovery.aggregated("/apis"))["items"][-1]
    kind = {"group": "example.com", "version": "v1", "kind": "Widget"}
    assert item["versions"][0]["resources"][0]["responseKind"] == kind
    assert discovery.aggregated("/apis").etag != before.etag
    for version in ("v1beta1", "v1", "v2alpha1"):
        discovery.remove("example.com", version)
    assert discovery.aggregated("/apis").etag == before.etag


def test_accept_headers_choose_the_form():
    assert aggregated_version(CLIENT_GO) == "v2"
    assert aggregated_version("application/json") == ""
    assert aggregated_version("application/json, */*") == ""
    assert aggregated_version("") == ""
    assert aggregated_version("application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList,*/*") == ""


def test_versions_sort_as_kubernetes_sorts_them():
    order = ["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2", "foo1", "foo10"]
    assert sorted(sorted(order), key=version_rank) == order
