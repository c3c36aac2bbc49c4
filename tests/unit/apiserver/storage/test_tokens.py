from __future__ import annotations

import base64

import pytest

from sampan.apiserver.storage import tokens
from sampan.apiserver.storage.interface import ContinueTokenError

PREFIX = "/registry/core/pods/ns/"


def raw(text):
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def test_a_token_leads_behind_the_last_key():
    token = tokens.encode(f"{PREFIX}a", PREFIX, 7)
    assert tokens.decode(token, PREFIX) == (f"{PREFIX}a", 7)


def test_a_token_has_the_format_of_kubernetes():
    token = tokens.encode(f"{PREFIX}a", PREFIX, 7)
    padded = token + "=" * (-len(token) % 4)
    assert base64.urlsafe_b64decode(padded) == b'{"v":"meta.k8s.io/v1","rv":7,"start":"a\\u0000"}'


def test_a_token_of_one_namespace_stays_in_its_own_prefix():
    token = tokens.encode(f"{PREFIX}a", PREFIX, 7)
    assert tokens.decode(token, "/registry/core/pods/other/") == ("/registry/core/pods/other/a", 7)


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("aGVsbG8", "continue key is not valid: invalid character 'h' looking for beginning of value"),
        ("eyJ2IjoidjIifQ", "continue key is not valid: server does not recognize this encoded version v2"),
        ("a!b", "continue key is not valid: illegal base64 data at input byte 1"),
        ("abcde", "continue key is not valid: illegal base64 data at input byte 4"),
        (raw('{"v":"meta.k8s.io/v1"}'), "incorrect encoded start resourceVersion (version meta.k8s.io/v1)"),
        (raw('{"v":"meta.k8s.io/v1","rv":1}'), "encoded start key empty (version meta.k8s.io/v1)"),
        (raw('{"v":"meta.k8s.io/v1","rv":1,"start":"../../secrets/x"}'), "continue key is not valid: ../../secrets/x"),
        (raw('{"v":"meta.k8s.io/v1","rv":"1","start":"a"}'), "cannot unmarshal string into Go struct field"),
        (raw("[]"), "json: cannot unmarshal array into Go value of type storage.continueToken"),
        (raw("null"), "server does not recognize this encoded version "),
    ],
)
def test_malformed_tokens_say_what_is_wrong(token, message):
    with pytest.raises(ContinueTokenError) as caught:
        tokens.decode(token, PREFIX)
    assert message in str(caught.value)
