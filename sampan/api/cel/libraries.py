"""The libraries beyond CEL's own that kube-apiserver offers.

Strings, lists, sets, math, regex, url, ip, cidr, quantity, semver, named formats.
"""

from __future__ import annotations

import base64
import ipaddress
import math
import re
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from sampan.api import names
from sampan.api import quantity as quantities
from sampan.api.cel import types as t
from sampan.api.cel.errors import CelError
from sampan.api.cel.standard import format_double, string_of
from sampan.api.cel.values import NONE, Opaque, Optional, UInt, checked_int, comparable, equal, is_number
from sampan.api.structural.formats import check_format
from sampan.api.structural.patterns import PatternError, compile_pattern

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.api.cel.overloads import Functions

_STRINGS = t.list_of(t.STRING)
_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
    r"(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?"
)


def install(functions: Functions) -> None:
    """Add all libraries."""
    for part in (_strings, _lists, _sets, _math, _regex, _url, _ip, _cidr, _quantity, _semver, _formats):
        part(functions)


# -- strings


def _slice(text: str, start: int, end: int | None = None) -> str:
    end = len(text) if end is None else end
    if not 0 <= start <= len(text) or not 0 <= end <= len(text):
        raise CelError(f"index out of range: {start if not 0 <= start <= len(text) else end}")
    if start > end:
        raise CelError(f"invalid substring range. start: {start}, end: {end}")
    return text[start:end]


def _char(text: str, at: int) -> str:
    if not 0 <= at <= len(text):
        raise CelError(f"index out of range: {at}")
    return text[at : at + 1]


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    return text.replace(old, new, count if count >= 0 else -1)


def _split(text: str, separator: str, count: int = -1) -> list[str]:
    if count == 0:
        return []
    if count == 1:
        return [text]
    if not separator:
        parts = list(text)
        return parts if count < 0 or count >= len(parts) else [*parts[: count - 1], "".join(parts[count - 1 :])]
    return text.split(separator, count - 1 if count > 0 else -1)


def _quote(text: str) -> str:
    table = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v", "\\": r"\\"}
    return '"' + "".join('\\"' if char == '"' else table.get(char, char) for char in text) + '"'


def _format(text: str, arguments: list[Any]) -> str:
    waiting = iter(arguments)
    out: list[str] = []
    end = 0
    for match in re.finditer(r"%(?:%|(\.\d+)?([sdfebxXo]))", text):
        out.append(text[end : match.start()])
        end = match.end()
        if match.group() == "%%":
            out.append("%")
            continue
        try:
            value = next(waiting)
        except StopIteration:
            raise CelError(f"error during formatting: index {len(arguments)} out of range") from None
        out.append(_clause(match[2], value, int(match[1][1:]) if match[1] else 6))
    return "".join(out) + text[end:]


def _clause(kind: str, value: Any, precision: int) -> str:
    if kind == "s":
        return _shown(value)
    if kind == "d" and is_number(value) and not isinstance(value, float):
        return str(int(value))
    if kind == "f" and is_number(value):
        return f"{float(value):.{precision}f}"
    if kind == "e" and is_number(value):
        return f"{float(value):.{precision}e}"
    if kind in "xX":
        raw = value.encode() if isinstance(value, str) else value
        if isinstance(raw, bytes):
            return raw.hex() if kind == "x" else raw.hex().upper()
        if isinstance(raw, int):
            return format(raw, kind)
    if kind in "bo" and isinstance(value, int):
        return format(int(value), kind)
    raise CelError(f"error during formatting: no such overload for %{kind}")


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_shown(key)}: {_shown(value[key])}" for key in sorted(value, key=str)) + "}"
    return format_double(value) if isinstance(value, float) else string_of(value)


