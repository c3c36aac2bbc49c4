"""Everything outside resources: version, health, metrics, discovery, OpenAPI, OIDC discovery, the list of paths."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

import orjson

from sampan.api.errors import APIStatusError
from sampan.apiserver import encode, negotiate
from sampan.apiserver.authn.serviceaccounts import discovery_document
from sampan.apiserver.discovery import aggregated_version
from sampan.apiserver.http import response
from sampan.apiserver.http.response import Response
from sampan.apiserver.openapi import OpenAPI, Redirect
from sampan.apiserver.requestinfo import first
from sampan.apiserver.routes import method_not_allowed, not_found

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sampan.apiserver.authn.serviceaccounts import ServiceAccountTokens
    from sampan.apiserver.discovery import Discovery
    from sampan.apiserver.handlers.call import Call
    from sampan.apiserver.handlers.plan import Plan
    from sampan.apiserver.http.head import Head
    from sampan.apiserver.metrics import Metrics
    from sampan.apiserver.openapi import OpenAPIDocument

    Check = Callable[[], str]
    """A health check: "" when all is well, else what is not."""

_READS = ("GET", "HEAD")

VERSION = {
    "major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36", "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35", "gitVersion": "v1.36.2+sampan", "gitCommit": "sampan", "gitTreeState": "clean",
    "buildDate": "2026-06-01T00:00:00Z", "goVersion": "go1.26", "compiler": "cpython",
}  # fmt: skip
"""What clients know the server as: the API of v1.36; the build metadata says who speaks it."""


class NonResource:
    """Finds handlers for non-resource paths. checks: by health endpoint ("healthz", "livez", "readyz") and name."""

    def __init__(
        self,
        *,
        discovery: Discovery,
        openapi: OpenAPI,
        metrics: Metrics,
        tokens: ServiceAccountTokens,
        checks: Mapping[str, Mapping[str, Check]],
    ) -> None:
        self._discovery = discovery
        self._openapi = openapi
        self._metrics = metrics
        self._tokens = tokens
        self._checks = checks
        self._version = orjson.dumps(
            {**VERSION, "platform": f"linux/{_GO_ARCH.get(platform.machine(), platform.machine())}"},
            option=orjson.OPT_INDENT_2,
        )

    def route(self, plan: Plan, head: Head) -> Callable[[Call], Any] | None:  # noqa: C901 - a table
        """The handler of a path; None when there is none."""
        path = plan.info.path
        root = path.strip("/").split("/", 1)[0]
        if root in ("healthz", "livez", "readyz"):
            return self._health
        if path in ("/version", "/version/"):
            return self._send_version
        if path == "/metrics":
            return self._send_metrics
        if path == "/":
            return self._send_paths
        if path == "/.well-known/openid-configuration":
            return self._send_configuration
        if path == "/openid/v1/jwks":
            return self._send_jwks
        if root in ("api", "apis"):
            return self._route_discovery(path, head)
        if path == "/openapi/v2":
            return self._send_openapi_v2
        if path.rstrip("/") == "/openapi/v3":
            return self._send_openapi_index
        if path.startswith("/openapi/v3/"):
            return self._send_openapi
        return None

    def _route_discovery(self, path: str, head: Head) -> Callable[[Call], Any] | None:
        if self._discovery.legacy(path) is None:
            # What is not there now may come while the plan is kept: the handler looks again.
            return self._send_discovery if path.startswith("/apis/") and path.rstrip("/").count("/") <= 3 else None
        # The lists of groups and of versions answer any method, the others only reads.
        if head.method not in _READS and path.rstrip("/").count("/") > 1:
            raise method_not_allowed()
        return self._send_discovery

    # -- handlers

    def _send_discovery(self, call: Call) -> Response:
        path, accept = call.info.path, call.headers.get("accept", "")
        root = path.rstrip("/")
        version = aggregated_version(accept) if root in ("/api", "/apis") else ""
        if version:
            document = self._discovery.aggregated(root, version)
        else:
            found = self._discovery.legacy(path)
            if found is None:
                raise not_found()
            document = found
            accepted = negotiate.negotiate(accept)
            if accepted.media != negotiate.JSON or call.plan.pretty:
                return self._discovery_in(accepted, document.body, pretty=call.plan.pretty)
        headers = [response.NO_CACHE, (b"Content-Type", document.content_type.encode())]
        if root in ("/api", "/apis"):
            headers.append((b"Vary", b"Accept"))
        if document.etag:
            etag = document.etag.encode()
            headers.append((b"ETag", etag))
            if call.headers.get("if-none-match", "") == document.etag:
                return Response(304, b"", headers)
        return Response(200, document.body, headers)

    @staticmethod
    def _discovery_in(accepted: negotiate.Accepted, body: bytes, *, pretty: bool) -> Response:
        obj = orjson.loads(body)
        media = (b"Content-Type", accepted.media.encode())
        if accepted.media == negotiate.PROTOBUF:
            from sampan.api.schema import protobuf  # noqa: PLC0415

            obj.setdefault("apiVersion", "v1")
            return Response(200, protobuf.encode_object(obj), [response.NO_CACHE, media])
        return Response(200, encode.document(obj, accepted, pretty=pretty), [response.NO_CACHE, media])

    def _send_version(self, call: Call) -> Response:
        del call
        return Response(200, self._version, [response.NO_CACHE, response.JSON_TYPE])

    def _send_metrics(self, call: Call) -> Response:
        del call
        kind = (b"Content-Type", b"text/plain; version=0.0.4; charset=utf-8")
        return Response(200, self._metrics.render(), [response.NO_CACHE, kind])

    def _send_paths(self, call: Call) -> Response:
        paths = ["/.well-known/openid-configuration"]
        for group, versions in sorted(self._discovery.groups().items()):
            if group:
                paths += [f"/apis/{group}", *(f"/apis/{group}/{version}" for version in versions)]
        paths += ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3"]
        paths += ["/openid/v1/jwks", "/readyz", "/version"]
        body = encode.document({"paths": sorted(paths)}, negotiate.PLAIN_JSON, pretty=True)
        del call
        return Response(200, body, [response.NO_CACHE, response.JSON_TYPE])

    def _send_configuration(self, call: Call) -> Response:
        del call
        issuer = self._tokens.issuer
        document = discovery_document(issuer, f"{issuer}/openid/v1/jwks")
        headers = [(b"Cache-Control", b"public, max-age=3600"), response.JSON_TYPE]
        return Response(200, orjson.dumps(document), headers)

    def _send_jwks(self, call: Call) -> Response:
        del call
        headers = [(b"Cache-Control", b"public, max-age=3600"), (b"Content-Type", b"application/jwk-set+json")]
        return Response(200, orjson.dumps(self._tokens.key.jwks()), headers)

    def _send_openapi_v2(self, call: Call) -> Response:
        return _openapi(call, self._openapi.v2(call.headers.get("accept", "")))

    def _send_openapi_index(self, call: Call) -> Response:
        return _openapi(call, self._openapi.v3_index())

    def _send_openapi(self, call: Call) -> Response:
        path = call.info.path.removeprefix("/openapi/v3/").rstrip("/")
        digest = first(call.query, "hash") or ""
        found = self._openapi.v3(path, digest=digest, accept=call.headers.get("accept", ""))
        if found is None:
            raise not_found()
        if isinstance(found, Redirect):
            return Response(301, b"", [(b"Location", found.location.encode())])
        return _openapi(call, found)

    def _health(self, call: Call) -> Response:
        root, _, one = call.info.path.strip("/").partition("/")
        checks = self._checks[root]
        if one:
            if one not in checks:
                raise not_found()
            checks = {one: checks[one]}
        excluded = {value for key, value in call.query if key == "exclude"}
        lines, failed = [], []
        for name, check in checks.items():
            problem = "" if name in excluded else check()
            if name in excluded:
                lines.append(f"[+]{name} excluded: ok")
            elif problem:
                lines.append(f"[-]{name} failed: reason withheld")
                failed.append(name)
            else:
                lines.append(f"[+]{name} ok")
        return _health_answer(call, root, lines, failed)


_GO_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}


def _health_answer(call: Call, root: str, lines: list[str], failed: list[str]) -> Response:
    headers = [response.NO_CACHE, response.TEXT_TYPE, response.NO_SNIFF]
    if failed:
        text = "\n".join([*lines, f"{root} check failed", ""])
        return Response(500, text.encode(), headers)
    if first(call.query, "verbose") is not None:
        return Response(200, "\n".join([*lines, f"{root} check passed", ""]).encode(), headers)
    return Response(200, b"ok", headers)


def _openapi(call: Call, document: OpenAPIDocument) -> Response:
    headers = [(b"Content-Type", document.content_type.encode()), (b"ETag", document.etag.encode())]
    headers += [(key.encode(), value.encode()) for key, value in document.headers.items()]
    if "Vary" not in document.headers:
        headers.append((b"Vary", b"Accept"))
    if call.headers.get("if-none-match", "") == document.etag:
        return Response(304, b"", headers)
    if "gzip" in call.headers.get("accept-encoding", ""):
        return Response(200, document.gzip, [*headers, (b"Content-Encoding", b"gzip")])
    return Response(200, document.body, headers)


__all__ = ["APIStatusError", "NonResource"]
