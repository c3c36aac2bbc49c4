"""What went wrong between skopeo and a registry, in one line that names the cure.

skopeo logs one line ``level=fatal msg="..."`` whose text ends with the registry's or Go's own words; the cure is chosen
by those words, which the distribution specification (error codes) and Go's net and x509 packages keep stable.
"""

from __future__ import annotations

import re

_FATAL = re.compile(r'level=fatal msg="(?P<text>(?:[^"\\]|\\.)*)"')
_CURES = (
    (
        re.compile(r"unauthorized|authentication required|invalid username/password|denied", re.IGNORECASE),
        "{registry} refused: {text}\nlog in with `skopeo login {registry}`, or give a login file: --authfile FILE",
    ),
    (
        re.compile(r"x509:|certificate"),
        "{registry} is not trusted: {text}\ngive its authority's certificate: --cert-dir FOLDER with ca.crt in it",
    ),
    (
        re.compile(r"server gave HTTP response to HTTPS client"),
        "{registry} speaks no TLS: {text}\nif that is meant to be so: --no-tls-verify",
    ),
    (
        re.compile(r"manifest unknown|name unknown|not found", re.IGNORECASE),
        "{registry} has no such image: {text}\n`skopeo list-tags docker://REPOSITORY` shows the tags it has",
    ),
    (
        re.compile(r"connection refused|no such host|i/o timeout|no route to host|network is unreachable"),
        "{registry} does not answer: {text}\ncheck its name and port, and whether it runs",
    ),
)


def explain(output: str, registry: str) -> str | None:
    """Turn skopeo's output into an explanation; None when it is nothing known, to be shown as it is."""
    match = _FATAL.search(output)
    if match is None:
        return None
    text = re.sub(r"\\(.)", r"\1", match["text"])
    for words, message in _CURES:
        if words.search(text):
            return message.format(registry=registry, text=text)
    return None
