"""`kubectl version` and `kubectl cluster-info`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from sampan.api.errors import APIStatusError
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.flags import Flag

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.session import Session

CLIENT_VERSION = "v1.36.2"
KUSTOMIZE_VERSION = "v5.8.1"
"""kubectl names the kustomize that it was built with; sampan has none, scripts look for the line."""

_VERSION_FLAGS = (
    Flag(name="client", kind="bool", help="Only the client's version."),
    Flag(name="output", short="o", help="json or yaml."),
)


async def version(session: Session, arguments: list[str], dash: int) -> None:
    """Run version."""
    del dash
    values = session.values
    if arguments:
        raise KubectlError(f"extra arguments: [{' '.join(arguments)}]")
    if values.output not in ("", "yaml", "json"):
        raise KubectlError("--output must be 'yaml' or 'json'")
    server, failure = None, None
    if not values.client:
        try:
            server = await session.json("GET", "/version")
        except (KubectlError, APIStatusError) as error:
            failure = error
    document: dict[str, Any] = {"clientVersion": _client(), "kustomizeVersion": KUSTOMIZE_VERSION}
    if server is not None:
        document["serverVersion"] = server
    if values.output == "json":
        print(json.dumps(document, indent=2))
    elif values.output == "yaml":
        from sampan.kubectl.yamlprint import dump  # noqa: PLC0415 - start-up time

        print(dump(document))
    else:
        print(f"Client Version: {CLIENT_VERSION}\nKustomize Version: {KUSTOMIZE_VERSION}")
        if server is not None:
            print(f"Server Version: {server['gitVersion']}")
            _warn_skew(server)
    if failure is not None:
        raise failure


def _client() -> Object:
    major, minor, _ = CLIENT_VERSION.removeprefix("v").split(".")
    return {
        "major": major,
        "minor": minor,
        "gitVersion": CLIENT_VERSION,
        "gitCommit": "sampan",
        "gitTreeState": "clean",
        "buildDate": "2026-06-01T00:00:00Z",
        "goVersion": f"python{sys.version_info.major}.{sys.version_info.minor}",
        "compiler": sys.implementation.name,
        "platform": "linux/amd64",
    }


def _warn_skew(server: Object) -> None:
    mine = int(CLIENT_VERSION.split(".")[1])
    theirs = int("".join(filter(str.isdigit, server.get("minor", ""))) or mine)
    if abs(mine - theirs) > 1:
        print(
            f"Warning: version difference between client (1.{mine}) and server (1.{theirs}) exceeds the supported "
            "minor version skew of +/-1",
            file=sys.stderr,
        )


async def cluster_info(session: Session, arguments: list[str], dash: int) -> None:
    """Run cluster-info."""
    del arguments, dash
    query = {"labelSelector": "kubernetes.io/cluster-service=true"}
    namespace = session.namespace if session.namespace_given else "kube-system"
    services = await session.json("GET", f"/api/v1/namespaces/{namespace}/services", query=query)
    server = session.config.server
    _line("Kubernetes control plane", server)
    for one in services["items"]:
        meta, spec = one["metadata"], one["spec"]
        name = (meta.get("labels") or {}).get("kubernetes.io/name") or meta["name"]
        ingress = ((one.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
        ports = spec.get("ports") or []
        if ingress:
            address = ingress[0].get("ip") or ingress[0].get("hostname")
            _line(name, "".join(f"http://{address}:{port['port']} " for port in ports))
            continue
        port = f":{ports[0].get('name', '')}" if ports and ports[0].get("name") else ""
        scheme = "https:" if ports and (ports[0].get("name") == "https" or ports[0]["port"] == 443) else ""
        _line(name, f"{server}/api/v1/namespaces/{meta['namespace']}/services/{scheme}{meta['name']}{port}/proxy")
    print("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.")


def _line(name: str, address: str) -> None:
    """One line, coloured on a terminal as kubectl does."""
    if sys.stdout.isatty():
        print(f"\x1b[32m{name}\x1b[0m is running at \x1b[33m{address}\x1b[0m")
    else:
        print(f"{name} is running at {address}")


VERSION = Command(name="version", short="Print the client and server version.", run=version, flags=_VERSION_FLAGS)
CLUSTER_INFO = Command(
    name="cluster-info", short="Display addresses of the control plane and services.", run=cluster_info
)
