"""NodeRestriction: a kubelet changes its own Node, Lease and CSINode and the pods bound to it, nothing else.

Behaviour of ``plugin/pkg/admission/noderestriction``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import errors
from sampan.api.gvk import GroupResource
from sampan.apiserver.admission.interface import CREATE, DELETE, UPDATE, AdmissionRequest, AdmissionServices
from sampan.apiserver.authn.user import NODE_PREFIX, NODES

if TYPE_CHECKING:
    from sampan.api.object import Object

_PODS, _NODES = GroupResource("", "pods"), GroupResource("", "nodes")
_LEASES, _CSINODES = GroupResource("coordination.k8s.io", "leases"), GroupResource("storage.k8s.io", "csinodes")
_ACCOUNTS, _CLAIMS = GroupResource("", "serviceaccounts"), GroupResource("", "persistentvolumeclaims")
_WATCHED = frozenset({_PODS, _NODES, _LEASES, _CSINODES, _ACCOUNTS, _CLAIMS})
_MIRROR = "kubernetes.io/config.mirror"
_KUBELET_LABELS = frozenset(
    {
        "kubernetes.io/hostname", "kubernetes.io/arch", "kubernetes.io/os", "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type", "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/region", "topology.kubernetes.io/zone",
        "beta.kubernetes.io/arch", "beta.kubernetes.io/os", "node.kubernetes.io/windows-build",
    }
)  # fmt: skip
_KUBELET_PREFIXES = ("kubelet.kubernetes.io", "node.kubernetes.io")


class NodeRestriction:
    """See the module."""

    name = "NodeRestriction"

    def __init__(self, services: AdmissionServices) -> None:
        self._lookup = services.lookup

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:
        del subresource
        return operation in (CREATE, UPDATE, DELETE) and resource in _WATCHED

    def validate(self, request: AdmissionRequest) -> None:
        if NODES not in request.user.groups:
            return
        node = request.user.node_name
        if not node:
            if request.user.name.startswith(NODE_PREFIX):
                raise self._no(request, "could not determine node from user")
            return
        match request.resource:
            case res if res == _PODS:
                self._pod(request, node)
            case res if res == _NODES:
                self._node(request, node)
            case res if res == _LEASES:
                self._lease(request, node)
            case res if res == _CSINODES:
                self._csi_node(request, node)
            case res if res == _ACCOUNTS and request.subresource == "token":
                self._token(request, node)
            case res if res == _CLAIMS and request.subresource != "status":
                raise self._no(request, f"node {node!r} may only update PVC status".replace("'", '"'))

    @staticmethod
    def _no(request: AdmissionRequest, why: str) -> errors.Forbidden:
        return errors.forbidden(request.resource, request.name, why)

    def _pod(self, request: AdmissionRequest, node: str) -> None:
        if request.subresource == "":
            self._main_pod(request, node)
        elif request.subresource == "status":
            pod = request.object or {}
            if (pod.get("spec") or {}).get("nodeName") != node:
                raise self._no(
                    request,
                    f'node "{node}" can only update pod status for pods with spec.nodeName set to itself',  # noqa: S608
                )
            if (pod["metadata"].get("labels") or {}) != ((request.old or {})["metadata"].get("labels") or {}):
                raise self._no(request, f'node "{node}" cannot update labels through pod status')
        elif request.subresource == "eviction":
            pod_now = self._lookup("", "pods", request.namespace, request.name)
            if pod_now is not None and pod_now["spec"].get("nodeName") != node:
                raise self._no(request, f"node {node} can only evict pods with spec.nodeName set to itself")
        else:
            raise self._no(
                request, f'unexpected pod subresource "{request.subresource}", only "status" and "eviction" are allowed'
            )

    def _main_pod(self, request: AdmissionRequest, node: str) -> None:
        if request.operation == DELETE:
            old = request.old or {}
            if (old.get("spec") or {}).get("nodeName") != node:
                raise self._no(request, f'node "{node}" can only delete pods with spec.nodeName set to itself')
            return
        if request.operation != CREATE:
            raise self._no(
                request,
                f'unexpected operation "{request.operation}", node "{node}" can only create and delete mirror pods',
            )
        pod = request.object or {}
        if _MIRROR not in (pod["metadata"].get("annotations") or {}):
            raise self._no(
                request, f'pod does not have "{_MIRROR}" annotation, node "{node}" can only create mirror pods'
            )
        if pod["spec"].get("nodeName") != node:
            raise self._no(request, f'node "{node}" can only create pods with spec.nodeName set to itself')
        owners = pod["metadata"].get("ownerReferences") or []
        if len(owners) > 1:
            raise self._no(request, f'node "{node}" can only create pods with a single owner reference set to itself')
        if owners and (owners[0].get("kind"), owners[0].get("name")) != ("Node", node):
            raise self._no(request, f'node "{node}" can only create pods with an owner reference set to itself')
        if pod["spec"].get("serviceAccountName"):
            raise self._no(request, f'node "{node}" can not create pods that reference a service account')

    def _node(self, request: AdmissionRequest, node: str) -> None:
        if request.name != node and not (request.operation == CREATE and not request.name):
            raise self._no(request, f"node {node!r} is not allowed to modify node {request.name!r}".replace("'", '"'))
        new, old = request.object or {}, request.old or {}
        if request.operation == CREATE:
            changed = self._forbidden_labels({}, new)
            if changed:
                raise self._no(
                    request,
                    f"node {node!r} is not allowed to set the following labels: {', '.join(changed)}".replace("'", '"'),
                )
            if (new.get("spec") or {}).get("configSource"):
                raise self._no(request, f"node {node!r} is not allowed to create pods with a non-nil configSource")
            if new["metadata"].get("ownerReferences"):
                raise self._no(request, f"node {node!r} is not allowed to set ownerReferences".replace("'", '"'))
        elif request.operation == UPDATE:
            if (new.get("spec") or {}).get("taints") != (old.get("spec") or {}).get("taints"):
                raise self._no(request, f"node {node!r} is not allowed to modify taints".replace("'", '"'))
            changed = self._forbidden_labels(old, new)
            if changed:
                raise self._no(request, f"is not allowed to modify labels: {', '.join(changed)}")
            if (new["metadata"].get("ownerReferences") or []) != (old["metadata"].get("ownerReferences") or []):
                raise self._no(request, f"node {node!r} is not allowed to update ownerReferences".replace("'", '"'))
        else:
            raise self._no(request, f"node {node!r} is not allowed to delete nodes".replace("'", '"'))

    @staticmethod
    def _forbidden_labels(old: Object, new: Object) -> list[str]:
        """Labels of Kubernetes' own that the kubelet may not set or change."""
        before = (old.get("metadata") or {}).get("labels") or {}
        after = new["metadata"].get("labels") or {}
        changed = [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
        return sorted(key for key in changed if _is_reserved(key))

    def _lease(self, request: AdmissionRequest, node: str) -> None:
        if request.namespace != "kube-node-lease":
            raise self._no(request, 'can only access leases in the "kube-node-lease" system namespace')
        if (request.name or (request.object or {})["metadata"].get("name")) != node:
            raise self._no(request, "can only access node lease with the same name as the requesting node")

    def _csi_node(self, request: AdmissionRequest, node: str) -> None:
        if (request.name or (request.object or {})["metadata"].get("name")) != node:
            raise self._no(request, "can only access CSINode with the same name as the requesting node")

    def _token(self, request: AdmissionRequest, node: str) -> None:
        reference = ((request.object or {}).get("spec") or {}).get("boundObjectRef")
        if not reference or (reference.get("apiVersion"), reference.get("kind"), bool(reference.get("name"))) != (
            "v1",
            "Pod",
            True,
        ):
            raise self._no(request, "node requested token not bound to a pod")
        if not reference.get("uid"):
            raise self._no(request, "node requested token with a pod binding without a uid")
        pod = self._lookup("", "pods", request.namespace, reference["name"])
        if pod is None:
            raise errors.not_found(_PODS, reference["name"])
        if pod["metadata"].get("uid") != reference["uid"]:
            why = (
                f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record "
                f"({pod['metadata'].get('uid')}). The object might have been deleted and then recreated"
            )
            raise self._no(request, why)
        if pod["spec"].get("nodeName") != node:
            raise self._no(request, "node requested token bound to a pod scheduled on a different node")


def _is_reserved(key: str) -> bool:
    domain = key.partition("/")[0] if "/" in key else ""
    if domain == "node-restriction.kubernetes.io" or domain.endswith(".node-restriction.kubernetes.io"):
        return True
    is_own = domain in ("kubernetes.io", "k8s.io") or domain.endswith((".kubernetes.io", ".k8s.io"))
    if not is_own or key in _KUBELET_LABELS:
        return False
    return not any(domain == one or domain.endswith(f".{one}") for one in _KUBELET_PREFIXES)
