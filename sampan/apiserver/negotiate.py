"""Content negotiation: what a client accepts, against what an endpoint can send; both refusals as kube-apiserver's.

Two layers refuse, as there: the router compares bare media types (``406: Not Acceptable``, no wildcard within
``application/``), then the endpoint looks at parameters (``as``, ``g``, ``v``, ``stream``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from sampan.api.errors import NotAcceptable

JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
OBJECT_TYPES = (JSON, YAML, PROTOBUF)
_STREAM_TYPES = (f"{JSON};stream=watch", f"{PROTOBUF};stream=watch")
_META_VERSIONS = ("v1", "v1beta1")
_TRANSFORMS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")


@dataclass(frozen=True, slots=True)
class Accepted:
    """What will be sent.

    media: the type without parameters. transform: "" or what the object is turned into, of
    meta.k8s.io's version. pretty: None when the client has not said.
    """

    media: str = JSON
    transform: str = ""
    version: str = "v1"
    pretty: bool | None = None


PLAIN_JSON = Accepted()


@lru_cache(maxsize=1024)
def negotiate(header: str, *, lists: bool = False) -> Accepted:
    """Choose for an Accept header. lists: the endpoint can also watch, which its refusal mentions.

    Raises NotAcceptable.
    """
    if not header:
        return PLAIN_JSON
    clauses = _clauses(header)
    available = OBJECT_TYPES + (_STREAM_TYPES if lists else ())
    bare = {f"{kind}/{sub}" for kind, sub, _, _ in clauses}
    if "*/*" not in bare and not any(one.partition(";")[0] in bare for one in available):
        listed = ", ".join(available)
        raise NotAcceptable(f"406: Not Acceptable\n\nAvailable representations: {listed}", details={})
    chosen = _choose(clauses)
    if chosen is None:
        raise NotAcceptable(f"only the following media types are accepted: {', '.join(OBJECT_TYPES)}")
    return chosen


def negotiate_or_json(header: str) -> Accepted:
    """Choose the form of an error: what was asked for, without transformation, or JSON."""
    if not header:
        return PLAIN_JSON
    for kind, sub, _, parameters in _clauses(header):
        for media in OBJECT_TYPES:
            if _matches(kind, sub, media):
                return Accepted(media=media, pretty=_pretty(parameters))
    return PLAIN_JSON


def check_stream(accepted: Accepted) -> None:
    """Insist on a media type that can be streamed."""
    if accepted.media == YAML:
        listed = ", ".join(_STREAM_TYPES)
        raise NotAcceptable(f"only the following media types are accepted: {listed}")


def _choose(clauses: list[tuple[str, str, float, dict[str, str]]]) -> Accepted | None:
    for kind, sub, _, parameters in clauses:
        for media in OBJECT_TYPES:
            if not _matches(kind, sub, media):
                continue
            transform = parameters.get("as", "")
            version = parameters.get("v", "")
            if parameters.get("stream", "watch") != "watch":
                continue
            if transform:
                if parameters.get("g") != "meta.k8s.io" or version not in _META_VERSIONS:
                    continue
                if transform not in _TRANSFORMS or (transform == "Table" and media == PROTOBUF):
                    continue
            return Accepted(media, transform, version or "v1", _pretty(parameters))
    return None


def _matches(kind: str, sub: str, media: str) -> bool:
    offered_kind, _, offered_sub = media.partition("/")
    return kind in ("*", offered_kind) and sub in ("*", offered_sub)


def _pretty(parameters: dict[str, str]) -> bool | None:
    return parameters["pretty"] == "1" if "pretty" in parameters else None


@lru_cache(maxsize=1024)
def _clauses(header: str) -> list[tuple[str, str, float, dict[str, str]]]:
    """Split an Accept header into (type, subtype, quality, parameters), best quality first, else in order."""
    found = []
    for clause in header.split(","):
        media, *raw = clause.split(";")
        kind, slash, sub = media.strip().partition("/")
        if not slash:
            if kind != "*":
                continue
            sub = "*"
        quality = 1.0
        parameters: dict[str, str] = {}
        for one in raw:
            key, equals, value = one.strip().partition("=")
            if equals and key == "q":
                try:
                    quality = float(value)
                except ValueError:
                    quality = 1.0
            elif equals:
                parameters[key] = value.strip('"')
        found.append((kind, sub, quality, parameters))
    found.sort(key=lambda one: -one[2])
    return found
