"""Lifecycle hooks: postStart and preStop.

Source: Kubernetes documentation "Container lifecycle hooks"; kubelet's lifecycle/handlers.go.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sampan.base.errors import SampanError
from sampan.kubelet.probes import httpget
from sampan.kubelet.probes.checks import http_headers, http_url, resolve_port
from sampan.kubelet.runtime import RuntimeFault

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.kubelet.runtime import ContainerRuntime


class HookError(SampanError):
    """A hook failed; the text is kubelet's."""


class HookRunner:
    """Runs hooks; the caller sets time limits."""

    def __init__(self, runtime: ContainerRuntime, clock: Clock) -> None:
        self._runtime = runtime
        self._clock = clock

    async def run(self, hook: Object, container: Object, container_id: str, ip: str) -> None:
        """Run one hook to its end. Raises HookError."""
        if "exec" in hook:
            await self._exec(hook["exec"].get("command") or [], container_id)
        elif "httpGet" in hook:
            await self._http(hook["httpGet"], container, ip)
        elif "tcpSocket" in hook:
            await self._tcp(hook["tcpSocket"], container, ip)
        elif "sleep" in hook:
            await self._clock.sleep(hook["sleep"].get("seconds") or 0)

    async def _exec(self, command: list[str], container_id: str) -> None:
        try:
            stdout, stderr, code = await self._runtime.exec_sync(container_id, command, seconds=0)
        except RuntimeFault as error:
            raise HookError(str(error)) from error
        if code != 0:
            output = (stdout + stderr).decode("utf-8", "replace")
            raise HookError(f"command '{' '.join(command)}' exited with {code}: {output}, message: {output!r}")

    async def _http(self, action: Object, container: Object, ip: str) -> None:
        url = http_url(action, container, ip)
        if url is None:
            raise HookError(f"couldn't find port: {action['port']}")
        try:
            answer = await httpget.get(url, http_headers(action))
        except OSError as error:
            raise HookError(str(error)) from error
        if answer.status >= 400:
            raise HookError(f"HTTP lifecycle hook failed with statuscode: {answer.status}")

    async def _tcp(self, action: Object, container: Object, ip: str) -> None:
        port = resolve_port(action["port"], container)
        if port is None:
            raise HookError(f"couldn't find port: {action['port']}")
        try:
            _, writer = await asyncio.open_connection(action.get("host") or ip, port)
        except OSError as error:
            raise HookError(httpget.dial_error(ip, port, error)) from error
        writer.close()
