"""The cache of short texts."""

from __future__ import annotations

from sampan.api.textcache import MAX_LENGTH, text_cache


def test_short_texts_are_computed_once_and_long_ones_each_time() -> None:
    calls: list[str] = []

    @text_cache(4)
    def length(text: str) -> int:
        calls.append(text)
        return len(text)

    long = "x" * (MAX_LENGTH + 1)
    assert [length("a"), length("a"), length(long), length(long)] == [1, 1, MAX_LENGTH + 1, MAX_LENGTH + 1]
    assert calls == ["a", long, long]
