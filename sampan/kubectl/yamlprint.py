"""YAML as sigs.k8s.io/yaml writes it.

Keys in natural order, two blanks, sequences not indented, lines folded behind column 80, strings quoted only where a
YAML 1.1 reader would take them for something else, literals for several lines.

Written out here instead of asked from PyYAML, whose emitter folds, quotes and orders differently (and takes 25 ms to
load). Behaviour: go-yaml v2's encode and emitter.
"""

from __future__ import annotations

import re
from functools import cmp_to_key
from typing import TYPE_CHECKING, Any

from sampan.api.goformat import go_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_WIDTH = 80
_MAX_SIMPLE_KEY = 128
_WORDS = frozenset(
    [
        "y",
        "Y",
        "yes",
        "Yes",
        "YES",
        "on",
        "On",
        "ON",
        "n",
        "N",
        "no",
        "No",
        "NO",
        "off",
        "Off",
        "OFF",
        "true",
        "True",
        "TRUE",
        "false",
        "False",
        "FALSE",
        "~",
        "null",
        "Null",
        "NULL",
        ".nan",
        ".NaN",
        ".NAN",
        ".inf",
        ".Inf",
        ".INF",
        "+.inf",
        "+.Inf",
        "+.INF",
        "-.inf",
        "-.Inf",
        "-.INF",
    ]
) | {""}
_NUMBER = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?0[xX][0-9a-fA-F]+|[-+]?0[bB][01]+|[-+]?0[oO]?[0-7]+"
)
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_TIMESTAMP = re.compile(
    r"\d{4}-\d{1,2}-\d{1,2}"
    r"(?:[Tt]\d{1,2}:\d{1,2}:\d{1,2}(?:\.\d+)?(?:Z|[-+]\d\d:\d\d)| \d{1,2}:\d{1,2}:\d{1,2}(?:\.\d+)?)?"
)
_SPECIAL = re.compile(r"[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd]")
_PLAIN_START = re.compile(r"[#,\[\]{}&*!|>'\"%@`]|[-?:](?:\s|$)|---|\.\.\.")
_PLAIN_INSIDE = re.compile(r":(?:\s|$)|\s#")
_SIMPLE = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_ESCAPES = {
    "\0": "\\0", "\a": "\\a", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\v": "\\v", "\f": "\\f", "\r": "\\r",
    "\x1b": "\\e", '"': '\\"', "\\": "\\\\", "\x85": "\\N", "\u2028": "\\L", "\u2029": "\\P",
}  # fmt: skip


def dump(obj: Any) -> str:
    """Spell an object as YAML."""
    lines: list[str] = []
    if isinstance(obj, dict) and obj:
        _mapping(obj, "", "", lines)
    elif isinstance(obj, (list, tuple)) and obj:
        _sequence(obj, "", "", lines)
    else:
        lines.append(_scalar(obj, "", 0))
    return "\n".join(lines) + "\n"


def _mapping(obj: Mapping[str, Any], first: str, indent: str, lines: list[str]) -> None:
    """first: what stands before the first key, "- " marks or the indent; indent: before the others."""
    before = first
    for key in _sorted(obj):
        value = obj[key]
        shown = _scalar(key, indent, len(before), key=True)
        head = f"{before}? {shown}\n{indent}:" if len(shown) > _MAX_SIMPLE_KEY else f"{before}{shown}:"
        if isinstance(value, dict) and value:
            lines.append(head)
            _mapping(value, indent + "  ", indent + "  ", lines)
        elif isinstance(value, (list, tuple)) and value:
            lines.append(head)
            _sequence(value, indent, indent, lines)
        else:
            lines.append(f"{head} {_scalar(value, indent, len(head))}")
        before = indent


def _sequence(items: Iterable[Any], first: str, indent: str, lines: list[str]) -> None:
    before = first
    for item in items:
        if isinstance(item, dict) and item:
            _mapping(item, before + "- ", indent + "  ", lines)
        elif isinstance(item, (list, tuple)) and item:
            _sequence(item, before + "- ", indent + "  ", lines)
        else:
            lines.append(f"{before}- {_scalar(item, indent, len(before) + 1)}")
        before = indent


def _scalar(value: Any, indent: str, column: int, *, key: bool = False) -> str:
    if isinstance(value, str):
        return _string(value, indent + "  ", column, key=key)
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, (list, tuple)):
        return "[]"
    return go_text(value)


