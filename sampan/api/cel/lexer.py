"""Tokens of CEL (specification, Lexis)."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from sampan.api.cel.errors import CompileError
from sampan.api.cel.values import UInt

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n\f]+|//[^\n]*)
    |(?P<float>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?)
    |(?P<int>0x[0-9a-fA-F]+[uU]?|[0-9]+[uU]?)
    |(?P<string>[rR]?[bB]?[rR]?(?:\"\"\".*?(?<!\\)\"\"\"|'''.*?(?<!\\)'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<ident>[_a-zA-Z][_a-zA-Z0-9]*)
    |(?P<escaped>`[a-zA-Z0-9_.\-/ ]+`)
    |(?P<op>==|!=|<=|>=|&&|\|\||\[\?|[\[\]{}()<>.,?:+\-*/%!])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class Token(NamedTuple):
    """kind: int, uint, float, string, bytes, ident, op, end. text: as written."""

    kind: str
    text: str
    at: int
    value: Any = None


def tokens(source: str) -> list[Token]:
    """Split an expression. Raises CompileError."""
    found: list[Token] = []
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            raise CompileError([(at, f"Syntax error: token recognition error at: '{source[at]}'")], source)
        kind, text = match.lastgroup or "", match.group()
        if kind == "int":
            found.append(_integer(text, at, source))
        elif kind == "float":
            found.append(Token("float", text, at, float(text)))
        elif kind == "string":
            found.append(_string(text, at, source))
        elif kind == "escaped":
            found.append(Token("escaped", text, at, text[1:-1]))
        elif kind == "op" and text == "[?":
            found += [Token("op", "[", at), Token("op", "?", at + 1)]
        elif kind != "space":
            found.append(Token(kind, text, at))
        at = match.end()
    found.append(Token("end", "<EOF>", len(source)))
    return found


def _integer(text: str, at: int, source: str) -> Token:
    unsigned = text[-1] in "uU"
    value = int(text.rstrip("uU"), 0 if text.startswith("0x") else 10)
    if value >= 1 << 64 or (not unsigned and value > 1 << 63):
        raise CompileError([(at, f"invalid {'u' if unsigned else ''}int literal")], source)
    return Token("uint" if unsigned else "int", text, at, UInt(value) if unsigned else value)


def _string(text: str, at: int, source: str) -> Token:
    prefix = re.match(r"[rRbB]*", text)
    assert prefix is not None
    flags = prefix.group().lower()
    body = text[len(flags) :]
    quote = 3 if body[:3] in ('"""', "'''") else 1
    body = body[quote:-quote]
    value: Any = body if "r" in flags else _unescape(body, at, source, is_bytes="b" in flags)
    if "b" in flags:
        value = value.encode("utf-8") if isinstance(value, str) else value
        return Token("bytes", text, at, value)
    return Token("string", text, at, value)


def _unescape(body: str, at: int, source: str, *, is_bytes: bool) -> Any:
    if "\\" not in body:
        return body
    out: list[str] = []
    raw = bytearray()
    position = 0

    def put(char: str) -> None:
        out.append(char)
        raw.extend(char.encode())

    while position < len(body):
        char = body[position]
        if char != "\\":
            put(char)
            position += 1
            continue
        code = body[position + 1 : position + 2]
        if code in _ESCAPES:
            put(_ESCAPES[code])
            position += 2
        elif code and code in "\\'\"`?":
            put(code)
            position += 2
        else:
            match = re.compile(r"\\(?:[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2}))").match(
                body, position
            )
            if match is None:
                raise CompileError([(at, "unable to unescape string")], source)
            number = int(match[4], 8) if match[4] else int(match[1] or match[2] or match[3], 16)
            if is_bytes and (match[1] or match[4]):
                out.append(chr(number))
                raw.append(number)
            else:
                put(chr(number))
            position = match.end()
    return bytes(raw) if is_bytes else "".join(out)
