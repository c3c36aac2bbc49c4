"""The compiled decoders and the diagnosis agree on what is wrong, whatever the input."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sampan.api import schema
from sampan.api.errors import BadRequest
from sampan.api.gvk import GroupVersionKind
from sampan.api.schema.diagnose import diagnose

KINDS = [
    GroupVersionKind("", "v1", "Pod"),
    GroupVersionKind("", "v1", "Secret"),
    GroupVersionKind("", "v1", "Event"),
    GroupVersionKind("apps", "v1", "Deployment"),
    GroupVersionKind("autoscaling", "v2", "HorizontalPodAutoscaler"),
    GroupVersionKind("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
    GroupVersionKind("resource.k8s.io", "v1", "ResourceSlice"),
]
ODD = st.sampled_from([None, True, 0, -1, 5, 2**40, 2**70, 1.5, 3.0, "", "x", "5", "1Gi", "aGk=", [], {}, [None], [1],
                       ["a"], {"a": 1}, {"a": None}, {"a": "b"}, "2024-01-02T03:04:05Z", {"zz": []}])  # fmt: skip


@st.composite
def documents(draw, info, depth):
    if depth <= 0 or draw(st.integers(0, 9)) == 0:
        return draw(ODD)
    if info.kind == "list":
        return draw(st.lists(documents(info.elem, depth - 1), max_size=2))
    if info.kind == "map":
        return draw(st.dictionaries(st.sampled_from("abc"), documents(info.elem, depth - 1), max_size=2))
    if info.kind != "struct":
        return draw(ODD)
    names = [*info.fields, "unknownField"]
    chosen = draw(st.lists(st.sampled_from(names), max_size=4, unique=True))
    return {
        name: draw(documents(info.fields[name].type, depth - 1)) if name in info.fields else draw(ODD)
        for name in chosen
        if name not in {"kind", "apiVersion"}
    }


def outcome(body, gvk):
    try:
        return schema.decode_body(body, gvk), ""
    except BadRequest as error:
        return None, str(error)


@pytest.mark.parametrize("gvk", KINDS, ids=lambda gvk: gvk.kind)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_document_is_decoded_or_refused_with_a_reason(gvk, data):
    document = data.draw(documents(schema.type_of(gvk), 7))
    decoded, refusal = outcome(json.dumps(document).encode(), gvk)
    if decoded is None:
        assert "decode the document" not in refusal
        return
    assert diagnose(schema.type_of(gvk), document).error == ""
    again = schema.decode(gvk, decoded.object)
    assert again.object == decoded.object
    assert again.strict == []
    assert all(message.startswith('unknown field "') for message in decoded.strict)
    if isinstance(document, dict) and "unknownField" in document:
        assert 'unknown field "unknownField"' in decoded.strict
