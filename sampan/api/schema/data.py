"""The generated data files: read on first use, kept if they are small and asked for often."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import orjson

DIRECTORY = Path(__file__).parent / "_data"


def read_bytes(name: str) -> bytes:
    """Read a data file as it is. name: relative to the data directory, e.g. ``openapi/index.json``."""
    try:
        return (DIRECTORY / name).read_bytes()
    except FileNotFoundError as error:
        message = f"{error.filename} is missing: this tree was not built; run `python facts/compile.py`"
        raise FileNotFoundError(message) from error


def load(name: str) -> Any:
    """Parse a data file; the caller keeps what it needs."""
    return orjson.loads(read_bytes(name))


@cache
def types() -> dict[str, Any]:
    """Every Go type: a full name of what it is an alias of, or ``{"fields": [[name, type, flags, extra?]...]}``.

    flags: 1 omitempty, 2 omitzero.
    """
    found: dict[str, Any] = load("types.json")
    return found


@cache
def kinds() -> dict[str, str]:
    """``group/version/kind`` -> Go type; "" for a kind that is registered but in no served version."""
    found: dict[str, str] = load("kinds.json")
    return found


@cache
def messages() -> dict[str, list[tuple[int, str | None, str, str]]]:
    """Every protobuf message: fields as (number, wire name or None for an embedded struct, label, type)."""
    found: dict[str, list[tuple[int, str | None, str, str]]] = load("protobuf.json")
    return found
