"""Environment variables that tell a container of its services ({SVC}_SERVICE_HOST and the Docker-link set).

Source: Kubernetes documentation, "Discovering services", environment variables; pkg/kubelet/envvars.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.object import name_of, namespace_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.api.object import Object


def service_environment(services: Iterable[Object], namespace: str, *, links: bool) -> dict[str, str]:
    """Build the variables for a pod in namespace. links: spec.enableServiceLinks; default/kubernetes is always told."""
    chosen: dict[str, Object] = {}
    for service in services:
        if service["spec"].get("clusterIP") in (None, "", "None"):
            continue
        name, home = name_of(service), namespace_of(service)
        if home == namespace and links:
            chosen[name] = service
        elif home == "default" and name == "kubernetes":
            chosen.setdefault(name, service)
    environment: dict[str, str] = {}
    for service in chosen.values():
        environment.update(_variables(service))
    return environment


def _variables(service: Object) -> dict[str, str]:
    prefix = name_of(service).upper().replace("-", "_")
    address = service["spec"]["clusterIP"]
    ports = service["spec"].get("ports") or []
    host = f"[{address}]" if ":" in address else address
    variables = {f"{prefix}_SERVICE_HOST": address}
    if not ports:
        return variables
    variables[f"{prefix}_SERVICE_PORT"] = str(ports[0]["port"])
    for port in ports:
        if port.get("name"):
            suffix = port["name"].upper().replace("-", "_")
            variables[f"{prefix}_SERVICE_PORT_{suffix}"] = str(port["port"])
    for index, port in enumerate(ports):
        protocol = port.get("protocol") or "TCP"
        url = f"{protocol.lower()}://{host}:{port['port']}"
        if index == 0:
            variables[f"{prefix}_PORT"] = url
        link = f"{prefix}_PORT_{port['port']}_{protocol.upper()}"
        variables[link] = url
        variables[f"{link}_PROTO"] = protocol.lower()
        variables[f"{link}_PORT"] = str(port["port"])
        variables[f"{link}_ADDR"] = address
    return variables
