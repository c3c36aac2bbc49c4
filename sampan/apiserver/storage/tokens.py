"""Continue tokens: where a list goes on, and at which revision. Kubernetes' format (``storage/continue.go``).

URL-safe base64 without padding of ``{"v":"meta.k8s.io/v1","rv":<revision>,"start":<key behind the prefix>}``. The
start is the last key delivered with a zero byte behind it: the smallest key that comes after. A revision of -1 goes on
with the newest state, inconsistently.
"""

from __future__ import annotations

import base64
import binascii
import posixpath
import re
from typing import Any

import orjson

from sampan.api.schema import gojson
from sampan.apiserver.storage.interface import ContinueTokenError

_VERSION = "meta.k8s.io/v1"
_INVALID = "continue key is not valid"
LATEST = -1
"""The revision of a token that goes on with the newest state."""

_FIELDS = {"v": "string", "rv": "int64", "start": "string"}
_OUTSIDE = re.compile(r"[^A-Za-z0-9_-]")


def encode(last: str, prefix: str, revision: int) -> str:
    """Encode a token that goes on behind the key `last`, which begins with prefix."""
    start = last.removeprefix(prefix) + "\0"
    token = orjson.dumps({"v": _VERSION, "rv": revision, "start": start})
    return base64.urlsafe_b64encode(token).rstrip(b"=").decode()


def decode(token: str, prefix: str) -> tuple[str, int]:
    """Decode into (key to go on behind, revision). Raises ContinueTokenError with Kubernetes' message."""
    found = _load(token)
    version = found.get("v", "")
    if version != _VERSION:
        raise ContinueTokenError(f"{_INVALID}: server does not recognize this encoded version {version}")
    revision, start = found.get("rv", 0), found.get("start", "")
    if not revision:
        raise ContinueTokenError(f"{_INVALID}: incorrect encoded start resourceVersion (version {_VERSION})")
    if not start:
        raise ContinueTokenError(f"{_INVALID}: encoded start key empty (version {_VERSION})")
    # A start like "../secrets/x" must not lead out of the prefix.
    key = start if start.startswith("/") else f"/{start}"
    if posixpath.normpath(key) != key:
        raise ContinueTokenError(f"{_INVALID}: {start}")
    begin = prefix + key[1:]
    return (begin.removesuffix("\0")), revision


def _load(token: str) -> dict[str, Any]:
    if bad := _OUTSIDE.search(token):
        raise ContinueTokenError(f"{_INVALID}: illegal base64 data at input byte {bad.start()}")
    try:
        data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except binascii.Error as error:  # a last group of one character
        raise ContinueTokenError(f"{_INVALID}: illegal base64 data at input byte {len(token) - 1}") from error
    try:
        found = gojson.loads(data)
    except gojson.MalformedError as error:
        raise ContinueTokenError(f"{_INVALID}: {error}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        where = "Go value of type storage.continueToken"
        raise ContinueTokenError(f"{_INVALID}: json: cannot unmarshal {_kind(found)} into {where}")
    for field, go_type in _FIELDS.items():
        value = found.get(field)
        if value is not None and (type(value) is not int if go_type == "int64" else not isinstance(value, str)):
            where = f"continueToken.{field} of type {go_type}"
            raise ContinueTokenError(f"{_INVALID}: json: cannot unmarshal {_kind(value)} into Go struct field {where}")
    return {key: value for key, value in found.items() if value is not None}


def _kind(value: Any) -> str:
    """Name a JSON value as Go's decoder does."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number" if isinstance(value, int) else f"number {value}"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"
