"""From ``POD`` or ``TYPE/NAME`` to one pod, and the container that is meant when none is named."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sampan.api.pods import is_ready
from sampan.kubectl.builder import Target, from_arguments
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.expose import selector_of

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.session import Session

_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


async def pod_of(session: Session, text: str) -> Object:
    """Find the pod of ``POD`` or ``TYPE/NAME``; of a controller or service the readiest, oldest one."""
    if "/" not in text:
        pods = (await session.mapper()).resource("pods")
        target = Target(resource=pods, namespace=session.namespace, name=text)
    else:
        target = (await from_arguments(session, [text]))[0]
    obj = await session.json("GET", target.path)
    if target.resource.gvr.resource == "pods":
        return obj
    members = await pods_of(session, target, obj)
    return members[0]


async def pods_of(session: Session, target: Target, obj: Object) -> list[Object]:
    """The pods of a controller or service, the best one first. Raises KubectlError when there are none."""
    pods = (await session.mapper()).resource("pods")
    selector = ",".join(f"{key}={value}" for key, value in _selector(target, obj).items())
    listing = await session.json("GET", pods.path(target.namespace), query={"labelSelector": selector})
    members: list[Object] = listing["items"]
    if not members:
        raise KubectlError(f"no pods found for {target.shown}")
    return sorted(members, key=lambda pod: (
        not pod["spec"].get("nodeName"), pod.get("status", {}).get("phase") != "Running", not is_ready(pod),
        pod["metadata"]["creationTimestamp"],
    ))  # fmt: skip


def _selector(target: Target, obj: Object) -> dict[str, str]:
    if target.resource.gvr.resource in {"statefulsets", "daemonsets", "jobs"}:
        found: dict[str, str] = obj["spec"]["selector"].get("matchLabels") or {}
        return found
    return selector_of(target, obj)


def default_container(session: Session, pod: Object, purpose: str) -> str:
    """The container that is meant when none is named; says which when there was a choice."""
    del purpose
    containers = pod["spec"]["containers"]
    annotated = (pod["metadata"].get("annotations") or {}).get(_DEFAULT_CONTAINER)
    everyone = [one["name"] for field in ("containers", "initContainers", "ephemeralContainers")
                for one in pod["spec"].get(field) or []]  # fmt: skip
    if annotated in everyone:
        return str(annotated)
    first: str = containers[0]["name"]
    if len(everyone) > 1 and not session.values.get("quiet"):
        print(f'Defaulted container "{first}" out of: {describe_containers(pod)}', file=sys.stderr)
    return first


def describe_containers(pod: Object) -> str:
    """``web, side, setup (init)``."""
    parts = [one["name"] for one in pod["spec"]["containers"]]
    parts += [f"{one['name']} (init)" for one in pod["spec"].get("initContainers") or []]
    parts += [f"{one['name']} (ephem)" for one in pod["spec"].get("ephemeralContainers") or []]
    return ", ".join(parts)
