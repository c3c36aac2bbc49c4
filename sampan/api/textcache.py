"""A cache for functions of one text, which clients that send long texts cannot fill with them."""

from __future__ import annotations

from functools import lru_cache, wraps
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MAX_LENGTH = 256
"""Characters; longer texts are computed each time. Names, keys, quantities and usual selectors are shorter."""


def text_cache(size: int) -> Callable[[Callable[[str], T]], Callable[[str], T]]:
    """Remember the results for the ``size`` short texts last used. Exceptions are not remembered."""

    def decorate(function: Callable[[str], T]) -> Callable[[str], T]:
        cached = lru_cache(size)(function)

        @wraps(function)
        def call(text: str) -> T:
            return cached(text) if len(text) <= MAX_LENGTH else function(text)

        return call

    return decorate
