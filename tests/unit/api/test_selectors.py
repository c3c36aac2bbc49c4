"""Label and field selectors: parsing, messages, matching."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.api import fields, labels


@pytest.mark.parametrize(
    ("text", "matching", "other"),
    [
        ("a=b", {"a": "b"}, {"a": "c"}),
        ("a==b,c", {"a": "b", "c": ""}, {"a": "b"}),
        ("a!=b", {}, {"a": "b"}),
        ("!a", {"b": ""}, {"a": ""}),
        ("a in (x,y)", {"a": "y"}, {"a": "z"}),
        ("a notin (x,y)", {}, {"a": "x"}),
        ("a in ()", {"a": ""}, {"a": "x"}),
        ("a=", {"a": ""}, {}),
        ("n>2", {"n": "3"}, {"n": "2"}),
        ("n<2", {"n": "1"}, {"n": "x"}),
        ("in in (in,notin)", {"in": "notin"}, {"in": "x"}),
        ("", {}, None),
    ],
)
def test_selectors_match(text: str, matching: dict[str, str], other: dict[str, str] | None) -> None:
    selector = labels.parse(text)
    assert selector.matches(matching)
    if other is not None:
        assert not selector.matches(other)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a in (1", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("=x", "found '=', expected: !, identifier, or 'end of string'"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        (",", "found ',', expected: !, identifier, or 'end of string'"),
        ("a,", "found '', expected: identifier after ','"),
        ("a in x", "unable to parse requirement: found 'x' expected: '('"),
        (
            "n>x",
            (
                'unable to parse requirement: values[0]: Invalid value: "x": '
                "for 'Gt', 'Lt' operators, the value must be an integer"
            ),
        ),
    ],
)
def test_malformed_selectors_are_refused_with_kubernetes_messages(text: str, message: str) -> None:
    with pytest.raises(labels.SelectorError) as caught:
        labels.parse(text)
    assert str(caught.value) == message


def test_exact_pairs_are_what_an_index_can_use() -> None:
    assert labels.parse("a=b,c in (d),e,f!=g").exact_pairs() == {"a": "b", "c": "d"}
    contradiction = labels.parse("a=b,a=c")
    assert contradiction.exact_pairs() == {"a": "b"}
    assert not contradiction.matches({"a": "b"})


def test_selector_objects_compile() -> None:
    expressions = [
        {"key": "b", "operator": "Exists"},
        {"key": "c", "operator": "NotIn", "values": ["x", "w"]},
        {"key": "d", "operator": "DoesNotExist"},
    ]
    selector = labels.from_object({"matchLabels": {"a": "1"}, "matchExpressions": expressions})
    assert str(selector) == "a=1,b,c notin (w,x),!d"
    assert selector.matches({"a": "1", "b": ""})
    assert labels.from_object(None) == labels.NOTHING
    assert not labels.NOTHING.matches({})
    assert labels.from_object({}).is_everything
    with pytest.raises(labels.SelectorError, match='"Gt" is not a valid label selector operator'):
        labels.from_object({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]})


_word = st.text("abz019", min_size=1, max_size=4)


@given(st.dictionaries(_word, _word, max_size=4), st.dictionaries(_word, _word, max_size=4))
def test_equality_selectors_match_exactly_the_supersets(wanted: dict[str, str], own: dict[str, str]) -> None:
    selector = labels.parse(",".join(f"{key}={value}" for key, value in wanted.items()))
    assert selector.matches(own) == (wanted.items() <= own.items())
    assert labels.parse(str(selector)) == selector


@given(st.text("ab!=<>(), in", max_size=16))
def test_any_text_is_a_selector_or_refused(text: str) -> None:
    try:
        selector = labels.parse(text)
    except labels.SelectorError:
        return
    assert labels.parse(str(selector)) == selector


def test_field_selectors_match_and_escape() -> None:
    selector = fields.parse(r"spec.nodeName=n\,1,status.phase!=Running")
    assert selector.required_value("spec.nodeName") == "n,1"
    assert selector.matches({"spec.nodeName": "n,1", "status.phase": "Failed"})
    assert not selector.matches({"spec.nodeName": "n,1", "status.phase": "Running"})
    assert fields.parse("a=").matches({})
    assert fields.parse("=").is_everything


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "invalid selector: 'a'; can't understand 'a'"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        (r"a=\x", r"invalid field selector: invalid escape sequence: \x"),
    ],
)
def test_malformed_field_selectors_are_refused_with_kubernetes_messages(text: str, message: str) -> None:
    with pytest.raises(fields.FieldSelectorError) as caught:
        fields.parse(text)
    assert str(caught.value) == message


@given(st.dictionaries(st.text("abc.", min_size=1, max_size=5), st.text("ab,=\\", max_size=5), min_size=1, max_size=3))
def test_escaped_field_selectors_round_trip(wanted: dict[str, str]) -> None:
    text = ",".join(f"{field}={fields.escape(value)}" for field, value in wanted.items())
    assert {one.field: one.value for one in fields.parse(text).requirements} == wanted
