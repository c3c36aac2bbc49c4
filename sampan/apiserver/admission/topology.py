"""PodTopologyLabels: a pod that is bound learns zone and region of its node as labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.apiserver.admission.interface import CREATE, AdmissionRequest, AdmissionServices

if TYPE_CHECKING:
    from sampan.api.gvk import GroupResource
    from sampan.api.object import Object

_LABELS = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")


class PodTopologyLabels:
    """See the module."""

    name = "PodTopologyLabels"

    def __init__(self, services: AdmissionServices) -> None:
        self._lookup = services.lookup

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:
        return operation == CREATE and resource == ("", "pods") and subresource in ("", "binding")

    def mutate(self, request: AdmissionRequest) -> None:
        assert request.object is not None
        if request.subresource == "binding":
            target = request.object.get("target") or {}
            if target.get("kind", "Node") not in ("", "Node"):
                return
            node_name = target.get("name", "")
        else:
            node_name = request.object["spec"].get("nodeName", "")
        if not node_name:
            return
        node = self._lookup("", "nodes", "", node_name)
        if node is not None:
            self._copy(node, request.object)

    @staticmethod
    def _copy(node: Object, obj: Object) -> None:
        known = node["metadata"].get("labels") or {}
        found = {key: known[key] for key in _LABELS if key in known}
        if found:
            metadata = obj.setdefault("metadata", {})
            metadata["labels"] = {**(metadata.get("labels") or {}), **found}
