"""`kubectl expose`: a Service for a controller, pod or service, from its selector and ports."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sampan.api import mergepatch
from sampan.kubectl.builder import FILE_FLAGS, Target, from_arguments, from_files
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.flags import Flag
from sampan.kubectl.parsing import pairs
from sampan.kubectl.writing import WRITE_FLAGS, create, manager_flag, report

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.session import Session

_FLAGS = (
    *FILE_FLAGS,
    *WRITE_FLAGS,
    manager_flag("expose"),
    Flag(name="cluster-ip", help="The ClusterIP; None for a headless service."),
    Flag(name="external-ip", help="A further address of the service."),
    Flag(name="labels", short="l", help="Labels of the service."),
    Flag(name="load-balancer-ip", help="Address to ask the load balancer for."),
    Flag(name="name", help="Name of the service; that of the object by default."),
    Flag(name="overrides", help="JSON to merge into the service."),
    Flag(name="override-type", default="merge", help="merge."),
    Flag(name="port", help="Port of the service; the object's by default."),
    Flag(name="protocol", help="TCP, UDP or SCTP; the object's by default."),
    Flag(name="save-config", kind="bool", help="Accepted for compatibility."),
    Flag(name="selector", help="Selector of the service; the object's by default."),
    Flag(name="session-affinity", help="None or ClientIP."),
    Flag(name="target-port", help="Name or number of the pods' port; that of the service by default."),
    Flag(name="type", help="ClusterIP, NodePort, LoadBalancer or ExternalName."),
)
_EXPOSABLE = frozenset({"replicationcontrollers", "services", "pods", "deployments", "replicasets"})


async def run(session: Session, arguments: list[str], dash: int) -> None:
    """Run the command."""
    del dash
    values = session.values
    targets = await (from_files(session) if values.filename else from_arguments(session, arguments))
    if not targets or not all(target.name for target in targets):
        raise KubectlError("resource(s) were provided, but no name was specified")
    for target in targets:
        if target.resource.gvr.resource not in _EXPOSABLE:
            raise KubectlError(f"cannot expose a {target.resource.kind.kind}.{target.resource.gvr.group}".rstrip("."))
        source = await session.json("GET", target.path)
        service = _service(session, target, source)
        if values.overrides:
            service = mergepatch.apply(service, json.loads(values.overrides))
        resource = (await session.mapper()).resource("services")
        made = Target(resource=resource, namespace=session.namespace, name=service["metadata"]["name"])
        report(session, made, await create(session, made, service), "exposed")


def _service(session: Session, target: Target, source: Object) -> Object:
    values = session.values
    selector = pairs(values.selector, "selector") if values.selector else selector_of(target, source)
    labels = pairs(values.labels, "label") if values.labels else source["metadata"].get("labels")
    metadata: Object = {"name": (values.name or target.name)[:63]}
    if labels:
        metadata["labels"] = labels
    spec: Object = {"selector": selector, "ports": _ports(session, source)}
    for flag, field in (("type", "type"), ("session_affinity", "sessionAffinity"),
                        ("load_balancer_ip", "loadBalancerIP")):  # fmt: skip
        if value := getattr(values, flag):
            spec[field] = value
    if values.external_ip:
        spec["externalIPs"] = [values.external_ip]
    if values.cluster_ip:
        spec["clusterIP"] = values.cluster_ip
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec, "status": {"loadBalancer": {}}}


def selector_of(target: Target, source: Object) -> dict[str, str]:
    """The pods that an object means, as a Service's selector. Raises KubectlError where that cannot be said."""
    kind = target.resource.gvr.resource
    if kind == "pods":
        labels: dict[str, str] = source["metadata"].get("labels") or {}
        if not labels:
            raise KubectlError(
                "couldn't retrieve selectors via --selector flag or introspection: the pod has no labels and cannot be "
                "exposed"
            )
        return labels
    selector = source["spec"].get("selector") or {}
    if kind in {"deployments", "replicasets"}:
        if selector.get("matchExpressions"):
            raise KubectlError(
                "couldn't retrieve selectors via --selector flag or introspection: couldn't convert expressions - "
                f'"{_go_expressions(selector["matchExpressions"])}" to map-based selector format'
            )
        selector = selector.get("matchLabels") or {}
    if not selector:
        raise KubectlError("couldn't retrieve selectors via --selector flag or introspection: object has no selector")
    found: dict[str, str] = selector
    return found


def _go_expressions(expressions: list[Object]) -> str:
    texts = [
        f"{{Key:{one['key']} Operator:{one['operator']} Values:[{' '.join(one.get('values') or [])}]}}"
        for one in expressions
    ]
    return "[" + " ".join(texts) + "]"


def _ports(session: Session, source: Object) -> list[Object]:
    values = session.values
    known = _source_ports(source)
    if values.port:
        protocol = values.protocol or next((one[1] for one in known if str(one[0]) == values.port), "TCP")
        numbers = [(int(part), protocol) for part in values.port.split(",")]
    elif known:
        numbers = [(port, values.protocol or protocol) for port, protocol in known]
    else:
        raise KubectlError("couldn't find port via --port flag or introspection")
    ports = []
    for index, (port, protocol) in enumerate(numbers):
        target: int | str = port
        if values.target_port:
            target = int(values.target_port) if values.target_port.isdigit() else values.target_port
        entry: Object = {"port": port, "targetPort": target, "protocol": protocol}
        if len(numbers) > 1:
            entry["name"] = f"port-{index + 1}"
        ports.append(entry)
    return ports


def _source_ports(source: Object) -> list[tuple[int, str]]:
    if source["kind"] == "Service":
        return [(one["port"], one.get("protocol", "TCP")) for one in source["spec"].get("ports") or []]
    spec = source["spec"] if source["kind"] == "Pod" else source["spec"]["template"]["spec"]
    return [
        (port["containerPort"], port.get("protocol", "TCP"))
        for container in spec["containers"]
        for port in container.get("ports") or []
    ]


EXPOSE = Command(
    name="expose",
    short="Take a replication controller, service, deployment or pod and expose it as a new service.",
    usage="(-f FILENAME | TYPE NAME) [--port=port] [--protocol=TCP|UDP|SCTP] [--target-port=number-or-name] "
    "[--name=name] [--external-ip=external-ip-of-service] [--type=type]",
    run=run,
    flags=_FLAGS,
)
