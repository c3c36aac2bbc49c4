"""PodResizeValidator: a bound pod may not be resized beyond its node, nor on a node that is not Linux."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from sampan.api import errors, pods, quantity
from sampan.api.field import go_quote
from sampan.apiserver.admission.interface import UPDATE, AdmissionRequest, AdmissionServices

if TYPE_CHECKING:
    from sampan.api.gvk import GroupResource
    from sampan.api.object import Object

_OS = "kubernetes.io/os"


class PodResizeValidator:
    """See the module."""

    name = "PodResizeValidator"

    def __init__(self, services: AdmissionServices) -> None:
        self._lookup = services.lookup

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:
        return operation == UPDATE and resource == ("", "pods") and subresource == "resize"

    def validate(self, request: AdmissionRequest) -> None:
        pod, old = request.object, request.old
        assert pod is not None
        assert old is not None
        name = pod["spec"].get("nodeName", "")
        # The generation grows with the spec: a resize that changes nothing is no concern.
        if not name or pod["metadata"].get("generation", 0) == old["metadata"].get("generation", 0):
            return
        node = self._lookup("", "nodes", "", name)
        if node is None:
            raise errors.forbidden(request.resource, request.name, f"node {go_quote(name)} not found")
        if missing := _missing(pod, node):
            why = f"Node didn't have enough allocatable resources: {'; '.join(missing)}"
            raise _refused(request, why, "NodeCapacity")
        system = (node["metadata"].get("labels") or {}).get(_OS, "")
        if system != "linux":
            why = f"pod resize is only supported on linux nodes, node {go_quote(name)} is {go_quote(system)}"
            raise _refused(request, why, "UnsupportedPlatform")


def _missing(pod: Object, node: Object) -> list[str]:
    """What the node can never have enough of for the pod; CPU in thousandths, memory in bytes."""
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    wanted = pods.requests(pod)
    found = []
    for name, scale in (("cpu", 1000), ("memory", 1)):
        request = ceil(wanted.get(name, 0) * scale)
        limit = ceil(quantity.parse(allocatable.get(name, "0")) * scale)
        if request > limit:
            found.append(f"{name}, requested: {request}, allocatable: {limit}")
    return found


def _refused(request: AdmissionRequest, why: str, cause: str) -> errors.Forbidden:
    error = errors.forbidden(request.resource, request.name, why)
    error.details = {**(error.details or {}), "causes": [{"reason": cause}]}
    return error
