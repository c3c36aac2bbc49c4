"""Health checks of services with ``externalTrafficPolicy: Local``: whether this node has an endpoint of its own.

One HTTP server per ``healthCheckNodePort``; 200 with endpoints, 503 without; body and headers are kube-proxy's
(Kubernetes, pkg/proxy/healthcheck).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import orjson

from sampan.base.log import logger

log = logger("proxy.healthcheck")

_REQUEST_SECONDS = 5
_REQUEST_BYTES = 16384


@dataclass(slots=True)
class _Check:
    namespace: str
    name: str
    port: int
    endpoints: int
    server: asyncio.Server


class HealthChecks:
    """The servers of one node, by service."""

    def __init__(self, *, address: str | None = None) -> None:
        self._address = address
        self._checks: dict[str, _Check] = {}

    async def set(self, namespace: str, name: str, port: int, endpoints: int) -> None:
        """Serve a service's check with so many local endpoints; port 0 ends it. A port in use is logged."""
        key = f"{namespace}/{name}"
        check = self._checks.get(key)
        if check is not None and check.port == port:
            check.endpoints = endpoints
            return
        if check is not None:
            del self._checks[key]
            check.server.close()
        if not port:
            return
        try:
            server = await asyncio.start_server(
                lambda reader, writer: self._answer(key, reader, writer), self._address, port, limit=_REQUEST_BYTES
            )
        except OSError as error:
            log.warning("Health check port is not served", service=key, port=port, error=error)
            return
        self._checks[key] = _Check(namespace, name, port, endpoints, server)

    def close(self) -> None:
        """End all servers."""
        for check in self._checks.values():
            check.server.close()
        self._checks.clear()

    async def _answer(self, key: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(self._response(key))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            log.debug("Health check request failed", service=key, error=error)
        finally:
            writer.close()

    def _response(self, key: str) -> bytes:
        check = self._checks.get(key)
        endpoints = check.endpoints if check is not None else 0
        namespace, _, name = key.partition("/")
        service = {"namespace": namespace, "name": name}
        body = orjson.dumps({"service": service, "localEndpoints": endpoints, "serviceProxyHealthy": True})
        status = "200 OK" if endpoints else "503 Service Unavailable"
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n"
            f"X-Load-Balancing-Endpoint-Weight: {endpoints}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + body
