"""HTTP GET against a container, as probes and lifecycle hooks do it.

On asyncio streams with httptools' parser, one connection a request: the general HTTP client would cost the agent more
memory than all its pods. Source: kubelet's pkg/probe/http; result texts are its (Go's net/http).
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import httptools

if TYPE_CHECKING:
    from collections.abc import Sequence

USER_AGENT = "kube-probe/1.36"
_BODY_LIMIT = 10 * 1024
_MAX_REDIRECTS = 10

_insecure: list[ssl.SSLContext] = []


@dataclass(frozen=True, slots=True)
class Answer:
    """status: HTTP status. body: at most 10 KiB. location: of a redirect."""

    status: int
    body: str
    location: str


class HTTPGetError(OSError):
    """No answer came; the text is Go's."""


class _Response:
    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.parts: list[bytes] = []
        self.size = 0
        self.location = ""
        self.done = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"location":
            self.location = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.size += len(body)
        self.parts.append(body)
        self.done = self.size >= _BODY_LIMIT

    def on_message_complete(self) -> None:
        self.done = True


async def get(url: str, headers: Sequence[tuple[str, str]]) -> Answer:
    """Send GET and follow redirects on the same host. Raises HTTPGetError; the caller sets the time limit."""
    first = urlsplit(url)
    for _ in range(_MAX_REDIRECTS):
        answer = await _get_once(url, headers)
        if not (300 <= answer.status < 400 and answer.location):
            return answer
        following = urljoin(url, answer.location)
        if urlsplit(following).hostname != first.hostname:
            return answer
        url = following
    raise HTTPGetError(f'Get "{url}": stopped after {_MAX_REDIRECTS} redirects')


async def _get_once(url: str, headers: Sequence[tuple[str, str]]) -> Answer:
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    try:
        reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=_context() if tls else None)
    except ssl.SSLError as error:
        raise HTTPGetError(f'Get "{url}": {error.reason}') from error
    except OSError as error:
        raise HTTPGetError(f'Get "{url}": {dial_error(str(parts.hostname), port, error)}') from error
    try:
        writer.write(_head(parts.netloc, parts.path or "/", parts.query, headers))
        response = _Response()
        while not response.done:
            data = await reader.read(16384)
            if not data:
                break
            response.parser.feed_data(data)
        status = response.parser.get_status_code()
        if not status:
            raise HTTPGetError(f'Get "{url}": EOF')
    except (ConnectionError, httptools.HttpParserError) as error:
        text = "malformed HTTP response" if isinstance(error, httptools.HttpParserError) else "EOF"
        raise HTTPGetError(f'Get "{url}": {text}') from error
    finally:
        writer.transport.abort()
    body = b"".join(response.parts)[:_BODY_LIMIT].decode("utf-8", "replace")
    return Answer(status, body, response.location)


def _head(host: str, path: str, query: str, headers: Sequence[tuple[str, str]]) -> bytes:
    given = {name.lower() for name, _ in headers}
    lines = [f"GET {path}{'?' + query if query else ''} HTTP/1.1"]
    defaults = (("Host", host), ("User-Agent", USER_AGENT), ("Accept", "*/*"))
    lines += [f"{name}: {value}" for name, value in defaults if name.lower() not in given]
    # A header with an empty value takes the default away and is not sent itself.
    lines += [f"{name}: {value}" for name, value in headers if value]
    return ("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode("latin-1", "replace")


def _context() -> ssl.SSLContext:
    """Kubelet does not verify the certificates of what it probes."""
    if not _insecure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        _insecure.append(context)
    return _insecure[0]


def dial_error(host: str, port: int, error: OSError) -> str:
    """Write a connection error as Go's net package does."""
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    text = {111: "connection refused", 113: "no route to host", 101: "network is unreachable"}.get(error.errno or 0)
    if text is None:
        text = (error.strerror or str(error)).lower()
    return f"dial tcp {address}: connect: {text}"
