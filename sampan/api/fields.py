r"""Field selectors: ``metadata.name=a,status.phase!=Running``, with ``\\``, ``\,`` and ``\=`` escaped in values.

Which fields a resource knows is its strategy's business; here they are parsed and matched. Behaviour: apimachinery,
package fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from sampan.api.textcache import text_cache
from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class FieldSelectorError(SampanError, ValueError):
    """The selector is malformed; the message is Kubernetes'."""


class FieldRequirement(NamedTuple):
    """One condition on one field."""

    field: str
    operator: Literal["=", "!="]
    value: str

    def __str__(self) -> str:
        return f"{self.field}{self.operator}{escape(self.value)}"


class FieldSelector:
    """All of its requirements. An absent field has the value ""."""

    __slots__ = ("_pairs", "_text", "requirements")

    def __init__(self, requirements: Iterable[FieldRequirement] = ()) -> None:
        self.requirements = tuple(requirements)
        self._pairs = {one.field: one.value for one in self.requirements if one.operator == "="}
        self._text = ",".join(map(str, self.requirements))

    @property
    def is_everything(self) -> bool:
        return not self.requirements

    def exact_pairs(self) -> Mapping[str, str]:
        """Return values that every match has, at most one a field; not to be changed."""
        return self._pairs

    def required_value(self, field: str) -> str | None:
        """Return the value that the field must have, None if any will do."""
        return self._pairs.get(field)

    def matches(self, values: Mapping[str, str]) -> bool:
        """Tell whether an object with these selectable fields is selected."""
        for field, operator, value in self.requirements:
            if (values.get(field, "") == value) != (operator == "="):
                return False
        return True

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"FieldSelector({self._text!r})"

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, FieldSelector) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)


EVERYTHING = FieldSelector()


@text_cache(4096)
def parse(text: str) -> FieldSelector:
    """Parse a selector's text; "" selects everything. Raises FieldSelectorError."""
    requirements = []
    for term in sorted(_terms(text)):
        if not term:
            continue
        requirement = _requirement(text, term)
        # A term without field and value is dropped, whatever its operator.
        if requirement.field or requirement.value:
            requirements.append(requirement)
    return FieldSelector(requirements) if requirements else EVERYTHING


def escape(value: str) -> str:
    """Escape a value for use in a selector."""
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")


def _terms(text: str) -> list[str]:
    if "\\" not in text:
        return text.split(",")
    terms, start, escaped = [], 0, False
    for position, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == ",":
            terms.append(text[start:position])
            start = position + 1
    return [*terms, text[start:]]


def _requirement(text: str, term: str) -> FieldRequirement:
    for position in range(len(term)):
        for operator in ("!=", "==", "="):
            if term.startswith(operator, position):
                value = _unescape(term[position + len(operator) :])
                return FieldRequirement(term[:position], "!=" if operator == "!=" else "=", value)
    raise FieldSelectorError(f"invalid selector: '{text}'; can't understand '{term}'")


def _unescape(text: str) -> str:
    if not any(char in text for char in "\\,="):
        return text
    out, escaped = [], False
    for char in text:
        if escaped:
            if char not in "\\,=":
                raise FieldSelectorError(f"invalid field selector: invalid escape sequence: \\{char}")
            out.append(char)
            escaped = False
        elif char == "\\":
            escaped = True
        elif char in ",=":
            # Kubernetes prints the character's number.
            raise FieldSelectorError(f"invalid field selector: unescaped character in value: {ord(char)}")
        else:
            out.append(char)
    if escaped:
        raise FieldSelectorError("invalid field selector: invalid escape sequence: \\")
    return "".join(out)
