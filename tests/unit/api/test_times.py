"""Times and durations: what Go accepts, how it spells, how it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.api import times

SECONDS = '"2006-01-02T15:04:05Z07:00"'
MICROS = '"2006-01-02T15:04:05.000000Z07:00"'


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z"),
        ("2020-01-01T00:00:00+09:00", "2019-12-31T15:00:00Z"),
        ("2020-01-01T1:02:03.9Z", "2020-01-01T01:02:03Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59-01:00", "10000-01-01T00:59:59Z"),
    ],
)
def test_times_are_brought_to_utc_seconds(text: str, canonical: str | None) -> None:
    assert times.canonical(text) == canonical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("abc", f'parsing time "abc" as {SECONDS}: cannot parse "abc" as "2006"'),
        ("", f'parsing time "" as {SECONDS}: cannot parse "" as "2006"'),
        ("2020-13-01T00:00:00Z", 'parsing time "2020-13-01T00:00:00Z": month out of range'),
        ("2023-02-29T00:00:00Z", 'parsing time "2023-02-29T00:00:00Z": day out of range'),
        ("2020-01-01T00:00:00Zx", 'parsing time "2020-01-01T00:00:00Zx": extra text: "x"'),
        ("2020-01-01", f'parsing time "2020-01-01" as {SECONDS}: cannot parse "" as "T"'),
        ("2020-01-01T00:00:00", f'parsing time "2020-01-01T00:00:00" as {SECONDS}: cannot parse "" as "Z07:00"'),
    ],
)
def test_malformed_times_are_refused_with_go_messages(text: str, message: str) -> None:
    with pytest.raises(times.TimeError) as caught:
        times.canonical(text)
    assert str(caught.value) == message


def test_micro_times_need_six_digits() -> None:
    assert times.canonical_micro("2020-01-01T00:00:00.123456+01:00") == "2019-12-31T23:00:00.123456Z"
    with pytest.raises(times.TimeError) as caught:
        times.canonical_micro("2020-01-01T00:00:00Z")
    assert str(caught.value) == f'parsing time "2020-01-01T00:00:00Z" as {MICROS}: cannot parse "Z" as ".000000"'


@pytest.mark.parametrize(
    ("text", "canonical"),
    [("1h30m", "1h30m0s"), ("90s", "1m30s"), ("1.5s", "1.5s"), ("250ms", "250ms"), ("0", "0s"), ("-5us", "-5µs")],
)
def test_durations_are_spelled_as_go_does(text: str, canonical: str) -> None:
    assert times.canonical_duration(text) == canonical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", 'time: invalid duration "x"'),
        ("1", 'time: missing unit in duration "1"'),
        ("1q", 'time: unknown unit "q" in duration "1q"'),
    ],
)
def test_malformed_durations_are_refused_with_go_messages(text: str, message: str) -> None:
    with pytest.raises(times.DurationError) as caught:
        times.canonical_duration(text)
    assert str(caught.value) == message


@given(st.integers(0, 253402300799))
def test_formatted_times_parse_back(epoch: int) -> None:
    text = times.format_time(epoch)
    assert times.parse(text) == epoch
    assert times.canonical(text) == text


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_durations_round_trip(nanoseconds: int) -> None:
    assert times.parse_duration(times.format_duration(nanoseconds)) == nanoseconds
