"""Output formats of objects: yaml, json, name, jsonpath, custom-columns, go-template's place taken by clear errors.

kubectl prints JSON with four blanks and sorted keys, YAML with two and sorted keys; managedFields are left out unless
asked for.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampan.api.gvk import GroupVersionKind
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.flags import Flag
from sampan.kubectl.tableprint import render_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sampan.api.object import Object
    from sampan.kubectl.flags import Values

OUTPUT_FLAGS = (
    Flag(
        name="output",
        short="o",
        help="json, yaml, name, wide, jsonpath=..., custom-columns=..., and their -file forms.",
    ),
    Flag(name="show-managed-fields", kind="bool", help="Keep metadata.managedFields in json and yaml."),
    Flag(name="template", help="Template for jsonpath and custom-columns when -o names none."),
    Flag(name="allow-missing-template-keys", kind="bool", default=True, help="Ignore missing keys in templates."),
)
Printer = "Callable[[Object], str]"


def is_structured(output: str) -> bool:
    """Whether -o asks for the objects themselves instead of the server's table."""
    return output not in ("", "wide")


def printer(values: Values, *, typed: bool = False) -> Callable[[Object], str]:
    """Build the function that prints one object (or a List of them). Raises KubectlError for an unknown format."""
    output: str = values.output
    kind, separator, template = output.partition("=")
    if kind.endswith("-file"):
        kind = kind.removesuffix("-file")
        try:
            template = Path(template).read_text()
        except OSError as error:
            raise KubectlError(f"error reading --template {template}, {error.strerror}") from error
    template = template if separator else values.get("template", "")
    clean = _keep if values.get("show-managed-fields") else without_managed_fields
    match kind:
        case "yaml":
            return lambda obj: to_yaml(clean(obj))
        case "json":
            return lambda obj: to_json(go_ordered(clean(obj)) if typed else clean(obj), sort=not typed)
        case "name":
            return lambda obj: "".join(f"{name_line(one)}\n" for one in items_of(obj))
        case "jsonpath" | "jsonpath-as-json":
            return _jsonpath(template, values, as_json=kind.endswith("as-json"))
        case "custom-columns":
            return _custom_columns(template, values)
        case _:
            raise KubectlError(
                f'unable to match a printer suitable for the output format "{output}", allowed formats are: '
                "custom-columns,custom-columns-file,go-template,go-template-file,json,jsonpath,jsonpath-as-json,"
                "jsonpath-file,kyaml,name,template,templatefile,wide,yaml"
            )


def items_of(obj: Object) -> list[Object]:
    """The objects of a List, or the object itself."""
    return obj["items"] if "items" in obj and obj.get("kind", "").endswith("List") else [obj]


def name_line(obj: Object) -> str:
    """``pod/x``, ``deployment.apps/x``."""
    kind = GroupVersionKind.parse(obj.get("apiVersion", ""), obj.get("kind", ""))
    prefix = f"{kind.kind.lower()}.{kind.group}" if kind.group else kind.kind.lower()
    return f"{prefix}/{obj.get('metadata', {}).get('name', '')}"


def without_managed_fields(obj: Object) -> Object:
    """A copy without metadata.managedFields, in a list's items as well."""
    if "items" in obj and isinstance(obj["items"], list):
        return {**obj, "items": [without_managed_fields(one) for one in obj["items"]]}
    metadata = obj.get("metadata")
    if not metadata or "managedFields" not in metadata:
        return obj
    return {**obj, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}


def go_ordered(obj: Object) -> Object:
    """The object with its fields in the order of Go's types, as kubectl prints what it built itself."""
    from sampan.kubectl.goorder import ordered  # noqa: PLC0415 - start-up time

    return ordered(obj)


