"""`kubectl exec`: run a command in a container."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError, NotFound
from sampan.client.http import HTTPResponse
from sampan.client.https import raise_for
from sampan.kubectl.builder import FILE_FLAGS, from_files
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError, SilentError
from sampan.kubectl.flags import Flag
from sampan.kubectl.pods import container_of, find_pod

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.session import Session

_FLAGS = (
    FILE_FLAGS[0],
    Flag(name="container", short="c", help="The container; the first by default."),
    Flag(name="pod-running-timeout", kind="duration", default=60.0, help="How long to wait for a running pod."),
    Flag(name="quiet", short="q", kind="bool", help="Only the command's own output."),
    Flag(name="stdin", short="i", kind="bool", help="Pass standard input to the command."),
    Flag(name="tty", short="t", kind="bool", help="Standard input is a terminal."),
)


async def run(session: Session, arguments: list[str], dash: int) -> int:
    """Run the command."""
    values = session.values
    if dash < 0 and len(arguments) > 1:
        raise KubectlError("exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead\n"
                           "See 'kubectl exec -h' for help and examples")  # fmt: skip
    names, command = arguments[: max(dash, 0)] if dash >= 0 else arguments, arguments[dash:] if dash >= 0 else []
    if not names and not values.filename:
        raise KubectlError("pod, type/name or --filename must be specified")
    if not command:
        raise KubectlError("you must specify at least one command for the container")
    name = names[0] if names else (await from_files(session))[0].shown
    pod = await find_pod(session, name, values.pod_running_timeout)
    phase = (pod.get("status") or {}).get("phase")
    if phase in ("Succeeded", "Failed"):
        raise KubectlError(f"cannot exec into a container in a completed pod; current phase is {phase}")
    container = container_of(session, pod, quiet=values.quiet)
    query = [("command", word) for word in command]
    return await stream(session, pod, container, "exec", query, stdin=values.stdin, tty=values.tty)


async def stream(
    session: Session,
    pod: Object,
    container: str,
    subresource: str,
    query: list[tuple[str, str]],
    *,
    stdin: bool,
    tty: bool,
) -> int:
    """Connect this process' streams with a container's, to the end; return the exit code."""
    from sampan.client.streaming.remotecommand import exit_code  # noqa: PLC0415 - start-up time
    from sampan.kubectl import terminal  # noqa: PLC0415 - start-up time

    if tty and not sys.stdin.isatty():
        print("Unable to use a TTY - input is not a terminal or the right kind of file", file=sys.stderr)
        tty = False
    if tty and not stdin:
        tty = False
    remote = await connect(session, pod, container, subresource, query, stdin=stdin, tty=tty)
    with terminal.raw_mode() if tty else nullcontext():
        status = await remote.run(
            stdin=await terminal.stdin_reader() if stdin else None,
            stdout=terminal.write_stdout,
            stderr=terminal.write_stderr,
            resizes=terminal.sizes() if tty else None,
        )
    return report(status, exit_code(status))


def report(status: Object, code: int) -> int:
    """Say how a remote command failed; its exit code becomes ours."""
    if status.get("status") == "Success":
        return 0
    reasons = [one.get("reason") for one in (status.get("details") or {}).get("causes") or ()]
    if "ExitCode" in reasons:
        print(f"command terminated with exit code {code}", file=sys.stderr)
        return code
    message = status.get("message", "")
    reason = status.get("reason", "")
    if reason in ("InternalError", "BadRequest", "NotFound"):
        print(f"Error from server ({reason}): {message}", file=sys.stderr)
    else:
        print(f"error: {message}", file=sys.stderr)
    return 1


async def connect(  # type: ignore[no-untyped-def] # noqa: ANN201 - its type would load the streaming modules
    session: Session,
    pod: Object,
    container: str,
    subresource: str,
    query: list[tuple[str, str]],
    *,
    stdin: bool,
    tty: bool,
):
    """Open the remote command's WebSocket. Raises APIStatusError, KubectlError."""
    from sampan.client.streaming.remotecommand import V5, RemoteCommand  # noqa: PLC0415 - start-up time
    from sampan.client.streaming.websocket import WebSocket, client_headers  # noqa: PLC0415 - start-up time

    meta = pod["metadata"]
    path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/{subresource}"
    flags = {"container": container, "stdout": "true"}
    if stdin:
        flags["stdin"] = "true"
    flags["tty" if tty else "stderr"] = "true"
    answer = await upgrade(session, path, client_headers([V5]), [*query, *flags.items()])
    reader, writer, _ = answer
    return RemoteCommand(WebSocket(reader, writer, server=False))


async def upgrade(session: Session, path: str, headers: list[tuple[str, str]], query: list[tuple[str, str]]):  # type: ignore[no-untyped-def] # noqa: ANN201
    """Ask for another protocol; return the connection's reader, writer and headers. Raises APIStatusError."""
    try:
        answer = await session.http.upgrade("GET", path, headers=headers, query=query)
    except OSError as error:
        raise session.unreachable(error) from error
    if isinstance(answer, HTTPResponse):
        try:
            raise_for(answer)
        except NotFound as error:
            if not error.details:
                raise KubectlError(f"unable to upgrade connection: {error.message}") from error
            raise
        except APIStatusError as error:
            if error.reason in ("", "InternalError"):
                raise KubectlError(f"unable to upgrade connection: {error.message}") from error
            raise
        raise SilentError("no upgrade")
    return answer


EXEC = Command(
    name="exec",
    short="Execute a command in a container.",
    usage="(POD | TYPE/NAME) [-c CONTAINER] [flags] -- COMMAND [args...]",
    run=run,
    flags=_FLAGS,
)
