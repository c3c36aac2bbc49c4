"""What names may look like: each check returns Kubernetes' messages, an empty list for a valid text.

Owns DNS labels and subdomains, label keys and values, config keys, ports' names, environment variables, path segments.
Lengths count bytes, as Go's do. Behaviour: apimachinery, packages util/validation and api/validation.
"""

from __future__ import annotations

import re

_LABEL_1123 = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_1123_UNDERSCORE = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL_1123}(\.{_LABEL_1123})*"
_SUBDOMAIN_UNDERSCORE = rf"{_LABEL_1123_UNDERSCORE}(\.{_LABEL_1123_UNDERSCORE})*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_WILDCARD = rf"\*\.{_SUBDOMAIN}"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_QUALIFIED})?"
_C_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
_ENV_NAME = "[-._a-zA-Z][-._a-zA-Z0-9]*"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_HTTP_HEADER = "[-A-Za-z0-9]+"
_PERCENT = "[0-9]+%"
_HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"

_is_label = re.compile(_LABEL_1123).fullmatch
_is_subdomain = re.compile(_SUBDOMAIN).fullmatch
_is_subdomain_underscore = re.compile(_SUBDOMAIN_UNDERSCORE).fullmatch
_is_label_1035 = re.compile(_LABEL_1035).fullmatch
_is_wildcard = re.compile(_WILDCARD).fullmatch
_is_qualified = re.compile(_QUALIFIED).fullmatch
_is_value = re.compile(_VALUE).fullmatch
_is_c_identifier = re.compile(_C_IDENTIFIER).fullmatch
_is_env_name = re.compile(_ENV_NAME).fullmatch
_is_config_key = re.compile(_CONFIG_KEY).fullmatch
_is_http_header = re.compile(_HTTP_HEADER).fullmatch
_is_percent = re.compile(_PERCENT).fullmatch
_is_http_path = re.compile(_HTTP_PATH).fullmatch
_is_port_characters = re.compile("[-a-z0-9]+").fullmatch
_has_letter = re.compile("[a-z]").search


def _explain(message: str, pattern: str, *examples: str) -> str:
    if not examples:
        return f"{message} (regex used for validation is '{pattern}')"
    listed = " or ".join(f"'{example}', " for example in examples)
    return f"{message} (e.g. {listed}regex used for validation is '{pattern}')"


def max_length(limit: int, *, units: str = "characters") -> str:
    """Kubernetes' message for a text that is too long."""
    return f"must be no more than {limit} {units}"


def inclusive_range(low: int, high: int) -> str:
    """Kubernetes' message for a number outside a closed range."""
    return f"must be between {low} and {high}, inclusive"


LABEL_MESSAGE = _explain(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character",
    _LABEL_1123,
    "my-name",
    "123-abc",
)
SUBDOMAIN_MESSAGE = _explain(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character",
    _SUBDOMAIN,
    "example.com",
)
_SUBDOMAIN_UNDERSCORE_MESSAGE = _explain(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', "
    "and must start and end with an alphanumeric character",
    _SUBDOMAIN_UNDERSCORE,
    "example.com",
)
LABEL_1035_MESSAGE = _explain(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
    "start with an alphabetic character, and end with an alphanumeric character",
    _LABEL_1035,
    "my-name",
    "abc-123",
)
_WILDCARD_MESSAGE = _explain(
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, "
    "which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    _WILDCARD,
    "*.example.com",
)
_QUALIFIED_TEXT = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
_NAME_PART_MESSAGE = "name part " + _explain(_QUALIFIED_TEXT, _QUALIFIED, "MyName", "my.name", "123-abc")
_LABEL_KEY_MESSAGE = (
    "a valid label key "
    + _explain(_QUALIFIED_TEXT, _QUALIFIED, "MyName", "my.name", "123-abc")
    + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
)
_VALUE_MESSAGE = _explain(
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character",
    _VALUE,
    "MyValue",
    "my_value",
    "12345",
)
_C_IDENTIFIER_MESSAGE = _explain(
    "a valid C identifier must start with alphabetic character or '_', "
    "followed by a string of alphanumeric characters or '_'",
    _C_IDENTIFIER,
    "my_name",
    "MY_NAME",
    "MyName",
)
_ENV_NAME_MESSAGE = _explain(
    "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', "
    "and must not start with a digit",
    _ENV_NAME,
    "my.env-name",
    "MY_ENV.NAME",
    "MyEnvName1",
)
_RELAXED_ENV_MESSAGE = (
    "a valid environment variable name must consist only of printable ASCII characters other than '='"
)
_CONFIG_KEY_MESSAGE = _explain(
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    _CONFIG_KEY,
    "key.name",
    "KEY_NAME",
    "key-name",
)
_HTTP_HEADER_MESSAGE = _explain(
    "a valid HTTP header must consist of alphanumeric characters or '-'", _HTTP_HEADER, "X-Header-Name"
)
_PERCENT_MESSAGE = _explain(
    "a valid percent string must be a numeric string followed by an ending '%'", _PERCENT, "1%", "93%"
)
HTTP_PATH_MESSAGE = _explain("Invalid path", _HTTP_PATH)


def _size(value: str) -> int:
    return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))


def is_dns1123_label(value: str) -> list[str]:
    """RFC 1123 label, up to 63 bytes."""
    errors = [max_length(63)] if _size(value) > 63 else []
    if not _is_label(value):
        errors.append("must not contain dots" if _is_subdomain(value) else LABEL_MESSAGE)
    return errors


