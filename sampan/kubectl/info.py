"""Commands that only look at the server: version, cluster-info, api-resources, api-versions."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.flags import Flag
from sampan.kubectl.output import to_json, to_yaml
from sampan.kubectl.tableprint import render_rows

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.mapping import Resource
    from sampan.kubectl.session import Session

CLIENT_VERSION = {
    "major": "1", "minor": "36", "gitVersion": "v1.36.2", "platform": "linux/amd64",
}  # fmt: skip
"""The kubectl whose behaviour this one has."""
_KUSTOMIZE = "v5.8.1"
_SUPPORTED_SKEW = 1


async def run_version(session: Session, arguments: list[str], dash: int) -> None:
    """Run `kubectl version`."""
    del arguments, dash
    values = session.values
    if values.output not in ("", "json", "yaml"):
        raise KubectlError("--output must be 'yaml' or 'json'")
    document: Object = {"clientVersion": CLIENT_VERSION, "kustomizeVersion": _KUSTOMIZE}
    if not values.client:
        document["serverVersion"] = await session.json("GET", "/version")
    if values.output:
        sys.stdout.write(to_json(document) if values.output == "json" else to_yaml(document))
        return
    print(f"Client Version: {CLIENT_VERSION['gitVersion']}")
    print(f"Kustomize Version: {_KUSTOMIZE}")
    if server := document.get("serverVersion"):
        print(f"Server Version: {server['gitVersion']}")
        skew = abs(int(server["minor"].rstrip("+")) - int(CLIENT_VERSION["minor"]))
        if skew > _SUPPORTED_SKEW:
            print(
                f"WARNING: version difference between client ({CLIENT_VERSION['major']}.{CLIENT_VERSION['minor']}) and "
                f"server ({server['major']}.{server['minor']}) exceeds the supported minor version skew of +/-1",
                file=sys.stderr,
            )


async def run_cluster_info(session: Session, arguments: list[str], dash: int) -> None:
    """Run `kubectl cluster-info`."""
    del dash
    if arguments:
        raise KubectlError(f'unknown command "{arguments[0]}" for "kubectl cluster-info"')
    services = await session.json(
        "GET", "/api/v1/namespaces/kube-system/services", query={"labelSelector": "kubernetes.io/cluster-service=true"}
    )
    server = session.config.server.rstrip("/")
    _print_place("Kubernetes control plane", server)
    for service in services["items"]:
        _print_place(_service_name(service), _service_url(server, service))
    print("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.")


def _service_name(service: Object) -> str:
    metadata = service["metadata"]
    return (metadata.get("labels") or {}).get("kubernetes.io/name") or str(metadata["name"])


def _service_url(server: str, service: Object) -> str:
    metadata, ingress = service["metadata"], service.get("status", {}).get("loadBalancer", {}).get("ingress") or []
    ports = service["spec"].get("ports") or []
    if ingress:
        address = ingress[0].get("ip") or ingress[0].get("hostname")
        return " ".join(f"http://{address}:{port['port']}" for port in ports)
    port = ports[0] if ports else {}
    name = metadata["name"]
    scheme = "https:" if port.get("name") == "https" or port.get("port") == 443 else ""
    place = f"{scheme}{name}:{port.get('name', '')}" if scheme or port.get("name") else name
    return f"{server}/api/v1/namespaces/{metadata['namespace']}/services/{place}/proxy"


def _print_place(name: str, url: str) -> None:
    if sys.stdout.isatty():
        print(f"\033[0;32m{name}\033[0m is running at \033[0;33m{url}\033[0m")
    else:
        print(f"{name} is running at {url}")


async def run_api_versions(session: Session, arguments: list[str], dash: int) -> None:
    """Run `kubectl api-versions`."""
    del dash
    if arguments:
        raise KubectlError(f"unexpected arguments: {arguments}")
    core, groups = await session.json("GET", "/api"), await session.json("GET", "/apis")
    versions = [*core["versions"]]
    versions += [version["groupVersion"] for group in groups["groups"] for version in group["versions"]]
    for version in sorted(versions):
        print(version)


async def run_api_resources(session: Session, arguments: list[str], dash: int) -> None:
    """Run `kubectl api-resources`."""
    del dash
    values = session.values
    if arguments:
        raise KubectlError(f"unexpected arguments: {arguments}")
    if values.output not in ("", "wide", "name", "json", "yaml"):
        raise KubectlError(f"--output {values.output} is not available")
    if values.sort_by not in ("", "name", "kind"):
        raise KubectlError("--sort-by accepts only name or kind")
    found = [one for one in (await session.mapper()).resources if _wanted(session, one)]
    if values.sort_by == "kind":
        found.sort(key=lambda one: one.kind.kind)
    elif values.sort_by == "name":
        found.sort(key=lambda one: one.gvr.resource)
    else:
        found.sort(key=lambda one: (one.gvr.group, one.gvr.resource))
    if values.output == "name":
        for one in found:
            print(one.qualified)
        return
    _print_resources(found, wide=values.output == "wide", headers=not values.no_headers)


def _wanted(session: Session, one: Resource) -> bool:
    values = session.values
    return (
        bool(one.verbs)
        and one.preferred
        and ("api-group" not in values.changed or one.gvr.group == values.api_group)
        and ("namespaced" not in values.changed or one.namespaced == values.namespaced)
        and all(verb in one.verbs for verb in values.verbs)
        and all(category in one.categories for category in values.categories)
    )


def _print_resources(found: list[Resource], *, wide: bool, headers: bool) -> None:
    rows = [["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]] if headers else []
    if wide and headers:
        rows[0] += ["VERBS", "CATEGORIES"]
    for one in found:
        row = [
            one.gvr.resource, ",".join(one.short_names), one.gvr.api_version, str(one.namespaced).lower(),
            one.kind.kind,
        ]  # fmt: skip
        if wide:
            row += [",".join(one.verbs), ",".join(one.categories)]
        rows.append(row)
    for line in render_rows(rows):
        print(line)


VERSION = Command(
    name="version",
    short="Print the client and server version information.",
    usage="[flags]",
    run=run_version,
    flags=(
        Flag(name="client", kind="bool", help="Only the client's version; no server is asked."),
        Flag(name="output", short="o", help="yaml or json."),
    ),
)
CLUSTER_INFO = Command(
    name="cluster-info", short="Display the addresses of the control plane and its services.", run=run_cluster_info
)
API_VERSIONS = Command(
    name="api-versions", short='Print the supported API versions, as "group/version".', run=run_api_versions
)
API_RESOURCES = Command(
    name="api-resources",
    short="Print the supported API resources on the server.",
    usage="[flags]",
    run=run_api_resources,
    flags=(
        Flag(name="api-group", help="Only this API group."),
        Flag(name="cached", kind="bool", help="Accepted for compatibility."),
        Flag(name="categories", kind="list", help="Only members of these categories."),
        Flag(
            name="namespaced", kind="bool", default=True, help="Only namespaced ones, or with =false only the others."
        ),
        Flag(name="no-headers", kind="bool", help="Leave the header out."),
        Flag(name="output", short="o", help="wide or name."),
        Flag(name="sort-by", help="name or kind."),
        Flag(name="verbs", kind="list", help="Only those with these verbs."),
    ),
)
