"""`kubectl port-forward`: local ports that lead into a pod."""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sampan.base import tasks
from sampan.client.http import HTTPResponse
from sampan.client.https import raise_for
from sampan.client.streaming import websocket
from sampan.client.streaming.portforward import TUNNEL_PROTOCOL, PortForwarder, TunnelledSession
from sampan.client.streaming.spdy import SPDYError
from sampan.client.streaming.websocket import WebSocket
from sampan.kubectl.builder import from_arguments
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError, UsageError
from sampan.kubectl.flags import Flag
from sampan.kubectl.podlookup import pod_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sampan.api.object import Object
    from sampan.kubectl.session import Session

_FLAGS = (
    Flag(name="address", kind="list", default=["localhost"], help="Addresses to listen on."),
    Flag(name="pod-running-timeout", kind="duration", default=60.0, help="How long to wait for a running pod."),
)
_SPEC = re.compile(r"(?:(\d*):)?([\w-]+)")


@dataclass(frozen=True, slots=True)
class Mapping:
    """One forwarded port; local 0 picks any free one."""

    local: int
    remote: int


async def run(session: Session, arguments: list[str], dash: int) -> None:
    """Run the command until interrupted."""
    del dash
    if len(arguments) < 2:
        raise UsageError("TYPE/NAME and list of ports are required for port-forward", session.command)
    pod = await pod_of(session, arguments[0])
    if (phase := pod.get("status", {}).get("phase")) != "Running":
        raise KubectlError(f"unable to forward port because pod is not running. Current status={phase}")
    service = await _service(session, arguments[0])
    mappings = [_mapping(spec, pod, service) for spec in arguments[1:]]
    forwarder = await _connect(session, pod)
    async with asyncio.TaskGroup() as group:
        running = tasks.spawn(group, forwarder.run(), name="port forward")
        servers = []
        for mapping in mappings:
            servers += await _listen(session, forwarder, mapping)
        await asyncio.wait({running})
        for server in servers:
            server.close()
    raise KubectlError("lost connection to pod")


async def _service(session: Session, text: str) -> Object | None:
    if "/" not in text:
        return None
    target = (await from_arguments(session, [text]))[0]
    return await session.json("GET", target.path) if target.resource.gvr.resource == "services" else None


def _mapping(spec: str, pod: Object, service: Object | None) -> Mapping:
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise KubectlError(f"invalid port format '{spec}'")
    remote = _service_port(match[2], pod, service) if service else _pod_port(match[2], pod)
    if match[1] is not None:
        return Mapping(int(match[1] or 0), remote)
    return Mapping(int(match[2]) if match[2].isdigit() else remote, remote)


def _pod_port(text: str, pod: Object) -> int:
    if text.isdigit():
        return int(text)
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or []:
            if port.get("name") == text:
                return int(port["containerPort"])
    raise KubectlError(f"Pod '{pod['metadata']['name']}' does not have a named port '{text}'")


def _service_port(text: str, pod: Object, service: Object) -> int:
    for port in service["spec"].get("ports") or []:
        if text in (str(port["port"]), port.get("name")):
            target = port.get("targetPort", port["port"])
            return _pod_port(str(target), pod)
    name = service["metadata"]["name"]
    raise KubectlError(f"Service {name} does not have a service port {text}")


async def _connect(session: Session, pod: Object) -> PortForwarder:
    metadata = pod["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/portforward"
    try:
        answer = await session.http.upgrade("GET", path, headers=websocket.client_headers([TUNNEL_PROTOCOL]))
    except OSError as error:
        raise session.unreachable(error) from error
    if isinstance(answer, HTTPResponse):
        raise_for(answer)
        raise KubectlError("the server did not upgrade the connection")
    reader, writer, _ = answer
    return PortForwarder(TunnelledSession(WebSocket(reader, writer, server=False)))


async def _listen(session: Session, forwarder: PortForwarder, mapping: Mapping) -> list[asyncio.Server]:
    servers: list[asyncio.Server] = []
    bound = _Bound(mapping.local)
    for address in _addresses(session.values.address):
        try:
            server = await asyncio.start_server(_handler(forwarder, mapping.remote, bound), address, bound.port)
        except OSError as error:
            print(
                f"Unable to listen on port {bound.port}: Listeners failed to create with the following errors: "
                f"[unable to create listener: Error listen tcp {address}:{bound.port}: {error.strerror}]",
                file=sys.stderr,
            )
            continue
        bound.port = server.sockets[0].getsockname()[1]
        shown = f"[{address}]" if ":" in address else address
        print(f"Forwarding from {shown}:{bound.port} -> {mapping.remote}", flush=True)
        servers.append(server)
    if not servers:
        raise KubectlError(f"unable to listen on any of the requested ports: [{{{mapping.local} {mapping.remote}}}]")
    return servers


@dataclass(slots=True)
class _Bound:
    """The local port: the first address that gets one decides for the others."""

    port: int


def _addresses(given: list[str]) -> list[str]:
    return [one for address in given for one in (("127.0.0.1", "::1") if address == "localhost" else (address,))]


def _handler(
    forwarder: PortForwarder, remote: int, bound: _Bound
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        print(f"Handling connection for {bound.port}", flush=True)
        try:
            if failure := await forwarder.forward(remote, (reader, writer)):
                print(f"error: an error occurred forwarding {bound.port} -> {remote}: {failure}", file=sys.stderr)
        except SPDYError as error:
            print(f"error: {error}", file=sys.stderr)
        finally:
            writer.close()

    return handle


PORT_FORWARD = Command(
    name="port-forward",
    short="Forward one or more local ports to a pod.",
    usage="TYPE/NAME [options] [LOCAL_PORT:]REMOTE_PORT [...[LOCAL_PORT_N:]REMOTE_PORT_N]",
    run=run,
    flags=_FLAGS,
)
