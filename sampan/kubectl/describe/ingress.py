"""Describing Ingresses and their classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError
from sampan.kubectl.describe.events import events_of, write_events
from sampan.kubectl.describe.network import endpoints_text, slices_of

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.describe.writer import Writer
    from sampan.kubectl.session import Session


async def describe_ingress(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe an Ingress, with the endpoints behind it."""
    meta, spec = obj["metadata"], obj["spec"]
    found = await events_of(session, obj) if events else None
    namespace = meta["namespace"]
    writer.write(0, f"Name:\t{meta['name']}\n")
    writer.labels("Labels", meta.get("labels"))
    writer.write(0, f"Namespace:\t{namespace}\n")
    ingress = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    writer.write(0, f"Address:\t{','.join(one.get('ip') or one.get('hostname', '') for one in ingress)}\n")
    writer.write(0, f"Ingress Class:\t{spec.get('ingressClassName', '<none>')}\n")
    default = spec.get("defaultBackend")
    shown = await _backend(session, namespace, default) if default else "<default>"
    writer.write(0, f"Default backend:\t{shown}\n")
    if spec.get("tls"):
        writer.write(0, "TLS:\n")
        for one in spec["tls"]:
            hosts = ",".join(one.get("hosts") or [])
            secret = one.get("secretName", "")
            writer.write(1, f"{secret} terminates {hosts}\n" if secret else f"SNI routes {hosts}\n")
    writer.write(0, "Rules:\n  Host\tPath\tBackends\n")
    writer.write(1, "----\t----\t--------\n")
    count = 0
    for rule in spec.get("rules") or []:
        if rule.get("http") is None:
            continue
        count += 1
        writer.write(1, f"{rule.get('host') or '*'}\t\n")
        for path in rule["http"]["paths"]:
            backend = await _backend(session, namespace, path["backend"])
            writer.write(2, f"\t{path.get('path', '')} \t{backend}\n")
    if count == 0:
        writer.write(1, f"*\t* \t{shown}\n")
    writer.annotations("Annotations", meta.get("annotations"))
    write_events(writer, found)


async def _backend(session: Session, namespace: str, backend: Object) -> str:
    if (service := backend.get("service")) is None:
        resource = backend.get("resource") or {}
        return f"APIGroup: {resource.get('apiGroup', '<none>')}, Kind: {resource['kind']}, Name: {resource['name']}"
    port = service.get("port") or {}
    shown = f"{service['name']}:{port.get('name') or port.get('number', '')}"
    try:
        found = await session.json("GET", f"/api/v1/namespaces/{namespace}/services/{service['name']}")
    except APIStatusError as error:
        return f"{shown} (<error: {error.message}>)"
    name = port.get("name") or next(
        (one.get("name", "") for one in found["spec"].get("ports") or [] if one["port"] == port.get("number")), ""
    )
    return f"{shown} ({endpoints_text(await slices_of(session, namespace, service['name']), name)})"


async def describe_ingress_class(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe an IngressClass."""
    found = await events_of(session, obj) if events else None
    spec = obj.get("spec") or {}
    writer.metadata(obj, namespaced=False)
    writer.write(0, f"Controller:\t{spec.get('controller', '')}\n")
    if parameters := spec.get("parameters"):
        writer.write(0, "Parameters:\n")
        if parameters.get("apiGroup"):
            writer.write(1, f"APIGroup:\t{parameters['apiGroup']}\n")
        writer.write(1, f"Kind:\t{parameters['kind']}\n")
        writer.write(1, f"Name:\t{parameters['name']}\n")
    write_events(writer, found)
