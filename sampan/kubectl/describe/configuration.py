"""Describing Secrets, ConfigMaps, ServiceAccounts and PriorityClasses."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from sampan.kubectl.describe.events import events_of, write_events
from sampan.kubectl.describe.writer import NONE

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.describe.writer import Writer
    from sampan.kubectl.session import Session


async def describe_secret(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe a Secret: sizes only, but for service-account tokens."""
    del session, events
    writer.metadata(obj)
    writer.write(0, f"\nType:\t{obj.get('type', '')}\n")
    writer.write(0, "\nData\n====\n")
    for key in sorted(obj.get("data") or {}):
        value = base64.b64decode(obj["data"][key] or "")
        if key == "token" and obj.get("type") == "kubernetes.io/service-account-token":
            writer.write(0, f"{key}:\t{value.decode(errors='replace')}\n")
        else:
            writer.write(0, f"{key}:\t{len(value)} bytes\n")


async def describe_config_map(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe a ConfigMap."""
    found = await events_of(session, obj) if events else None
    writer.metadata(obj)
    writer.write(0, "\nData\n====\n")
    for key in sorted(obj.get("data") or {}):
        writer.write(0, f"{key}:\n----\n")
        writer.write(0, f"{obj['data'][key]}\n\n")
    writer.write(0, "\nBinaryData\n====\n")
    for key in sorted(obj.get("binaryData") or {}):
        writer.write(0, f"{key}: {len(base64.b64decode(obj['binaryData'][key] or ''))} bytes\n")
    writer.write(0, "\n")
    write_events(writer, found)


async def describe_service_account(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe a ServiceAccount."""
    found = await events_of(session, obj) if events else None
    writer.metadata(obj)
    writer.lines("Image pull secrets", sorted(one["name"] for one in obj.get("imagePullSecrets") or []))
    write_events(writer, found)


async def describe_priority_class(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe a PriorityClass."""
    found = await events_of(session, obj) if events else None
    writer.write(0, f"Name:\t{obj['metadata']['name']}\n")
    writer.write(0, f"Value:\t{obj.get('value', 0)}\n")
    writer.write(0, f"GlobalDefault:\t{str(bool(obj.get('globalDefault'))).lower()}\n")
    writer.write(0, f"PreemptionPolicy:\t{obj.get('preemptionPolicy', '')}\n")
    writer.write(0, f"Description:\t{obj.get('description', '')}\n")
    annotations = obj["metadata"].get("annotations") or {}
    writer.write(0, f"Annotations:\t{','.join(f'{k}={v}' for k, v in sorted(annotations.items())) or NONE}\n")
    write_events(writer, found)
