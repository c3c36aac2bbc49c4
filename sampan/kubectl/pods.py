"""From what a person names to one pod and one container: for exec, attach, port-forward and cp."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from sampan.api.errors import NotFound
from sampan.kubectl.builder import Target, from_arguments
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.waiting import watch_one

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.session import Session

_DEFAULT = "kubectl.kubernetes.io/default-container"
_LISTS = ("containers", "initContainers", "ephemeralContainers")


async def find_pod(session: Session, name: str, timeout: float) -> Object:  # noqa: ASYNC109 - a time-out of the command line
    """Get a pod by name or ``type/name``; of a controller or service, the pod that is ready longest.

    timeout: seconds to wait for a controller's pod. Raises KubectlError, NotFound.
    """
    resource = (await session.mapper()).resource("pods")
    target = Target(resource=resource, namespace=session.namespace, name=name)
    if "/" in name:
        target = (await from_arguments(session, [name]))[0]
    obj = await session.json("GET", target.path)
    if target.resource.gvr.resource == "pods" and not target.resource.gvr.group:
        return obj
    from sampan.kubectl.expose import selector_of  # noqa: PLC0415 - start-up time

    try:
        selector = selector_of(target, obj)
    except (KubectlError, KeyError):
        kind = target.resource.kind.kind
        raise KubectlError(f"cannot attach to *{target.resource.gvr.version}.{kind}: no pods selector") from None
    query = {"labelSelector": ",".join(f"{key}={value}" for key, value in selector.items())}
    try:
        async with asyncio.timeout(timeout):
            while not (pods := (await session.json("GET", resource.path(target.namespace), query=query))["items"]):  # noqa: ASYNC110
                await asyncio.sleep(0.2)  # as kubectl does: a controller makes its pods at once
    except TimeoutError:
        raise KubectlError("timed out waiting for the condition") from None
    best: Object = min(pods, key=_rank)
    return {"apiVersion": "v1", "kind": "Pod", **best}


def _rank(pod: Object) -> tuple[bool, bool, bool, str]:
    """Scheduled, running, ready, then oldest first."""
    status = pod.get("status") or {}
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions") or [])
    running = status.get("phase") == "Running"
    return not pod["spec"].get("nodeName"), not running, not ready, pod["metadata"].get("creationTimestamp", "")


def container_of(session: Session, pod: Object, *, quiet: bool = False) -> str:
    """The container that -c names, or the default one, said on stderr where there were others. Raises KubectlError."""
    meta, spec = pod["metadata"], pod["spec"]
    names = [one["name"] for field in _LISTS for one in spec.get(field) or []]
    if wanted := session.values.get("container"):
        if wanted not in names:
            raise KubectlError(f"container {wanted} is not valid for pod {meta['name']} out of: {listed(pod)}")
        return str(wanted)
    if (default := (meta.get("annotations") or {}).get(_DEFAULT)) in names:
        return str(default)
    if len(names) > 1 and not quiet:
        print(f'Defaulted container "{names[0]}" out of: {listed(pod)}', file=sys.stderr)
    return str(names[0])


def listed(pod: Object) -> str:
    """All containers of a pod, the special ones marked."""
    marks = ("", " (init)", " (ephem)")
    return ", ".join(
        f"{one['name']}{mark}"
        for field, mark in zip(_LISTS, marks, strict=True)
        for one in pod["spec"].get(field) or []
    )


def spec_of(pod: Object, container: str) -> Object:
    """A container's spec."""
    found: Object = next(one for field in _LISTS for one in pod["spec"].get(field) or [] if one["name"] == container)
    return found


async def wait_pod_started(session: Session, target: Target, timeout: float) -> Object:  # noqa: ASYNC109 - a time-out of the command line
    """Return the pod once it runs or has ended. Raises KubectlError on time-out or when it is deleted."""
    try:
        async with asyncio.timeout(timeout):
            while True:
                pod = await session.json("GET", target.path)
                if (pod.get("status") or {}).get("phase") in ("Running", "Succeeded", "Failed"):
                    return pod
                async for event in watch_one(session, target, pod["metadata"]["resourceVersion"]):
                    if event["type"] == "DELETED" or event["object"]["status"].get("phase") != "Pending":
                        break
    except TimeoutError:
        raise KubectlError("timed out waiting for the condition") from None
    except NotFound as error:
        raise KubectlError(f"pod {target.name} was deleted before it ran") from error
