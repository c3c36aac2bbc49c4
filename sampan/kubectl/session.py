"""One invocation's connection: global flags, kubeconfig, requests, discovery.

Requests are made one after the other on one connection; warnings of the server go to stderr, each text once.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import orjson

from sampan.client import kubeconfig
from sampan.client.config import ConfigError, Impersonation
from sampan.client.http import HTTPClient
from sampan.client.https import raise_for, warning_text
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.flags import Flag
from sampan.kubectl.mapping import Mapper

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

    from sampan.api.object import Object
    from sampan.client.config import ClientConfig
    from sampan.client.http import HTTPResponse, HTTPStream
    from sampan.kubectl.flags import Values

GLOBAL_FLAGS = (
    Flag(name="as", help="Username to impersonate for the operation."),
    Flag(name="as-group", kind="array", help="Group to impersonate; may be repeated."),
    Flag(name="as-uid", help="UID to impersonate."),
    Flag(name="as-user-extra", kind="array", help="Extra to impersonate, key=value; may be repeated."),
    Flag(name="cache-dir", help="Accepted for compatibility; nothing is cached on disk."),
    Flag(name="certificate-authority", help="Path to the CA certificate."),
    Flag(name="client-certificate", help="Path to the client certificate."),
    Flag(name="client-key", help="Path to the client key."),
    Flag(name="cluster", help="Name of the kubeconfig cluster to use."),
    Flag(name="context", help="Name of the kubeconfig context to use."),
    Flag(name="disable-compression", kind="bool", help="Accepted for compatibility."),
    Flag(name="insecure-skip-tls-verify", kind="bool", help="Do not verify the server's certificate."),
    Flag(name="kubeconfig", help="Path to the kubeconfig file."),
    Flag(name="kuberc", help="Accepted for compatibility."),
    Flag(name="match-server-version", kind="bool", help="Accepted for compatibility."),
    Flag(name="namespace", short="n", help="Namespace of this request."),
    Flag(name="password", help="Password for basic authentication."),
    Flag(name="request-timeout", default="0", help="How long to wait for one answer, e.g. 1s, 2m; 0 for ever."),
    Flag(name="server", short="s", help="Address and port of the API server."),
    Flag(name="tls-server-name", help="Name to verify in the server's certificate."),
    Flag(name="token", help="Bearer token."),
    Flag(name="user", help="Name of the kubeconfig user to use."),
    Flag(name="username", help="Username for basic authentication."),
    Flag(name="v", short="v", kind="int", help="Accepted for compatibility."),
    Flag(name="warnings-as-errors", kind="bool", help="Exit with 1 if the server warned."),
)

_OVERRIDES = {
    "server": "server",
    "token": "token",
    "certificate-authority": "ca_file",
    "client-certificate": "certificate_file",
    "client-key": "key_file",
    "insecure-skip-tls-verify": "insecure",
    "tls-server-name": "server_name",
    "username": "username",
    "password": "password",
}


class Session:
    """Connects when first used. namespace: the effective one; namespace_given: whether -n said it."""

    def __init__(self, values: Values, command: str) -> None:
        self.values = values
        self.command = command
        self.warned: list[str] = []
        self._http: HTTPClient | None = None
        self._config: ClientConfig | None = None
        self._mapper: Mapper | None = None

    @property
    def kubeconfig(self) -> kubeconfig.Kubeconfig:
        return kubeconfig.load(self.values.kubeconfig)

    @property
    def config(self) -> ClientConfig:
        """The effective connection settings. Raises KubectlError."""
        if self._config is None:
            self._config = self._resolve()
        return self._config

    @property
    def namespace(self) -> str:
        return self.config.namespace

    @property
    def namespace_given(self) -> bool:
        return "namespace" in self.values.changed

    @property
    def http(self) -> HTTPClient:
        if self._http is None:
            self._http = HTTPClient(self.config)
        return self._http

    async def mapper(self) -> Mapper:
        """Discovery, fetched once."""
        if self._mapper is None:
            self._mapper = await Mapper.fetch(self)
        return self._mapper

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        accept: str = "application/json",
        content_type: str = "application/json",
    ) -> HTTPResponse:
        """Send a request and return its good answer. Raises APIStatusError, KubectlError."""
        data = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        headers = {"Accept": accept}
        if data:
            headers["Content-Type"] = content_type
        try:
            answer = await self.http.request(method, path, headers=headers, body=data, query=query or {})
        except OSError as error:
            raise self.unreachable(error) from error
        self._warn(answer)
        if answer.status >= 400:
            raise_for(answer)
        return answer

    async def json(self, method: str, path: str, **options: Any) -> Object:
        """Send a request and decode its answer."""
        answer: Object = orjson.loads((await self.request(method, path, **options)).body)
        return answer

    def stream(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, accept: str = "*/*"
    ) -> AbstractAsyncContextManager[HTTPStream]:
        """Send a request whose answer is read bit by bit."""
        return self.http.stream(method, path, headers={"Accept": accept}, query=query or {})

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()

    def unreachable(self, error: OSError) -> KubectlError:
        """Kubectl's words for a server that does not answer."""
        http = self.http
        if isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error):
            text = f"The connection to the server {http.host}:{http.port} was refused"
            return KubectlError(f"{text} - did you specify the right host or port?", prefix="")
        reason = error.strerror or str(error) or type(error).__name__
        return KubectlError(f"Unable to connect to the server: {reason}", prefix="")

    def _warn(self, answer: HTTPResponse) -> None:
        for header in answer.warnings:
            if (text := warning_text(header)) and text not in self.warned:
                self.warned.append(text)
                print(f"Warning: {text}", file=sys.stderr)

    def _resolve(self) -> ClientConfig:
        values = self.values
        overrides: dict[str, Any] = {
            field: values.get(flag) for flag, field in _OVERRIDES.items() if flag in values.changed
        }
        extra: dict[str, list[str]] = {}
        for pair in values.get("as-user-extra", []):
            key, _, value = pair.partition("=")
            extra.setdefault(key, []).append(value)
        impersonate = Impersonation(
            user=values.get("as"), uid=values.get("as-uid"), groups=values.get("as-group"), extra=extra
        )
        overrides["user_agent"] = "kubectl/v1.36.0 (linux/amd64) sampan"
        user = values.user if isinstance(values.user, str) else ""  # some commands have a --user of their own
        try:
            loaded = self.kubeconfig
            if not loaded.clusters and "server" not in overrides:
                overrides["server"] = "http://localhost:8080"  # kubectl's own last resort
            return loaded.resolve(
                context=values.context, cluster=values.cluster, user=user, namespace=values.namespace,
                overrides=overrides, impersonate=impersonate,
            )  # fmt: skip
        except ConfigError as error:
            raise KubectlError(str(error)) from error
