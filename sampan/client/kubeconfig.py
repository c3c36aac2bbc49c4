"""Kubeconfig files: load, merge as kubectl does, resolve a context, write.

Merging follows client-go's rules: files of the KUBECONFIG list in order, the first to name a cluster, user, context or
the current context wins, absent files are skipped, relative paths count from the file that holds them. Credential
plug-ins (``exec``, ``auth-provider``) are refused with an explanation. Files are written atomically with mode 0600.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampan.base.pki import write_private
from sampan.client.config import ClientConfig, ConfigError, Impersonation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sampan.api.object import Object

_SECTIONS = ("clusters", "users", "contexts")
_SINGULAR = {"clusters": "cluster", "users": "user", "contexts": "context"}
_PATHS = {"clusters": ("certificate-authority",), "users": ("client-certificate", "client-key", "tokenFile")}
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(slots=True, kw_only=True)
class Kubeconfig:
    """A kubeconfig, merged from any number of files: named clusters, users and contexts."""

    clusters: dict[str, Object] = field(default_factory=dict)
    users: dict[str, Object] = field(default_factory=dict)
    contexts: dict[str, Object] = field(default_factory=dict)
    current_context: str = ""
    preferences: Object = field(default_factory=dict)
    files: Sequence[Path] = ()

    def merge(self, other: Kubeconfig, *, override: bool = False) -> None:
        """Add what other has and this one has not; with override, let other win."""
        for section in _SECTIONS:
            mine: dict[str, Object] = getattr(self, section)
            for name, value in getattr(other, section).items():
                if override or name not in mine:
                    mine[name] = value
        if other.current_context and (override or not self.current_context):
            self.current_context = other.current_context

    def to_object(self) -> Object:
        """Build the file's content."""
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"cluster": value, "name": name} for name, value in sorted(self.clusters.items())],
            "contexts": [{"context": value, "name": name} for name, value in sorted(self.contexts.items())],
            "current-context": self.current_context,
            "users": [{"name": name, "user": value} for name, value in sorted(self.users.items())],
        }

    def resolve(
        self,
        *,
        context: str = "",
        cluster: str = "",
        user: str = "",
        namespace: str = "",
        overrides: Mapping[str, Any] | None = None,
        impersonate: Impersonation | None = None,
    ) -> ClientConfig:
        """Build the connection of a context (default: the current one).

        cluster, user, namespace: replace the context's. overrides: `ClientConfig` fields that win (server, token, ...).
        Raises ConfigError with kubectl's wording.
        """
        name = context or self.current_context
        chosen: Object = {}
        if name:
            if name not in self.contexts:
                if context:
                    raise ConfigError(f'context "{name}" does not exist')
                raise ConfigError(f"current-context was not found for specified context: {name}")
            chosen = self.contexts[name] or {}
        settings = self._cluster_settings(cluster or chosen.get("cluster", ""), explicit=bool(cluster))
        settings |= self._user_settings(user or chosen.get("user", ""), explicit=bool(user))
        if impersonate is not None and impersonate.user:
            settings["impersonate"] = impersonate
        settings["namespace"] = namespace or chosen.get("namespace") or "default"
        settings |= overrides or {}
        if not settings.get("server"):
            raise ConfigError(
                "no cluster is configured: no kubeconfig names a server "
                "(start one with `sampan up`, or set KUBECONFIG or --kubeconfig)"
            )
        return ClientConfig(**settings)

    def _cluster_settings(self, name: str, *, explicit: bool) -> dict[str, Any]:
        found = self.clusters.get(name)
        if found is None:
            if explicit or name:
                raise ConfigError(f'cluster "{name}" does not exist')
            return {}
        return {
            "server": found.get("server", ""),
            "ca": _data(found, "certificate-authority-data"),
            "ca_file": found.get("certificate-authority", ""),
            "insecure": bool(found.get("insecure-skip-tls-verify", False)),
            "server_name": found.get("tls-server-name", ""),
        }

    def _user_settings(self, name: str, *, explicit: bool) -> dict[str, Any]:
        found = self.users.get(name)
        if found is None:
            if explicit or name:
                raise ConfigError(f'auth info "{name}" does not exist')
            return {}
        for plugin in ("exec", "auth-provider"):
            if found.get(plugin) and not found.get("token"):
                raise ConfigError(f'user "{name}" uses a credential plug-in ({plugin}), which sampan does not run')
        return {
            "certificate": _data(found, "client-certificate-data"),
            "certificate_file": found.get("client-certificate", ""),
            "key": _data(found, "client-key-data"),
            "key_file": found.get("client-key", ""),
            "token": found.get("token", ""),
            "token_file": found.get("tokenFile", ""),
            "username": found.get("username", ""),
            "password": found.get("password", ""),
            "impersonate": Impersonation(
                user=found.get("as", ""),
                uid=found.get("as-uid", ""),
                groups=found.get("as-groups") or (),
                extra=found.get("as-user-extra") or {},
            ),
        }


