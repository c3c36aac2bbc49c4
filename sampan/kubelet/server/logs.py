"""``/containerLogs/<namespace>/<pod>/<container>``: a container's log.

Source: kubelet.go (GetKubeletContainerLogs, validateContainerLogStatus); texts are its.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sampan.api import times
from sampan.base.tasks import spawn
from sampan.kubelet import pods
from sampan.kubelet.logs.reader import LogOptions, read_log
from sampan.kubelet.server.http import HTTPFault

if TYPE_CHECKING:
    from sampan.base.clock import Clock
    from sampan.kubelet.podworker import PodWorker
    from sampan.kubelet.podworkers import PodWorkers
    from sampan.kubelet.records import ContainerRecord
    from sampan.kubelet.server.http import HTTPExchange, HTTPRequest


class LogHandler:
    """Handles container logs."""

    def __init__(self, workers: PodWorkers, clock: Clock) -> None:
        self._workers = workers
        self._clock = clock

    async def handle(self, exchange: HTTPExchange) -> None:
        parts = exchange.request.parts
        if len(parts) != 4:
            raise HTTPFault(404, "404 page not found")
        _, namespace, name, container = parts
        worker = self._workers.find(namespace, name)
        if worker is None:
            raise HTTPFault(404, f'pod "{name}" does not exist')
        if pods.find_container(worker.pod, container) is None:
            raise HTTPFault(404, f'container "{container}" not found in pod "{name}"')
        record = _choose(worker, name, container, previous=exchange.request.flag("previous"))
        options = self._options(exchange.request)
        await _send(exchange, Path(record.log_path), options, record)

    def _options(self, request: HTTPRequest) -> LogOptions:
        since = 0.0
        seconds = _number(request.value("sinceSeconds"))
        if seconds is not None:
            since = self._clock.time() - seconds
        elif request.value("sinceTime"):
            try:
                since = times.parse(request.value("sinceTime"))
            except ValueError as error:
                raise HTTPFault(400, str(error)) from error
        return LogOptions(
            follow=request.flag("follow"),
            timestamps=request.flag("timestamps"),
            tail=_number(request.value("tailLines")),
            since=since,
            limit=_number(request.value("limitBytes")),
            stream=request.value("stream", "All"),
        )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _choose(worker: PodWorker, pod: str, container: str, *, previous: bool) -> ContainerRecord:
    """Find the instance whose log is meant. Raises HTTPFault 400."""
    history = worker.records.containers.get(container) or []
    if previous:
        ended = [record for record in history if record.ended]
        current_ended = bool(history) and history[0].ended and "waiting" not in _state(worker, container)
        candidates = ended[1:] if current_ended else ended
        if not candidates:
            raise HTTPFault(400, f'previous terminated container "{container}" in pod "{pod}" not found')
        return candidates[0]
    if not history:
        waiting = _state(worker, container).get("waiting") or {}
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        if reason in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"):
            text = f'container "{container}" in pod "{pod}" is waiting to start: '
            text += {
                "ErrImagePull": "image can't be pulled",
                "ImagePullBackOff": "trying and failing to pull image",
            }.get(reason, message or reason)
            raise HTTPFault(400, text)
        raise HTTPFault(400, f'container "{container}" in pod "{pod}" is waiting to start: {reason}')
    return history[0]


def _state(worker: PodWorker, container: str) -> dict[str, dict[str, str]]:
    status = worker.status()
    for key in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for entry in status.get(key) or ():
            if entry["name"] == container:
                state: dict[str, dict[str, str]] = entry["state"]
                return state
    return {}


async def _send(exchange: HTTPExchange, path: Path, options: LogOptions, record: ContainerRecord) -> None:
    try:
        path.stat()
    except OSError as error:
        raise HTTPFault(404, f"unable to retrieve container logs for containerd://{record.id}") from error
    exchange.start(close=True)

    async def stream() -> None:
        # A client that goes away is no error, and none may leave the task group.
        with suppress(OSError):
            async with aclosing(read_log(path, options, alive=lambda: record.running)) as blocks:
                async for block in blocks:
                    await exchange.write(block)

    async with asyncio.TaskGroup() as group:
        work = spawn(group, stream(), name="log")
        # A client that goes away while nothing is written is noticed by reading: it sends nothing more otherwise.
        gone = spawn(group, _wait_gone(exchange), name="client")
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            gone.cancel()
        else:
            work.cancel()
    if work.done() and not work.cancelled():
        exchange.finish()
    exchange.taken = True  # a byte may have been read for nothing: the connection is not used again


async def _wait_gone(exchange: HTTPExchange) -> None:
    with suppress(OSError):
        await exchange.reader.read(1)
