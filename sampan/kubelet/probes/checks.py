"""One check of a container: exec, httpGet, tcpSocket or grpc. Also what lifecycle hooks run.

Source: kubelet's prober/prober.go and pkg/probe; result texts are its.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]

from sampan.base.clock import deadline
from sampan.kubelet.probes import httpget
from sampan.kubelet.runtime import RuntimeFault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.kubelet.runtime import ContainerRuntime

_HEALTH_CHECK = "/grpc.health.v1.Health/Check"
_STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")


class Outcome(Enum):
    """What a check says."""

    SUCCESS = "success"
    FAILURE = "failed"
    ERROR = "errored"
    """It could not be made; kubelet does not count it."""


class Verdict(NamedTuple):
    """An outcome and the text for the event."""

    outcome: Outcome
    output: str


class Checker:
    """Runs checks."""

    def __init__(self, runtime: ContainerRuntime, clock: Clock) -> None:
        self._runtime = runtime
        self._clock = clock

    async def check(self, probe: Object, container: Object, container_id: str, ip: str) -> Verdict:
        """Run one check within the probe's timeoutSeconds. ip: where the pod answers."""
        seconds = probe.get("timeoutSeconds") or 1
        if "exec" in probe:
            return await self._exec(probe["exec"].get("command") or (), container_id, seconds)
        if "httpGet" in probe:
            return await self._http(probe["httpGet"], container, ip, seconds)
        if "tcpSocket" in probe:
            return await self._tcp(probe["tcpSocket"], container, ip, seconds)
        if "grpc" in probe:
            return await self._grpc(probe["grpc"], ip, seconds)
        return Verdict(Outcome.ERROR, f"missing probe handler for {container['name']}")

    async def _exec(self, command: Sequence[str], container_id: str, seconds: int) -> Verdict:
        try:
            stdout, stderr, code = await self._runtime.exec_sync(container_id, command, seconds=seconds)
        except RuntimeFault as error:
            if error.code == "DeadlineExceeded":
                return Verdict(Outcome.FAILURE, f'command timed out: "{" ".join(command)}" timed out after {seconds}s')
            return Verdict(Outcome.ERROR, str(error))
        output = (stdout + stderr)[: 10 * 1024].decode("utf-8", "replace")
        return Verdict(Outcome.SUCCESS if code == 0 else Outcome.FAILURE, output)

    async def _http(self, action: Object, container: Object, ip: str, seconds: int) -> Verdict:
        url = http_url(action, container, ip)
        if url is None:
            return Verdict(Outcome.ERROR, f"couldn't find port: {action['port']} in container {container['name']}")
        try:
            async with deadline(self._clock, seconds):
                answer = await httpget.get(url, http_headers(action))
        except TimeoutError:
            text = f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
            return Verdict(Outcome.FAILURE, text)
        except OSError as error:
            return Verdict(Outcome.FAILURE, str(error))
        if 200 <= answer.status < 400:
            return Verdict(Outcome.SUCCESS, answer.body)
        return Verdict(Outcome.FAILURE, f"HTTP probe failed with statuscode: {answer.status}")

    async def _tcp(self, action: Object, container: Object, ip: str, seconds: int) -> Verdict:
        port = resolve_port(action["port"], container)
        host = action.get("host") or ip
        if port is None:
            return Verdict(Outcome.ERROR, f"couldn't find port: {action['port']} in container {container['name']}")
        try:
            async with deadline(self._clock, seconds):
                _, writer = await asyncio.open_connection(host, port)
        except TimeoutError:
            return Verdict(Outcome.FAILURE, f"dial tcp {host}:{port}: i/o timeout")
        except OSError as error:
            return Verdict(Outcome.FAILURE, httpget.dial_error(host, port, error))
        writer.close()
        return Verdict(Outcome.SUCCESS, "")

    async def _grpc(self, action: Object, ip: str, seconds: int) -> Verdict:
        address = f"[{ip}]:{action['port']}" if ":" in ip else f"{ip}:{action['port']}"
        service = (action.get("service") or "").encode()
        request = (b"\x0a" + bytes([len(service)]) + service) if service else b""
        channel = grpc.aio.insecure_channel(address, options=[("grpc.primary_user_agent", httpget.USER_AGENT)])
        try:
            answer: bytes = await channel.unary_unary(_HEALTH_CHECK)(request, timeout=seconds)
        except grpc.aio.AioRpcError as error:
            return Verdict(Outcome.FAILURE, _grpc_failure(error, address, seconds))
        finally:
            await channel.close()
        # HealthCheckResponse{status = 1}: one varint, absent for UNKNOWN.
        status = answer[1] if len(answer) >= 2 else 0
        if status == 1:
            return Verdict(Outcome.SUCCESS, "service healthy")
        name = _STATUSES[status] if status < len(_STATUSES) else str(status)
        return Verdict(Outcome.FAILURE, f'service unhealthy (responded with "{name}")')


def _grpc_failure(error: grpc.aio.AioRpcError, address: str, seconds: int) -> str:
    if error.code() == grpc.StatusCode.UNIMPLEMENTED:
        return "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)"
    if error.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE):
        return f'timeout: failed to connect service "{address}" within {seconds}s: context deadline exceeded'
    return f"error: health rpc failed: {error.details()}"


def resolve_port(port: int | str, container: Object) -> int | None:
    """Turn a number or the name of a container's port into a number; None when there is no such port."""
    if isinstance(port, int):
        return port if 0 < port < 65536 else None
    for declared in container.get("ports") or ():
        if declared.get("name") == port:
            number: int = declared["containerPort"]
            return number
    return int(port) if port.isdigit() and 0 < int(port) < 65536 else None


def http_url(action: Object, container: Object, ip: str) -> str | None:
    """Build an httpGet action's URL; None when its port is not known."""
    port = resolve_port(action["port"], container)
    if port is None:
        return None
    host = action.get("host") or ip
    host = f"[{host}]" if ":" in host else host
    path = action.get("path") or "/"
    scheme = (action.get("scheme") or "HTTP").lower()
    return f"{scheme}://{host}:{port}{path if path.startswith('/') else '/' + path}"


def http_headers(action: Object) -> list[tuple[str, str]]:
    return [(header["name"], header.get("value", "")) for header in action.get("httpHeaders") or ()]