def _strings(functions: Functions) -> None:
    s, i = t.STRING, t.INT

    def add(name: str, parameters: tuple[t.Type, ...], result: t.Type, run: Callable[..., Any]) -> None:
        functions.add(name, (s, *parameters), result, run, member=True, cost="traverse")

    add("charAt", (i,), s, _char)
    add("indexOf", (s,), i, str.find)
    add("indexOf", (s, i), i, str.find)
    add("lastIndexOf", (s,), i, str.rfind)
    add("lastIndexOf", (s, i), i, lambda a, b, at: a.rfind(b, 0, at + len(b)))
    add("lowerAscii", (), s, lambda a: "".join(c.lower() if c.isascii() else c for c in a))
    add("upperAscii", (), s, lambda a: "".join(c.upper() if c.isascii() else c for c in a))
    add("replace", (s, s), s, _replace)
    add("replace", (s, s, i), s, _replace)
    add("split", (s,), _STRINGS, _split)
    add("split", (s, i), _STRINGS, _split)
    add("substring", (i,), s, _slice)
    add("substring", (i, i), s, _slice)
    add("trim", (), s, str.strip)
    add("reverse", (), s, lambda a: a[::-1])
    functions.add("join", (_STRINGS,), s, "".join, member=True, cost="traverse")
    functions.add("join", (_STRINGS, s), s, lambda a, b: b.join(a), member=True, cost="traverse")
    functions.add("format", (s, t.list_of(t.DYN)), s, _format, member=True, cost="traverse")
    functions.add("strings.quote", (s,), s, _quote, cost="traverse")
    functions.add("base64.encode", (t.BYTES,), s, lambda a: base64.b64encode(a).decode(), cost="traverse")
    functions.add("base64.decode", (s,), t.BYTES, _decode, cost="traverse")


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise CelError("illegal base64 data at input byte 0") from None


# -- lists and sets


def _sorted(items: list[Any]) -> bool:
    return all(comparable(one) <= comparable(other) for one, other in pairwise(items))


def _sum(items: list[Any]) -> Any:
    from sampan.api.cel.values import Duration  # noqa: PLC0415

    if items and isinstance(items[0], Duration):
        return Duration(sum(one.nanos for one in items))
    total = sum(items)
    return total if isinstance(total, float) else checked_int(total)


def _least(items: list[Any]) -> Any:
    if not items:
        raise CelError("min called on empty list")
    return min(items, key=comparable)


def _most(items: list[Any]) -> Any:
    if not items:
        raise CelError("max called on empty list")
    return max(items, key=comparable)


def _first_index(items: list[Any], value: Any) -> int:
    return next((at for at, item in enumerate(items) if equal(item, value)), -1)


def _last_index(items: list[Any], value: Any) -> int:
    return next((at for at in range(len(items) - 1, -1, -1) if equal(items[at], value)), -1)


def _flatten(items: list[Any], depth: int = 1) -> list[Any]:
    if depth < 0:
        raise CelError("level must be non-negative")
    out: list[Any] = []
    for item in items:
        out += _flatten(item, depth - 1) if isinstance(item, list) and depth else [item]
    return out


def _distinct(items: list[Any]) -> list[Any]:
    out: list[Any] = []
    for item in items:
        if not any(equal(item, one) for one in out):
            out.append(item)
    return out


def _cut(items: list[Any], start: int, end: int) -> list[Any]:
    if start < 0 or end < 0:
        raise CelError(f"cannot slice({start}, {end}), negative indexes not supported")
    if start > end:
        raise CelError(f"cannot slice({start}, {end}), start index must be less than or equal to end index")
    if end > len(items):
        raise CelError(f"cannot slice({start}, {end}), list is length {len(items)}")
    return items[start:end]


