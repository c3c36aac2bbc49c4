"""What a request is about, read from its method and path: verb, group, version, resource, subresource, names.

Behaviour of kube-apiserver's ``RequestInfoFactory``: everything outside ``/api`` and ``/apis``, and paths too short to
name a resource, are non-resource requests, authorized by path. Watches are told from lists by the ``watch`` parameter
or the historic ``/watch/`` prefix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from sampan.api.gvk import GroupResource, GroupVersionResource

if TYPE_CHECKING:
    from collections.abc import Sequence

_VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_NAMESPACE_SUBRESOURCES = ("status", "finalize")
FALSE_WORDS = frozenset({"false", "0"})
"""Texts that apimachinery's query decoding takes for false; any other text, also none at all, means true."""

Query = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestInfo:
    """One request's subject.

    verb: an API verb, or the lower-case method of a non-resource request. tail: path segments
    behind the subresource. has_namespace: the path says ``namespaces/<namespace>``, possibly an empty one.
    """

    verb: str
    path: str
    is_resource: bool = False
    group: str = ""
    version: str = ""
    namespace: str = ""
    has_namespace: bool = False
    resource: str = ""
    name: str = ""
    has_name: bool = False
    subresource: str = ""
    tail: tuple[str, ...] = ()
    old_watch: bool = False

    @property
    def group_resource(self) -> GroupResource:
        return GroupResource(self.group, self.resource)

    @property
    def gvr(self) -> GroupVersionResource:
        return GroupVersionResource(self.group, self.version, self.resource)


def parse_query(raw: str) -> Query:
    """Split a URL's query; order and repetitions are kept."""
    if not raw:
        return ()
    pairs = []
    for part in raw.split("&"):
        if part:
            key, _, value = part.partition("=")
            if "%" in part or "+" in part:
                key, value = unquote_plus(key), unquote_plus(value)
            pairs.append((key, value))
    return tuple(pairs)


def first(query: Query, name: str) -> str | None:
    """The first value of a parameter, None when it is not there."""
    for key, value in query:
        if key == name:
            return value
    return None


def is_true(value: str | None) -> bool:
    """Whether a boolean parameter is set; see `FALSE_WORDS`."""
    return value is not None and value.lower() not in FALSE_WORDS


def parse(method: str, path: str, query: Query) -> RequestInfo:
    """Read a request's subject. path: unescaped."""
    other = RequestInfo(verb=method.lower(), path=path)
    parts = path.strip("/").split("/")
    if parts[0] == "api":
        if len(parts) < 3:
            return other
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis":
        if len(parts) < 4:
            return other
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return other
    verb = _VERBS.get(method, "")
    old_watch = rest[0] == "watch"
    if rest[0] in ("watch", "proxy"):
        verb, rest = rest[0], rest[1:]
        if not rest:
            return other
    return _resource(RequestInfo(verb=verb, path=path, group=group, version=version, old_watch=old_watch), rest, query)


def _resource(base: RequestInfo, rest: Sequence[str], query: Query) -> RequestInfo:
    namespace, has_namespace = "", False
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in _NAMESPACE_SUBRESOURCES:
            rest, has_namespace = rest[2:], True
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 and base.verb not in ("watch", "proxy") else ""
    verb = base.verb
    if not name and verb in ("get", "watch"):
        if verb == "get":
            verb = "watch" if is_true(first(query, "watch")) else "list"
        name = _selected_name(first(query, "fieldSelector"))
    elif not name and verb == "delete":
        verb = "deletecollection"
    return RequestInfo(
        verb=verb, path=base.path, is_resource=True, group=base.group, version=base.version, namespace=namespace,
        has_namespace=has_namespace, resource=rest[0], name=name, has_name=len(rest) > 1 and bool(rest[1]),
        subresource=subresource, tail=tuple(rest[3:]), old_watch=base.old_watch,
    )  # fmt: skip


def _selected_name(selector: str | None) -> str:
    """A list of one name is authorized as that name: resourceNames in roles work for ``metadata.name=x``."""
    if not selector:
        return ""
    for part in selector.split(","):
        key, equals, value = part.partition("=")
        if equals and key == "metadata.name":
            value = value.removeprefix("=")
            if value and value not in (".", "..") and "/" not in value and "%" not in value and "\\" not in value:
                return value
    return ""
