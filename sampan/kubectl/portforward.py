"""`kubectl port-forward`: local ports that lead to a pod's, over one connection to the API server."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, NamedTuple

from sampan.base.tasks import spawn
from sampan.kubectl.builder import Target, from_arguments
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.execute import upgrade
from sampan.kubectl.flags import Flag
from sampan.kubectl.pods import find_pod

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.client.streaming.portforward import PortForwarder
    from sampan.kubectl.session import Session

_FLAGS = (
    Flag(name="address", kind="list", default=("localhost",), help="Local addresses to listen on."),
    Flag(name="pod-running-timeout", kind="duration", default=60.0, help="How long to wait for a running pod."),
)
_LOCALHOST = ("127.0.0.1", "::1")


class _Port(NamedTuple):
    local: int
    remote: int


async def run(session: Session, arguments: list[str], dash: int) -> None:
    """Run the command."""
    del dash
    if len(arguments) < 2:
        raise KubectlError("TYPE/NAME and list of ports are required for port-forward\n"
                           "See 'kubectl port-forward -h' for help and examples")  # fmt: skip
    name, *specs = arguments
    pod = await find_pod(session, name, session.values.pod_running_timeout)
    if (service := await _service(session, name)) is not None:
        specs = [_translated(service, pod, spec) for spec in specs]
    ports = [_parse(spec, pod) for spec in specs]
    phase = (pod.get("status") or {}).get("phase")
    if phase != "Running":
        raise KubectlError(f"unable to forward port because pod is not running. Current status={phase}")
    forwarder = await _connect(session, pod)
    async with asyncio.TaskGroup() as group:
        running = spawn(group, forwarder.run(), name="session")
        servers = [server for port in ports for server in await _listen(session, forwarder, port)]
        try:
            await asyncio.wait({running})
        finally:
            for server in servers:
                server.close()
    raise KubectlError("lost connection to pod")


async def _service(session: Session, name: str) -> Object | None:
    kind, slash, _ = name.partition("/")
    if not slash or (await session.mapper()).resource(kind).gvr.resource != "services":
        return None
    target: Target = (await from_arguments(session, [name]))[0]
    return await session.json("GET", target.path)


def _translated(service: Object, pod: Object, spec: str) -> str:
    """Replace a service's port by the pod's port behind it."""
    local, colon, remote = spec.partition(":")
    wanted = remote if colon else local
    for port in service["spec"].get("ports") or []:
        if wanted in (str(port["port"]), port.get("name")):
            target = port.get("targetPort") or port["port"]
            number = target if isinstance(target, int) else _named(pod, target)
            if service["spec"].get("clusterIP") == "None":
                number = port["port"] if isinstance(target, int) else number
            shown = local if colon else str(port["port"])
            return f"{shown}:{number}"
    raise KubectlError(f"Service {service['metadata']['name']} does not have a service port {wanted}")


def _named(pod: Object, name: str) -> int:
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or []:
            if port.get("name") == name:
                number: int = port["containerPort"]
                return number
    raise KubectlError(f"Pod '{pod['metadata']['name']}' does not have a named port '{name}'")


def _parse(spec: str, pod: Object) -> _Port:
    """Parse ``8080``, ``80:8080``, ``:8080`` (any local port) and names of the pod's ports."""
    local, colon, remote = spec.partition(":")
    if not colon:
        remote = local
        if not local.isdigit():
            local = str(_named(pod, local))
    if not remote.isdigit():
        remote = str(_named(pod, remote))
    if local and not local.isdigit():
        raise KubectlError(f'error parsing local port "{local}": strconv.ParseUint: parsing "{local}": invalid syntax')
    if int(remote) == 0:
        raise KubectlError("remote port must be > 0")
    return _Port(int(local or 0), int(remote))


async def _connect(session: Session, pod: Object) -> PortForwarder:
    from sampan.client.streaming.portforward import (  # noqa: PLC0415 - start-up time
        TUNNEL_PROTOCOL,
        PortForwarder,
        TunnelledSession,
    )
    from sampan.client.streaming.websocket import WebSocket, client_headers  # noqa: PLC0415 - start-up time

    meta = pod["metadata"]
    path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/portforward"
    reader, writer, _ = await upgrade(session, path, client_headers([TUNNEL_PROTOCOL]), [])
    return PortForwarder(TunnelledSession(WebSocket(reader, writer, server=False)))


async def _listen(session: Session, forwarder: PortForwarder, port: _Port) -> list[asyncio.Server]:
    servers: list[asyncio.Server] = []
    local = port.local
    for address in session.values.address:
        failures = []
        for host in _LOCALHOST if address == "localhost" else (address,):
            try:
                server = await asyncio.start_server(_handler(forwarder, port.remote, local or port.remote), host, local)
            except OSError as error:
                failures.append(error)
                continue
            local = server.sockets[0].getsockname()[1]
            shown = f"[{host}]" if ":" in host else host
            print(f"Forwarding from {shown}:{local} -> {port.remote}", flush=True)
            servers.append(server)
        if failures and not servers:
            for failed in failures:
                print(f"Unable to listen on port {local}: {failed.strerror}", file=sys.stderr)
            raise KubectlError(f"unable to listen on any of the requested ports: [{{{port.local} {port.remote}}}]")
    return servers


def _handler(forwarder: PortForwarder, remote: int, shown: int):  # type: ignore[no-untyped-def] # noqa: ANN202
    from sampan.client.streaming.spdy import SPDYError  # noqa: PLC0415 - start-up time

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        print(f"Handling connection for {writer.get_extra_info('sockname')[1]}", flush=True)
        try:
            failure = await forwarder.forward(remote, (reader, writer))
        except (SPDYError, OSError, ExceptionGroup) as error:
            failure = str(error)
        finally:
            writer.close()
        if failure:
            print(f"an error occurred forwarding {shown} -> {remote}: {failure}", file=sys.stderr)

    return handle


PORT_FORWARD = Command(
    name="port-forward",
    short="Forward one or more local ports to a pod.",
    usage="TYPE/NAME [options] [LOCAL_PORT:]REMOTE_PORT [...[LOCAL_PORT_N:]REMOTE_PORT_N]",
    run=run,
    flags=_FLAGS,
)
