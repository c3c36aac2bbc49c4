"""`kubectl attach`, and what `kubectl run -i` does once its pod runs."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from sampan.kubectl.builder import Target
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.execute import stream
from sampan.kubectl.flags import Flag
from sampan.kubectl.pods import container_of, find_pod, spec_of, wait_pod_started

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.session import Session

_FLAGS = (
    Flag(name="container", short="c", help="The container; the first by default."),
    Flag(name="pod-running-timeout", kind="duration", default=60.0, help="How long to wait for a running pod."),
    Flag(name="quiet", short="q", kind="bool", help="Only the container's own output."),
    Flag(name="stdin", short="i", kind="bool", help="Pass standard input to the container."),
    Flag(name="tty", short="t", kind="bool", help="Standard input is a terminal."),
)


async def run(session: Session, arguments: list[str], dash: int) -> int:
    """Run the command."""
    del dash
    values = session.values
    if not arguments:
        raise KubectlError("at least 1 argument is required for attach")
    if len(arguments) > 2:
        raise KubectlError(
            f"expected POD, TYPE/NAME, or TYPE NAME, (at most 2 arguments) saw {len(arguments)}: {arguments}"
        )
    pod = await find_pod(session, "/".join(arguments), values.pod_running_timeout)
    phase = (pod.get("status") or {}).get("phase")
    if phase in ("Succeeded", "Failed"):
        raise KubectlError(f"cannot attach a container in a completed pod; current phase is {phase}")
    return await _attach(session, pod)


async def _attach(session: Session, pod: Object) -> int:
    values = session.values
    container = container_of(session, pod, quiet=values.quiet)
    tty = values.tty
    if tty and not spec_of(pod, container).get("tty"):
        tty = False
        print(f"error: Unable to use a TTY - container {container} did not allocate one", file=sys.stderr)
    if not values.quiet:
        print("All commands and output from this session will be recorded in container logs, including credentials and "
              "sensitive information passed through the command prompt.", file=sys.stderr)  # fmt: skip
        print("If you don't see a command prompt, try pressing enter.", file=sys.stderr)
    return await stream(session, pod, container, "attach", [], stdin=values.stdin, tty=tty)


async def attach_to_new_pod(session: Session, created: Object) -> int:
    """Wait for a pod that `run` made, attach to it, and with --rm delete it in the end; return its exit code."""
    values = session.values
    resource = (await session.mapper()).resource("pods")
    if created["kind"] != "Pod":
        raise KubectlError("--attach, -i and --rm need a pod, not a ReplicationController")
    target = Target(resource=resource, namespace=created["metadata"]["namespace"], name=created["metadata"]["name"])
    try:
        pod = await wait_pod_started(session, target, values.pod_running_timeout)
        code = await (_attach(session, pod) if pod["status"]["phase"] == "Running" else _logs(session, pod))
        if values.restart == "Never":
            code = await _exit_code(session, target, code)
        return code
    finally:
        if values.rm:
            await session.json("DELETE", target.path, body={"kind": "DeleteOptions", "apiVersion": "v1"})
            print(f'pod "{target.name}" deleted from {target.namespace} namespace')


async def _logs(session: Session, pod: Object) -> int:
    meta = pod["metadata"]
    answer = await session.request("GET", f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/log")
    sys.stdout.write(answer.body.decode(errors="replace"))
    return 0


async def _exit_code(session: Session, target: Target, code: int) -> int:
    """The exit code of a pod that runs once."""
    async with asyncio.timeout(session.values.pod_running_timeout):
        while True:
            pod = await session.json("GET", target.path)
            phase = pod["status"].get("phase")
            if phase == "Succeeded":
                return 0
            if phase == "Failed":
                state = pod["status"]["containerStatuses"][0]["state"].get("terminated") or {}
                failed: int = state.get("exitCode", 1)
                print(
                    f"pod {target.namespace}/{target.name} terminated ({state.get('reason', 'Error')})", file=sys.stderr
                )
                return failed
            if code:
                return code
            await asyncio.sleep(0.1)


ATTACH = Command(
    name="attach",
    short="Attach to a running container.",
    usage="(POD | TYPE/NAME) -c CONTAINER",
    run=run,
    flags=_FLAGS,
)
