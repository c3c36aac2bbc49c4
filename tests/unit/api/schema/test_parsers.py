"""JSON and YAML as Go's parsers take and refuse them."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.api.schema import MalformedError, gojson, goyaml


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a":1} x', "invalid character 'x' after top-level value"),
        ("[1,]", "invalid character ']' looking for beginning of value"),
        ("{,", "invalid character ',' looking for beginning of object key string"),
        ('{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ('{"a":1 "b"', "invalid character '\"' after object key:value pair"),
        ('{"a":[1 2]}', "invalid character '2' after array element"),
        ("truE", "invalid character 'E' in literal true (expecting 'e')"),
        ("nul", "unexpected end of JSON input"),
        ('"a\nb"', r"invalid character '\n' in string literal"),
        (r'"\x"', "invalid character 'x' in string escape code"),
        (r'"\u12g"', r"invalid character 'g' in \u hexadecimal character escape"),
        ("-x", "invalid character 'x' in numeric literal"),
        ("1.x", "invalid character 'x' after decimal point in numeric literal"),
        ("1ex", "invalid character 'x' in exponent of numeric literal"),
        ("01", "invalid character '1' after top-level value"),
        ("'a'", r"invalid character '\'' looking for beginning of value"),
    ],
)
def test_syntax_errors_are_worded_as_in_go(text, message):
    with pytest.raises(MalformedError) as caught:
        gojson.loads(text.encode())
    assert str(caught.value) == message


def test_numbers_beyond_a_double_are_refused():
    with pytest.raises(MalformedError, match="cannot unmarshal number 1e999 into Go value of type float64"):
        gojson.loads(b'{"a":1e999}')


def test_what_go_forgives_is_forgiven():
    assert gojson.loads(b'{"a":"\\ud800"}') == {"a": "\ufffd"}
    assert gojson.loads(b'{"a":"\xff"}') == {"a": "\ufffd"}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_valid_documents_have_no_syntax_error_and_no_duplicates(value):
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    assert gojson.syntax_error(text) == ""
    assert not gojson.may_have_duplicates(text, gojson.loads(text))


@given(st.dictionaries(st.text(), JSON_VALUES, min_size=1, max_size=4), st.data())
def test_a_repeated_member_is_always_suspected(members, data):
    key = data.draw(st.sampled_from(sorted(members)))
    written = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in members.items()]
    written.insert(data.draw(st.integers(0, len(written))), f"{json.dumps(key)}:1")
    text = ("{" + ",".join(written) + "}").encode()
    assert gojson.may_have_duplicates(text, gojson.loads(text))


@given(st.binary(max_size=40))
def test_any_bytes_are_parsed_or_refused(text):
    with contextlib.suppress(MalformedError):
        gojson.loads(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("y", True), ("off", False), ("~", None), ("010", 8), ("0x1f", 31), ("0b11", 3), ("1_000", 1000), ("1.0", 1),
        ("1e3", 1000), ("-.5", -0.5), ("08", 8), ("2020-01-01", "2020-01-01"), ("'y'", "y"), ("!!str 5", "5"),
        ("1.2.3", "1.2.3"), ("+", "+"), ("0o17", 15),
    ],
)  # fmt: skip
def test_plain_scalars_resolve_as_in_go(text, value):
    found = goyaml.loads(f"a: {text}".encode()).value["a"]
    assert (found, type(found)) == (value, type(value))


def test_keys_become_strings_and_merges_apply():
    found = goyaml.loads(b"base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n1: one\ntrue: yes\n").value
    assert found == {"base": {"x": 1, "true": 2}, "use": {"x": 1, "true": 3}, "1": "one", "true": True}


def test_repeated_keys_are_reported_and_the_last_wins():
    found = goyaml.loads(b"a: 1\nb:\n  c: 1\n  c: 2\na: 2\n")
    assert found.value == {"a": 2, "b": {"c": 2}}
    assert found.duplicates == ['line 4: key "c" already set in map', 'line 5: key "a" already set in map']


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "yaml: line 1: did not find expected node content"),
        ("a:\n  - b\n c: d", "yaml: line 2: did not find expected key"),
        ("a: *zz", "yaml: unknown anchor 'zz' referenced"),
        ("a: \x01b", "yaml: control characters are not allowed"),
        ("? [a]\n: b", "yaml: invalid map key: []interface {}"),
    ],
)
def test_yaml_errors_are_worded_as_in_go(text, message):
    with pytest.raises(MalformedError) as caught:
        goyaml.loads(text.encode())
    assert str(caught.value) == message


def test_alias_bombs_are_refused():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(MalformedError, match="excessive aliasing"):
        goyaml.loads("\n".join(lines).encode())


def test_only_the_first_document_counts():
    assert goyaml.loads(b"a: 1\n---\nb: 2\n").value == {"a": 1}
    assert goyaml.loads(b"").value is None
