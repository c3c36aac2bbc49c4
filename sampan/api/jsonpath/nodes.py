"""What a parsed template is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sampan.base.errors import SampanError


class JSONPathError(SampanError, ValueError):
    """The template is malformed or does not fit the data; the message is client-go's."""


@dataclass(slots=True)
class Steps:
    """Steps taken one after another: an action in braces."""

    nodes: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Text:
    """Text to be printed as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Field:
    """A member by name."""

    name: str


@dataclass(frozen=True, slots=True)
class Identifier:
    """A word: range, end, or one that means nothing."""

    name: str


@dataclass(frozen=True, slots=True)
class Constant:
    """A number or boolean."""

    value: float | bool


@dataclass(frozen=True, slots=True)
class Slice:
    """Items of a list. stop_derived: it stands for one item, so 0 means the end."""

    start: int | None
    stop: int | None
    step: int | None
    stop_derived: bool


@dataclass(frozen=True, slots=True)
class Wildcard:
    """All members or items."""


@dataclass(frozen=True, slots=True)
class Recursive:
    """The value and everything below it."""


@dataclass(frozen=True, slots=True)
class Union:
    """What several alternatives give, together."""

    alternatives: list[Steps]


@dataclass(frozen=True, slots=True)
class Filter:
    """Items of a list that meet a condition. operator: "exists" for one without comparison."""

    left: Steps
    right: Steps
    operator: str
