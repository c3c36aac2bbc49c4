"""Names and other short texts: each check appends what is wrong to a list of field errors.

The rules and their messages are `sampan.api.names`; here they meet paths. Nothing is built for a valid value.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sampan.api import field, names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sampan.api.field import FieldError, Path

Errors = list["FieldError"]

# Most names of a cluster are seen again and again; remembering verdicts is several times cheaper than a regular
# expression.
_CACHE = 8192

subdomain_messages = lru_cache(_CACHE)(names.is_dns1123_subdomain)
label_messages = lru_cache(_CACHE)(names.is_dns1123_label)
qualified_messages = lru_cache(_CACHE)(names.is_qualified_name)
value_messages = lru_cache(_CACHE)(names.is_valid_label_value)


def report(errors: Errors, path: Path, value: Any, messages: Iterable[str]) -> None:
    """Append one "Invalid value" for each message."""
    errors.extend(field.invalid(path, value, message) for message in messages)


def dns_label(errors: Errors, path: Path, value: str) -> None:
    """RFC 1123 label."""
    if messages := label_messages(value):
        report(errors, path, value, messages)


def dns_subdomain(errors: Errors, path: Path, value: str) -> None:
    """RFC 1123 subdomain: the name of most objects."""
    if messages := subdomain_messages(value):
        report(errors, path, value, messages)


def dns_subdomain_with_underscore(errors: Errors, path: Path, value: str) -> None:
    """A subdomain whose labels may hold underscores: DNS search domains."""
    report(errors, path, value, names.is_dns1123_subdomain_with_underscore(value))


def dns1035_label(errors: Errors, path: Path, value: str) -> None:
    """RFC 1035 label."""
    report(errors, path, value, names.is_dns1035_label(value))


def qualified_name(errors: Errors, path: Path, value: str) -> None:
    """``prefix/name`` or ``name``."""
    if messages := qualified_messages(value):
        report(errors, path, value, messages)


label_name = qualified_name


def label_value(errors: Errors, path: Path, value: str) -> None:
    if messages := value_messages(value):
        report(errors, path, value, messages)


def path_segment(errors: Errors, path: Path, value: str) -> None:
    """A name that must only fit into a URL: RBAC's rule."""
    report(errors, path, value, names.is_valid_path_segment_name(value))


def required_dns_label(errors: Errors, path: Path, value: str) -> None:
    if not value:
        errors.append(field.required(path))
    else:
        dns_label(errors, path, value)


def required_subdomain(errors: Errors, path: Path, value: str) -> None:
    if not value:
        errors.append(field.required(path))
    else:
        dns_subdomain(errors, path, value)


def config_key(errors: Errors, path: Path, value: str) -> None:
    """A key of a ConfigMap or Secret."""
    report(errors, path, value, names.is_config_map_key(value))


def one_of(errors: Errors, path: Path, value: Any, supported: Sequence[str]) -> None:
    """Append "Unsupported value" unless value is among supported, which are listed in that order."""
    if value not in supported:
        errors.append(field.not_supported(path, value, tuple(supported)))


def one_of_required(errors: Errors, path: Path, value: Any, supported: Sequence[str]) -> None:
    """The same, an empty value being "Required value"."""
    if not value:
        errors.append(field.required(path))
    elif value not in supported:
        errors.append(field.not_supported(path, value, tuple(supported)))


def enum(errors: Errors, path: Path, value: Any, supported: Sequence[str]) -> None:
    """`one_of` for sets, which Kubernetes lists sorted."""
    if value not in supported:
        errors.append(field.not_supported(path, value, tuple(sorted(supported))))


def required(errors: Errors, path: Path, value: Any, detail: str = "") -> None:
    if not value:
        errors.append(field.required(path, detail))


FINALIZER_STANDARD = frozenset({"kubernetes", "orphan", "foregroundDeletion"})


def finalizer(errors: Errors, path: Path, value: str) -> None:
    """A finalizer in spec or metadata: qualified, or one of Kubernetes' own."""
    qualified_name(errors, path, value)
    if "/" not in value and value not in FINALIZER_STANDARD:
        errors.append(field.invalid(path, value, "name is neither a standard finalizer name nor is it fully qualified"))


def csi_driver_name(errors: Errors, path: Path, value: str) -> None:
    if not value:
        errors.append(field.required(path))
        return
    if len(value.encode()) > 63:
        errors.append(field.too_long(path, "", 63))
    report(errors, path, value, subdomain_messages(value.lower()))


def lower_dns1035_messages(value: str) -> list[str]:
    """Messages for a kind, which is a label once it is lower case."""
    return names.is_dns1035_label(value.lower())