def to_json(obj: Any, *, sort: bool = True) -> str:
    """Spell an object as ``-o json`` does: four blanks, HTML-unsafe characters escaped as Go escapes them."""
    text = json.dumps(obj, indent=4, sort_keys=sort, ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e") + "\n"


def to_yaml(obj: Any) -> str:
    """Spell an object as ``-o yaml`` does."""
    from sampan.kubectl.yamlprint import dump  # noqa: PLC0415 - start-up time

    return dump(obj)


def _keep(obj: Object) -> Object:
    return obj


def _jsonpath(template: str, values: Values, *, as_json: bool) -> Callable[[Object], str]:
    from sampan.api import jsonpath  # noqa: PLC0415 - start-up time

    if not template:
        raise KubectlError("template format specified but no template given")
    expression = relaxed(template)
    try:
        parsed = jsonpath.parse(expression)
    except jsonpath.JSONPathError as error:
        raise KubectlError(f"error parsing jsonpath {template}, {error}") from error

    def show(obj: Object) -> str:
        try:
            if as_json:
                missing = bool(values.get("allow-missing-template-keys", True))
                results = [one for group in parsed.find(obj, allow_missing=missing) for one in group]
                return to_json(results)
            return parsed.render(obj, allow_missing=bool(values.get("allow-missing-template-keys", True)))
        except jsonpath.JSONPathError as error:
            raise KubectlError(f"error executing jsonpath {json.dumps(template)}: {error}") from error

    return show


_RELAXED = re.compile(r"^\{\.?([^{}]+)\}$|^\.?([^{}]+)$")


def relaxed(text: str) -> str:
    """Kubectl also takes ``x.y``, ``.x.y`` and ``{x.y}`` for ``{.x.y}``."""
    match = _RELAXED.match(text)
    if match is None:
        return text
    inner = match[1] or match[2]
    return f"{{.{inner}}}" if not inner.startswith(("range", "end", '"', "'", "@", "$", "[")) else text


def _custom_columns(template: str, values: Values) -> Callable[[Object], str]:
    from sampan.api import jsonpath  # noqa: PLC0415 - start-up time

    if not template:
        raise KubectlError("custom-columns format specified but no custom columns given")
    columns: list[tuple[str, Any]] = []
    pieces = template.split(",") if "\n" not in template.strip() else _from_file(template)
    for piece in pieces:
        header, colon, path = piece.partition(":")
        if not colon or not path:
            raise KubectlError(f"unexpected custom-columns spec: {piece}, expected <header>:<json-path-expr>")
        try:
            columns.append((header, jsonpath.parse(relaxed(path))))
        except jsonpath.JSONPathError as error:
            raise KubectlError(str(error)) from error

    def show(obj: Object) -> str:
        rows = [] if values.get("no-headers") else [[header for header, _ in columns]]
        rows += [[_column_text(parsed, one) for _, parsed in columns] for one in items_of(obj)]
        return "".join(f"{line}\n" for line in render_rows(rows))

    return show


def _from_file(text: str) -> list[str]:
    lines = [line.split() for line in text.strip().splitlines()]
    if len(lines) != 2 or len(lines[0]) != len(lines[1]):
        raise KubectlError("custom columns file needs a line of headers and a line of as many paths")
    return [f"{header}:{path}" for header, path in zip(*lines, strict=True)]


def _column_text(parsed: Any, obj: Object) -> str:
    found = [one for group in parsed.find(obj, allow_missing=True) for one in group]
    if not found:
        return "<none>"
    return ",".join(_go_text(one) for one in found)


def _go_text(value: Any) -> str:
    """Spell a value as Go's ``%v`` prints it."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_go_text(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(_go_text(one) for one in value) + "]"
    return str(value)


def print_all(show: Callable[[Object], str], objects: Sequence[Object], *, as_list: bool) -> str:
    """Print several objects: one by itself, more (or an asked-for list) as a v1 List."""
    if len(objects) == 1 and not as_list:
        return show(objects[0])
    return show({"apiVersion": "v1", "items": list(objects), "kind": "List", "metadata": {"resourceVersion": ""}})
