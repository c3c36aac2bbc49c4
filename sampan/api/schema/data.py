"""The generated data files: read on first use, kept if they are small and asked for often."""

from __future__ import annotations

import zlib
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


@cache
def _description_index() -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = load("descriptions.json")
    return found


def descriptions(name: str) -> dict[str, str]:
    """Tell what a type and its fields mean: field -> text, "" for the type itself; {} for an unknown type.

    name: as OpenAPI spells it, e.g. ``io.k8s.api.core.v1.Pod``. Read from disk on each call.
    """
    place = _description_index().get(name)
    if place is None:
        return {}
    with (DIRECTORY / "descriptions.bin").open("rb") as file:
        file.seek(place[0])
        piece = file.read(place[1])
    found: dict[str, str] = orjson.loads(zlib.decompress(piece))
    return found