def _lists(functions: Functions) -> None:
    items = t.list_of(t.A)

    def add(name: str, parameters: tuple[t.Type, ...], result: t.Type, run: Callable[..., Any]) -> None:
        functions.add(name, parameters, result, run, member=True, cost="list")

    add("isSorted", (items,), t.BOOL, _sorted)
    for kind, result in ((t.INT, t.INT), (t.UINT, t.UINT), (t.DOUBLE, t.DOUBLE), (t.DURATION, t.DURATION)):
        add("sum", (t.list_of(kind),), result, _sum)
    add("min", (items,), t.A, _least)
    add("max", (items,), t.A, _most)
    add("indexOf", (items, t.A), t.INT, _first_index)
    add("lastIndexOf", (items, t.A), t.INT, _last_index)
    add("flatten", (items,), t.list_of(t.DYN), _flatten)
    add("flatten", (items, t.INT), t.list_of(t.DYN), _flatten)
    add("distinct", (items,), items, _distinct)
    add("reverse", (items,), items, lambda a: a[::-1])
    add("sort", (items,), items, lambda a: sorted(a, key=comparable))
    add("slice", (items, t.INT, t.INT), items, _cut)
    add("first", (items,), t.optional_of(t.A), lambda a: Optional(a[0]) if a else NONE)
    add("last", (items,), t.optional_of(t.A), lambda a: Optional(a[-1]) if a else NONE)
    functions.add("lists.range", (t.INT,), t.list_of(t.INT), lambda a: list(range(a)), cost="list")


def _contains(items: list[Any], others: list[Any]) -> bool:
    return all(any(equal(other, item) for item in items) for other in others)


def _sets(functions: Functions) -> None:
    pair = (t.list_of(t.A), t.list_of(t.A))
    functions.add("sets.contains", pair, t.BOOL, _contains, cost="product")
    functions.add("sets.equivalent", pair, t.BOOL, lambda a, b: _contains(a, b) and _contains(b, a), cost="product")
    functions.add(
        "sets.intersects", pair, t.BOOL, lambda a, b: any(equal(one, two) for one in a for two in b), cost="product"
    )


def _math(functions: Functions) -> None:
    add, number = functions.add, (t.INT, t.UINT, t.DOUBLE)
    for name, choose in (("math.greatest", max), ("math.least", min)):
        for count in range(1, 6):
            add(name, (t.DYN,) * count, t.DYN, lambda *a, choose=choose: _chosen(choose, a))
        add(name, (t.list_of(t.A),), t.A, lambda a, choose=choose: _chosen(choose, a))
    for name, run in (("ceil", math.ceil), ("floor", math.floor), ("trunc", math.trunc)):
        add(f"math.{name}", (t.DOUBLE,), t.DOUBLE, lambda a, run=run: float(run(a)) if math.isfinite(a) else a)
    add("math.round", (t.DOUBLE,), t.DOUBLE, lambda a: math.copysign(math.floor(abs(a) + 0.5), a))
    add("math.isNaN", (t.DOUBLE,), t.BOOL, math.isnan)
    add("math.isInf", (t.DOUBLE,), t.BOOL, math.isinf)
    add("math.isFinite", (t.DOUBLE,), t.BOOL, math.isfinite)
    for kind in number:
        add("math.abs", (kind,), kind, abs)
        add("math.sign", (kind,), kind, lambda a: type(a)((a > 0) - (a < 0)))
        add("math.sqrt", (kind,), t.DOUBLE, lambda a: math.sqrt(a) if a >= 0 else math.nan)
    for kind in (t.INT, t.UINT):
        add("math.bitAnd", (kind, kind), kind, lambda a, b: type(a)(a & b))
        add("math.bitOr", (kind, kind), kind, lambda a, b: type(a)(a | b))
        add("math.bitXor", (kind, kind), kind, lambda a, b: type(a)(a ^ b))
        add("math.bitShiftLeft", (kind, t.INT), kind, lambda a, b: type(a)((a << b) & ((1 << 64) - 1)) if b < 64 else 0)
        add("math.bitShiftRight", (kind, t.INT), kind, lambda a, b: type(a)((a % (1 << 64)) >> b))
    add("math.bitNot", (t.INT,), t.INT, lambda a: ~a)
    add("math.bitNot", (t.UINT,), t.UINT, lambda a: UInt(~a % (1 << 64)))


