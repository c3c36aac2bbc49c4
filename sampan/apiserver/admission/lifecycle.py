"""NamespaceLifecycle: nothing is created in a namespace that is missing or ending; three namespaces stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import errors
from sampan.api.gvk import GroupResource
from sampan.apiserver.admission.interface import CREATE, DELETE, UPDATE, AdmissionRequest, AdmissionServices

if TYPE_CHECKING:
    from sampan.api.object import Object

_NAMESPACES = GroupResource("", "namespaces")
_IMMORTAL = frozenset({"default", "kube-system", "kube-public"})
_REVIEWS = frozenset({"authorization.k8s.io"})


class NamespaceLifecycle:
    """See the module."""

    name = "NamespaceLifecycle"

    def __init__(self, services: AdmissionServices) -> None:
        self._lookup = services.lookup

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:
        del subresource
        if resource == _NAMESPACES:
            return operation == DELETE
        return operation in (CREATE, UPDATE) and resource.group not in _REVIEWS

    def mutate(self, request: AdmissionRequest) -> None:
        if request.resource == _NAMESPACES:
            if request.name in _IMMORTAL:
                raise errors.forbidden(_NAMESPACES, request.name, "this namespace may not be deleted")
            return
        name = request.namespace
        if not name:
            return
        namespace = self._lookup("", "namespaces", "", name)
        if namespace is None:
            raise errors.not_found(_NAMESPACES, name)
        if request.operation == CREATE:
            self._check_alive(request, namespace)

    @staticmethod
    def _check_alive(request: AdmissionRequest, namespace: Object) -> None:
        if (namespace.get("status") or {}).get("phase") != "Terminating":
            return
        name = request.namespace
        why = f"unable to create new content in namespace {name} because it is being terminated"
        error = errors.forbidden(request.resource, request.name, why)
        cause = {
            "reason": "NamespaceTerminating", "message": f"namespace {name} is being terminated",
            "field": "metadata.namespace",
        }  # fmt: skip
        error.details = {**(error.details or {}), "causes": [cause]}
        raise error
