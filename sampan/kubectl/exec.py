"""`kubectl exec` and `kubectl attach`: a command in a container, or the container's own process."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, TextIO

from sampan.client.http import HTTPResponse
from sampan.client.https import raise_for
from sampan.client.streaming import websocket
from sampan.client.streaming.remotecommand import V5, RemoteCommand, exit_code
from sampan.client.streaming.websocket import WebSocket
from sampan.kubectl.builder import FILE_FLAGS
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError, UsageError
from sampan.kubectl.flags import Flag
from sampan.kubectl.podlookup import default_container, pod_of
from sampan.kubectl.terminal import raw_terminal, sizes, standard_input

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.api.object import Object
    from sampan.kubectl.session import Session

_COMMON = (
    Flag(name="container", short="c", help="The container; the first, or the annotated default, when left out."),
    Flag(name="pod-running-timeout", kind="duration", default=60.0, help="How long to wait for a running pod."),
    Flag(name="quiet", short="q", kind="bool", help="Print only what the command prints."),
    Flag(name="stdin", short="i", kind="bool", help="Pass standard input on."),
    Flag(name="tty", short="t", kind="bool", help="Standard input is a terminal."),
)
_DETACH = Flag(name="detach-keys", default="ctrl-p,ctrl-q", help="Accepted for compatibility.")


async def run_exec(session: Session, arguments: list[str], dash: int) -> int:
    """Run `kubectl exec`."""
    values = session.values
    names = arguments[:dash] if dash >= 0 else arguments
    command = arguments[dash:] if dash >= 0 else []
    if values.filename and len(names) > 1:
        raise KubectlError("you must not specify a resource or file and arguments")
    if not names and not values.filename:
        raise UsageError("pod, type/name or --filename must be specified", session.command)
    if dash < 0 and len(names) > 1:
        raise KubectlError("exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead\n"
                           "See 'kubectl exec -h' for help and examples")  # fmt: skip
    if not command:
        raise KubectlError("you must specify at least one command for the container")
    pod = await pod_of(session, names[0])
    if (phase := pod.get("status", {}).get("phase")) in ("Succeeded", "Failed"):
        raise KubectlError(f"cannot exec into a container in a completed pod; current phase is {phase}")
    return await stream(session, pod, "exec", [("command", one) for one in command])


async def run_attach(session: Session, arguments: list[str], dash: int) -> int:
    """Run `kubectl attach`."""
    del dash
    if len(arguments) != 1:
        what = "at least 1 argument is required for attach" if not arguments else (
            f"expected POD, TYPE/NAME, or TYPE NAME, (at most 2 arguments) saw {len(arguments)}: {arguments}")  # fmt: skip
        raise UsageError(what, session.command)
    pod = await pod_of(session, arguments[0])
    if (phase := pod.get("status", {}).get("phase")) in ("Succeeded", "Failed"):
        raise KubectlError(f"cannot attach a container in a completed pod; current phase is {phase}")
    if not session.values.quiet and session.values.stdin:
        print("If you don't see a command prompt, try pressing enter.", file=sys.stderr)
    return await stream(session, pod, "attach", [])


async def stream(session: Session, pod: Object, subresource: str, query: list[tuple[str, str]]) -> int:
    """Connect to a container's streams until they end; returns the command's exit code. Raises KubectlError."""
    values = session.values
    container = values.container or default_container(session, pod, subresource)
    terminal = values.tty
    if terminal and not sys.stdin.isatty():
        print("Unable to use a TTY - input is not a terminal or the right kind of file", file=sys.stderr)
        terminal = False
    query = [*query, ("container", container), ("stdout", "true")]
    query += [("stdin", "true")] if values.stdin else []
    query += [("tty", "true")] if terminal else [("stderr", "true")]
    metadata = pod["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/{subresource}"
    try:
        answer = await session.http.upgrade("GET", path, headers=websocket.client_headers([V5]), query=query)
    except OSError as error:
        raise session.unreachable(error) from error
    if isinstance(answer, HTTPResponse):
        raise_for(answer)
        raise KubectlError("the server did not upgrade the connection")
    reader, writer, _ = answer
    remote = RemoteCommand(WebSocket(reader, writer, server=False))
    try:
        with raw_terminal() if terminal else nullcontext():
            status = await remote.run(
                stdin=await standard_input() if values.stdin else None,
                stdout=_to(sys.stdout),
                stderr=_to(sys.stderr),
                resizes=sizes() if terminal else None,
            )  # fmt: skip
    finally:
        writer.close()
    return _outcome(status)


def _outcome(status: Object) -> int:
    if status.get("status") == "Success":
        return 0
    causes = (status.get("details") or {}).get("causes") or ()
    if any(cause.get("reason") == "ExitCode" for cause in causes):
        code = exit_code(status)
        print(f"command terminated with exit code {code}", file=sys.stderr)
        return code
    raise KubectlError(status.get("message", "the command failed"))


def _to(target: TextIO) -> Callable[[bytes], None]:
    def write(data: bytes) -> None:
        target.buffer.write(data)
        target.buffer.flush()

    return write


EXEC = Command(
    name="exec",
    short="Execute a command in a container.",
    usage="(POD | TYPE/NAME) [-c CONTAINER] [flags] -- COMMAND [args...]",
    run=run_exec,
    flags=(*FILE_FLAGS, *_COMMON),
)
ATTACH = Command(
    name="attach",
    short="Attach to a process that is already running inside an existing container.",
    usage="(POD | TYPE/NAME) -c CONTAINER",
    run=run_attach,
    flags=(*_COMMON, _DETACH),
)
