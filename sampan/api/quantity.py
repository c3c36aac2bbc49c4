"""Quantities: amounts of resources as text, ``100m``, ``1Gi``, ``12e6``.

Owns parsing, the canonical spelling that a round trip through the API gives, and exact arithmetic. A quantity belongs
to a family of suffixes (binary, decimal, exponent) which its canonical spelling keeps. Amounts are exact `Decimal`s;
anything finer than 1n is rounded up (away from zero). Behaviour: apimachinery, package api/resource.

Everything is cached by text: clusters use few distinct quantities, again and again.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal
from typing import Literal, NamedTuple

from sampan.api.textcache import text_cache
from sampan.base.errors import SampanError

Format = Literal["DecimalSI", "BinarySI", "DecimalExponent"]

FORMAT_WRONG = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
SUFFIX_WRONG = "unable to parse quantity's suffix"
NUMERIC_WRONG = "unable to parse numeric part of quantity"

# Possessive throughout: a long run of digits is never looked at twice.
_PARTS = re.compile(r"([+-]?)0*+([0-9]*+)(?:\.([0-9]*+))?([eEinumkKMGTP]*+[-+]?[0-9]*+)", re.ASCII)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_SUFFIX = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_EXPONENT = re.compile(r"[+-]?[0-9]+", re.ASCII)
_MAX_INT64 = 2**63 - 1
_MAX_DIGITS = 4000
"""Longer numerals are refused: they name no resource, and Python converts them slowly."""

_MAX_EXPONENT = 400
"""Powers of ten that amounts are told apart by; ``1e1000000000`` is a quantity, but no sum with it can be written."""

_EXACT = Context(prec=200, Emax=999_999_999, Emin=-999_999_999)
_CACHE = 8192


class QuantityError(SampanError, ValueError):
    """The text is no quantity; the message is Kubernetes'."""


class Amount(NamedTuple):
    """A parsed quantity: ``mantissa * 10**exponent``. text: the spelling given, when it is canonical already."""

    mantissa: int
    exponent: int
    format: Format
    text: str | None = None

    @property
    def value(self) -> Decimal:
        """The exact amount; one beyond all that can be reckoned with is cut down to where sums still work."""
        if self.exponent > _MAX_EXPONENT:
            return Decimal(-1 if self.mantissa < 0 else 1 if self.mantissa else 0).scaleb(_MAX_EXPONENT)
        return Decimal((self.mantissa < 0, tuple(map(int, str(abs(self.mantissa)))), self.exponent))


def parse(value: str | float) -> Decimal:
    """Return the exact amount. Raises QuantityError."""
    return _parse(value if isinstance(value, str) else str(value))


def canonical(value: str | float) -> str:
    """Return the spelling that the API answers with. Numbers are as JSON spells them. Raises QuantityError."""
    return _canonical(value if isinstance(value, str) else str(value))


def to_int(value: str | float) -> int:
    """Return whole units, rounded up (away from zero), within int64."""
    return scaled(parse(value), 0)


def milli_value(value: str | float) -> int:
    """Return thousandths, rounded up (away from zero), within int64."""
    return scaled(parse(value), 3)


def scaled(amount: Decimal, digits: int) -> int:
    """Return ``amount * 10**digits`` rounded away from zero, within int64."""
    if amount.adjusted() + digits > 19:
        return _MAX_INT64 if amount > 0 else -_MAX_INT64
    whole = amount.scaleb(digits, _EXACT).to_integral_value("ROUND_UP", _EXACT)
    return max(-_MAX_INT64 - 1, min(_MAX_INT64, int(whole)))


def compare(left: str | float, right: str | float) -> int:
    """Return -1, 0 or 1."""
    first, second = parse(left), parse(right)
    return (first > second) - (first < second)


def add(left: str | float, right: str | float) -> str:
    """Add; the sum has left's family of suffixes, unless left is zero."""
    first, second = _amount(str(left)), _amount(str(right))
    family = first.format if first.mantissa else second.format
    return of(_EXACT.add(first.value, second.value), family)


def subtract(left: str | float, right: str | float) -> str:
    """Subtract; the family of suffixes is chosen as in `add`."""
    first, second = _amount(str(left)), _amount(str(right))
    family = first.format if first.mantissa else second.format
    return of(_EXACT.subtract(first.value, second.value), family)


def of(amount: Decimal | int, family: Format = "DecimalSI") -> str:
    """Spell an amount with a family of suffixes. Binary ones fall back to decimal where they would lose precision."""
    if isinstance(amount, int):
        return _spell(amount, 0, family)
    sign, digits, exponent = amount.as_tuple()
    assert isinstance(exponent, int)
    mantissa = int("".join(map(str, digits)) or "0")
    return _spell(-mantissa if sign else mantissa, exponent, family)


