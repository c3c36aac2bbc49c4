"""Responses as bytes: one status line, one header block, one body, one write.

The Date header is made once a second. Audit-Id is a UUID whose first half is random per process and whose rest counts,
which is as unique and far cheaper than a random one each time.
"""

from __future__ import annotations

import itertools
import time
import uuid
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

STATUS_LINES = {status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}

_process = uuid.uuid4().hex
_audit_prefix = f"{_process[:8]}-{_process[8:12]}-4{_process[13:16]}-8{_process[17:20]}-".encode()
_counter = itertools.count(1)
_date_second = 0
_date = b""

JSON_OK = b"HTTP/1.1 200 OK\r\nCache-Control: no-cache, private\r\nContent-Type: application/json\r\n"


def next_audit_id() -> bytes:
    """A new Audit-Id."""
    return b"%b%012x" % (_audit_prefix, next(_counter))


def date_header() -> bytes:
    """``Date: ...`` of the current second, with its line end."""
    global _date, _date_second  # noqa: PLW0603 - a one-entry cache
    now = int(time.time())
    if now != _date_second:
        _date_second = now
        _date = b"Date: %b\r\n" % formatdate(now, usegmt=True).encode()
    return _date


def json_ok(body: bytes) -> bytes:
    """A 200 with a JSON body; the answer of nearly every read."""
    return b"%bAudit-Id: %b%012x\r\n%bContent-Length: %d\r\n\r\n%b" % (
        JSON_OK, _audit_prefix, next(_counter), date_header(), len(body), body,
    )  # fmt: skip


def head(status: int, headers: Sequence[tuple[bytes, bytes]], *, length: int | None, close: bool = False) -> bytes:
    """A response head. length: of the body; None for a chunked one."""
    parts = [STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status]
    parts.append(b"Audit-Id: %b%012x\r\n" % (_audit_prefix, next(_counter)))
    parts.append(date_header())
    for name, value in headers:
        parts.append(b"%b: %b\r\n" % (name, value))
    if length is not None:
        parts.append(b"Content-Length: %d\r\n" % length)
    else:
        parts.append(b"Transfer-Encoding: chunked\r\n")
    if close:
        parts.append(b"Connection: close\r\n")
    parts.append(b"\r\n")
    return b"".join(parts)


class Response:
    """A complete answer. headers: without Date, Audit-Id and Content-Length."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        self.status = status
        self.body = body
        self.headers = headers

    def encode(self, *, head_only: bool = False, close: bool = False) -> bytes:
        """All bytes of the answer. head_only: of a HEAD request, whose answer has no body."""
        block = head(self.status, self.headers, length=len(self.body), close=close)
        return block if head_only else block + self.body


NO_CACHE = (b"Cache-Control", b"no-cache, private")
JSON_TYPE = (b"Content-Type", b"application/json")
TEXT_TYPE = (b"Content-Type", b"text/plain; charset=utf-8")
NO_SNIFF = (b"X-Content-Type-Options", b"nosniff")