def default_paths(environment: Mapping[str, str] | None = None) -> list[Path]:
    """The files that kubectl would read: the KUBECONFIG list, or ``~/.kube/config``."""
    environment = os.environ if environment is None else environment
    if listed := environment.get("KUBECONFIG", ""):
        return list(dict.fromkeys(Path(part) for part in listed.split(os.pathsep) if part))
    return [Path(environment.get("HOME") or "~").expanduser() / ".kube" / "config"]


def load(path: str | Path = "", *, environment: Mapping[str, str] | None = None) -> Kubeconfig:
    """Load one file (it must exist), or without a path all that kubectl would read, merged."""
    if path:
        return load_file(Path(path))
    merged = Kubeconfig()
    files = []
    for one in default_paths(environment):
        if one.exists():
            merged.merge(load_file(one))
            files.append(one)
    merged.files = files
    return merged


def load_file(path: Path) -> Kubeconfig:
    """Load one file. Raises ConfigError naming the file."""
    import yaml  # noqa: PLC0415 - 25 ms that in-process clients need not pay

    try:
        content = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except FileNotFoundError as error:
        raise ConfigError(f"stat {path}: no such file or directory") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"error loading config file {path}: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f'error loading config file "{path}": {error}') from error
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise ConfigError(f'error loading config file "{path}": not a kubeconfig')
    config = Kubeconfig(
        current_context=content.get("current-context") or "", preferences=content.get("preferences") or {}, files=[path]
    )
    for section in _SECTIONS:
        getattr(config, section).update(_named(content, section, path))
    return config


def _named(content: Object, section: str, path: Path) -> dict[str, Object]:
    found: dict[str, Object] = {}
    for entry in content.get(section) or ():
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise ConfigError(f'error loading config file "{path}": {section} holds an entry without a name')
        value = dict(entry.get(_SINGULAR[section]) or {})
        for one in _PATHS.get(section, ()):
            if value.get(one):
                value[one] = str(path.parent.absolute() / Path(value[one]).expanduser())
        found.setdefault(entry["name"], value)
    return found


def build(
    *,
    name: str,
    server: str,
    ca: bytes,
    user: str = "",
    certificate: bytes = b"",
    key: bytes = b"",
    token: str = "",
    token_file: str = "",
    namespace: str = "",
) -> Kubeconfig:
    """Make a kubeconfig with one cluster, one user and one context of the given name. PEM goes in as data."""
    user = user or name
    cluster: Object = {"server": server}
    if ca:
        cluster["certificate-authority-data"] = base64.b64encode(ca).decode()
    credentials: Object = {}
    if certificate:
        credentials["client-certificate-data"] = base64.b64encode(certificate).decode()
        credentials["client-key-data"] = base64.b64encode(key).decode()
    if token:
        credentials["token"] = token
    if token_file:
        credentials["tokenFile"] = token_file
    context: Object = {"cluster": name, "user": user}
    if namespace:
        context["namespace"] = namespace
    return Kubeconfig(
        clusters={name: cluster}, users={user: credentials}, contexts={name: context}, current_context=name
    )


def write(path: Path, config: Kubeconfig) -> None:
    """Write a file atomically, mode 0600."""
    import yaml  # noqa: PLC0415 - see load_file

    text = yaml.safe_dump(config.to_object(), default_flow_style=False, sort_keys=False)
    write_private(path, text.encode())


def merge_into(path: Path, config: Kubeconfig, *, use: bool = True) -> None:
    """Add config to a file, replacing entries of the same names and keeping all else; use: make its context current."""
    merged = load_file(path) if path.exists() else Kubeconfig()
    current = merged.current_context
    merged.merge(config, override=True)
    if not use and current:
        merged.current_context = current
    write(path, merged)


def remove_from(path: Path, name: str) -> None:
    """Remove the cluster, user and context of the given name from a file, if it is there."""
    if not path.exists():
        return
    config = load_file(path)
    context = config.contexts.pop(name, None) or {}
    config.clusters.pop(context.get("cluster", name), None)
    config.users.pop(context.get("user", name), None)
    if config.current_context == name:
        config.current_context = ""
    write(path, config)


def in_cluster(environment: Mapping[str, str] | None = None, folder: Path = _SERVICE_ACCOUNT) -> ClientConfig | None:
    """The connection of a pod by its service account; None outside of a cluster."""
    environment = os.environ if environment is None else environment
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port or not (folder / "token").exists():
        return None
    shown = f"[{host}]" if ":" in host else host
    namespace = folder / "namespace"
    return ClientConfig(
        server=f"https://{shown}:{port}",
        ca_file=str(folder / "ca.crt"),
        token_file=str(folder / "token"),
        namespace=namespace.read_text().strip() if namespace.exists() else "default",
    )


def _data(entry: Object, name: str) -> bytes:
    text = entry.get(name) or ""
    try:
        return base64.b64decode(text, validate=False)
    except (binascii.Error, ValueError) as error:
        raise ConfigError(f"{name} is not valid base64: {error}") from error
