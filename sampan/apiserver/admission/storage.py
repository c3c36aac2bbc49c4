"""Plug-ins about storage and ingress defaults: default classes, protection finalizers, resizing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import errors, quantity
from sampan.api.gvk import GroupResource
from sampan.apiserver.admission.interface import CREATE, UPDATE, AdmissionRequest, AdmissionServices

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.api.object import Object

_CLAIMS = GroupResource("", "persistentvolumeclaims")
_INGRESSES = GroupResource("networking.k8s.io", "ingresses")
_DEFAULT = "storageclass.kubernetes.io/is-default-class"
_DEFAULT_BETA = "storageclass.beta.kubernetes.io/is-default-class"
_INGRESS_DEFAULT = "ingressclass.kubernetes.io/is-default-class"

_PROTECTED = {
    _CLAIMS: "kubernetes.io/pvc-protection",
    GroupResource("", "persistentvolumes"): "kubernetes.io/pv-protection",
    GroupResource("storage.k8s.io", "volumeattributesclasses"): "kubernetes.io/vac-protection",
}


def newest(objects: Iterable[Object]) -> Object | None:
    """The youngest object; of equals the first by name."""
    ordered = sorted(objects, key=lambda one: one["metadata"]["name"])
    return max(ordered, key=lambda one: one["metadata"].get("creationTimestamp") or "", default=None)


class DefaultStorageClass:
    """A claim that names no class gets the default one."""

    name = "DefaultStorageClass"

    def __init__(self, services: AdmissionServices) -> None:
        self._objects = services.objects

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:
        return operation == CREATE and resource == _CLAIMS and not subresource

    def mutate(self, request: AdmissionRequest) -> None:
        assert request.object is not None
        spec = request.object.setdefault("spec", {})
        annotations = request.object["metadata"].get("annotations") or {}
        if spec.get("storageClassName") is not None or "volume.beta.kubernetes.io/storage-class" in annotations:
            return
        found = newest(one for one in self._objects("storage.k8s.io", "storageclasses", "") if _is_default(one))
        if found is not None:
            spec["storageClassName"] = found["metadata"]["name"]


def _is_default(storage_class: Object) -> bool:
    annotations = storage_class["metadata"].get("annotations") or {}
    return annotations.get(_DEFAULT) == "true" or annotations.get(_DEFAULT_BETA) == "true"


class StorageObjectInUseProtection:
    """Finalizers keep volumes and claims while they are in use."""

    name = "StorageObjectInUseProtection"

    def __init__(self, services: AdmissionServices) -> None:
        del services

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:
        return operation == CREATE and resource in _PROTECTED and not subresource

    def mutate(self, request: AdmissionRequest) -> None:
        assert request.object is not None
        metadata, finalizer = request.object["metadata"], _PROTECTED[request.resource]
        present = metadata.get("finalizers") or []
        if finalizer not in present:
            metadata["finalizers"] = [*present, finalizer]


class PersistentVolumeClaimResize:
    """Claims grow only when their class allows it."""

    name = "PersistentVolumeClaimResize"

    def __init__(self, services: AdmissionServices) -> None:
        self._lookup = services.lookup

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:
        return operation == UPDATE and resource == _CLAIMS and not subresource

    def validate(self, request: AdmissionRequest) -> None:
        new, old = request.object or {}, request.old or {}
        wanted, had = _storage(new), _storage(old)
        if quantity.compare(wanted, had) <= 0:
            return
        if (old.get("status") or {}).get("phase") != "Bound":
            raise errors.forbidden(_CLAIMS, request.name, "Only bound persistent volume claims can be expanded")
        name = (new.get("spec") or {}).get("storageClassName")
        found = self._lookup("storage.k8s.io", "storageclasses", "", name) if name else None
        if found is None or not found.get("allowVolumeExpansion"):
            why = (
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must "
                "support resize"
            )
            raise errors.forbidden(_CLAIMS, request.name, why)


def _storage(claim: Object) -> str:
    resources = (claim.get("spec") or {}).get("resources") or {}
    found: str = (resources.get("requests") or {}).get("storage", "0")
    return found


class DefaultIngressClass:
    """An ingress that names no class gets the default one."""

    name = "DefaultIngressClass"

    def __init__(self, services: AdmissionServices) -> None:
        self._objects = services.objects

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:
        return operation == CREATE and resource == _INGRESSES and not subresource

    def mutate(self, request: AdmissionRequest) -> None:
        assert request.object is not None
        spec = request.object.setdefault("spec", {})
        annotations = request.object["metadata"].get("annotations") or {}
        if spec.get("ingressClassName") is not None or "kubernetes.io/ingress.class" in annotations:
            return
        found = newest(
            one
            for one in self._objects("networking.k8s.io", "ingressclasses", "")
            if (one["metadata"].get("annotations") or {}).get(_INGRESS_DEFAULT) == "true"
        )
        if found is not None:
            spec["ingressClassName"] = found["metadata"]["name"]
