"""containerd's own event service (``containerd.services.events.v1.Events/Subscribe``), for runtimes without CRI events.

CRI got GetContainerEvents with containerd 1.7; 1.6 tells exits only here. The few messages needed are declared as
descriptors in this module, so that no protoc step and no containerd package is needed. Field numbers are from
containerd's api/services/events/v1/events.proto and api/events/task.proto.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import (  # type: ignore[import-untyped]
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    timestamp_pb2,
)

from sampan.kubelet.runtime import RuntimeEvent, RuntimeEventType

METHOD = "/containerd.services.events.v1.Events/Subscribe"
FILTERS = tuple(f'namespace==k8s.io,topic=="/tasks/{kind}"' for kind in ("exit", "oom", "start"))

_STRING, _UINT32, _MESSAGE = 9, 13, 11
_Field = tuple[str, int, int, str]


def _declare(package: str, messages: dict[str, list[_Field]]) -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name=f"sampan/{package.replace('.', '/')}.proto",
        package=package,
        syntax="proto3",
        dependency=[any_pb2.DESCRIPTOR.name, timestamp_pb2.DESCRIPTOR.name],
    )
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field_name, number, kind, type_name in fields:
            declared = message.field.add(name=field_name, number=number, label=3 if field_name == "filters" else 1)
            declared.type = kind
            if type_name:
                declared.type_name = type_name
    # A pool of our own: another package in the process may have declared containerd's messages as well.
    pool = descriptor_pool.DescriptorPool()
    for dependency in (any_pb2, timestamp_pb2):
        pool.AddSerializedFile(dependency.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages}


_TIMESTAMP, _ANY = ".google.protobuf.Timestamp", ".google.protobuf.Any"
_messages = _declare(
    "sampan.containerd",
    {
        "SubscribeRequest": [("filters", 1, _STRING, "")],
        "Envelope": [
            ("timestamp", 1, _MESSAGE, _TIMESTAMP),
            ("namespace", 2, _STRING, ""),
            ("topic", 3, _STRING, ""),
            ("event", 4, _MESSAGE, _ANY),
        ],
        "TaskExit": [
            ("container_id", 1, _STRING, ""),
            ("id", 2, _STRING, ""),
            ("pid", 3, _UINT32, ""),
            ("exit_status", 4, _UINT32, ""),
            ("exited_at", 5, _MESSAGE, _TIMESTAMP),
        ],
        "TaskOOM": [("container_id", 1, _STRING, "")],
        "TaskStart": [("container_id", 1, _STRING, ""), ("pid", 2, _UINT32, "")],
    },
)
SubscribeRequest = _messages["SubscribeRequest"]
Envelope = _messages["Envelope"]
TaskExit = _messages["TaskExit"]
TaskOOM = _messages["TaskOOM"]
TaskStart = _messages["TaskStart"]


def parse(envelope: Any) -> RuntimeEvent | None:
    """Turn an envelope into an event; None for what is not about a container's first process."""
    stamp = envelope.timestamp.seconds * 10**9 + envelope.timestamp.nanos
    if envelope.topic == "/tasks/exit":
        exited = TaskExit.FromString(envelope.event.value)
        if exited.id != exited.container_id:
            return None  # an exec session ended
        at = exited.exited_at.seconds * 10**9 + exited.exited_at.nanos
        return RuntimeEvent(
            type=RuntimeEventType.EXITED, container_id=exited.container_id, exit_code=exited.exit_status, at=at
        )
    if envelope.topic == "/tasks/oom":
        event = TaskOOM.FromString(envelope.event.value)
        return RuntimeEvent(type=RuntimeEventType.OOM, container_id=event.container_id, at=stamp)
    if envelope.topic == "/tasks/start":
        event = TaskStart.FromString(envelope.event.value)
        return RuntimeEvent(type=RuntimeEventType.STARTED, container_id=event.container_id, at=stamp)
    return None
