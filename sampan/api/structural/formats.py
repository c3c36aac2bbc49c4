"""String formats that custom resources' schemas may name; unknown ones are no rule.

Behaviour: kube-openapi, package strfmt.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sampan.api import names

if TYPE_CHECKING:
    from collections.abc import Callable

_DATE_TIME = re.compile(
    r"([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9]|60)"
    r"(\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?"
)
_DURATION_UNIT = "(?:ns|us|µs|μs|ms|s|m|h|d|w|hr|min|sec|day|week|hour|minute|second|milli|micro|nano)s?"
_DURATION = re.compile(r"[+-]?(?:0|(?:[0-9]*\.?[0-9]+\s*" + _DURATION_UNIT + r"\s*)+)")
_HOSTNAME = re.compile(
    r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*\.?"
)
_EMAIL = re.compile(r"[^@\s<>\"]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\"[^\"]+\"@[A-Za-z0-9.-]+")
_MAC = re.compile(
    r"(?:[0-9A-Fa-f]{2}([:-]))(?:[0-9A-Fa-f]{2}\1){4,18}[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{4}\.){2,9}[0-9A-Fa-f]{4}"
)

_CARD = re.compile(
    r"4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9]{2})[0-9]{12}|3[47][0-9]{13}"
    r"|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35[0-9]{3})[0-9]{11}"
)
_BYTE = r"(\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])"


def _date_time(text: str) -> bool:
    match = _DATE_TIME.fullmatch(text)
    return match is not None and _date(f"{match[1]}-{match[2]}-{match[3]}")


def _date(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return re.fullmatch(r"\d{4}-\d\d-\d\d", text) is not None


def _ip(version: int) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            found = ipaddress.ip_address(text)
        except ValueError:
            return False
        return found.version == version and "%" not in text

    return check


def _cidr(text: str) -> bool:
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return re.search(r"/[0-9]+$", text) is not None


def _uri(text: str) -> bool:
    try:
        found = urlsplit(text)
    except ValueError:
        return False
    if re.search(r"[\x00-\x20\x7f]", text):
        return False
    return text.startswith("/") or bool(found.scheme)


def _byte(text: str) -> bool:
    try:
        base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _isbn10(text: str) -> bool:
    text = re.sub(r"[\s-]+", "", text)
    if re.fullmatch(r"[0-9]{9}[0-9X]", text) is None:
        return False
    return sum((10 if c == "X" else int(c)) * (i + 1) for i, c in enumerate(text)) % 11 == 0


def _isbn13(text: str) -> bool:
    text = re.sub(r"[\s-]+", "", text)
    if re.fullmatch(r"[0-9]{13}", text) is None:
        return False
    return sum(int(c) * (1 if i % 2 == 0 else 3) for i, c in enumerate(text)) % 10 == 0


def _card(text: str) -> bool:
    digits = re.sub(r"[^0-9]+", "", text)
    if _CARD.fullmatch(digits) is None:
        return False
    total = 0
    for position, char in enumerate(reversed(digits)):
        value = int(char) * (2 if position % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda text: compiled.fullmatch(text) is not None


_HEX4 = "[0-9a-f]{4}"
_FORMATS: dict[str, Callable[[str], bool]] = {
    "bsonobjectid": _matches("[0-9a-f]{24}"), "uri": _uri, "email": lambda text: _EMAIL.fullmatch(text) is not None,
    "hostname": lambda text: len(text) <= 255 and _HOSTNAME.fullmatch(text) is not None,
    "ipv4": _ip(4), "ipv6": _ip(6), "cidr": _cidr, "mac": lambda text: _MAC.fullmatch(text) is not None,
    "uuid": _matches(f"[0-9a-f]{{8}}-?{_HEX4}-?{_HEX4}-?{_HEX4}-?[0-9a-f]{{12}}"),
    "uuid3": _matches(f"[0-9a-f]{{8}}-?{_HEX4}-?3[0-9a-f]{{3}}-?{_HEX4}-?[0-9a-f]{{12}}"),
    "uuid4": _matches(f"[0-9a-f]{{8}}-?{_HEX4}-?4[0-9a-f]{{3}}-?[89ab][0-9a-f]{{3}}-?[0-9a-f]{{12}}"),
    "uuid5": _matches(f"[0-9a-f]{{8}}-?{_HEX4}-?5[0-9a-f]{{3}}-?[89ab][0-9a-f]{{3}}-?[0-9a-f]{{12}}"),
    "isbn": lambda text: _isbn10(text) or _isbn13(text), "isbn10": _isbn10, "isbn13": _isbn13, "creditcard": _card,
    "ssn": _matches(r"\d{3}[- ]?\d{2}[- ]?\d{4}"), "hexcolor": _matches("#?([0-9a-f]{3}|[0-9a-f]{6})"),
    "rgbcolor": _matches(rf"rgb\(\s*{_BYTE}\s*(,\s*{_BYTE}\s*){{2}}\)"),
    "byte": _byte, "password": lambda _text: True, "date": _date,
    "duration": lambda text: _DURATION.fullmatch(text.strip()) is not None,
    "date-time": _date_time, "datetime": _date_time,
    "k8s-short-name": lambda text: not names.is_dns1123_label(text),
    "k8s-long-name": lambda text: not names.is_dns1123_subdomain(text),
}  # fmt: skip


def check_format(name: str) -> Callable[[str], bool] | None:
    """The check of a format, None for one that is no rule."""
    return _FORMATS.get(name) or _FORMATS.get(name.replace("-", ""))
