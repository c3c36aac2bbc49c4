"""YAML as Kubernetes reads it: libyaml's grammar, Go's resolution of plain scalars, then the JSON data model.

`y` and `on` are booleans, `010` is eight, timestamps stay text, keys become strings; a repeated key is remembered and
the last one wins. Only the first document of a stream counts. Behaviour: sigs.k8s.io/yaml on go-yaml v2.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from sampan.api.field import go_quote
from sampan.api.schema.gojson import MalformedError

_MAX_EXPANDED = 4_000_000
"""Nodes that a document may have once its aliases are expanded, a long text counting as one for every 16 characters:
beyond any real manifest, within a second's work and 64 MiB."""
_TEXT_SHIFT = 4

_LONGEST_INTEGER = 80
"""Digits of any integer that fits 64 bits, in any base, with some zeros before them; what is longer is a float."""

_TRUE = frozenset({"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})
_FALSE = frozenset({"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_WORDS: dict[str, Any] = {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False), **dict.fromkeys(_NULL)}
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
_NUMERIC_START = frozenset("+-.0123456789")
_TAG = "tag:yaml.org,2002:"
_STRING_TAGS = frozenset({f"{_TAG}str", "!", f"{_TAG}binary"})


class _Loader(yaml.CSafeLoader):
    """Composes nodes only; every plain scalar keeps the tag below, so that a tag written out can be told from it."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is yaml.ScalarNode and implicit[0]:
            return "plain"
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]


class Yaml:
    """One parsed document. duplicates: ``line N: key "x" already set in map``, in document order."""

    __slots__ = ("duplicates", "value")

    def __init__(self, value: Any, duplicates: list[str]) -> None:
        self.value = value
        self.duplicates = duplicates


def loads(data: bytes) -> Yaml:
    """Parse the first document. Raises MalformedError with go-yaml's text."""
    loader = _loader(data)
    try:
        node = loader.get_node() if loader.check_node() else None
    except yaml.MarkedYAMLError as error:
        raise MalformedError(_message(error, data)) from error
    except yaml.YAMLError as error:
        raise MalformedError(f"yaml: {getattr(error, 'reason', error)}") from error
    except RecursionError as error:
        raise MalformedError("yaml: exceeded max depth") from error
    finally:
        loader.dispose()
    if node is None:
        return Yaml(None, [])
    builder = _Builder()
    return Yaml(builder.build(node), builder.duplicates)


def _loader(data: bytes) -> _Loader:
    try:
        return _Loader(data)
    except yaml.YAMLError as error:
        raise MalformedError(f"yaml: {getattr(error, 'reason', error)}") from error


def _message(error: yaml.MarkedYAMLError, data: bytes) -> str:
    if isinstance(error, yaml.composer.ComposerError) and error.problem_mark is not None:
        name = re.match(r"\*?([\w-]*)", data.decode("utf-8", "replace")[error.problem_mark.index :])
        return f"yaml: unknown anchor '{name[1] if name else ''}' referenced"
    line = 0
    if error.problem_mark is not None and error.problem_mark.line:
        line = error.problem_mark.line + (1 if isinstance(error, yaml.scanner.ScannerError) else 0)
    elif error.context_mark is not None and error.context_mark.line:
        line = error.context_mark.line
    where = f"line {line}: " if line else ""
    return f"yaml: {where}{error.problem or error.context or 'unknown problem parsing YAML content'}"


class _Builder:
    """Turns nodes into JSON values; an alias shares its anchor's value."""

    def __init__(self) -> None:
        self.duplicates: list[str] = []
        self._built: dict[int, tuple[Any, int]] = {}
        self._open: set[int] = set()

    def build(self, node: yaml.Node) -> Any:
        return self._build(node)[0]

    def _build(self, node: yaml.Node) -> tuple[Any, int]:
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node), 1 + (len(node.value) >> _TEXT_SHIFT)
        found = self._built.get(id(node))
        if found is None:
            if id(node) in self._open:
                raise MalformedError("yaml: anchor contains itself")
            self._open.add(id(node))
            found = self._mapping(node) if isinstance(node, yaml.MappingNode) else self._sequence(node)
            self._open.discard(id(node))
            self._built[id(node)] = found
        if found[1] > _MAX_EXPANDED:
            raise MalformedError("yaml: document contains excessive aliasing")
        return found

    def _sequence(self, node: yaml.Node) -> tuple[list[Any], int]:
        built = [self._build(item) for item in node.value]
        return [value for value, _ in built], 1 + sum(size for _, size in built)

    def _mapping(self, node: yaml.MappingNode) -> tuple[dict[str, Any], int]:
        out: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        total = 1
        for key_node, value_node in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.value == "<<" and key_node.tag == "plain":
                total += self._merge(value_node, merged)
                continue
            key = _key(key_node)
            value, size = self._build(value_node)
            if key in out:
                shown = go_quote(key)
                self.duplicates.append(f"line {value_node.start_mark.line + 1}: key {shown} already set in map")
            out[key] = value
            total += 1 + size
        return {**merged, **out} if merged else out, total

    def _merge(self, node: yaml.Node, merged: dict[str, Any]) -> int:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        total = 0
        for source in sources:
            value, size = self._build(source)
            if not isinstance(value, dict):
                raise MalformedError("yaml: map merge requires map or sequence of maps as the value")
            total += size
            for key, item in value.items():
                merged.setdefault(key, item)
        return total


def _key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        kind = "map[interface {}]interface {}" if isinstance(node, yaml.MappingNode) else "[]interface {}"
        raise MalformedError(f"yaml: invalid map key: {kind}")
    value = _scalar(node)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return value if isinstance(value, str) else str(value)


def _scalar(node: yaml.ScalarNode) -> Any:
    text: str = node.value
    if node.tag == "plain":
        return _resolve(text)
    if node.tag in _STRING_TAGS or not node.tag.startswith(_TAG):
        return text
    return _resolve(text)


def _resolve(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC_START:
        return text
    plain = text.replace("_", "")
    if match := _INTEGER.fullmatch(plain):
        sign, hexadecimal, binary, octal, decimal = match.groups()
        digits, base = next((d, b) for d, b in ((hexadecimal, 16), (binary, 2), (octal, 8), (decimal, 10)) if d)
        if len(digits) <= _LONGEST_INTEGER:
            number = int(digits, base)
            number = -number if sign == "-" else number
            if -(2**63) <= number < 2**64:
                return number
        if base != 10:
            return text  # no float is written in another base
    if _FLOAT.fullmatch(plain):
        number_text = float(plain)
        if number_text in (float("inf"), float("-inf")):
            raise MalformedError(f"json: unsupported value: {'-' if plain[0] == '-' else '+'}Inf")
        return int(number_text) if number_text.is_integer() and abs(number_text) < 2**53 else number_text
    if _NOT_FINITE.fullmatch(text):
        shown = (
            "NaN" if "n" in text.lower()[:3] and "inf" not in text.lower() else ("-Inf" if text[0] == "-" else "+Inf")
        )
        raise MalformedError(f"json: unsupported value: {shown}")
    return text
