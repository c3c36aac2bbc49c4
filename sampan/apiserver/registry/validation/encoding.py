"""Bytes fields: base64 text on the wire."""

from __future__ import annotations

from base64 import b64decode


def decoded(value: str | None) -> bytes:
    """Return the bytes; the text is valid, since it was decoded once already."""
    return b64decode(value) if value else b""


def decoded_size(value: str | None) -> int:
    """Tell how many bytes a base64 text stands for."""
    if not value:
        return 0
    return len(value) // 4 * 3 - (2 if value.endswith("==") else 1 if value.endswith("=") else 0)
