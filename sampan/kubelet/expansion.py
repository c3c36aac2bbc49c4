"""``$(NAME)`` expansion in commands, arguments, environment values and subPathExpr.

``$$`` is a literal ``$``; a reference to an unknown name stays as it is. Source: Kubernetes' documentation of
EnvVar.value; third_party/forked/golang/expansion.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace references to known names."""
    if "$" not in text:
        return text

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None:
            return "$"
        return values.get(name, match.group(0))

    return _REFERENCE.sub(replace, text)


def expand_strict(text: str, values: Mapping[str, str]) -> tuple[str, list[str]]:
    """Replace references and tell the names that are not known."""
    missing = [m.group(1) for m in _REFERENCE.finditer(text) if m.group(1) is not None and m.group(1) not in values]
    return expand(text, values), missing
