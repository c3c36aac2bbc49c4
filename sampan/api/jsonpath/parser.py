"""The parser of templates."""

from __future__ import annotations

import re

from sampan.api.jsonpath.nodes import (
    Constant,
    Field,
    Filter,
    Identifier,
    JSONPathError,
    Recursive,
    Slice,
    Steps,
    Text,
    Union,
    Wildcard,
)

_DICT_KEY = re.compile(r"'([^']*)'")
_SLICE = re.compile(r"(-?\d*)(:-?\d*)?(:-?\d*)?", re.ASCII)
_COMPARISON = re.compile(r"([^!<>=]+)([!<>=]+)(.+?)", re.DOTALL)
_NUMBER = re.compile(r"[+-]?[0-9.]*", re.ASCII)
_WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)", re.ASCII)
_TERMINATORS = frozenset(" \t\r\n.,[]$@{}")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL)


def parse_nodes(text: str) -> list[Steps | Text]:
    """Split a template into texts and actions. Raises JSONPathError."""
    try:
        return _Parser(text).parse()
    except RecursionError:
        raise JSONPathError("template is nested too deeply") from None


def _parse_action(text: str) -> Steps:
    node = _Parser(f"{{{text}}}").parse()[0]
    assert isinstance(node, Steps)
    return node


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def parse(self) -> list[Steps | Text]:
        nodes: list[Steps | Text] = []
        while self._at < len(self._text):
            start = self._text.find("{", self._at)
            if start < 0:
                nodes.append(Text(self._text[self._at :]))
                break
            if start > self._at:
                nodes.append(Text(self._text[self._at : start]))
            self._at = start + 1
            nodes.append(self._action())
        return nodes

    def _action(self) -> Steps:
        steps = Steps()
        while not self._text.startswith("}", self._at):
            self._step(steps)
        self._at += 1
        return steps

    def _step(self, steps: Steps) -> None:
        text, at = self._text, self._at
        char = text[at : at + 1]
        if text.startswith("[?(", at):
            self._filter(steps)
        elif text.startswith("..", at):
            self._recursive(steps)
        elif not char or char in "\r\n":
            raise JSONPathError("unclosed action")
        elif char in " @$":
            self._at += 1
        elif char == "[":
            self._array(steps)
        elif char in "\"'":
            self._quote(steps, char)
        elif char == ".":
            self._at += 1
            self._field(steps)
        elif char in "+-" or char.isdigit():
            self._number(steps)
        elif char == "_" or char.isalpha():
            self._identifier(steps)
        else:
            raise JSONPathError(f"unrecognized character in action: U+{ord(char):04X} '{char}'")

    def _identifier(self, steps: Steps) -> None:
        end = self._at
        while end < len(self._text) and self._text[end] not in _TERMINATORS:
            end += 1
        word = self._text[self._at : end]
        self._at = end
        steps.nodes.append(Constant(word == "true") if word in ("true", "false") else Identifier(word))

    def _recursive(self, steps: Steps) -> None:
        if steps.nodes and isinstance(steps.nodes[-1], Recursive):
            raise JSONPathError("invalid multiple recursive descent")
        self._at += 2
        steps.nodes.append(Recursive())
        char = self._text[self._at : self._at + 1]
        if char and (char == "_" or char.isalnum()):
            self._field(steps)

    def _number(self, steps: Steps) -> None:
        match = _NUMBER.match(self._text, self._at)
        assert match is not None
        word = match[0]
        self._at = match.end()
        if _WHOLE.fullmatch(word) and len(word) < 20:
            steps.nodes.append(Constant(int(word)))
        elif _FLOAT.fullmatch(word):
            steps.nodes.append(Constant(float(word)))
        else:
            raise JSONPathError(f"cannot parse number {word}")

    def _field(self, steps: Steps) -> None:
        text, end = self._text, self._at
        while end < len(text):
            if text[end] == "\\":
                end += 1
            elif text[end] in _TERMINATORS:
                break
            end += 1
        name = text[self._at : end]
        self._at = min(end, len(text))
        steps.nodes.append(Wildcard() if name == "*" else Field(name.replace("\\", "")))

    def _quote(self, steps: Steps, quote: str) -> None:
        end = self._at + 1
        while True:
            char = self._text[end : end + 1]
            if not char or char == "\n":
                raise JSONPathError("unterminated quoted string")
            if char == quote and self._text[end - 1] != "\\":
                break
            end += 1
        steps.nodes.append(Text(_unquote(self._text[self._at : end + 1], quote)))
        self._at = end + 1

    def _array(self, steps: Steps) -> None:
        end = self._at
        while True:
            char = self._text[end : end + 1]
            if not char or char == "\n":
                raise JSONPathError("unterminated array")
            end += 1
            if char == "]":
                break
        inner = self._text[self._at + 1 : end - 1]
        self._at = end
        inner = ":" if inner == "*" else inner
        parts = inner.split(",")
        if len(parts) > 1:
            steps.nodes.append(Union([_parse_action(f"[{part.strip(' ')}]") for part in parts]))
        elif match := _DICT_KEY.fullmatch(inner):
            steps.nodes.extend(_parse_action(f".{match[1]}").nodes)
        else:
            steps.nodes.append(_slice(inner))

    def _filter(self, steps: Steps) -> None:
        begin = self._at + 3
        end = begin
        opened = closed = False
        quote = ""
        while True:
            char = self._text[end : end + 1]
            if not char or char == "\n":
                raise JSONPathError("unterminated filter")
            if char in "\"'":
                if not opened:
                    opened, quote = True, char
                elif self._text[end - 1] != "\\" and char == quote:
                    closed = True
            elif char == ")" and opened == closed:
                break
            end += 1
        if self._text[end + 1 : end + 2] != "]":
            raise JSONPathError("unclosed array expect ]")
        inner = self._text[begin:end]
        self._at = end + 2
        match = _COMPARISON.fullmatch(inner)
        if match is None:
            steps.nodes.append(Filter(_parse_action(inner), Steps(), "exists"))
        else:
            steps.nodes.append(Filter(_parse_action(match[1]), _parse_action(match[3]), match[2]))


def _slice(text: str) -> Slice:
    match = _SLICE.fullmatch(text)
    if match is None:
        raise JSONPathError(f"invalid array index {text}")
    start = _index(match[1])
    if match[2] is None:
        return Slice(start, (start or 0) + 1, _bound(match[3]), stop_derived=True)
    return Slice(start, _bound(match[2]), _bound(match[3]), stop_derived=False)


def _bound(text: str | None) -> int | None:
    return _index(text[1:]) if text else None


def _index(text: str) -> int | None:
    if not text:
        return None
    if text == "-" or len(text) > 18:
        raise JSONPathError(f"array index {text} is not a number")
    return int(text)


def _unquote(quoted: str, quote: str) -> str:
    inner = quoted[1:-1]
    if "\\" not in inner:
        return inner

    def replace(match: re.Match[str]) -> str:
        for digits, base in ((match[1], 16), (match[2], 16), (match[3], 16), (match[4], 8)):
            if digits is not None and (code := int(digits, base)) < 0x110000:
                return chr(code)
        char = match[5] or ""
        if char == quote:
            return char
        if char not in _ESCAPES:
            raise JSONPathError(f"unquote string {quoted} error invalid syntax")
        return _ESCAPES[char]

    return _ESCAPE.sub(replace, inner)
