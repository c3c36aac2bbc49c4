"""`CRIRuntime`: the runtime interface over a CRI socket.

Events come from CRI's GetContainerEvents where the runtime has it, else from containerd's event service, else from a
relist every `_RELIST_SECONDS`. A container that was given no time limit by CRI (exec, image pull) may take as long as
it likes; everything else is bounded, so that a hung runtime shows as an error and not as a silent worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]
from cri_api.v1 import api_pb2 as pb
from cri_api.v1 import api_pb2_grpc

from sampan.base.log import logger
from sampan.kubelet import runtime as rt
from sampan.kubelet.cri import containerd_events, messages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from sampan.base.clock import Clock

_log = logger("kubelet.cri")

_CALL_SECONDS = 120.0
"""kubelet's --runtime-request-timeout."""
_RELIST_SECONDS = 5.0
_RECONNECT_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
_MESSAGE_BYTES = 16 << 20
"""kubelet's limit for CRI messages (maxMsgSize)."""

_CODES = {
    "OK": "OK",
    "CANCELLED": "Canceled",
    "UNKNOWN": "Unknown",
    "INVALID_ARGUMENT": "InvalidArgument",
    "DEADLINE_EXCEEDED": "DeadlineExceeded",
    "NOT_FOUND": "NotFound",
    "ALREADY_EXISTS": "AlreadyExists",
    "PERMISSION_DENIED": "PermissionDenied",
    "RESOURCE_EXHAUSTED": "ResourceExhausted",
    "FAILED_PRECONDITION": "FailedPrecondition",
    "ABORTED": "Aborted",
    "OUT_OF_RANGE": "OutOfRange",
    "UNIMPLEMENTED": "Unimplemented",
    "INTERNAL": "Internal",
    "UNAVAILABLE": "Unavailable",
    "DATA_LOSS": "DataLoss",
    "UNAUTHENTICATED": "Unauthenticated",
}


def translate(error: grpc.aio.AioRpcError) -> rt.RuntimeFault:
    """Turn a gRPC error into the interface's."""
    code = _CODES.get(error.code().name, "Unknown")
    cls = rt.RuntimeNotFound if code == "NotFound" else rt.RuntimeFault
    return cls(error.details() or "", code=code)


