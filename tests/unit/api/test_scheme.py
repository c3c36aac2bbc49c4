"""What is served, and by which names it is found."""

from sampan.api import schema
from sampan.api.gvk import GroupResource, GroupVersionKind, GroupVersionResource
from sampan.api.scheme import builtin, list_kind


def test_resources_are_found_by_every_name():
    scheme = builtin()
    pods = scheme.by_resource(GroupVersionResource("", "v1", "pods"))
    assert pods is not None
    assert (pods.kind, pods.singular, pods.short_names, pods.categories) == ("Pod", "pod", ("po",), ("all",))
    assert scheme.by_kind(GroupVersionKind("", "v1", "Pod")) is pods
    assert scheme.by_group_resource(GroupResource("", "pods")) is pods
    assert scheme.by_group_kind("", "Pod") is pods
    assert scheme.by_resource(GroupVersionResource("", "v1", "nope")) is None


def test_preferred_versions_come_first():
    scheme = builtin()
    assert scheme.groups["autoscaling"] == ("v2", "v1")
    assert scheme.preferred_version("autoscaling") == "v2"
    found = scheme.by_group_resource(GroupResource("autoscaling", "horizontalpodautoscalers"))
    assert found is not None
    assert found.version == "v2"
    assert scheme.is_served("apps", "v1")
    assert not scheme.is_served("apps", "v1beta1")


def test_subresources_know_their_kinds():
    scheme = builtin()
    deployments = scheme.by_resource(GroupVersionResource("apps", "v1", "deployments"))
    assert deployments is not None
    assert deployments.subresources["scale"].kind == GroupVersionKind("autoscaling", "v1", "Scale")
    pods = scheme.by_resource(GroupVersionResource("", "v1", "pods"))
    assert pods is not None
    assert pods.subresources["exec"].verbs == ("create", "get")
    assert pods.subresources["eviction"].kind == GroupVersionKind("policy", "v1", "Eviction")


def test_every_resource_and_list_has_a_type():
    for info in builtin():
        assert schema.type_of(info.gvk).kind == "struct"
        if "list" in info.verbs:
            assert schema.type_of(list_kind(info.gvk)).fields["items"].type.kind == "list"
        for sub in info.subresources.values():
            assert schema.type_of(sub.kind).kind == "struct"


def test_events_are_stored_in_the_core_group():
    scheme = builtin()
    core = scheme.by_resource(GroupVersionResource("", "v1", "events"))
    new = scheme.by_resource(GroupVersionResource("events.k8s.io", "v1", "events"))
    assert core is not None
    assert new is not None
    assert core.storage_version_hash == new.storage_version_hash == "r2yiGXH7wu8="
