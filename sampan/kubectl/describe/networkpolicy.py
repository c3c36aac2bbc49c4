"""Describing NetworkPolicies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.kubectl.describe.writer import selector_text

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.describe.writer import Writer
    from sampan.kubectl.session import Session


async def describe_network_policy(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe a NetworkPolicy."""
    del session, events
    meta, spec = obj["metadata"], obj["spec"]
    created = meta["creationTimestamp"].replace("T", " ").removesuffix("Z")
    writer.write(0, f"Name:\t{meta['name']}\nNamespace:\t{meta['namespace']}\nCreated on:\t{created} +0000 UTC\n")
    writer.labels("Labels", meta.get("labels"))
    writer.annotations("Annotations", meta.get("annotations"))
    writer.write(0, "Spec:\n")
    writer.write(1, "PodSelector: ")
    selector = selector_text(spec.get("podSelector") or {})
    every = "<none> (Allowing the specific traffic to all pods in this namespace)"
    writer.write(2, f"{every if selector == '<none>' else selector}\n")
    types = spec.get("policyTypes") or []
    if "Ingress" in types:
        writer.write(1, "Allowing ingress traffic:\n")
        _write_rules(writer, spec.get("ingress"), "from", "From", "source", "ingress")
    else:
        writer.write(1, "Not affecting ingress traffic\n")
    if "Egress" in types:
        writer.write(1, "Allowing egress traffic:\n")
        _write_rules(writer, spec.get("egress"), "to", "To", "destination", "egress")
    else:
        writer.write(1, "Not affecting egress traffic\n")
    writer.write(1, f"Policy Types: {', '.join(types)}\n")


def _write_rules(writer: Writer, rules: list[Object] | None, field: str, title: str, end: str, way: str) -> None:  # noqa: PLR0917
    if not rules:
        writer.write(2, f"<none> (Selected pods are isolated for {way} connectivity)\n")
        return
    for index, rule in enumerate(rules):
        _write_ports(writer, rule.get("ports"))
        if not rule.get(field):
            writer.write(2, f"{title}: <any> (traffic not restricted by {end})\n")
        for peer in rule.get(field) or []:
            writer.write(2, f"{title}:\n")
            _write_peer(writer, peer)
        if index != len(rules) - 1:
            writer.write(2, "----------\n")


def _write_ports(writer: Writer, ports: list[Object] | None) -> None:
    if not ports:
        writer.write(2, "To Port: <any> (traffic allowed to all ports)\n")
    for port in ports or []:
        number, protocol = port.get("port", "<any>"), port.get("protocol", "TCP")
        if "endPort" in port:
            writer.write(2, f"To Port Range: {number}-{port['endPort']}/{protocol}\n")
        else:
            writer.write(2, f"To Port: {number}/{protocol}\n")


def _write_peer(writer: Writer, peer: Object) -> None:
    if block := peer.get("ipBlock"):
        writer.write(3, "IPBlock:\n")
        writer.write(4, f"CIDR: {block['cidr']}\n")
        writer.write(4, f"Except: {', '.join(block.get('except') or [])}\n")
        return
    for field in ("namespaceSelector", "podSelector"):
        if field in peer:
            writer.write(3, f"{field[0].upper()}{field[1:]}: {selector_text(peer[field])}\n")
