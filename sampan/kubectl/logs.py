"""`kubectl logs`: what a pod's containers printed."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import orjson

from sampan.api.errors import NotFound, from_status
from sampan.base import tasks
from sampan.kubectl.builder import Target, from_arguments
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError, UsageError
from sampan.kubectl.expose import selector_of
from sampan.kubectl.flags import Flag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.api.object import Object
    from sampan.kubectl.session import Session

_FLAGS = (
    Flag(name="all-containers", kind="bool", help="All containers of the pods."),
    Flag(name="all-pods", kind="bool", help="All pods of a controller; implies --prefix."),
    Flag(name="container", short="c", help="The container."),
    Flag(name="follow", short="f", kind="bool", help="Go on as lines are written."),
    Flag(name="ignore-errors", kind="bool", help="Go on when one stream ends with an error."),
    Flag(name="insecure-skip-tls-verify-backend", kind="bool", help="Do not verify the kubelet's certificate."),
    Flag(name="limit-bytes", kind="int", help="At most so many bytes of each log."),
    Flag(name="max-log-requests", kind="int", default=5, help="Logs followed at once with a selector."),
    Flag(name="pod-running-timeout", kind="duration", default=20.0, help="How long to wait for a running pod."),
    Flag(name="prefix", kind="bool", help="Show where each line comes from."),
    Flag(name="previous", short="p", kind="bool", help="The log of the container's previous run."),
    Flag(name="selector", short="l", help="Label selector."),
    Flag(name="since", kind="duration", help="Only lines newer than e.g. 5s, 2m, 3h."),
    Flag(name="since-time", help="Only lines after this RFC 3339 time."),
    Flag(name="tail", kind="int", default=-1, help="Lines from the end; 10 with a selector, else all."),
    Flag(name="timestamps", kind="bool", help="Show the time of each line."),
)


async def run(session: Session, arguments: list[str], dash: int) -> None:
    """Run the command."""
    del dash
    values = session.values
    if len(arguments) > 2 or (not arguments and not values.selector):
        raise UsageError(
            "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for "
            "the logs command", session.command, "-h' for help and examples",
        )  # fmt: skip
    if values.since and values.since_time:
        raise KubectlError("at most one of `sinceTime` or `sinceSeconds` may be specified")
    pods = await _pods(session, arguments)
    if len(arguments) == 2:
        if values.container:
            raise UsageError("only one of -c or an inline [CONTAINER] arg is allowed", session.command)
        streams = [(pod, arguments[1]) for pod in pods]
    else:
        streams = [(pod, container) for pod in pods for container in _containers(session, pod)]
    if values.follow and len(streams) > values.max_log_requests:
        raise KubectlError(
            f"you are attempting to follow {len(streams)} log streams, but maximum allowed concurrency is "
            f"{values.max_log_requests}, use --max-log-requests to increase the limit"
        )
    if values.follow and len(streams) > 1:
        async with asyncio.TaskGroup() as group:
            for pod, container in streams:
                tasks.spawn(group, _copy(session, pod, container), name=f"log {container}")
        return
    for pod, container in streams:
        await _copy(session, pod, container)


async def _pods(session: Session, arguments: list[str]) -> list[Object]:
    values = session.values
    pods = (await session.mapper()).resource("pods")
    if values.selector and not arguments:
        listing = await session.json("GET", pods.path(session.namespace), query={"labelSelector": values.selector})
        if not listing["items"]:
            print(f"No resources found in {session.namespace} namespace.", file=sys.stderr)
        found: list[Object] = listing["items"]
        return found
    name = arguments[0]
    target = (await from_arguments(session, [name]))[0] if "/" in name else Target(
        resource=pods, namespace=session.namespace, name=name
    )  # fmt: skip
    try:
        obj = await session.json("GET", target.path)
    except NotFound as error:
        where = f' in namespace "{target.namespace}"'
        raise KubectlError(f"error from server (NotFound): {error.message}{where}") from error
    if target.resource.gvr.resource == "pods":
        return [obj]
    selector = ",".join(f"{key}={value}" for key, value in selector_of(target, obj).items())
    listing = await session.json("GET", pods.path(target.namespace), query={"labelSelector": selector})
    members: list[Object] = listing["items"]
    if not members:
        raise KubectlError("timed out waiting for the condition")
    if len(members) > 1 and not values.all_pods:
        first = members[0]["metadata"]["name"]
        print(f"Found {len(members)} pods, using pod/{first}", file=sys.stderr)
        return members[:1]
    return members


def _containers(session: Session, pod: Object) -> Iterator[str]:
    values = session.values
    names = [
        one["name"]
        for field in ("initContainers", "containers", "ephemeralContainers")
        for one in pod["spec"].get(field) or []
    ]
    if values.all_containers:
        yield from names
        return
    name = pod["metadata"]["name"]
    if values.container:
        if values.container not in names:
            raise KubectlError(f"container {values.container} is not valid for pod {name} out of: {_listed(pod)}")
        yield values.container
        return
    ordinary = [one["name"] for one in pod["spec"]["containers"]]
    default = (pod["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
    if default in names:
        yield str(default)
        return
    if len(names) > 1 and not values.selector:
        print(f'Defaulted container "{ordinary[0]}" out of: {_listed(pod)}', file=sys.stderr)
    yield ordinary[0]


def _listed(pod: Object) -> str:
    parts = [one["name"] for one in pod["spec"]["containers"]]
    parts += [f"{one['name']} (init)" for one in pod["spec"].get("initContainers") or []]
    parts += [f"{one['name']} (ephem)" for one in pod["spec"].get("ephemeralContainers") or []]
    return ", ".join(parts)


async def _copy(session: Session, pod: Object, container: str) -> None:
    metadata, values = pod["metadata"], session.values
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/log"
    prefix = f"[pod/{metadata['name']}/{container}] " if values.prefix or values.all_pods else ""
    try:
        async with session.stream("GET", path, query=_query(session, container)) as stream:
            if stream.status >= 400:
                raise from_status(orjson.loads(await stream.read()))
            fresh = True
            async for chunk in stream.chunks():
                text = chunk.decode(errors="replace")
                fresh = _write(text, prefix, fresh=fresh)
    except OSError as error:
        raise session.unreachable(error) from error


def _write(text: str, prefix: str, *, fresh: bool) -> bool:
    """Print a piece of log, each line behind the prefix; returns whether the next piece begins a line."""
    if prefix:
        text = "".join(
            (prefix if fresh or index else "") + line for index, line in enumerate(text.splitlines(keepends=True))
        )
    sys.stdout.write(text)
    sys.stdout.flush()
    return text.endswith("\n")


def _query(session: Session, container: str) -> dict[str, str]:
    values = session.values
    query = {"container": container}
    for flag, name in (("follow", "follow"), ("previous", "previous"), ("timestamps", "timestamps")):
        if getattr(values, flag):
            query[name] = "true"
    if values.insecure_skip_tls_verify_backend:
        query["insecureSkipTLSVerifyBackend"] = "true"
    tail = values.tail if "tail" in values.changed or not values.selector else 10
    if tail >= 0:
        query["tailLines"] = str(tail)
    if values.limit_bytes:
        query["limitBytes"] = str(values.limit_bytes)
    if values.since:
        query["sinceSeconds"] = str(max(1, round(values.since)))
    if values.since_time:
        query["sinceTime"] = values.since_time
    return query


LOGS = Command(
    name="logs",
    short="Print the logs for a container in a pod.",
    usage="[-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]",
    run=run,
    flags=_FLAGS,
)
