"""Values as Go shows kube-apiserver's internal types: in "Invalid value" messages, and as differences.

Internal types have no JSON options: every field is there under its Go name, in declaration order, nil as null. metav1
types (selectors, object metadata, times) keep their wire form. gotypes.json, by gotypes_generate.py, has the shapes.
"""

from __future__ import annotations

import difflib
import json
from functools import cache
from pathlib import Path
from typing import Any

import orjson

_EMPTY: dict[str, Any] = {}


@cache
def _types() -> dict[str, list[list[str]]]:
    loaded: dict[str, list[list[str]]] = orjson.loads(Path(__file__).with_name("gotypes.json").read_bytes())
    return loaded


def internal(kind: str, value: Any) -> Any:
    """Render a wire value. kind: ``core.v1.PodSpec``, or ``[]core.v1.Container`` and the like for lists."""
    if kind.startswith("[]"):
        return None if value is None else [internal(kind[2:], one) for one in value]
    return _struct(kind, value)


def _struct(name: str, value: dict[str, Any] | None) -> dict[str, Any]:
    value = _EMPTY if value is None else value
    if name == "core.v1.PodSpec" and (moved := _host_fields(value)):
        value = {**value, "securityContext": {**(value.get("securityContext") or {}), **moved}}
    out: dict[str, Any] = {}
    for wire, go_name, kind in _types()[name]:
        if go_name:
            out[go_name] = _value(kind, value.get(wire))
        else:
            out.update(metadata(value.get(wire) or {}))
    return out


def metadata(value: Any) -> Any:
    """Render a metav1 value: its wire form, maps of strings sorted by key as Go prints them."""
    if isinstance(value, dict):
        out = {key: metadata(one) for key, one in value.items()}
        for key in ("labels", "annotations", "matchLabels"):
            if isinstance(out.get(key), dict):
                out[key] = string_map(out[key])
        return out
    return [metadata(one) for one in value] if isinstance(value, list) else value


def string_map(value: dict[str, str] | None) -> dict[str, str] | None:
    """Sort a map by key; None when there is none."""
    return dict(sorted(value.items())) if value else None


def _host_fields(spec: dict[str, Any]) -> dict[str, Any]:
    names = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers")
    return {name: spec[name] for name in names if name in spec}


def _value(kind: str, value: Any) -> Any:
    mark = kind[0]
    if mark == "s":
        return value or ""
    if mark == "n":
        return value or 0
    if mark == "b":
        return bool(value)
    if mark == "q":
        return "0" if value is None else value
    if value is None:
        return _struct(kind[1:], None) if mark == "." else None
    if mark == ".":
        return _struct(kind[1:], value)
    if mark == "*":
        return _value(kind[1:], value)
    if kind.startswith("[]"):
        return [_value(kind[2:], one) for one in value]
    if kind.startswith("{}"):
        return {key: _value(kind[2:], value[key]) for key in sorted(value)}
    return metadata(value)


def difference(kind: str, old: Any, new: Any) -> str:
    """Render what changed, as kube-apiserver appends it to "may not be changed" messages: hunks of a unified diff."""
    before = _indented(internal(kind, old))
    after = _indented(internal(kind, new))
    hunks = list(difflib.unified_diff(before, after, n=3, lineterm="\n"))[2:]
    return "".join(hunks)


def _indented(value: Any) -> list[str]:
    return [line + "\n" for line in json.dumps(value, indent=1, ensure_ascii=False).split("\n")]
