"""IP addresses and CIDRs, as lenient as Kubernetes' legacy parser: leading zeros in IPv4 are read as decimal."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from sampan.api import field

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.apiserver.registry.validation.names import Errors

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_BAD_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_BAD_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def parse_ip(text: str) -> Address | None:
    """Parse sloppily; None when it is no address. Zones are refused, IPv4 in IPv6 is IPv4."""
    if "%" in text:
        return None
    if ":" not in text and text.count(".") == 3:
        parts = text.split(".")
        if not all(part.isascii() and part.isdigit() and len(part.lstrip("0")) <= 3 for part in parts):
            return None
        text = ".".join(str(int(part)) for part in parts)
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def parse_cidr(text: str) -> Network | None:
    """Parse sloppily, host bits ignored; None when it is no CIDR."""
    host, slash, bits = text.partition("/")
    address = parse_ip(host)
    if not slash or address is None or not (bits.isascii() and bits.isdigit()) or (len(bits) > 1 and bits[0] == "0"):
        return None
    size = int(bits)
    if ":" in host and address.version == 4:
        size -= 96
    if not 0 <= size <= address.max_prefixlen:
        return None
    return ipaddress.ip_network((address, size), strict=False)


def is_ipv6(text: str) -> bool:
    """Whether it is an IPv6 address; a bad address is not."""
    address = parse_ip(text)
    return address is not None and address.version == 6


def valid_ip(errors: Errors, path: Path, value: str, *, strict: bool = False) -> bool:
    """strict: refuse what parsers read differently (leading zeros, IPv4 in IPv6), for new values."""
    address = parse_ip(value)
    if address is None:
        errors.append(field.invalid(path, value, _BAD_IP))
        return False
    if strict and ":" in value and address.version == 4:
        errors.append(field.invalid(path, value, "must not be an IPv4-mapped IPv6 address"))
        return False
    if strict and address.version == 4 and str(address) != value:
        errors.append(field.invalid(path, value, "must not have leading 0s"))
        return False
    return True


def canonical_ip(errors: Errors, path: Path, value: str) -> None:
    """For newer APIs: the address must be spelled in its canonical form."""
    address = parse_ip(value)
    if address is None:
        errors.append(field.invalid(path, value, _BAD_IP))
    elif value != str(address):
        errors.append(field.invalid(path, value, f'must be in canonical form ("{address}")'))


def valid_cidr(errors: Errors, path: Path, value: str, *, strict: bool = False) -> bool:
    network = parse_cidr(value)
    if network is None:
        errors.append(field.invalid(path, value, _BAD_CIDR))
        return False
    if not strict:
        return True
    before = len(errors)
    host, _, _ = value.partition("/")
    if ":" in host and network.version == 4:
        errors.append(field.invalid(path, value, "must not have an IPv4-mapped IPv6 address"))
    elif network.version == 4 and host != str(parse_ip(host)):
        errors.append(field.invalid(path, value, "must not have leading 0s in IP"))
    if parse_ip(host) != network.network_address:
        detail = f'must not have bits set beyond the prefix length (e.g. "{network}" instead)'
        errors.append(field.invalid(path, value, detail))
    return len(errors) == before


def dual_stack(values: list[str]) -> bool:
    """Whether there is at least one address of each family."""
    return len({":" in value for value in values}) == 2


def not_special(errors: Errors, path: Path, value: str) -> None:
    """An address that other machines can reach: no wildcard, loopback or link-local one."""
    address = parse_ip(value)
    if address is None:
        errors.append(field.invalid(path, value, "must be a valid IP address"))
        return
    if address.is_unspecified:
        errors.append(field.invalid(path, value, f"may not be unspecified ({value})"))
    if address.is_loopback:
        errors.append(field.invalid(path, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)"))
    if address.is_link_local:
        detail = "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
        errors.append(field.invalid(path, value, detail))
    if _is_link_local_multicast(address):
        detail = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
        errors.append(field.invalid(path, value, detail))


def _is_link_local_multicast(address: Address) -> bool:
    packed = address.packed
    if address.version == 4:
        return packed[:3] == b"\xe0\x00\x00"
    return packed[0] == 0xFF and packed[1] & 0x0F == 2
