"""OpenAPI documents: the built-in ones as they were prepared at build time, custom resources' merged in.

Nothing is read before someone asks. Documents are kept compressed, since that is how clients take them; v3 documents
never change for built-in group-versions, so that their hashes come from the index alone.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson

from sampan.api.errors import NotAcceptable
from sampan.api.schema import data
from sampan.apiserver.openapi import gnostic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.api.object import Object

_JSON = "application/json"
_V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_V2_TYPES = {
    _JSON: _JSON,
    _V2_PROTOBUF: _V2_PROTOBUF,
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf": _V2_PROTOBUF,
}
_V3_TYPES = {_JSON: _JSON}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAPIDocument:
    """An encoded document. gzip: the body compressed. headers: beside Content-Type and ETag. etag: quoted."""

    content_type: str
    gzip: bytes
    etag: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """The document itself; decompressed on each access."""
        return gzip.decompress(self.gzip)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """The hash in the URL is not the document's: answer 301 with this Location."""

    location: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one dynamic group-version adds.

    v3: its whole document. definitions and paths: of the v2 document; none that are built in.
    """

    v3: Object
    definitions: Object = field(default_factory=dict)
    paths: Object = field(default_factory=dict)


class OpenAPI:
    """All OpenAPI documents of one server."""

    def __init__(self) -> None:
        self._builtin: dict[str, tuple[str, str]] | None = None
        self._ends: tuple[int, int] = (0, 0)
        self._parts: dict[str, Part] = {}
        self._v3: dict[str, OpenAPIDocument] = {}
        self._v2: dict[str, OpenAPIDocument] = {}
        self._index: OpenAPIDocument | None = None

    def put(self, path: str, part: Part) -> None:
        """Add or replace a dynamic group-version. path: ``apis/example.com/v1``."""
        self._parts[path] = part
        self._forget(path)

    def remove(self, path: str) -> None:
        """Take a dynamic group-version away; unknown ones are ignored."""
        if self._parts.pop(path, None) is not None:
            self._forget(path)

    def v2(self, accept: str = "") -> OpenAPIDocument:
        """Return ``/openapi/v2`` in the form that an Accept header asks for. Raises NotAcceptable."""
        content_type = _choose(accept, _V2_TYPES)
        found = self._v2.get(content_type)
        if found is None:
            found = self._v2[content_type] = self._build_v2(content_type)
        return found

    def v3_index(self) -> OpenAPIDocument:
        """Return ``/openapi/v3``: every document's URL with its hash."""
        if self._index is None:
            digests = {path[3:]: digest for path, (_, digest) in self._files().items() if path.startswith("v3/")}
            digests.update((path, self._dynamic(path).etag.strip('"')) for path in self._parts)
            paths = {
                path: {"serverRelativeURL": f"/openapi/v3/{quote(path)}?hash={digests[path]}"}
                for path in sorted(digests)
            }
            self._index = _document(_JSON, orjson.dumps({"paths": paths}))
        return self._index

    def v3(self, path: str, *, digest: str = "", accept: str = "") -> OpenAPIDocument | Redirect | None:
        """Return a v3 document, None where there is none. path: behind ``/openapi/v3/``. digest: the URL's hash.

        With a digest the document may be cached for good; a stale one is redirected. Raises NotAcceptable.
        """
        _choose(accept, _V3_TYPES)
        found = self._dynamic(path) if path in self._parts else self._static(path)
        if found is None or not digest:
            return found
        current = found.etag.strip('"')
        if digest != current:
            return Redirect(location=f"/openapi/v3/{quote(path)}?hash={current}")
        headers = {"Cache-Control": "public, immutable", "Vary": "Accept"}
        return OpenAPIDocument(content_type=found.content_type, gzip=found.gzip, etag=found.etag, headers=headers)

    def schemas(self, path: str) -> Object:
        """Return the schemas of a built-in v3 document, e.g. of ``api/v1``; parsed anew on each call."""
        name, _ = self._files()[f"v3/{path}"]
        parsed: Object = orjson.loads(gzip.decompress(data.read_bytes(f"openapi/{name}")))
        found: Object = parsed["components"]["schemas"]
        return found

    def _forget(self, path: str) -> None:
        self._v3.pop(path, None)
        self._v2.clear()
        self._index = None

    def _files(self) -> dict[str, tuple[str, str]]:
        if self._builtin is None:
            index: dict[str, Any] = data.load("openapi/index.json")
            self._builtin = {path: (name, digest) for path, (name, digest, *_) in index.items()}
            definitions_end, paths_end = index["v2"][2]
            self._ends = (definitions_end, paths_end)
        return self._builtin

    def _static(self, path: str) -> OpenAPIDocument | None:
        found = self._v3.get(path)
        entry = self._files().get(f"v3/{path}")
        if found is None and entry is not None:
            compressed = data.read_bytes(f"openapi/{entry[0]}")
            found = OpenAPIDocument(
                content_type=_JSON, gzip=compressed, etag=f'"{entry[1]}"', headers={"Vary": "Accept"}
            )
            self._v3[path] = found
        return found

    def _dynamic(self, path: str) -> OpenAPIDocument:
        found = self._v3.get(path)
        if found is None:
            found = self._v3[path] = _document(_JSON, orjson.dumps(self._parts[path].v3))
        return found

    def _build_v2(self, content_type: str) -> OpenAPIDocument:
        """Put dynamic parts into the prepared document without parsing it: it is megabytes, they are not."""
        name, digest = self._files()["v2"]
        is_json = content_type == _JSON
        compressed = data.read_bytes(f"openapi/{name if is_json else 'v2.pb.gz'}")
        if not self._parts:
            etag = digest if is_json else hashlib.sha512(compressed).hexdigest().upper()
            headers = {"Vary": "Accept"}
            return OpenAPIDocument(content_type=content_type, gzip=compressed, etag=f'"{etag}"', headers=headers)
        definitions: Object = {}
        paths: Object = {}
        for part in self._parts.values():
            definitions.update(part.definitions)
            paths.update(part.paths)
        body = gzip.decompress(compressed)
        if not is_json:
            return _document(content_type, body + gnostic.encode_more(definitions, paths))
        first, second = self._ends
        more_definitions, more_paths = _members(definitions), _members(paths)
        return _document(_JSON, body[:first] + more_definitions + body[first:second] + more_paths + body[second:])


def _members(members: Object) -> bytes:
    """Encode members as they follow others."""
    return b"," + orjson.dumps(members, option=orjson.OPT_SORT_KEYS)[1:-1] if members else b""


def _document(content_type: str, body: bytes) -> OpenAPIDocument:
    etag = f'"{hashlib.sha512(body).hexdigest().upper()}"'
    compressed = gzip.compress(body, 1, mtime=0)
    return OpenAPIDocument(content_type=content_type, gzip=compressed, etag=etag, headers={"Vary": "Accept"})


def _choose(accept: str, types: Mapping[str, str]) -> str:
    if not accept:
        return _JSON
    for clause in accept.split(","):
        media = clause.partition(";")[0].strip()
        if media in {"*/*", "application/*"}:
            return _JSON
        if media in types:
            return types[media]
    raise NotAcceptable("only the following media types are accepted: " + ", ".join(dict.fromkeys(types.values())))
