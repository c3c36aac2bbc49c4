"""JSON values as Go prints them in messages: ``%v`` and ``%#v``."""

from __future__ import annotations

from typing import Any

from sampan.api.field import go_quote


def go_text(value: Any) -> str:
    """Print like ``%v``: ``map[a:1 b:x]``, ``[1 2]``, ``<nil>``."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{go_text(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(go_text, value))}]"
    return _float(value) if isinstance(value, float) else str(value)


def go_syntax(value: Any) -> str:
    """Print like ``%#v``: ``map[string]interface {}{"a":1}``."""
    if value is None:
        return "interface {}(nil)"
    if isinstance(value, str):
        return go_quote(value)
    if isinstance(value, dict):
        pairs = ", ".join(f"{go_quote(key)}:{go_syntax(value[key])}" for key in sorted(value))
        return f"map[string]interface {{}}{{{pairs}}}"
    if isinstance(value, list):
        return f"[]interface {{}}{{{', '.join(map(go_syntax, value))}}}"
    return go_text(value)


def _float(value: float) -> str:
    """Spell like ``%v``: the shortest form, exponents from 1e21 on."""
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    text = repr(value)
    mantissa, mark, exponent = text.partition("e")
    if not mark:
        return text
    if exponent.startswith("-") and int(exponent) > -5:
        return f"{value:f}".rstrip("0")
    sign = "-" if exponent.startswith("-") else "+"
    return f"{mantissa}e{sign}{exponent.lstrip('+-').zfill(2)}"
