"""Flags as pflag parses them, with pflag's errors.

Anywhere on the line: ``--name=value``, ``--name value``, ``-n value``, ``-nvalue``, clusters of short ones,
``--bool[=false]``; ``--`` ends them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sampan.kubectl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal["bool", "string", "int", "list", "array", "duration"]
"""list: values split at commas (pflag StringSlice); array: each value as it is (StringArray)."""

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h))")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One flag. bare: the value of ``--name`` without ``=value``, for flags whose value is optional."""

    name: str
    kind: Kind = "string"
    short: str = ""
    default: Any = None
    bare: str | None = None
    help: str = ""

    def initial(self) -> Any:
        if self.default is not None:
            return list(self.default) if isinstance(self.default, (list, tuple)) else self.default
        return {"bool": False, "string": "", "int": 0, "list": [], "array": [], "duration": 0.0}[self.kind]


class Values:
    """Parsed flags: ``values.output`` for ``--output``; `changed` tells what was given."""

    def __init__(self, values: dict[str, Any], changed: set[str]) -> None:
        self._values = values
        self.changed = changed

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name.replace("_", "-")]
        except KeyError:
            raise AttributeError(name) from None

    def set(self, name: str, value: Any) -> None:
        """Replace a value, as if it were the default."""
        self._values[name] = value

    def get(self, name: str, default: Any = None) -> Any:
        return self._values.get(name, default)


def parse(arguments: Sequence[str], flags: Sequence[Flag], command: str) -> tuple[Values, list[str], int]:
    """Parse a command line: values, positional arguments, and how many of these stood before ``--`` (-1: no ``--``).

    Raises UsageError.
    """
    parser = _Parser(flags, command)
    parser.run(list(arguments))
    return Values(parser.values, parser.changed), parser.positional, parser.dash


class _Parser:
    def __init__(self, flags: Sequence[Flag], command: str) -> None:
        self._long = {flag.name: flag for flag in flags}
        self._short = {flag.short: flag for flag in flags if flag.short}
        self._command = command
        self.values = {flag.name: flag.initial() for flag in flags}
        self.changed: set[str] = set()
        self.positional: list[str] = []
        self.dash = -1

    def run(self, rest: list[str]) -> None:
        while rest:
            argument = rest.pop(0)
            if argument == "--":
                self.dash = len(self.positional)
                self.positional += rest
                return
            if argument.startswith("--"):
                self._take_long(argument, rest)
            elif argument.startswith("-") and len(argument) > 1:
                self._take_short(argument[1:], rest)
            else:
                self.positional.append(argument)

    def _take_long(self, argument: str, rest: list[str]) -> None:
        name, has_value, value = argument[2:].partition("=")
        flag = self._long.get(name)
        if flag is None:
            raise UsageError(f"unknown flag: --{name}", self._command)
        if not has_value:
            if flag.kind == "bool" or flag.bare is not None:
                value = flag.bare or "true"
            elif rest:
                value = rest.pop(0)
            else:
                raise UsageError(f"flag needs an argument: --{name}", self._command)
        self._set(flag, value, f"--{flag.name}")

    def _take_short(self, cluster: str, rest: list[str]) -> None:
        whole = cluster
        while cluster:
            letter, cluster = cluster[0], cluster[1:]
            flag = self._short.get(letter)
            if flag is None:
                raise UsageError(f"unknown shorthand flag: '{letter}' in -{whole}", self._command)
            if cluster.startswith("="):
                value, cluster = cluster[1:], ""
            elif flag.kind == "bool" or flag.bare is not None:
                value = flag.bare or "true"
            elif cluster:
                value, cluster = cluster, ""
            elif rest:
                value = rest.pop(0)
            else:
                raise UsageError(f"flag needs an argument: '{letter}' in -{whole}", self._command)
            self._set(flag, value, f"-{flag.short}, --{flag.name}")

    def _set(self, flag: Flag, text: str, shown: str) -> None:
        try:
            value = _convert(flag, text)
        except ValueError as error:
            raise UsageError(f'invalid argument "{text}" for "{shown}" flag: {error}', self._command) from None
        if flag.kind in {"list", "array"}:
            previous = self.values[flag.name] if flag.name in self.changed else []
            value = [*previous, *value]
        self.changed.add(flag.name)
        self.values[flag.name] = value


def _convert(flag: Flag, text: str) -> Any:
    match flag.kind:
        case "bool":
            if text in _TRUE:
                return True
            if text in _FALSE:
                return False
            raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
        case "int":
            try:
                return int(text)
            except ValueError:
                raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
        case "list":
            return text.split(",") if text else []
        case "array":
            return [text]
        case "duration":
            return parse_duration(text)
        case _:
            return text


def parse_duration(text: str) -> float:
    """Parse Go's duration form, ``1h30m``, into seconds. Raises ValueError with Go's text."""
    if text == "0":
        return 0.0
    sign, rest = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
    total, position = 0.0, 0
    for match in _DURATION.finditer(rest):
        if match.start() != position:
            break
        total += float(match[1]) * _UNITS[match[2]]
        position = match.end()
    if not rest or position != len(rest):
        if rest and rest.replace(".", "", 1).isdigit():
            raise ValueError(f'time: missing unit in duration "{text}"')
        raise ValueError(f'time: invalid duration "{text}"')
    return sign * total
