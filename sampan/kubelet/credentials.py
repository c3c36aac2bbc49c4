"""Registry credentials from imagePullSecrets (docker config JSON) and which of them fit an image.

Source: Kubernetes documentation "Images", config.json interpretation; pkg/credentialprovider/keyring.go: the longest
matching entry first, ``*`` matches within one label of a host name.
"""

from __future__ import annotations

import base64
import binascii
import json
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from sampan.kubelet.runtime import RegistryAuth

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.api.object import Object

_DEFAULT_REGISTRY = "docker.io"
_DEFAULT_HOSTS = ("index.docker.io", "registry-1.docker.io", "docker.io")


def matching(image: str, secrets: Iterable[Object]) -> list[RegistryAuth]:
    """List the credentials that fit an image reference, the most specific first. Broken secrets are passed over."""
    registry, path = split_reference(image)
    found: list[tuple[int, RegistryAuth]] = []
    for secret in secrets:
        for server, entry in _entries(secret).items():
            host, _, prefix = _strip(server).partition("/")
            if _host_matches(host, registry) and (not prefix or path == prefix or path.startswith(prefix + "/")):
                found.append((len(server), _auth(entry)))
    return [auth for _, auth in sorted(found, key=lambda item: -item[0])]


def split_reference(image: str) -> tuple[str, str]:
    """Split an image reference into (registry, repository path)."""
    first, slash, rest = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first, rest.partition("@")[0].partition(":")[0]
    return _DEFAULT_REGISTRY, image.partition("@")[0].partition(":")[0]


def with_default_tag(image: str) -> str:
    """Add ``:latest`` where neither tag nor digest is given. Raises ValueError for what is no image reference."""
    name, at, _ = image.partition("@")
    last = name.rsplit("/", 1)[-1]
    repository = name[: len(name) - len(last)] + last.partition(":")[0]
    _, path = split_reference(repository)
    if not path or path != path.lower() or any(char.isspace() for char in image):
        reason = "repository name must be lowercase" if path != path.lower() else "invalid reference format"
        full = "invalid reference format: repository name must be lowercase" if "lower" in reason else reason
        raise ValueError(f'couldn\'t parse image name "{image}": {full}')
    return image if at or ":" in last else f"{image}:latest"


def _entries(secret: Object) -> dict[str, Any]:
    data = secret.get("data") or {}
    try:
        if ".dockerconfigjson" in data:
            entries = json.loads(base64.b64decode(data[".dockerconfigjson"])).get("auths") or {}
        elif ".dockercfg" in data:
            entries = json.loads(base64.b64decode(data[".dockercfg"]))
        else:
            return {}
    except (ValueError, binascii.Error, AttributeError):
        return {}
    return entries if isinstance(entries, dict) else {}


def _strip(server: str) -> str:
    for scheme in ("https://", "http://"):
        server = server.removeprefix(scheme)
    host, _, path = server.partition("/")
    # The version suffix of Docker's own login command is no path of an image.
    path = path.strip("/")
    return host if path in ("", "v1", "v2") else f"{host}/{path}"


def _host_matches(pattern: str, host: str) -> bool:
    if host == _DEFAULT_REGISTRY and pattern in _DEFAULT_HOSTS:
        return True
    wanted, given = pattern.split("."), host.split(".")
    return len(wanted) == len(given) and all(fnmatchcase(g, w) for w, g in zip(wanted, given, strict=True))


def _auth(entry: Any) -> RegistryAuth:
    """Make the credentials of an entry. No server address, as kubelet: containerd would refuse one with a port."""
    entry = entry if isinstance(entry, dict) else {}
    username, password = entry.get("username", ""), entry.get("password", "")
    if entry.get("auth") and not username:
        try:
            decoded = base64.b64decode(entry["auth"]).decode()
        except (ValueError, binascii.Error):
            decoded = ""
        username, _, password = decoded.partition(":")
    return RegistryAuth(
        username=username,
        password=password,
        identity_token=entry.get("identitytoken", ""),
        registry_token=entry.get("registrytoken", ""),
    )