def is_dns1123_subdomain(value: str) -> list[str]:
    """RFC 1123 subdomain, up to 253 bytes."""
    errors = [max_length(253)] if _size(value) > 253 else []
    if not _is_subdomain(value):
        errors.append(SUBDOMAIN_MESSAGE)
    return errors


def is_dns1123_subdomain_with_underscore(value: str) -> list[str]:
    """The same with ``_`` allowed."""
    errors = [max_length(253)] if _size(value) > 253 else []
    if not _is_subdomain_underscore(value):
        errors.append(_SUBDOMAIN_UNDERSCORE_MESSAGE)
    return errors


def is_dns1035_label(value: str) -> list[str]:
    """RFC 1035 label, up to 63 bytes."""
    errors = [max_length(63)] if _size(value) > 63 else []
    if not _is_label_1035(value):
        errors.append(LABEL_1035_MESSAGE)
    return errors


def is_wildcard_dns1123_subdomain(value: str) -> list[str]:
    """``*.`` and a subdomain."""
    errors = [max_length(253)] if _size(value) > 253 else []
    if not _is_wildcard(value):
        errors.append(_WILDCARD_MESSAGE)
    return errors


def is_qualified_name(value: str) -> list[str]:
    """``name`` or ``prefix/name``: keys of labels and annotations, finalizers."""
    prefix, slash, name = value.partition("/")
    if not slash:
        prefix, name = "", value
    elif "/" in name:
        return [_LABEL_KEY_MESSAGE]
    errors = []
    if slash:
        if not prefix:
            errors.append("prefix part must be non-empty")
        else:
            # Of label keys and values Kubernetes gives limits in bytes, elsewhere in characters.
            if _size(prefix) > 253:
                errors.append(f"prefix part {max_length(253, units='bytes')}")
            if not _is_subdomain(prefix):
                errors.append(f"prefix part {SUBDOMAIN_MESSAGE}")
    if not name:
        errors.append("name part must be non-empty")
    elif _size(name) > 63:
        errors.append(f"name part {max_length(63, units='bytes')}")
    if not _is_qualified(name):
        errors.append(_NAME_PART_MESSAGE)
    return errors


def is_valid_label_value(value: str) -> list[str]:
    """A label's value: up to 63 bytes, may be empty."""
    errors = [max_length(63, units="bytes")] if _size(value) > 63 else []
    if not _is_value(value):
        errors.append(_VALUE_MESSAGE)
    return errors


def is_c_identifier(value: str) -> list[str]:
    return [] if _is_c_identifier(value) else [_C_IDENTIFIER_MESSAGE]


def is_env_var_name(value: str) -> list[str]:
    errors = [] if _is_env_name(value) else [_ENV_NAME_MESSAGE]
    return errors + _change_directory(value)


def is_relaxed_env_var_name(value: str) -> list[str]:
    """Printable ASCII without ``=``."""
    if not value:
        return ["environment variable name must be non-empty"]
    return [] if value.isascii() and value.isprintable() and "=" not in value else [_RELAXED_ENV_MESSAGE]


def is_config_map_key(value: str) -> list[str]:
    """A key of a ConfigMap or Secret."""
    errors = [max_length(253)] if _size(value) > 253 else []
    if not _is_config_key(value):
        errors.append(_CONFIG_KEY_MESSAGE)
    return errors + _change_directory(value)


def _change_directory(value: str) -> list[str]:
    if not value.startswith(".."):
        return ["must not be '.'"] if value == "." else []
    return ["must not be '..'"] if value == ".." else ["must not start with '..'"]


def is_http_header_name(value: str) -> list[str]:
    return [] if _is_http_header(value) else [_HTTP_HEADER_MESSAGE]


def is_http_path(value: str) -> bool:
    """Whether the text has only characters of an HTTP path; `HTTP_PATH_MESSAGE` says so otherwise."""
    return _is_http_path(value) is not None


def is_valid_percent(value: str) -> list[str]:
    return [] if _is_percent(value) else [_PERCENT_MESSAGE]


def is_valid_port_num(port: int) -> list[str]:
    return [] if 1 <= port <= 65535 else [inclusive_range(1, 65535)]


def is_valid_port_name(value: str) -> list[str]:
    """An IANA service name, lower case."""
    errors = [max_length(15)] if _size(value) > 15 else []
    if not _is_port_characters(value):
        errors.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not _has_letter(value):
        errors.append("must contain at least one letter (a-z)")
    if "--" in value:
        errors.append("must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        errors.append("must not begin or end with a hyphen")
    return errors


def is_valid_path_segment_name(value: str) -> list[str]:
    """A name that fits into a URL path and nothing more: names of RBAC objects."""
    if value in {".", ".."}:
        return [f"may not be '{value}'"]
    return [f"may not contain '{part}'" for part in ("/", "%") if part in value]


def is_valid_path_segment_prefix(value: str) -> list[str]:
    """The same for a generateName."""
    return [f"may not contain '{part}'" for part in ("/", "%") if part in value]


def mask_trailing_dash(prefix: str) -> str:
    """Turn a generateName into a text to check as a name: its trailing dash becomes a letter."""
    if len(prefix) > 1 and prefix.endswith("-"):
        return prefix[:-2] + "a"
    return prefix
