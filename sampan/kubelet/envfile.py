"""Files of environment variables: ``NAME='value'`` lines, the part of the shell's syntax that KEP-3721 allows. Pure.

Values stand in single quotes, are taken literally and may span lines. Blank lines and ``#`` comments are passed over.
"""

from __future__ import annotations

import re

_BLANK = re.compile(r"[ \t]*(?:#.*)?(?:\n|$)")
_START = re.compile(r"[ \t]*([^=\n]*)(=?)")
_QUOTED = re.compile(r"'([^']*)'[ \t]*(?:#.*)?(?:\n|$)")


def lookup(text: str, key: str) -> str | None:
    """Find a variable; None when it is not there. Raises ValueError for a line that is none of these."""
    position = 0
    while position < len(text):
        if blank := _BLANK.match(text, position):
            position = blank.end()
            continue
        line = f"line {text.count(chr(10), 0, position) + 1}"
        start = _START.match(text, position)
        assert start is not None
        name, position = start[1], start.end()
        if not start[2]:
            raise ValueError(f"invalid environment variable format at {line}: missing '='")
        if not name or name != name.rstrip(" \t"):
            problem = "whitespace before '=' is not allowed" if name else "empty variable name"
            raise ValueError(f"invalid environment variable format at {line}: {problem}")
        value, position = _value(text, position, line)
        if name == key:
            return value
    return None


def _value(text: str, position: int, line: str) -> tuple[str, int]:
    if text[position : position + 1] in (" ", "\t"):
        # As in a shell: what follows a blank is no part of the assignment.
        end = text.find("\n", position)
        return "", len(text) if end < 0 else end + 1
    if text[position : position + 1] != "'":
        raise ValueError(f"invalid environment variable format at {line}: value must be enclosed in single quotes")
    if quoted := _QUOTED.match(text, position):
        return quoted[1], quoted.end()
    if "'" not in text[position + 1 :]:
        raise ValueError(f"invalid environment variable format starting at {line}: unclosed single quote")
    raise ValueError(f"invalid environment variable format at {line}: unexpected content after closing quote")
