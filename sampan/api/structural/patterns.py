"""Regular expressions in Go's syntax (RE2) run by Python's engine; and what Go says of those it cannot parse."""

from __future__ import annotations

import re

from sampan.api.textcache import text_cache

_CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7F", "blank": r"\t ", "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~", "space": r"\t\n\v\f\r ",
    "upper": "A-Z", "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_UNICODE = {"L": r"^\W\d_", "Lu": "A-ZÀ-ÖØ-Þ", "Ll": "a-zß-öø-ÿ", "N": r"\d", "Nd": r"\d"}
_MAX_REPEAT = 1000


class PatternError(ValueError):
    """The expression is not one of RE2's; the text is Go's."""


@text_cache(2048)
def compile_pattern(text: str) -> re.Pattern[str]:
    """Compile an expression of RE2's syntax. Raises PatternError."""
    try:
        return re.compile(_translate(text), re.ASCII)
    except PatternError as error:
        raise PatternError(f"error parsing regexp: {error}") from None
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(f"error parsing regexp: {_worded(str(error), text)}") from None


def _worded(problem: str, text: str) -> str:
    if "unterminated subpattern" in problem:
        return f"missing closing ): `{text}`"
    if "unbalanced parenthesis" in problem:
        return f"unexpected ): `{text}`"
    if "nothing to repeat" in problem:
        found = re.search(r"[*+?]+", text)
        return f"missing argument to repetition operator: `{found.group() if found else text}`"
    if "multiple repeat" in problem:
        found = re.search(r"[*+?]{2,}", text)
        return f"invalid nested repetition operator: `{found.group() if found else text}`"
    if "bad character range" in problem:
        return f"invalid character class range: `{problem.split('range ')[1].split(' at', maxsplit=1)[0]}`"
    return f"invalid regexp: `{text}`"


def _translate(text: str) -> str:
    out: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            piece, at = _escape(text, at, in_class=False)
            out.append(piece)
        elif char == "[":
            piece, at = _class(text, at)
            out.append(piece)
        elif char == "(" and text.startswith("(?", at):
            piece, at = _group(text, at)
            out.append(piece)
        elif char == "{":
            match = re.compile(r"\{(\d+)(,(\d*))?\}").match(text, at)
            if match is None:
                out.append(r"\{")
                at += 1
                continue
            if int(match[1]) > _MAX_REPEAT or int(match[3] or 0) > _MAX_REPEAT:
                raise PatternError(f"invalid repeat count: `{match[0]}`")
            out.append(match[0])
            at = match.end()
        elif char == "$":
            out.append(r"\Z")
            at += 1
        else:
            out.append(char)
            at += 1
    return _flags_first("".join(out))


def _flags_first(text: str) -> str:
    """Python wants flags for the whole expression in front of it."""
    match = re.match(r"\(\?([imsU]+)\)", text)
    return text if match is None else f"(?{match[1].replace('U', '')}:{text[match.end() :]})"


def _group(text: str, at: int) -> tuple[str, int]:
    for bad in ("(?=", "(?!", "(?<=", "(?<!", "(?>", "(?#", "(?P=", "(?("):
        if text.startswith(bad, at):
            raise PatternError(f"invalid or unsupported Perl syntax: `{bad}`")
    if text.startswith("(?<", at):
        return "(?P<", at + 3
    match = re.compile(r"\(\?([imsU-]+)\)").match(text, at)
    if match is not None and at > 0:
        return f"(?{match[1].replace('U', '')}:{_translate(text[match.end() :])})", len(text)
    return "(?", at + 2


def _escape(text: str, at: int, *, in_class: bool) -> tuple[str, int]:
    if at + 1 >= len(text):
        raise PatternError("trailing backslash at end of expression: ``")
    char = text[at + 1]
    if char in "123456789":
        raise PatternError(f"invalid escape sequence: `\\{char}`")
    if char == "z":
        return r"\Z", at + 2
    if char in "pP":
        match = re.compile(r"\\[pP](\{\^?(\w+)\}|\w)").match(text, at)
        name = (match[2] or match[1]) if match else ""
        ranges = _UNICODE.get(name)
        if match is None or ranges is None:
            raise PatternError(f"invalid character class range: `{match[0] if match else text[at : at + 2]}`")
        if in_class:
            return ranges.lstrip("^"), match.end()
        negated = (char == "P") != ranges.startswith("^")
        return f"[{'^' if negated else ''}{ranges.lstrip('^')}]", match.end()
    if char == "Q":
        end = text.find(r"\E", at + 2)
        end = len(text) if end < 0 else end
        return re.escape(text[at + 2 : end]), min(end + 2, len(text))
    if char == "x" and text.startswith("{", at + 2):
        end = text.index("}", at)
        return re.escape(chr(int(text[at + 3 : end], 16))), end + 1
    if char.isalpha() and char not in ("AbBdDsSwWafnrtvxC" if not in_class else "dDsSwWafnrtvx"):
        raise PatternError(f"invalid escape sequence: `\\{char}`")
    return text[at : at + 2], at + 2


def _class(text: str, at: int) -> tuple[str, int]:
    start, out = at, ["["]
    at += 1
    if text.startswith("^", at):
        out.append("^")
        at += 1
    first = True
    while at < len(text):
        char = text[at]
        if char == "]" and not first:
            return "".join(out) + "]", at + 1
        match = re.compile(r"\[:(\^?)(\w+):\]").match(text, at)
        if match is not None:
            if match[2] not in _CLASSES or match[1]:
                raise PatternError(f"invalid character class range: `{match[0]}`")
            out.append(_CLASSES[match[2]])
            at = match.end()
        elif char == "\\":
            piece, at = _escape(text, at, in_class=True)
            out.append(piece)
        else:
            out.append("\\" + char if char in "[&~|" or (char == "]" and first) else char)
            at += 1
        first = False
    raise PatternError(f"missing closing ]: `{text[start:]}`")