def _string(text: str, indent: str, column: int, *, key: bool) -> str:
    if _SIMPLE.fullmatch(text) and text not in _WORDS:
        return text
    special = bool(_SPECIAL.search(text)) or " \n" in text
    if "\n" in text and not key and not special and not text.endswith(" "):
        return _literal(text, indent)
    if special or "\n" in text or _is_ambiguous(text):
        return _double(text, indent, column, folds=not key)
    if text[0] == " " or text[-1] == " " or _PLAIN_START.match(text) or _PLAIN_INSIDE.search(text):
        return "'" + _fold(text.replace("'", "''"), indent, column + 2, ends=True, folds=not key) + "'"
    return _fold(text, indent, column + 1, ends=False, folds=not key)


def _is_ambiguous(text: str) -> bool:
    if text in _WORDS or _BASE_60.fullmatch(text) or _TIMESTAMP.fullmatch(text):
        return True
    return text[0] in "+-.0123456789" and bool(_NUMBER.fullmatch(text.replace("_", "")))


def _literal(text: str, indent: str) -> str:
    head = "|2" if text[0] in " \n" else "|"
    if not text.endswith("\n"):
        head += "-"
    elif text == "\n" or text.endswith("\n\n"):
        head += "+"
    body = text.removesuffix("\n").split("\n")
    return "\n".join([head, *(indent + line if line else "" for line in body)])


def _fold(text: str, indent: str, column: int, *, ends: bool, folds: bool) -> str:
    """Break at single blanks behind the width. ends: a blank at either end stays (quoted styles)."""
    if not folds or column + len(text) <= _WIDTH:
        return text
    out: list[str] = []
    last = len(text) - 1
    for index, char in enumerate(text):
        single = (
            char == " " and column > _WIDTH and text[index - 1 : index] != " " and text[index + 1 : index + 2] != " "
        )
        if single and not (ends and index in (0, last)):
            out.append("\n" + indent)
            column = len(indent)
        else:
            out.append(char)
            column += 1
    return "".join(out)


def _double(text: str, indent: str, column: int, *, folds: bool) -> str:
    out = ['"']
    column += 2
    last = len(text) - 1
    previous_blank = False
    for index, char in enumerate(text):
        if char == " ":
            if folds and not previous_blank and column > _WIDTH and 0 < index < last:
                out.append("\n" + indent)
                column = len(indent)
                if text[index + 1] == " ":
                    out.append("\\")
                    column += 1
            else:
                out.append(char)
                column += 1
            previous_blank = True
            continue
        shown = _escaped(char)
        out.append(shown)
        column += len(shown)
        previous_blank = False
    return "".join(out) + '"'


def _escaped(char: str) -> str:
    if (known := _ESCAPES.get(char)) is not None:
        return known
    if not _SPECIAL.match(char):
        return char
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02X}"
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"


def _sorted(keys: Iterable[str]) -> list[str]:
    plain = sorted(keys)
    return plain if all(one.isalpha() for one in plain) else sorted(plain, key=cmp_to_key(_natural))


def _natural(left: str, right: str) -> int:
    """Order of keys: letters behind all else, runs of digits by their number."""
    for index, (a, b) in enumerate(zip(left, right, strict=False)):
        if a == b:
            continue
        if a.isalpha() and b.isalpha():
            return -1 if a < b else 1
        if a.isalpha() or b.isalpha():
            return -1 if b.isalpha() else 1
        return _digits(left, right, index)
    return len(left) - len(right)


def _digits(left: str, right: str, index: int) -> int:
    prefix = ""
    if "0" in (left[index], right[index]):
        # a zero inside a number counts: 10 is more than 1, though 0 is no more than nothing
        before = re.search(r"\d*$", left[:index])
        prefix = "1" if before and before[0].strip("0") else ""
    a, b = (re.match(r"\d*", one[index:]) for one in (left, right))
    runs = (a[0] if a else "", b[0] if b else "")
    numbers = [int(prefix + run) if prefix + run else 0 for run in runs]
    if numbers[0] != numbers[1]:
        return numbers[0] - numbers[1]
    if len(runs[0]) != len(runs[1]):
        return len(runs[0]) - len(runs[1])
    return -1 if left[index] < right[index] else 1
