"""Image references: the full form that containerd stores, from what a person types."""

from __future__ import annotations

import re

from sampan.base.errors import SampanError

_REFERENCE = re.compile(
    r"(?P<name>(?:[a-zA-Z0-9.-]+(?::[0-9]+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


class ImageNameError(SampanError):
    """Not an image reference."""


def full_name(text: str) -> str:
    """Spell a reference in full: ``kubia`` is ``docker.io/library/kubia:latest``. Raises ImageNameError."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise ImageNameError(
            f'"{text}" is not an image name; '
            f"expected [registry[:port]/]name[:tag] in lower case, e.g. localhost:5000/kubia"
        )
    name = match["name"]
    first, slash, rest = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif not ("." in first or ":" in first or first == "localhost"):
        name = f"docker.io/{name}"
    elif first == "docker.io" and "/" not in rest:
        name = f"docker.io/library/{rest}"
    suffix = f":{match['tag']}" if match["tag"] else ""
    if match["digest"]:
        return f"{name}{suffix}@{match['digest']}"
    return f"{name}{suffix or ':latest'}"


def registry_of(full: str) -> str:
    """The registry part of a full name, port included."""
    return full.partition("/")[0]
