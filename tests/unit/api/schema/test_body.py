"""Request bodies: what the API server says of those it cannot take, word for word."""
# ruff: noqa: E501  messages are easier to compare whole

import json

import pytest

from sampan.api import schema
from sampan.api.errors import BadRequest
from sampan.api.gvk import GroupVersionKind

POD = GroupVersionKind("", "v1", "Pod")
CONFIG_MAP = GroupVersionKind("", "v1", "ConfigMap")
STRUCT = r'struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }'


def refusal(body, kind=CONFIG_MAP, **options):
    data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    with pytest.raises(BadRequest) as caught:
        schema.decode_body(data, kind, **options)
    return str(caught.value)


UNRECOGNIZED = "the object provided is unrecognized (must be of type ConfigMap): "


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ('{"apiVersion":', 'unexpected end of JSON input ({"apiVersion":)'),
        ("hello", "invalid character 'h' looking for beginning of value (68656c6c6f)"),
        ("[]", f"json: cannot unmarshal array into Go value of type {STRUCT} (5b5d)"),
        ("42", f"json: cannot unmarshal number into Go value of type {STRUCT} (3432)"),
        ('{"kind":7}', 'json: cannot unmarshal number into Go struct field .kind of type string ({"kind":7})'),
        ("", "unexpected end of JSON input (<empty>)"),
    ],
)
def test_documents_that_are_no_objects_are_unrecognized(body, why):
    assert refusal(body) == f"{UNRECOGNIZED}couldn't get version/kind; json parse error: {why}"


def test_broken_yaml_is_unrecognized():
    why = "yaml: line 1: did not find expected node content (613a205b)"
    assert refusal("a: [", yaml=True) == f"{UNRECOGNIZED}{why}"


def test_version_with_two_slashes_is_no_version():
    assert "unexpected GroupVersion string: a/b/c" in refusal({"apiVersion": "a/b/c", "kind": "ConfigMap"})


@pytest.mark.parametrize(
    ("obj", "why"),
    [
        ({"data": {"a": 1}}, "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"),
        ({"data": []}, "json: cannot unmarshal array into Go struct field ConfigMap.data of type map[string]string"),
        (
            {"metadata": {"name": 7}},
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string",
        ),
        ({"binaryData": {"a": "***"}}, "illegal base64 data at input byte 0"),
        (
            {"metadata": {"creationTimestamp": 5}},
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.creationTimestamp of type string",
        ),
    ],
)
def test_wrong_types_are_refused_in_go_words(obj, why):
    body = {"apiVersion": "v1", "kind": "ConfigMap", **obj}
    assert refusal(body) == f'ConfigMap in version "v1" cannot be handled as a ConfigMap: {why}'


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"containers": {}}, "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container"),
        ({"containers": [1]}, "json: cannot unmarshal number into Go struct field PodSpec.spec.containers of type v1.Container"),
        ({"priority": 1.5}, "json: cannot unmarshal number 1.5 into Go struct field PodSpec.spec.priority of type int32"),
        ({"priority": 4294967296}, "json: cannot unmarshal number 4294967296 into Go struct field PodSpec.spec.priority of type int32"),
        ({"hostNetwork": "yes"}, "json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool"),
        (
            {"containers": [{"ports": [{"containerPort": "http"}]}]},
            "json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32",
        ),
        (
            {"hostNetwork": "yes", "containers": [{"resources": {"limits": {"cpu": "lots"}}}]},
            r"quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
    ],
)  # fmt: skip
def test_first_mismatch_is_named_unless_a_type_refuses_by_itself(spec, why):
    body = {"apiVersion": "v1", "kind": "Pod", "spec": spec}
    assert refusal(body, POD) == f'Pod in version "v1" cannot be handled as a Pod: {why}'


def test_numbers_are_quoted_as_written():
    assert "number 1e3 into" in refusal('{"spec":{"priority":1e3}}', POD)


@pytest.mark.parametrize(
    ("version", "kind", "message"),
    [
        ("v1", "Pod", 'Pod in version "v1" cannot be handled as a ConfigMap: converting (v1.Pod) to (core.ConfigMap): unknown conversion'),
        ("v7", "ConfigMap", 'ConfigMap in version "v1" cannot'),
        ("apps/v1", "ConfigMap", 'ConfigMap in version "v1" cannot be handled as a ConfigMap: no kind "ConfigMap" is registered for version "apps/v1" in scheme "pkg/api/legacyscheme/scheme.go:30"'),
        ("v1", "Nope", 'Nope in version "v1" cannot be handled as a ConfigMap: no kind "Nope" is registered for version "v1" in scheme "pkg/api/legacyscheme/scheme.go:30"'),
    ],
)  # fmt: skip
def test_other_kinds_are_refused(version, kind, message):
    found = refusal({"apiVersion": version, "kind": kind})
    assert found.startswith(message.replace('"v1" cannot', f'"{version.rpartition("/")[2]}" cannot'))


