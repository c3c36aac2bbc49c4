"""Field paths and validation errors: apimachinery's ``field.Path`` and ``field.Error``.

A path is built downwards, ``Path("spec").child("ports").index(0).child("port")``, and rendered only when an error
needs it: a valid object costs no string. An error's text is exactly Kubernetes': ``path: Type: value: detail``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from sampan.api.object import Object


class Path:
    """A field's place in an object: a linked list from leaf to root."""

    __slots__ = ("_parent", "_text")

    def __init__(self, text: str, parent: Path | None = None) -> None:
        self._text = text
        self._parent = parent

    def child(self, *names: str) -> Path:
        """Descend into named fields."""
        path = self
        for name in names:
            path = Path(name, path)
        return path

    def index(self, position: int) -> Path:
        """Descend into a list."""
        return Path(f"[{position}]", self)

    def key(self, key: str) -> Path:
        """Descend into a map."""
        return Path(f"[{key}]", self)

    def __str__(self) -> str:
        parts: list[str] = []
        node: Path | None = self
        while node is not None:
            parts.append(node._text)  # noqa: SLF001  a path is a list of its own kind
            node = node._parent  # noqa: SLF001
        parts.reverse()
        text = ""
        for part in parts:
            text += part if not text or part.startswith("[") else f".{part}"
        return text


_REASONS = {
    "Not found": "FieldValueNotFound",
    "Required value": "FieldValueRequired",
    "Duplicate value": "FieldValueDuplicate",
    "Invalid value": "FieldValueInvalid",
    "Unsupported value": "FieldValueNotSupported",
    "Forbidden": "FieldValueForbidden",
    "Too long": "FieldValueTooLong",
    "Too many": "FieldValueTooMany",
    "Internal error": "InternalError",
    "Invalid value type": "FieldValueTypeInvalid",
}
_WITHOUT_VALUE = frozenset({"Required value", "Forbidden", "Too long", "Internal error"})


class GoValue(str):
    """A bad value already spelled as Go prints it; shown without quotes."""

    __slots__ = ()


class FieldError:
    """One broken rule. kind: ``field.ErrorType`` as printed, e.g. "Invalid value"."""

    __slots__ = ("bad_value", "detail", "kind", "path")

    def __init__(self, kind: str, path: Path | str | None, bad_value: Any, detail: str) -> None:
        self.kind = kind
        self.path = path
        self.bad_value = bad_value
        self.detail = detail

    @property
    def field(self) -> str:
        return "<nil>" if self.path is None else str(self.path)

    def body(self) -> str:
        """Render all but the path."""
        text = self.kind if self.kind in _WITHOUT_VALUE else f"{self.kind}: {go_value(self.bad_value)}"
        return f"{text}: {self.detail}" if self.detail else text

    def cause(self) -> Object:
        """Render as a `metav1.StatusCause`."""
        return {"reason": _REASONS[self.kind], "message": self.body(), "field": self.field}

    def __str__(self) -> str:
        return f"{self.field}: {self.body()}"

    __repr__ = __str__


def go_quote(text: str) -> str:
    """Quote like Go's ``%q``."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    out = []
    for char in text:
        if char in '"\\':
            out.append("\\" + char)
        elif char.isprintable():
            out.append(char)
        elif (short := _SHORT_ESCAPES.get(char)) is not None:
            out.append(short)
        elif ord(char) < 0x80:
            out.append(f"\\x{ord(char):02x}")
        elif ord(char) < 0x10000:
            out.append(f"\\u{ord(char):04x}")
        else:
            out.append(f"\\U{ord(char):08x}")
    return '"' + "".join(out) + '"'


_SHORT_ESCAPES = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}


def go_value(value: Any) -> str:
    """Render a bad value as ``field.Error`` does: null, numbers bare, strings quoted, the rest as JSON."""
    if value is None:
        return "null"
    if isinstance(value, GoValue):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        from sampan.api.goformat import go_text  # noqa: PLC0415  it quotes with this module

        return go_text(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return go_quote(value)
    text = orjson.dumps(value).decode()
    # Go's encoder makes JSON safe for HTML.
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def required(path: Path | str, detail: str = "") -> FieldError:
    return FieldError("Required value", path, "", detail)


def invalid(path: Path | str | None, value: Any, detail: str) -> FieldError:
    return FieldError("Invalid value", path, value, detail)


def type_invalid(path: Path | str, value: Any, detail: str) -> FieldError:
    return FieldError("Invalid value", path, value, detail)


def duplicate(path: Path | str, value: Any) -> FieldError:
    return FieldError("Duplicate value", path, value, "")


def not_found(path: Path | str, value: Any) -> FieldError:
    return FieldError("Not found", path, value, "")


def forbidden(path: Path | str, detail: str) -> FieldError:
    return FieldError("Forbidden", path, "", detail)


def not_supported(path: Path | str, value: Any, supported: tuple[str, ...] | list[str]) -> FieldError:
    """supported: in the order to print."""
    detail = "supported values: " + ", ".join(go_quote(one) for one in supported) if supported else ""
    return FieldError("Unsupported value", path, value, detail)


def too_long(path: Path | str, value: Any, limit: int) -> FieldError:
    """limit: bytes; negative when there is nothing better to say than "too long"."""
    detail = f"may not be more than {limit} byte{'s' if limit != 1 else ''}" if limit >= 0 else "value is too long"
    return FieldError("Too long", path, value, detail)


def too_many(path: Path | str, count: int, limit: int) -> FieldError:
    """Count and limit: list items."""
    detail = f"must have at most {limit} item{'s' if limit != 1 else ''}" if limit >= 0 else "has too many items"
    return FieldError("Too many", path, count, detail)


def internal_error(path: Path | str, error: object) -> FieldError:
    return FieldError("Internal error", path, None, str(error))