class CRIRuntime:
    """A CRI endpoint. endpoint: the socket's path, with or without ``unix://``."""

    def __init__(self, endpoint: str, clock: Clock) -> None:
        target = endpoint if "://" in endpoint else f"unix://{endpoint}"
        limits = [("grpc.max_receive_message_length", _MESSAGE_BYTES), ("grpc.max_send_message_length", _MESSAGE_BYTES)]
        # A local socket: reconnect at once when containerd comes back.
        backoff = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1000)]
        self._channel = grpc.aio.insecure_channel(target, options=[*limits, *backoff])
        self._runtime: Any = api_pb2_grpc.RuntimeServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._images: Any = api_pb2_grpc.ImageServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._subscribe: Any = self._channel.unary_stream(
            containerd_events.METHOD,
            request_serializer=containerd_events.SubscribeRequest.SerializeToString,
            response_deserializer=containerd_events.Envelope.FromString,
        )
        self._clock = clock

    async def close(self) -> None:
        await self._channel.close()

    async def _call(self, method: Any, request: Any, *, seconds: float | None = _CALL_SECONDS) -> Any:
        try:
            return await method(request, timeout=seconds)
        except grpc.aio.AioRpcError as error:
            raise translate(error) from None

    async def version(self) -> rt.RuntimeVersion:
        answer = await self._call(self._runtime.Version, pb.VersionRequest())
        return rt.RuntimeVersion(name=answer.runtime_name, version=answer.runtime_version)

    async def conditions(self) -> Mapping[str, tuple[bool, str, str]]:
        answer = await self._call(self._runtime.Status, pb.StatusRequest())
        return {c.type: (c.status, c.reason, c.message) for c in answer.status.conditions}

    async def run_sandbox(self, spec: rt.SandboxSpec) -> str:
        request = pb.RunPodSandboxRequest(config=messages.sandbox_config(spec), runtime_handler=spec.runtime_handler)
        answer = await self._call(self._runtime.RunPodSandbox, request, seconds=2 * _CALL_SECONDS)
        sandbox_id: str = answer.pod_sandbox_id
        return sandbox_id

    async def stop_sandbox(self, sandbox_id: str) -> None:
        await self._ignoring_absence(self._runtime.StopPodSandbox, pb.StopPodSandboxRequest(pod_sandbox_id=sandbox_id))

    async def remove_sandbox(self, sandbox_id: str) -> None:
        request = pb.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id)
        await self._ignoring_absence(self._runtime.RemovePodSandbox, request)

    async def _ignoring_absence(self, method: Any, request: Any, *, seconds: float = _CALL_SECONDS) -> None:
        try:
            await self._call(method, request, seconds=seconds)
        except rt.RuntimeNotFound:
            return

    async def sandbox_ips(self, sandbox_id: str) -> Sequence[str]:
        answer = await self._call(self._runtime.PodSandboxStatus, pb.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id))
        network = answer.status.network
        return [ip for ip in (network.ip, *(more.ip for more in network.additional_ips)) if ip]

    async def list_sandboxes(self) -> Sequence[rt.Sandbox]:
        answer = await self._call(self._runtime.ListPodSandbox, pb.ListPodSandboxRequest())
        return [messages.sandbox(item) for item in answer.items]

    async def create_container(self, sandbox_id: str, spec: rt.ContainerSpec, sandbox: rt.SandboxSpec) -> str:
        request = pb.CreateContainerRequest(
            pod_sandbox_id=sandbox_id,
            config=messages.container_config(spec),
            sandbox_config=messages.sandbox_config(sandbox),
        )
        answer = await self._call(self._runtime.CreateContainer, request)
        container_id: str = answer.container_id
        return container_id

    async def start_container(self, container_id: str) -> None:
        await self._call(self._runtime.StartContainer, pb.StartContainerRequest(container_id=container_id))

    async def stop_container(self, container_id: str, *, seconds: int) -> None:
        request = pb.StopContainerRequest(container_id=container_id, timeout=seconds)
        await self._ignoring_absence(self._runtime.StopContainer, request, seconds=_CALL_SECONDS + seconds)

    async def remove_container(self, container_id: str) -> None:
        await self._ignoring_absence(
            self._runtime.RemoveContainer, pb.RemoveContainerRequest(container_id=container_id)
        )

    async def list_containers(self) -> Sequence[rt.Container]:
        answer = await self._call(self._runtime.ListContainers, pb.ListContainersRequest())
        return [messages.container(item) for item in answer.containers]

    async def container_status(self, container_id: str) -> rt.ContainerStatus:
        answer = await self._call(self._runtime.ContainerStatus, pb.ContainerStatusRequest(container_id=container_id))
        return messages.container_status(answer.status)

    async def update_resources(self, container_id: str, resources: rt.LinuxResources) -> None:
        request = pb.UpdateContainerResourcesRequest(container_id=container_id, linux=messages.resources(resources))
        await self._call(self._runtime.UpdateContainerResources, request)

    async def reopen_log(self, container_id: str) -> None:
        await self._call(self._runtime.ReopenContainerLog, pb.ReopenContainerLogRequest(container_id=container_id))

    async def exec_sync(self, container_id: str, command: Sequence[str], *, seconds: int) -> tuple[bytes, bytes, int]:
        request = pb.ExecSyncRequest(container_id=container_id, cmd=command, timeout=seconds)
        limit = seconds + _CALL_SECONDS if seconds else None
        answer = await self._call(self._runtime.ExecSync, request, seconds=limit)
        return answer.stdout, answer.stderr, answer.exit_code

    async def exec_url(
        self, container_id: str, command: Sequence[str], *, tty: bool, stdin: bool, stdout: bool, stderr: bool
    ) -> str:
        request = messages.exec_request(container_id, command, tty=tty, stdin=stdin, stdout=stdout, stderr=stderr)
        url: str = (await self._call(self._runtime.Exec, request)).url
        return url

    async def attach_url(self, container_id: str, *, tty: bool, stdin: bool, stdout: bool, stderr: bool) -> str:
        request = pb.AttachRequest(container_id=container_id, tty=tty, stdin=stdin, stdout=stdout, stderr=stderr)
        url: str = (await self._call(self._runtime.Attach, request)).url
        return url

    async def port_forward_url(self, sandbox_id: str, ports: Sequence[int]) -> str:
        request = pb.PortForwardRequest(pod_sandbox_id=sandbox_id, port=ports)
        url: str = (await self._call(self._runtime.PortForward, request)).url
        return url

    async def stats(self) -> Sequence[rt.ContainerStats]:
        answer = await self._call(self._runtime.ListContainerStats, pb.ListContainerStatsRequest())
        return [messages.container_stats(item) for item in answer.stats]

    async def list_images(self) -> Sequence[rt.Image]:
        answer = await self._call(self._images.ListImages, pb.ListImagesRequest())
        return [messages.image(item) for item in answer.images]

    async def image_status(self, image: str) -> rt.Image | None:
        answer = await self._call(self._images.ImageStatus, pb.ImageStatusRequest(image=pb.ImageSpec(image=image)))
        return messages.image(answer.image) if answer.HasField("image") else None

    async def pull_image(self, image: str, auth: rt.RegistryAuth | None) -> str:
        request = pb.PullImageRequest(
            image=pb.ImageSpec(image=image), auth=None if auth is None else messages.auth(auth)
        )
        reference: str = (await self._call(self._images.PullImage, request, seconds=None)).image_ref
        return reference

    async def remove_image(self, image: str) -> None:
        request = pb.RemoveImageRequest(image=pb.ImageSpec(image=image))
        await self._ignoring_absence(self._images.RemoveImage, request)

    async def image_usage(self) -> tuple[str, int, int]:
        answer = await self._call(self._images.ImageFsInfo, pb.ImageFsInfoRequest())
        for usage in answer.image_filesystems:
            return usage.fs_id.mountpoint, usage.used_bytes.value, usage.inodes_used.value
        return "", 0, 0

    async def events(self) -> AsyncIterator[rt.RuntimeEvent]:
        sources = [self._cri_events, self._containerd_events]
        failures = 0
        while True:
            try:
                async for event in sources[0]() if sources else self._relists():
                    failures = 0
                    yield event
            except grpc.aio.AioRpcError as error:
                if error.code() == grpc.StatusCode.UNIMPLEMENTED:
                    sources.pop(0)
                    continue
                _log.warning("Runtime event stream ended", error=translate(error))
            await self._clock.sleep(_RECONNECT_SECONDS[min(failures, len(_RECONNECT_SECONDS) - 1)])
            failures += 1

    async def _cri_events(self) -> AsyncIterator[rt.RuntimeEvent]:
        await self._channel.channel_ready()
        call = self._runtime.GetContainerEvents(pb.GetEventsRequest(), wait_for_ready=True)
        yield rt.RuntimeEvent(type=rt.RuntimeEventType.RELIST)
        async for message in call:
            if message.container_event_type == pb.CONTAINER_STARTED_EVENT:
                kind, code = rt.RuntimeEventType.STARTED, 0
            elif message.container_event_type == pb.CONTAINER_STOPPED_EVENT:
                kind = rt.RuntimeEventType.EXITED
                codes = [s.exit_code for s in message.containers_statuses if s.id == message.container_id]
                code = codes[0] if codes else 0
            else:
                continue
            yield rt.RuntimeEvent(type=kind, container_id=message.container_id, exit_code=code, at=message.created_at)

    async def _containerd_events(self) -> AsyncIterator[rt.RuntimeEvent]:
        request = containerd_events.SubscribeRequest(filters=containerd_events.FILTERS)
        await self._channel.channel_ready()
        call = self._subscribe(request, wait_for_ready=True)
        # containerd sends no headers before the first event, so there is nothing to wait for: the kubelet relists once
        # more a moment later, for what happened while the subscription was on its way.
        yield rt.RuntimeEvent(type=rt.RuntimeEventType.RELIST)
        async for envelope in call:
            event = containerd_events.parse(envelope)
            if event is not None:
                yield event

    async def _relists(self) -> AsyncIterator[rt.RuntimeEvent]:
        while True:
            yield rt.RuntimeEvent(type=rt.RuntimeEventType.RELIST)
            await self._clock.sleep(_RELIST_SECONDS)
