"""`kubectl explain`: fields and what they mean, from the server's OpenAPI v3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api.errors import NotFound
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.flags import Flag

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.session import Session

_FLAGS = (
    Flag(name="api-version", help="The group and version to explain, e.g. apps/v1."),
    Flag(name="output", default="plaintext", help="plaintext."),
    Flag(name="recursive", kind="bool", help="Names of all fields below, without their descriptions."),
)
_WIDTH = 76
_ENUM = 4
_DEPTH = 20
"""How far --recursive goes into types that hold themselves."""


async def run(session: Session, arguments: list[str], dash: int) -> None:
    """Run the command."""
    del dash
    values = session.values
    if not arguments:
        raise KubectlError(
            'You must specify the type of resource to explain. Use "kubectl api-resources" for a complete '
            "list of supported resources."
        )
    if len(arguments) > 1:
        raise KubectlError("We accept only this format: explain RESOURCE")
    mapper = await session.mapper()
    name, _, rest = arguments[0].partition(".")
    try:
        resource = mapper.resource(arguments[0])
        path: list[str] = []
    except KubectlError:
        path = [part for part in rest.split(".") if part]
        try:
            resource = mapper.resource(name)
        except KubectlError as error:
            raise KubectlError(str(error), prefix="") from None
    kind = resource.kind
    if values.api_version:
        group, slash, version = values.api_version.rpartition("/")
        found = [
            one
            for one in mapper.resources
            if one.gvr.resource == resource.gvr.resource
            and (one.gvr.group, one.gvr.version) == (group if slash else "", version)
        ]
        if not found:
            raise KubectlError(f'couldn\'t find resource for "{values.api_version}, Resource={resource.gvr.resource}"')
        kind = found[0].kind
    place = f"apis/{kind.api_version}" if kind.group else f"api/{kind.version}"
    try:
        document = await session.json("GET", f"/openapi/v3/{place}")
    except NotFound as error:
        raise KubectlError(
            f'couldn\'t find resource for "{kind.api_version}, Resource={resource.gvr.resource}"'
        ) from error
    schemas = document["components"]["schemas"]
    schema = next((one for one in schemas.values() if _is_of(one, kind)), None)
    if schema is None:
        raise KubectlError(f"GVR ({kind.api_version}, Resource={resource.gvr.resource}) not found in OpenAPI schema")
    if kind.group:
        print(f"GROUP:      {kind.group}")
    print(f"KIND:       {kind.kind}\nVERSION:    {kind.version}\n")
    _Explainer(schemas, recursive=values.recursive).explain(schema, path)


def _is_of(schema: Object, kind: Any) -> bool:
    wanted = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    return wanted in (schema.get("x-kubernetes-group-version-kind") or [])


class _Explainer:
    def __init__(self, schemas: dict[str, Object], *, recursive: bool) -> None:
        self._schemas = schemas
        self._recursive = recursive

    def explain(self, schema: Object, path: list[str]) -> None:
        field: Object | None = None
        for step in path:
            properties = self._properties(field if field is not None else schema)
            if step not in properties:
                raise KubectlError(f'field "{step}" does not exist')
            field = properties[step]
        if field is not None:
            print(
                f"FIELD: {path[-1]} <{self._type(field)}>{self._enum(field, first=True)}"
                + ("\n" if field.get("enum") else "\n\n")
            )
        shown = field if field is not None else schema
        print("DESCRIPTION:")
        print(_indented(self._description(shown) or "<empty>", 4) + "\n    ")
        properties = self._properties(shown)
        if properties:
            print("FIELDS:")
            self._fields(shown, 1)
        print()

    def _fields(self, schema: Object, level: int) -> None:
        properties, required = self._properties(schema), self._required(schema)
        indent = "  " * level
        for name in sorted(properties):
            field = properties[name]
            print(f"{indent}{name}\t<{self._type(field)}>{' -required-' if name in required else ''}")
            if enum := self._enum(field):
                print(f"{indent}{enum}")
            if self._recursive:
                if level < _DEPTH and not self._is_circular(field):
                    self._fields(field, level + 1)
            else:
                print(_indented(field.get("description") or "<no description>", 4) + "\n")

    def _is_circular(self, field: Object) -> bool:
        return self._ref(field).endswith(".JSONSchemaProps")

    def _ref(self, schema: Object) -> str:
        """The name of the type that a schema stands for, "" for none."""
        if "$ref" in schema:
            return str(schema["$ref"]).rpartition("/")[2]
        for one in schema.get("allOf") or []:
            if "$ref" in one:
                return self._ref(one)
        return ""

    def _target(self, schema: Object) -> Object:
        """The schema with fields: behind references, items and map values."""
        while True:
            if ref := self._ref(schema):
                schema = self._schemas[ref]
            elif "items" in schema:
                schema = schema["items"]
            elif isinstance(schema.get("additionalProperties"), dict):
                schema = schema["additionalProperties"]
            else:
                return schema

    def _properties(self, schema: Object) -> dict[str, Object]:
        found: dict[str, Object] = self._target(schema).get("properties") or {}
        return found

    def _required(self, schema: Object) -> list[str]:
        return self._target(schema).get("required") or []

    def _type(self, schema: Object) -> str:
        if ref := self._ref(schema):
            kind = self._schemas[ref].get("type", "object")
            return ref.rpartition(".")[2] if kind == "object" else str(kind)
        if "items" in schema:
            return "[]" + self._type(schema["items"])
        if isinstance(schema.get("additionalProperties"), dict):
            return "map[string]" + self._type(schema["additionalProperties"])
        kind = str(schema.get("type", "Object"))
        return "Object" if kind == "object" else kind

    def _enum(self, schema: Object, *, first: bool = False) -> str:
        values = schema.get("enum") or []
        if not values:
            return ""
        texts = [str(one) if one != "" else '""' for one in sorted(values)]
        if len(texts) > _ENUM and self._recursive:
            texts = [*texts[:_ENUM], "...."]
        shown = ", ".join(texts)
        return "\nENUM:\n    " + "\n    ".join(sorted(map(str, values))) if first else f"enum: {shown}"

    def _description(self, schema: Object) -> str:
        parts = [schema.get("description") or ""]
        if ref := self._ref(schema):
            parts.append(self._schemas[ref].get("description") or "")
        elif "items" in schema:
            parts.append(self._description(schema["items"]))
        elif isinstance(schema.get("additionalProperties"), dict):
            parts.append(self._description(schema["additionalProperties"]))
        return "\n".join(part for part in parts if part)


def _indented(text: str, blanks: int) -> str:
    return "\n".join(" " * blanks + line for line in wrap(text, _WIDTH).split("\n"))


def wrap(text: str, limit: int) -> str:
    """Break lines at blanks, as go-wordwrap does: blanks at a break vanish, all others stay; long words stay whole."""
    lines = []
    for line in text.split("\n"):
        out, current = "", 0
        for word, blanks in _words(line):
            if current + len(blanks) + len(word) > limit and current + len(blanks) > 1:
                out += "\n" + word
                current = len(word)
            else:
                out += blanks + word
                current += len(blanks) + len(word)
        lines.append(out)
    return "\n".join(lines)


def _words(line: str) -> list[tuple[str, str]]:
    """(word, the blanks before it)."""
    found, blanks, word = [], "", ""
    for char in line:
        if char.isspace():
            if word:
                found.append((word, blanks))
                word = blanks = ""
            blanks += char
        else:
            word += char
    if word:
        found.append((word, blanks))
    return found


EXPLAIN = Command(
    name="explain",
    short="Get documentation for a resource.",
    usage="TYPE [--recursive=FALSE|TRUE] [--api-version=api-version-group] [-o|--output=plaintext]",
    run=run,
    flags=_FLAGS,
)