def test_other_version_of_the_same_kind_does_not_match():
    hpa = GroupVersionKind("autoscaling", "v2", "HorizontalPodAutoscaler")
    found = refusal({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler"}, hpa)
    assert (
        found == "the API version in the data (autoscaling/v1) does not match the expected API version (autoscaling/v2)"
    )


@pytest.mark.parametrize("body", ["{}", "null", '{"kind":"ConfigMap"}', '{"apiVersion":"v1"}'])
def test_absent_kind_and_version_are_the_expected_ones(body):
    found = schema.decode_body(body.encode(), CONFIG_MAP).object
    assert found == {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}


def test_unknown_and_duplicate_fields_are_listed_in_document_order():
    spec = {"containers": [{"name": "c", "imagePullpolicy": "Always", "ports": [{"port": 1}]}], "bogus": True}
    found = schema.decode_body(json.dumps({"metadata": {"foo": 1}, "spec": spec}).encode(), POD)
    assert found.strict == [
        'unknown field "metadata.foo"',
        'unknown field "spec.containers[0].imagePullpolicy"',
        'unknown field "spec.containers[0].ports[0].port"',
        'unknown field "spec.bogus"',
    ]


def test_duplicates_merge_as_in_go():
    body = b'{"kind":"ConfigMap","data":{"a":"1","a":"2"},"data":{"b":"3"},"immutable":true,"immutable":null}'
    found = schema.decode_body(body, CONFIG_MAP)
    assert found.strict == ['duplicate field "data.a"', 'duplicate field "data"', 'duplicate field "immutable"']
    assert found.object["data"] == {"a": "2", "b": "3"}
    assert found.object["immutable"] is True


def test_a_duplicate_is_found_however_it_is_spelled():
    for body in (
        b'{"data":{"a":"1","a" : "2"}}',
        b'{"data":{"\\u0061":"1","a":"2"}}',
        b'{"data":{"a":"\\u003a","a":":"}}',
    ):
        assert schema.decode_body(body, CONFIG_MAP).strict == ['duplicate field "data.a"']
    assert schema.decode_body(b'{"data":{"a":"x\\":\\":","b":":"}}', CONFIG_MAP).strict == []


def test_strict_refuses_and_ignore_is_silent():
    body = b'{"zip":1,"data":{"a":"1","a":"2"}}'
    message = 'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: '
    assert refusal(body, field_validation="Strict") == f'{message}unknown field "zip", duplicate field "data.a"'
    assert schema.decode_body(body, CONFIG_MAP, field_validation="Ignore").strict == []


def test_strict_names_repeated_yaml_keys_by_line():
    body = "apiVersion: v1\nkind: ConfigMap\ndata:\n  a: x\n  a: z\n"
    why = 'strict decoding error: yaml: unmarshal errors:\n  line 5: key "a" already set in map'
    assert refusal(body, yaml=True, field_validation="Strict").endswith(why)


def test_strict_errors_are_capped():
    body = json.dumps({f"u{number}": 1 for number in range(150)}).encode()
    assert len(schema.decode_body(body, CONFIG_MAP).strict) == 100


def test_deep_documents_are_refused_and_do_no_harm():
    deep = b'{"metadata":' + b'{"a":' * 5000 + b"1" + b"}" * 5001
    assert "exceeded max depth" in refusal(deep)
    crd = GroupVersionKind("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    nested = b'{"not":' * 900 + b"{}" + b"}" * 900
    body = b'{"spec":{"versions":[{"schema":{"openAPIV3Schema":' + nested + b"}}]}}"
    assert "exceeded max depth" in refusal(body, crd)


def test_duplicates_of_untyped_documents():
    parsed = schema.parse(b'{"data":{"k":"1","k":"2"},"l":[{"a":1,"a":2}]}')
    assert schema.duplicates(parsed) == ['duplicate field "data.k"', 'duplicate field "l[0].a"']
    assert schema.duplicates(schema.parse(b'{"a":1}')) == []


def test_made_up_shapes_are_not_remembered():
    for size in (5, 50):
        body = json.dumps({f"x{number}": 1 for number in range(size)}).encode()
        for _ in range(2):
            assert len(schema.decode_body(body, CONFIG_MAP).strict) == size


def test_deep_untyped_documents_are_refused():
    with pytest.raises(schema.MalformedError, match="exceeded max depth"):
        schema.parse(b'{"a":1,"a":' * 2000 + b"1" + b"}" * 2000)
