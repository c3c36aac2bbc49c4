"""Whether an aggregated API can be used: the reasons of an APIService's condition ``Available``.

Behaviour: k8s.io/kube-aggregator, controllers/status/remote: the service, its port and its endpoints are looked at,
then its discovery document is asked for.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from sampan.apiserver.outbound import ResolveError, go_error
from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sampan.api.object import Object
    from sampan.apiserver.outbound import Outbound, Target
    from sampan.apiserver.registry.strategy import Getter, Objects

_SECONDS = 5.0
_ATTEMPTS = 5


class Verdict(NamedTuple):
    """A condition's status, reason and message; body: the discovery document when it is available."""

    available: bool
    reason: str
    message: str
    body: bytes = b""


async def judge(
    spec: Object, outbound: Outbound, target: Callable[[], Target], lookup: Getter, objects: Objects
) -> Verdict:
    """Look at a service and ask it for its resources."""
    missing = _missing(spec, lookup, objects)
    return missing or await _ask(spec, outbound, target)


def _missing(spec: Object, lookup: Getter, objects: Objects) -> Verdict | None:
    reference = spec["service"]
    name, namespace, port = reference.get("name", ""), reference.get("namespace", ""), reference.get("port") or 443
    service = lookup("", "services", namespace, name)
    where = f'service/{name} in "{namespace}"'
    if service is None:
        return Verdict(False, "ServiceNotFound", f"{where} is not present")
    if service["spec"].get("type", "ClusterIP") != "ClusterIP":
        return None
    found = next((one for one in service["spec"].get("ports") or () if one.get("port") == port), None)
    if found is None:
        return Verdict(False, "ServicePortError", f"{where} is not listening on port {port}")
    pieces = [
        one for one in objects("discovery.k8s.io", "endpointslices", namespace)
        if (one["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == name
    ]  # fmt: skip
    if not pieces:
        return Verdict(False, "EndpointsNotFound", f"cannot find endpointslices for {where}")
    if not any(_has_ready(one, found.get("name", "")) for one in pieces):
        port_name = found.get("name", "")
        message = f'endpointslices for {where} have no addresses with port name "{port_name}"'
        return Verdict(False, "MissingEndpoints", message)
    return None


def _has_ready(piece: Object, port: str) -> bool:
    ports: Iterable[Object] = piece.get("ports") or ()
    if not any((one.get("name") or "") == port for one in ports):
        return False
    return any((one.get("conditions") or {}).get("ready") is not False for one in piece.get("endpoints") or ())


async def _ask(spec: Object, outbound: Outbound, target: Callable[[], Target]) -> Verdict:
    """Ask several times at once: one endpoint of several that answers is enough."""
    group, version = spec.get("group", ""), spec.get("version", "")
    path = f"/apis/{group}/{version}"
    answers = await asyncio.gather(*(_attempt(path, outbound, target) for _ in range(_ATTEMPTS)))
    for answer in answers:
        if answer.available:
            return answer
    return answers[0]


async def _attempt(path: str, outbound: Outbound, target: Callable[[], Target]) -> Verdict:
    shown = path
    found: Target | None = None
    try:
        found = target()
        shown = f"https://{found.address}:{found.port}{path}"
        async with asyncio.timeout(_SECONDS):
            headers = [("Accept", "application/json"), ("X-Remote-User", "system:kube-aggregator")]
            headers.append(("X-Remote-Group", "system:masters"))
            answer = await outbound.client(found).request("GET", path, headers=headers)
    except (ResolveError, OSError, TimeoutError, SampanError) as error:
        why = str(error) if isinstance(error, SampanError) else f'Get "{shown}": {go_error(error, found)}'
        message = f"failing or missing response from {shown}: {why}"
        return Verdict(False, "FailedDiscoveryCheck", message)
    if not 200 <= answer.status < 300:
        message = f"failing or missing response from {shown}: bad status from {shown}: {answer.status}"
        return Verdict(False, "FailedDiscoveryCheck", message)
    return Verdict(True, "Passed", "all checks passed", answer.body)
