"""Links in what a proxied backend answers: absolute paths get the proxy's own path in front. Pure.

A page that says ``/style.css`` means its own server's; behind the proxy subresource that is
``/api/v1/.../proxy/style.css``. Only HTML is looked into, and in it only the attributes that hold URLs. Source:
k8s.io/apimachinery/pkg/util/proxy/transport.go.
"""

from __future__ import annotations

import gzip
import re
import zlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Collection

_URL_ATTRIBUTES = {
    "a": ("href",),
    "applet": ("codebase",),
    "area": ("href",),
    "audio": ("src",),
    "base": ("href",),
    "blockquote": ("cite",),
    "body": ("background",),
    "button": ("formaction",),
    "command": ("icon",),
    "del": ("cite",),
    "embed": ("src",),
    "form": ("action",),
    "frame": ("longdesc", "src"),
    "head": ("profile",),
    "html": ("manifest",),
    "iframe": ("longdesc", "src"),
    "img": ("longdesc", "src", "usemap"),
    "input": ("src", "usemap", "formaction"),
    "ins": ("cite",),
    "link": ("href",),
    "object": ("classid", "codebase", "data", "usemap"),
    "q": ("cite",),
    "script": ("src",),
    "source": ("src",),
    "video": ("poster", "src"),
}
# Comments and the texts of scripts and styles come first, so that what looks like a tag in them is passed over.
_TAG = re.compile(
    rb"<!--.*?-->|(?<=<script>).*?(?=</script)|<style[^>]*>.*?(?=</style)"
    rb"|<([a-zA-Z][a-zA-Z0-9]*)((?:[^>\"']|\"[^\"]*\"|'[^']*')*)>",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(rb"(\s)([a-zA-Z]+)(\s*=\s*)(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))")


def rewrite_url(url: str, prefix: str, hosts: Collection[str]) -> str:
    """Put the prefix in front of a URL that means the backend. hosts: under which the backend may know itself."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    if (parts.netloc and parts.netloc not in hosts) or not parts.path.startswith("/"):
        return url
    path = parts.path if parts.path.startswith(prefix) else prefix.rstrip("/") + parts.path
    return urlunsplit(("", "", path, parts.query, parts.fragment))


def rewrite_html(page: bytes, prefix: str, hosts: Collection[str]) -> bytes:
    """Rewrite the links of a page; everything else stays as it is."""

    def tag(match: re.Match[bytes]) -> bytes:
        name = (match[1] or b"").decode("latin-1").lower()
        wanted = _URL_ATTRIBUTES.get(name)
        if not wanted:
            return match[0]

        def attribute(found: re.Match[bytes]) -> bytes:
            if found[2].decode("latin-1").lower() not in wanted:
                return found[0]
            value = next(text for text in (found[4], found[5], found[6]) if text is not None)
            new = rewrite_url(value.decode("utf-8", "surrogateescape"), prefix, hosts)
            quote = b"'" if found[5] is not None else b'"'
            return found[1] + found[2] + b"=" + quote + new.encode("utf-8", "surrogateescape") + quote

        return b"<" + match[1] + _ATTRIBUTE.sub(attribute, match[2]) + b">"

    return _TAG.sub(tag, page)


def decoded(body: bytes, encoding: str) -> bytes | None:
    """Undo a Content-Encoding; None when it is unknown or broken, the page is then passed on unchanged."""
    try:
        if encoding in ("", "identity"):
            return body
        if encoding == "gzip":
            return gzip.decompress(body)
        if encoding == "deflate":
            return zlib.decompress(body, -zlib.MAX_WBITS)
    except (OSError, EOFError, zlib.error):
        return None
    return None
