"""JSONPath templates: results, printing, messages."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.api import jsonpath

NODES: Any = {
    "kind": "List",
    "items": [
        {
            "metadata": {"name": "a", "labels": {"x.y/z": "1"}},
            "spec": {"n": 1, "c": [{"i": "x"}, {"i": "y"}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        },
        {"metadata": {"name": "b"}, "spec": {"n": 2, "c": [], "f": 1.5, "t": True, "null": None}},
    ],
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("kind={.kind}!", "kind=List!"),
        ("{$.kind}", "List"),
        ("{.items[*].metadata.name}", "a b"),
        ("{.items[0].metadata.name}{.items[-1].metadata.name}", "ab"),
        ("{.items[-1:].metadata.name}", "b"),
        ("{.items[0:2:2].spec.n}", "1"),
        ("{.items[0]['metadata.name','spec.n']}", "a 1"),
        (r"{.items[0].metadata.labels.x\.y/z}", "1"),
        ("{..name}", "a b"),
        ('{.items[?(@.metadata.name=="b")].spec.n}', "2"),
        ("{.items[?(@.spec.n>=1)].metadata.name}", "a b"),
        ("{.items[?(@.status.conditions)].metadata.name}", "a"),
        ("{.items[0].status.conditions[?(@.type=='Ready')].status}", "True"),
        ("{.items[1].spec.f} {.items[1].spec.t} {.items[1].spec.null}", "1.5 true <nil>"),
        ("{.items[0].spec}", '{"c":[{"i":"x"},{"i":"y"}],"n":1}'),
        ('{range .items[*]}{.metadata.name}{"\\t"}{.spec.n}{"\\n"}{end}', "a\t1\nb\t2\n"),
        ("{range .items[*]}[{.metadata.name}{range .spec.c[*]} {.i}{end}]{end}.", "[a x y][b]."),
        ("{range .absent[*]}{.x}{end}tail", "tail"),
        ("{.items[0].spec.*}", '[{"i":"x"},{"i":"y"}] 1'),
        ("{.absent}", ""),
    ],
)
def test_templates_print_what_kubectl_prints(template: str, text: str) -> None:
    assert jsonpath.parse(template).render(NODES, allow_missing=True) == text


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{.a", "unclosed action"),
        ("{.items[0", "unterminated array"),
        ("{'a", "unterminated quoted string"),
        ("{.items[?(@.a]}", "unterminated filter"),
        ("{.items[?(@.a)}", "unclosed array expect ]"),
        ("{.items[a]}", "invalid array index a"),
        ("{.. ..}", "invalid multiple recursive descent"),
        ("{~}", "unrecognized character in action: U+007E '~'"),
        ("{1.2.3}", "cannot parse number 1.2.3"),
        ('{"\\q"}', 'unquote string "\\q" error invalid syntax'),
    ],
)
def test_malformed_templates_are_refused(template: str, message: str) -> None:
    with pytest.raises(jsonpath.JSONPathError) as caught:
        jsonpath.parse(template)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{.absent}", "absent is not found"),
        ("{.items[5]}", "array index out of bounds: index 5, length 2"),
        ("{.kind[0]}", "string is not array or slice"),
        ("{.kind[?(@.a)]}", "List is not array or slice and cannot be filtered"),
        ("{end}", "not in range, nothing to end"),
        ("{word}", "unrecognized identifier word"),
        ('{.items[?(@.spec.n=="1")]}', "incompatible types for comparison"),
        ("{.items[?(@.spec<1)]}", "invalid type for comparison"),
        ("{.items[0:2:0]}", "step must be > 0"),
    ],
)
def test_templates_that_do_not_fit_the_data_are_refused(template: str, message: str) -> None:
    with pytest.raises(jsonpath.JSONPathError) as caught:
        jsonpath.parse(template).render(NODES)
    assert str(caught.value) == message


@given(st.text("{}[].*?()@='\"a1:,-$ \\<", max_size=20))
def test_any_text_is_a_template_or_refused(text: str) -> None:
    with contextlib.suppress(jsonpath.JSONPathError):
        jsonpath.parse(text).render(NODES, allow_missing=True)
