"""Documents made to hurt: numerals, aliases and nesting cost little and are refused with words."""

import time

import pytest

from sampan.api.errors import APIStatusError
from sampan.api.gvk import GroupVersionKind
from sampan.api.schema import goyaml
from sampan.api.schema.decode import decode_body
from sampan.api.schema.gojson import MalformedError

POD = GroupVersionKind("", "v1", "Pod")


@pytest.mark.parametrize(
    "spec",
    [
        b'"terminationGracePeriodSeconds": ' + b"1" * 5000,
        b'"priority": ' + b"1" * 5000,
        b'"nodeName": ' + b"1" * 5000,
        b'"containers": ' + b"1" * 5000,
        b'"x": "\\ud800", "priority": ' + b"-" + b"9" * 5000,
        b'"priority": 1.5',
    ],
)
def test_numerals_of_thousands_of_digits_are_a_bad_request(spec):
    started = time.process_time()
    with pytest.raises(APIStatusError) as caught:
        decode_body(b'{"apiVersion": "v1", "kind": "Pod", "spec": {%b}}' % spec, POD)
    assert caught.value.code == 400
    assert time.process_time() - started < 1


def test_text_shared_by_very_many_aliases_is_refused():
    bomb = b"a: &a " + b"x" * 500_000 + b"\nb: [" + b"*a, " * 100_000 + b"]\n"
    with pytest.raises(MalformedError, match="excessive aliasing"):
        goyaml.loads(bomb)


@pytest.mark.parametrize(("text", "value"), [("1" * 30, 1.1111111111111111e29), ("0x" + "f" * 5000, "0x" + "f" * 5000)])
def test_integers_beyond_64_bits_are_floats_or_text(text, value):
    assert goyaml.loads(f"a: {text}".encode()).value == {"a": value}


@pytest.mark.parametrize(("text", "shown"), [("9" * 5000, r"\+Inf"), ("-" + "9" * 5000, "-Inf"), ("1e999", r"\+Inf")])
def test_numbers_beyond_all_floats_are_refused(text, shown):
    with pytest.raises(MalformedError, match=f"unsupported value: {shown}"):
        goyaml.loads(f"a: {text}".encode())