def _chosen(choose: Callable[..., Any], values: Any) -> Any:
    if len(values) == 1 and isinstance(values[0], list):
        values = values[0]
    if not values or not all(is_number(one) for one in values):
        raise CelError("no such overload")
    return choose(values)


# -- regex and url


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return compile_pattern(pattern)
    except PatternError as error:
        raise CelError(f"Illegal regex: {error}") from error


def _find(text: str, pattern: str) -> str:
    match = _compiled(pattern).search(text)
    return match.group() if match is not None else ""


def _find_all(text: str, pattern: str, count: int = -1) -> list[str]:
    found = [match.group() for match in _compiled(pattern).finditer(text)]
    return found if count < 0 else found[:count]


def _regex(functions: Functions) -> None:
    functions.add("find", (t.STRING, t.STRING), t.STRING, _find, member=True, cost="regex")
    functions.add("findAll", (t.STRING, t.STRING), _STRINGS, _find_all, member=True, cost="regex")
    functions.add("findAll", (t.STRING, t.STRING, t.INT), _STRINGS, _find_all, member=True, cost="regex")


def _parse_url(text: str) -> Opaque | None:
    if re.search(r"[\x00-\x20\x7f]", text):
        return None
    try:
        found = urlsplit(text)
        _ = found.port
    except ValueError:
        return None
    if not (found.scheme or text.startswith("/")):
        return None
    return Opaque("kubernetes.URL", found, text)


def _make(parse: Callable[..., Opaque | None], problem: str) -> Callable[..., Opaque]:
    def run(*arguments: Any) -> Opaque:
        found = parse(*arguments)
        if found is None:
            raise CelError(problem.format(*arguments))
        return found

    return run


def _host(found: Any, *, port: bool) -> str:
    text: str = found.netloc.rpartition("@")[2]
    if port:
        return text
    host = re.sub(r":\d*$", "", text) if not text.endswith("]") else text
    return host.strip("[]")


def _url(functions: Functions) -> None:
    add = functions.add
    add(
        "url",
        (t.STRING,),
        t.URL,
        _make(_parse_url, "URL parse error during conversion from string: {0}"),
        cost="traverse",
    )
    add("isURL", (t.STRING,), t.BOOL, lambda a: _parse_url(a) is not None, cost="traverse")
    readers: dict[str, Callable[[Any], Any]] = {
        "getScheme": lambda a: a.value.scheme, "getHost": lambda a: _host(a.value, port=True),
        "getHostname": lambda a: _host(a.value, port=False),
        "getPort": lambda a: str(a.value.port) if a.value.port is not None else "",
        "getEscapedPath": lambda a: a.value.path,
    }  # fmt: skip
    for name, read in readers.items():
        add(name, (t.URL,), t.STRING, read, member=True)
    add(
        "getQuery",
        (t.URL,),
        t.map_of(t.STRING, _STRINGS),
        lambda a: parse_qs(a.value.query, keep_blank_values=True),
        member=True,
    )


# -- addresses


def _parse_ip(text: str) -> Opaque | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if "%" in text or (found.version == 6 and found.ipv4_mapped is not None):
        return None
    return Opaque("net.IP", found)


def _parse_cidr(text: str) -> Opaque | None:
    if re.search(r"/(0|[1-9]\d*)$", text) is None:
        return None
    try:
        found = ipaddress.ip_interface(text)
    except ValueError:
        return None
    return Opaque("net.CIDR", found)


