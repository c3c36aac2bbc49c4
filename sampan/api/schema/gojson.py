"""JSON as Go reads it: orjson for speed, Go's own verdict and wording where orjson refuses.

Go takes some documents that orjson does not (invalid UTF-8 and lone surrogates become U+FFFD); those are parsed by the
standard library. Behaviour: encoding/json's scanner.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from sampan.api.schema.diagnose import Number, Pairs, number_of

MAX_DEPTH = 10000
"""Nesting at which Go's decoder gives up."""

_SPACE = re.compile(rb"[ \t\r\n]*")
_STRING_PART = re.compile(rb'[^"\\\x00-\x1f]*')
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_HEX = frozenset(b"0123456789abcdefABCDEF")
_ESCAPES = frozenset(b'"\\/bfnrt')
_DIGITS = frozenset(b"0123456789")


class MalformedError(ValueError):
    """The bytes are not a document; the text is the Go parser's."""


def loads(data: bytes) -> Any:
    """Parse JSON. Raises MalformedError."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return _loads_like_go(data)


def loads_pairs(data: bytes) -> Any:
    """Parse JSON keeping member order, duplicates and the spelling of numbers. data: known to be well-formed."""
    text = data.decode("utf-8", "replace")
    return json.loads(text, object_pairs_hook=Pairs, parse_int=Number, parse_float=Number)


def may_have_duplicates(data: bytes, parsed: Any) -> bool:
    """Tell, cheaply and never wrongly with no, whether an object in the text names a member twice.

    Every member has a colon, and strings keep theirs. A repeated member is missing when the parsed document is written
    again, so with equally many colons in both texts nothing was dropped. A colon written as an escape could hide one,
    and counts as yes.
    """
    if data.count(b":") != orjson.dumps(parsed).count(b":"):
        return True
    return b"\\u003a" in data or b"\\u003A" in data


def _loads_like_go(data: bytes) -> Any:
    problem = syntax_error(data)
    if problem:
        raise MalformedError(problem)
    text = data.decode("utf-8", "replace")
    try:
        parsed = json.loads(text, parse_int=_finite, parse_float=_finite)
    except RecursionError as error:
        raise MalformedError("exceeded max depth") from error
    return _without_surrogates(parsed)


def _finite(text: str) -> int | float:
    number = number_of(text)
    if number in (float("inf"), float("-inf")):
        raise MalformedError(f"json: cannot unmarshal number {text} into Go value of type float64")
    return number


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value


def syntax_error(data: bytes) -> str:
    """Give the message with which Go refuses the text, "" if it does not."""
    try:
        _Scanner(data).scan()
    except MalformedError as error:
        return str(error)
    return ""


class _Scanner:
    """Go's JSON scanner: a value at a time, the containers on a stack."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def scan(self) -> None:
        stack: list[int] = []
        done = self._begin_value(stack)
        while True:
            if done and not stack:
                self._skip_space()
                if self._at < len(self._data):
                    raise self._invalid("after top-level value")
                return
            done = self._after_value(stack) if done else self._begin_value(stack)

    def _begin_value(self, stack: list[int]) -> bool:
        """Read a scalar or open a container; tell whether a value is complete."""
        char = self._next()
        if char in b"{[":
            stack.append(char)
            if len(stack) > MAX_DEPTH:
                raise MalformedError("exceeded max depth")
            self._at += 1
            return self._opened(stack)
        if char == 0x22:
            self._string()
        elif char == 0x2D or char in _DIGITS:
            self._number()
        else:
            self._literal(char)
        return True

    def _opened(self, stack: list[int]) -> bool:
        char = self._next()
        if stack[-1] == 0x7B:
            if char == 0x7D:
                return self._close(stack)
            self._key()
        elif char == 0x5D:
            return self._close(stack)
        return False

    def _close(self, stack: list[int]) -> bool:
        stack.pop()
        self._at += 1
        return True

    def _after_value(self, stack: list[int]) -> bool:
        char = self._next()
        if stack[-1] == 0x7B:
            if char == 0x7D:
                return self._close(stack)
            if char != 0x2C:
                raise self._invalid("after object key:value pair")
            self._at += 1
            self._key()
            return False
        if char == 0x5D:
            return self._close(stack)
        if char != 0x2C:
            raise self._invalid("after array element")
        self._at += 1
        return False

    def _key(self) -> None:
        if self._next() != 0x22:
            raise self._invalid("looking for beginning of object key string")
        self._string()
        if self._next() != 0x3A:
            raise self._invalid("after object key")
        self._at += 1

    def _string(self) -> None:
        self._at += 1
        while True:
            match = _STRING_PART.match(self._data, self._at)
            assert match is not None
            self._at = match.end()
            char = self._peek()
            if char == 0x22:
                self._at += 1
                return
            if char != 0x5C:
                raise self._invalid("in string literal")
            self._at += 1
            self._escape()

    def _escape(self) -> None:
        char = self._peek()
        if char in _ESCAPES:
            self._at += 1
            return
        if char != 0x75:
            raise self._invalid("in string escape code")
        self._at += 1
        for _ in range(4):
            if self._peek() not in _HEX:
                raise self._invalid("in \\u hexadecimal character escape")
            self._at += 1

    def _number(self) -> None:
        data = self._data
        if data[self._at] == 0x2D:
            self._at += 1
            if self._peek() not in _DIGITS:
                raise self._invalid("in numeric literal")
        match = _NUMBER.match(data, self._at)
        assert match is not None
        self._at = match.end()
        char = data[self._at] if self._at < len(data) else 0
        text = match[0]
        if char == 0x2E and b"." not in text and b"e" not in text.lower():
            self._at += 1
            self._peek()
            raise self._invalid("after decimal point in numeric literal")
        if char in b"eE" and char and b"e" not in text.lower():
            self._at += 1
            if self._peek() in b"+-":
                self._at += 1
                self._peek()
            raise self._invalid("in exponent of numeric literal")

    def _literal(self, char: int) -> None:
        word = {0x74: b"true", 0x66: b"false", 0x6E: b"null"}.get(char)
        if word is None:
            raise self._invalid("looking for beginning of value")
        for position in range(1, len(word)):
            self._at += 1
            if self._peek() != word[position]:
                raise self._invalid(f"in literal {word.decode()} (expecting {_quote(word[position])})")
        self._at += 1

    def _skip_space(self) -> None:
        match = _SPACE.match(self._data, self._at)
        assert match is not None
        self._at = match.end()

    def _next(self) -> int:
        self._skip_space()
        return self._peek()

    def _peek(self) -> int:
        if self._at >= len(self._data):
            raise MalformedError("unexpected end of JSON input")
        return self._data[self._at]

    def _invalid(self, where: str) -> MalformedError:
        return MalformedError(f"invalid character {_quote(self._data[self._at])} {where}")


def _quote(byte: int) -> str:
    """Quote a byte as Go's scanner does: the byte is taken for a code point."""
    char = chr(byte)
    if char == "'":
        return r"'\''"
    if char == '"':
        return "'\"'"
    short = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v", "\\": r"\\"}
    if char in short:
        return f"'{short[char]}'"
    if byte < 0x20 or byte == 0x7F:
        return f"'\\x{byte:02x}'"
    return f"'{char}'" if char.isprintable() else f"'\\u{byte:04x}'"
