"""YAML looks as kubectl's does. The expected texts are what kubectl 1.37 printed."""

from __future__ import annotations

import pytest

from sampan.kubectl.yamlprint import dump


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("1:20", '"1:20"'),
        ("0b11", '"0b11"'),
        ("a:b", "a:b"),
        ("a:", "'a:'"),
        ("a\r\nb", '"a\\r\\nb"'),
        ("-", "'-'"),
        ("2020-01-01", '"2020-01-01"'),
        (".", "."),
        ("1e", "1e"),
        ("1e3", '"1e3"'),
        ("a #b", "'a #b'"),
        ("  lead", "'  lead'"),
        ("<<", "<<"),
        ("~", '"~"'),
        ("y", '"y"'),
        ("1.", '"1."'),
        ("+", "+"),
        ("+1", '"+1"'),
        ("it's: x", "'it''s: x'"),
        ("a \nb", '"a \\nb"'),
        ("é☺😀", '"é☺\\U0001F600"'),
        ("1_000", '"1_000"'),
        ("08", '"08"'),
        ("", '""'),
        ("  a\nb\n", "|2\n    a\n  b"),
        ("\nabc", "|2-\n\n  abc"),
        ("a\n\n\n", "|+\n  a\n\n"),
        (True, "true"),
        (None, "null"),
        ({}, "{}"),
        ([], "[]"),
    ],
)
def test_scalar_is_quoted_where_kubectl_quotes(value, shown):
    assert dump({"k": value}) == f"k: {shown}\n"


def test_long_plain_text_folds_behind_column_80():
    lines = dump({"data": {"long": " ".join(["word"] * 40)}}).splitlines()[1:]
    assert lines[0] == "  long: " + " ".join(["word"] * 15)
    assert lines[1] == "    " + " ".join(["word"] * 16)


def test_sequences_are_not_indented():
    assert dump({"a": [{"b": 1, "c": [[1], "x"]}]}) == "a:\n- b: 1\n  c:\n  - - 1\n  - x\n"


def test_keys_sort_naturally():
    assert list(dump(dict.fromkeys(["a10", "a9", "A", "a.b", "a-b", "f:x", "."], 1)).replace(": 1", "").split()) == [
        ".", "A", "a-b", "a.b", "a9", "a10", "f:x",
    ]  # fmt: skip