def _ip(functions: Functions) -> None:
    add, ip = functions.add, t.IP
    add("ip", (t.STRING,), ip, _make(_parse_ip, "IP Address {0!r} parse error during conversion from string"))
    add("isIP", (t.STRING,), t.BOOL, lambda a: _parse_ip(a) is not None)
    add("ip.isCanonical", (t.STRING,), t.BOOL, lambda a: str(_make(_parse_ip, "{0}")(a).value) == a)
    add("string", (ip,), t.STRING, lambda a: str(a.value))
    add("family", (ip,), t.INT, lambda a: a.value.version, member=True)
    checks: dict[str, Callable[[Any], bool]] = {
        "isUnspecified": lambda a: a.value.is_unspecified, "isLoopback": lambda a: a.value.is_loopback,
        "isLinkLocalMulticast": lambda a: (
            a.value in ipaddress.ip_network("224.0.0.0/24" if a.value.version == 4 else "ff02::/16")
        ),
        "isLinkLocalUnicast": lambda a: a.value.is_link_local,
        "isGlobalUnicast": lambda a: not (
            a.value.is_unspecified or a.value.is_loopback or a.value.is_multicast or a.value.is_link_local
            or str(a.value) == "255.255.255.255"
        ),
    }  # fmt: skip
    for name, check in checks.items():
        add(name, (ip,), t.BOOL, check, member=True)


def _holds_ip(network: Opaque, address: Any) -> bool:
    ip = _make(_parse_ip, "IP Address {0!r} parse error")(address) if isinstance(address, str) else address
    return ip.value.version == network.value.version and ip.value in network.value.network


def _holds_cidr(network: Opaque, other: Any) -> bool:
    inner = (
        _make(_parse_cidr, "network address parse error during conversion from string: {0}")(other)
        if isinstance(other, str)
        else other
    )
    return bool(inner.value.version == network.value.version and inner.value.network.subnet_of(network.value.network))


def _cidr(functions: Functions) -> None:
    add, cidr = functions.add, t.CIDR
    add("cidr", (t.STRING,), cidr, _make(_parse_cidr, "network address parse error during conversion from string: {0}"))
    add("isCIDR", (t.STRING,), t.BOOL, lambda a: _parse_cidr(a) is not None)
    add("string", (cidr,), t.STRING, lambda a: str(a.value))
    for kind in (t.IP, t.STRING):
        add("containsIP", (cidr, kind), t.BOOL, _holds_ip, member=True)
    for kind in (cidr, t.STRING):
        add("containsCIDR", (cidr, kind), t.BOOL, _holds_cidr, member=True)
    add("ip", (cidr,), t.IP, lambda a: Opaque("net.IP", a.value.ip), member=True)
    add("prefixLength", (cidr,), t.INT, lambda a: a.value.network.prefixlen, member=True)
    add(
        "masked", (cidr,), cidr, lambda a: Opaque("net.CIDR", ipaddress.ip_interface(str(a.value.network))), member=True
    )


# -- quantities and versions


def _parse_quantity(text: str) -> Opaque | None:
    try:
        found = Fraction(quantities.parse(text))
    except (ValueError, ArithmeticError):
        return None
    return Opaque("kubernetes.Quantity", found)


def _quantity(functions: Functions) -> None:
    add, q = functions.add, t.QUANTITY
    message = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    add("quantity", (t.STRING,), q, _make(_parse_quantity, message))
    add("isQuantity", (t.STRING,), t.BOOL, lambda a: _parse_quantity(a) is not None)
    add("sign", (q,), t.INT, lambda a: (a.value > 0) - (a.value < 0), member=True)
    add("isGreaterThan", (q, q), t.BOOL, lambda a, b: a.value > b.value, member=True)
    add("isLessThan", (q, q), t.BOOL, lambda a, b: a.value < b.value, member=True)
    add("compareTo", (q, q), t.INT, lambda a, b: (a.value > b.value) - (a.value < b.value), member=True)
    add("asApproximateFloat", (q,), t.DOUBLE, lambda a: float(a.value), member=True)
    add("isInteger", (q,), t.BOOL, lambda a: a.value.denominator == 1 and abs(a.value) < 1 << 63, member=True)
    add("asInteger", (q,), t.INT, _whole, member=True)
    for other, read in ((q, lambda b: b.value), (t.INT, lambda b: b)):
        add("add", (q, other), q, lambda a, b, read=read: Opaque(a.kind, a.value + read(b)), member=True)
        add("sub", (q, other), q, lambda a, b, read=read: Opaque(a.kind, a.value - read(b)), member=True)