def format_of(value: str | float) -> Format:
    """Tell the family of suffixes."""
    return _amount(str(value)).format


@text_cache(_CACHE)
def _parse(text: str) -> Decimal:
    return _amount(text).value


@text_cache(_CACHE)
def _canonical(text: str) -> str:
    amount = _amount(text)
    return amount.text or _spell(amount.mantissa, amount.exponent, amount.format)


@text_cache(_CACHE)
def _amount(given: str) -> Amount:
    text = given.strip()
    match = _PARTS.fullmatch(text) if text else None
    if match is None:
        raise QuantityError(FORMAT_WRONG)
    if text == "0":
        return Amount(0, 0, "DecimalSI", text)
    sign, whole, fraction, suffix = match.groups()
    whole, fraction = whole or "0", fraction or ""
    exponent, family = _interpret(suffix)
    if len(whole) + len(fraction) > _MAX_DIGITS:
        raise QuantityError(NUMERIC_WRONG)
    digits = whole + fraction
    if family == "BinarySI":
        return _binary(text, sign, digits, len(fraction), exponent)
    mantissa = int(digits)
    scale = exponent - len(fraction)
    keep = None
    if scale >= -9 and len(digits) <= 18:
        if scale % 3 == 0 and not digits.endswith("000") and digits[0] != "0":
            keep = text
    else:
        mantissa, scale = _round_to_nano(mantissa, scale)
    return Amount(-mantissa if sign == "-" else mantissa, scale, family, keep)


def _binary(text: str, sign: str, digits: str, fraction: int, exponent: int) -> Amount:
    mantissa = int(digits) << exponent
    scale = -fraction
    family: Format = "BinarySI"
    keep = None
    is_short = not fraction and 15 - len(digits) - int(exponent * 3 / 10) - 1 >= 0
    if is_short and mantissa <= _MAX_INT64:
        if exponent % 10 == 0 and int(digits) & 7:
            keep = text
    else:
        mantissa, scale = _round_to_nano(mantissa, scale)
        if mantissa > _MAX_INT64 * 10**-scale:
            mantissa, scale = _MAX_INT64, 0
        elif 0 < mantissa < 10**-scale:
            family = "DecimalSI"
    return Amount(-mantissa if sign == "-" else mantissa, scale, family, keep)


def _interpret(suffix: str) -> tuple[int, Format]:
    """Return the exponent (of 10, of 2 for binary ones) and the family."""
    if (exponent := _DECIMAL.get(suffix)) is not None:
        return exponent, "DecimalSI"
    if (exponent := _BINARY.get(suffix)) is not None:
        return exponent, "BinarySI"
    if suffix[0] in "eE" and _EXPONENT.fullmatch(suffix, 1) and len(suffix) < 20:
        exponent = int(suffix[1:])
        if -(2**63) <= exponent < 2**63:
            return (exponent + 2**31) % 2**32 - 2**31, "DecimalExponent"
    raise QuantityError(SUFFIX_WRONG)


def _round_to_nano(mantissa: int, exponent: int) -> tuple[int, int]:
    if exponent >= -9 or not mantissa:
        return mantissa, max(exponent, -9)
    if len(str(mantissa)) + exponent < -9:
        return 1, -9
    return -(-mantissa // 10 ** (-9 - exponent)), -9


def _spell(mantissa: int, exponent: int, family: Format) -> str:
    if not mantissa:
        return "0"
    if family == "BinarySI":
        found = _spell_binary(mantissa, exponent)
        if found is not None:
            return found
        family = "DecimalSI"
    digits = str(mantissa)
    stripped = digits.rstrip("0")
    exponent += len(digits) - len(stripped)
    zeros = exponent % 3
    exponent -= zeros
    if family == "DecimalExponent" and exponent:
        return f"{stripped}{'0' * zeros}e{exponent}"
    return f"{stripped}{'0' * zeros}{_DECIMAL_SUFFIX.get(exponent, '')}"


def _spell_binary(mantissa: int, exponent: int) -> str | None:
    """Spell with a binary suffix; None if the amount is too small for one or has a fraction."""
    if exponent < 0:
        mantissa, rest = divmod(mantissa, 10**-exponent)
        if rest:
            return None
    else:
        mantissa *= 10**exponent
    if -1024 < mantissa < 1024:
        return None
    power = 0
    while mantissa % 1024 == 0 and power < len(_BINARY_SUFFIX) - 1:
        mantissa //= 1024
        power += 1
    return f"{mantissa}{_BINARY_SUFFIX[power]}"
