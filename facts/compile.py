"""Turn the facts about Kubernetes into the package's data files (`sampan/api/schema/_data/`).

Runs when the package is built (`hatch_build.py`) and by hand: ``python facts/compile.py``. Needs orjson and the PyPI
package `kubernetes-validate` (its descriptions only). Nothing in `_data/` is committed; everything here is.

- types.json: every Go type that a served kind can hold: embedded structs folded in, type names in full.
- kinds.json: ``group/version/kind`` -> Go type.
- scheme.json: groups, versions, resources as discovery lists them.
- protobuf.json: message name -> fields.
- openapi/<name>.json.gz: OpenAPI documents with descriptions, ready to be sent; openapi/index.json: path -> name, hash
  (of v2 also where its definitions and paths end); openapi/v2.pb.gz: v2 in protobuf.
- descriptions.bin, descriptions.json: what types and fields mean, readable type by type.
- the small fact files as they are.
"""
# ruff: noqa: INP001  a script beside the facts, no package

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import re
import shutil
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from describe import describe_paths, describe_schemas
from gotypes import Types, build_types
from served import build_scheme

if TYPE_CHECKING:
    from types import ModuleType

FACTS = Path(__file__).resolve().parent
DATA = FACTS.parent / "sampan" / "api" / "schema" / "_data"
DESCRIPTIONS = "kubernetes-json-schema/v1.36.0-local/_definitions.json"


def read(name: str) -> Any:
    """Read a fact file, gzipped or not."""
    packed = FACTS / f"{name}.gz"
    data = gzip.decompress(packed.read_bytes()) if packed.exists() else (FACTS / name).read_bytes()
    return orjson.loads(data)


def build_protobuf(types: Types) -> dict[str, list[list[Any]]]:
    """Give each message's fields their wire names and full type names: ``[number, wire name, label, type]``.

    The wire name is null for an embedded struct, whose fields are the JSON object's own. A map's type is that of its
    values; keys are strings.
    """
    messages: dict[str, Any] = read("protobuf-fields.json")
    structs: Types = read("go-types.json")
    out: dict[str, list[list[Any]]] = {}
    pending = ["k8s.io.apimachinery.pkg.runtime.Unknown", *types]
    while pending:
        name = pending.pop()
        if name in out or name not in messages:
            continue
        package = name.rpartition(".")[0]
        entry = structs.get(name)
        wires = [field[0] for field in entry if field[0]] if isinstance(entry, list) else None
        by_letters = {letters(wire): wire for wire in wires or ()}
        fields = out[name] = []
        for number, field, label, kind in messages[name]:
            wire = field if wires is None else by_letters.get(letters(field))
            full = message_name(package, kind.partition(",")[2] if label == "map" else kind, messages)
            fields.append([number, wire, label, full])
            pending.append(full)
    return dict(sorted(out.items()))


def letters(name: str) -> str:
    """Reduce a field name to what protobuf's and JSON's spelling share: ``x-kubernetes-map-type``, ``aPIGroup``."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def message_name(package: str, kind: str, messages: dict[str, Any]) -> str:
    """Complete a type's name; scalars stay as they are."""
    if kind.startswith("."):
        return kind[1:]
    return f"{package}.{kind}" if f"{package}.{kind}" in messages else kind


def load_descriptions() -> dict[str, Any]:
    """Read kubernetes-validate's definitions without importing it; {} when a build has to do without."""
    for place in sys.path:
        candidate = Path(place) / "kubernetes_validate" / DESCRIPTIONS
        if candidate.exists():
            found: dict[str, Any] = orjson.loads(candidate.read_bytes())["$defs"]
            return found
    raise FileNotFoundError("kubernetes-validate==1.36.0 is needed to build sampan: its schemas hold the descriptions")


def build_descriptions(openapi: dict[str, Any], target: Path) -> None:
    """Write each type's descriptions compressed by itself, so that one can be read without all.

    descriptions.bin: the pieces. descriptions.json: type -> [offset, length]. A piece: field -> text, "" for the type.
    """
    index: dict[str, list[int]] = {}
    pieces: list[bytes] = []
    at = 0
    schemas = openapi["v2"]["definitions"]
    for name in sorted(schemas):
        texts = {field: prop.get("description", "") for field, prop in schemas[name].get("properties", {}).items()}
        texts[""] = schemas[name].get("description", "")
        piece = zlib.compress(orjson.dumps({field: text for field, text in texts.items() if text}), 9)
        index[name] = [at, len(piece)]
        pieces.append(piece)
        at += len(piece)
    (target / "descriptions.bin").write_bytes(b"".join(pieces))
    (target / "descriptions.json").write_bytes(orjson.dumps(index))


def build_openapi(openapi: dict[str, Any], target: Path) -> None:
    """Write each document compressed; deterministic, since clients keep them by hash."""
    described = load_descriptions()
    target.mkdir(parents=True, exist_ok=True)
    index: dict[str, Any] = {}
    for path, document in sorted(openapi.items()):
        version, _, rest = path.partition("/")
        schemas = document.get("definitions") or document.get("components", {}).get("schemas", {})
        describe_schemas(schemas, described)
        describe_paths(document)
        encoded = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
        digest = hashlib.sha512(encoded).hexdigest().upper()
        name = f"{version}-{rest.replace('/', '_')}.json.gz" if rest else f"{version}.json.gz"
        (target / name).write_bytes(gzip.compress(encoded, 9, mtime=0))
        index[path] = [name, digest]
    index["v2"].append(member_ends(openapi["v2"], ("definitions", "paths")))
    (target / "v2.pb.gz").write_bytes(gzip.compress(gnostic().encode(openapi["v2"]), 9, mtime=0))
    (target / "index.json").write_bytes(orjson.dumps(index))


def member_ends(document: dict[str, Any], members: tuple[str, ...]) -> list[int]:
    """Tell where the named members' objects end in the encoded document, so that more can be put into them."""
    ends, at = [], len("{")
    for name in sorted(document):
        at += len(orjson.dumps(name)) + len(":") + len(orjson.dumps(document[name], option=orjson.OPT_SORT_KEYS))
        if name in members:
            ends.append(at - len("}"))
        at += len(",")
    return ends


def gnostic() -> ModuleType:
    """Load the package's own encoder of OpenAPI's protobuf form, which needs nothing else of the package."""
    path = FACTS.parent / "sampan" / "apiserver" / "openapi" / "gnostic.py"
    spec = importlib.util.spec_from_file_location("gnostic", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compile_facts(target: Path = DATA) -> None:
    """Write all data files under target."""
    facts = read("discovery.json")
    openapi = read("openapi.json")
    final, target = target, target.with_name(f"{target.name}.new")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    gates = read("feature-gates.json")
    types, kinds = build_types(read("go-types.json"), openapi, gates, facts["dropped"])
    files = {
        "types.json": types,
        "kinds.json": kinds,
        "scheme.json": build_scheme(openapi, facts),
        "protobuf.json": build_protobuf(types),
        "printer-columns.json": read("printer-columns.json"),
        "fresh-server.json": read("fresh-server.json"),
        "feature-gates.json": gates,
    }
    for name, content in files.items():
        (target / name).write_bytes(orjson.dumps(content))
    build_openapi(openapi, target / "openapi")
    build_descriptions(openapi, target)
    old = final.with_name(f"{final.name}.old")  # swapped whole, for those who read while we write
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    target.rename(final)
    shutil.rmtree(old, ignore_errors=True)


if __name__ == "__main__":
    compile_facts()