def _whole(value: Opaque) -> int:
    if value.value.denominator != 1:
        raise CelError("cannot convert value to integer")
    return checked_int(int(value.value))


def _parse_semver(text: str, normalize: bool = False) -> Opaque | None:  # noqa: FBT001, FBT002 - CEL's own signature
    if normalize:
        text = text.removeprefix("v")
        head = re.match(r"[0-9.]*", text)
        assert head is not None
        parts = [part.lstrip("0") or "0" for part in head.group().split(".") if part]
        text = ".".join([*parts, *["0"] * (3 - len(parts))]) + text[head.end() :]
    match = _SEMVER.fullmatch(text)
    if match is None:
        return None
    before = [(0, int(one), "") if one.isdigit() else (1, 0, one) for one in match[4].split(".")] if match[4] else []
    order = (int(match[1]), int(match[2]), int(match[3]), (1,) if not before else (0, *before))
    return Opaque("kubernetes.Semver", order)


def _semver(functions: Functions) -> None:
    add, s = functions.add, t.SEMVER
    add("semver", (t.STRING,), s, _make(_parse_semver, "Invalid character(s) found in semver {0!r}"))
    add("semver", (t.STRING, t.BOOL), s, _make(_parse_semver, "Invalid character(s) found in semver {0!r}"))
    add("isSemver", (t.STRING,), t.BOOL, lambda a: _parse_semver(a) is not None)
    add("isSemver", (t.STRING, t.BOOL), t.BOOL, lambda a, n: _parse_semver(a, n) is not None)
    add("isGreaterThan", (s, s), t.BOOL, lambda a, b: a.value > b.value, member=True)
    add("isLessThan", (s, s), t.BOOL, lambda a, b: a.value < b.value, member=True)
    add("compareTo", (s, s), t.INT, lambda a, b: (a.value > b.value) - (a.value < b.value), member=True)
    for at, name in enumerate(("major", "minor", "patch")):
        add(name, (s,), t.INT, lambda a, at=at: a.value[at], member=True)


# -- named formats


def _strings_check(check: Callable[[str], bool], problem: str) -> Callable[[str], list[str]]:
    return lambda text: [] if check(text) else [problem]


def _prefixed(rule: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    return lambda text: rule(text[:-1] + "a" if text.endswith("-") else text)


_FORMATS: dict[str, Callable[[str], list[str]]] = {
    "dns1123Label": names.is_dns1123_label, "dns1123Subdomain": names.is_dns1123_subdomain,
    "dns1035Label": names.is_dns1035_label, "qualifiedName": names.is_qualified_name,
    "dns1123LabelPrefix": _prefixed(names.is_dns1123_label),
    "dns1123SubdomainPrefix": _prefixed(names.is_dns1123_subdomain),
    "dns1035LabelPrefix": _prefixed(names.is_dns1035_label), "labelValue": names.is_valid_label_value,
    "uri": _strings_check(lambda a: _parse_url(a) is not None, "invalid URI"),
    **{
        name: _strings_check(check_format(wire) or (lambda _: True), f"invalid {name}")
        for name, wire in (("uuid", "uuid"), ("byte", "byte"), ("date", "date"), ("datetime", "date-time"))
    },
}  # fmt: skip


def _named_format(name: str) -> Optional:
    return Optional(Opaque("kubernetes.NamedFormat", _FORMATS[name], name)) if name in _FORMATS else NONE


def _formats(functions: Functions) -> None:
    add, f = functions.add, t.FORMAT
    add("format.named", (t.STRING,), t.optional_of(f), _named_format)
    for name in _FORMATS:
        add(f"format.{name}", (), f, lambda name=name: _named_format(name).value)
    result = t.optional_of(_STRINGS)
    add(
        "validate",
        (f, t.STRING),
        result,
        lambda a, b: Optional(p) if (p := a.value(b)) else NONE,
        member=True,
        cost="second",
    )


__all__ = ["install"]
