"""NodeRestriction: a kubelet changes its own Node, Lease and CSINode and the pods bound to it, nothing else.

Behaviour of ``plugin/pkg/admission/noderestriction``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import errors
from sampan.api.gvk import GroupResource
from sampan.apiserver.admission.interface import CREATE, DELETE, UPDATE, AdmissionRequest, AdmissionServices
from sampan.apiserver.authn.user import NODE_PREFIX, NODES
from sampan.apiserver.authz.interface import Attributes
from sampan.apiserver.authz.node import claims_of, configmaps_of, secrets_of, sources_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.api.object import Object

_PODS, _NODES = GroupResource("", "pods"), GroupResource("", "nodes")
_LEASES, _CSINODES = GroupResource("coordination.k8s.io", "leases"), GroupResource("storage.k8s.io", "csinodes")
_ACCOUNTS, _CLAIMS = GroupResource("", "serviceaccounts"), GroupResource("", "persistentvolumeclaims")
_SLICES = GroupResource("resource.k8s.io", "resourceslices")
_REQUESTS = GroupResource("certificates.k8s.io", "certificatesigningrequests")
_WATCHED = frozenset({_PODS, _NODES, _LEASES, _CSINODES, _ACCOUNTS, _CLAIMS, _SLICES, _REQUESTS})
_NODE_SIGNERS = ("kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet")
_CLAIM_STATUS = ("capacity", "conditions", "allocatedResourceStatuses", "allocatedResources")
"""What a kubelet that grows a volume reports of a claim."""
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
        self._authorizer = services.authorizer

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:
        del subresource
        return operation in (CREATE, UPDATE, DELETE) and resource in _WATCHED

    def mutate(self, request: AdmissionRequest) -> None:
        """Look at token requests before their audiences get the server's default; nothing is changed."""
        node = request.user.node_name
        if node and request.resource == _ACCOUNTS and request.subresource == "token":
            self._token(request, node)

    def validate(self, request: AdmissionRequest) -> None:  # noqa: C901 - one branch a resource
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
            case res if res == _CLAIMS:
                self._claim(request, node)
            case res if res == _SLICES and request.operation == CREATE:
                if ((request.object or {}).get("spec") or {}).get("nodeName") != node:
                    raise self._no(
                        request, "can only create ResourceSlice with the same NodeName as the requesting node"
                    )
            case res if res == _REQUESTS and request.operation == CREATE:
                self._certificate(request)

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
            old = request.old or {}
            if (pod["metadata"].get("labels") or {}) != (old["metadata"].get("labels") or {}):
                raise self._no(request, f'node "{node}" cannot update labels through pod status')
            if _claim_statuses(pod) != _claim_statuses(old):
                raise self._no(request, f'node "{node}" cannot update resource claim statues')
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
        self._owner(request, node, pod)
        self._references(request, node, pod)

    def _owner(self, request: AdmissionRequest, node: str, pod: Object) -> None:
        """A mirror pod belongs to the node that made it, so that it goes with the node."""
        owners = pod["metadata"].get("ownerReferences") or []
        if not owners:
            raise self._no(request, f'node "{node}" can only create pods with an owner reference set to itself')
        if len(owners) > 1:
            raise self._no(request, f'node "{node}" can only create pods with a single owner reference set to itself')
        owner = owners[0]
        if (owner.get("apiVersion"), owner.get("kind"), owner.get("name")) != ("v1", "Node", node):
            raise self._no(request, f'node "{node}" can only create pods with an owner reference set to itself')
        if not owner.get("controller"):
            why = f'node "{node}" can only create pods with a controller owner reference set to itself'
            raise self._no(request, why)
        if owner.get("blockOwnerDeletion"):
            raise self._no(request, f'node "{node}" must not set blockOwnerDeletion on an owner reference')
        found = self._lookup("", "nodes", "", node)
        if found is None:
            raise errors.not_found(_NODES, node)
        uid = found["metadata"].get("uid", "")
        if owner.get("uid", "") != uid:
            raise self._no(request, f"node {node} UID mismatch: expected {owner.get('uid', '')} got {uid}")

    def _references(self, request: AdmissionRequest, node: str, pod: Object) -> None:
        """A node that made pods refer to whatever it likes could read it: the Node authorizer follows references."""
        spec = pod["spec"]
        referred = (
            ("a service account", bool(spec.get("serviceAccountName"))),
            ("secrets", bool(secrets_of(pod))),
            ("configmaps", bool(configmaps_of(pod))),
            ("clustertrustbundles", any(source.get("clusterTrustBundle") for source in sources_of(pod))),
            ("persistentvolumeclaims", bool(claims_of(pod))),
            ("resourceclaims", bool(spec.get("resourceClaims"))),
        )
        for what, found in referred:
            if found:
                raise self._no(request, f'node "{node}" can not create pods that reference {what}')

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

    def _claim(self, request: AdmissionRequest, node: str) -> None:
        if request.subresource != "status":
            raise self._no(request, f'node "{node}" may only update PVC status')
        if _unreported(request.object or {}) != _unreported(request.old or {}):
            why = f'node "{node}" is not allowed to update fields other than status.capacity and status.conditions'
            raise self._no(request, why)

    def _certificate(self, request: AdmissionRequest) -> None:
        """A node asks for certificates in its own name only."""
        spec = (request.object or {}).get("spec") or {}
        if spec.get("signerName") not in _NODE_SIGNERS:
            return
        from base64 import b64decode  # noqa: PLC0415 - only for certificate requests

        from cryptography import x509  # noqa: PLC0415
        from cryptography.x509.oid import NameOID  # noqa: PLC0415

        try:
            csr = x509.load_pem_x509_csr(b64decode(spec.get("request") or ""))
        except ValueError as error:
            raise self._no(request, f"unable to parse csr: {error}") from error
        names = [one.value for one in csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if names != [request.user.name]:
            raise self._no(request, f"can only create a node CSR with CN={request.user.name}")

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
        self._audience(request, pod)

    def _audience(self, request: AdmissionRequest, pod: Object) -> None:
        """A node gets tokens for audiences that the pod's volumes ask for, others by a grant."""
        audiences = ((request.object or {}).get("spec") or {}).get("audiences") or []
        if len(audiences) > 1:
            raise self._no(request, "node may only request 0 or 1 audiences")
        audience = audiences[0] if audiences else ""
        if audience in self._audiences_of(pod):
            return
        user = request.user
        attributes = Attributes(
            user, "request-serviceaccounts-token-audience", "", "v1", audience, "", request.namespace, request.name
        )
        if not audience or not self._authorizer.authorize(attributes).allowed:
            why = (
                f'audience "{audience}" not found in pod spec volume, {user.name} is not authorized to request '
                "tokens for this audience"
            )
            raise self._no(request, why)

    def _audiences_of(self, pod: Object) -> set[str]:
        """What the pod's projected tokens are for, and what the drivers of its volumes want tokens for."""
        found = {
            source["serviceAccountToken"].get("audience", "")
            for source in sources_of(pod)
            if source.get("serviceAccountToken")
        }
        for driver in self._drivers_of(pod):
            known = self._lookup("storage.k8s.io", "csidrivers", "", driver) or {}
            found |= {one.get("audience", "") for one in (known.get("spec") or {}).get("tokenRequests") or ()}
        return found

    def _drivers_of(self, pod: Object) -> Iterator[str]:
        for source in sources_of(pod):
            if driver := (source.get("csi") or {}).get("driver"):
                yield driver
        for name in claims_of(pod):
            claim = self._lookup("", "persistentvolumeclaims", pod["metadata"].get("namespace", ""), name) or {}
            volume = self._lookup("", "persistentvolumes", "", (claim.get("spec") or {}).get("volumeName", "")) or {}
            if driver := ((volume.get("spec") or {}).get("csi") or {}).get("driver"):
                yield driver


def _unreported(claim: Object) -> Object:
    """A claim without what kubelets report, and without what every write changes."""
    metadata = {k: v for k, v in claim.get("metadata", {}).items() if k not in ("resourceVersion", "managedFields")}
    status = {key: value for key, value in (claim.get("status") or {}).items() if key not in _CLAIM_STATUS}
    return {"metadata": metadata, "spec": claim.get("spec"), "status": status}


def _claim_statuses(pod: Object) -> list[tuple[str, str | None]]:
    found = (pod.get("status") or {}).get("resourceClaimStatuses") or ()
    return [(one.get("name", ""), one.get("resourceClaimName")) for one in found]


def _is_reserved(key: str) -> bool:
    domain = key.partition("/")[0] if "/" in key else ""
    if domain == "node-restriction.kubernetes.io" or domain.endswith(".node-restriction.kubernetes.io"):
        return True
    is_own = domain in ("kubernetes.io", "k8s.io") or domain.endswith((".kubernetes.io", ".k8s.io"))
    if not is_own or key in _KUBELET_LABELS:
        return False
    return not any(domain == one or domain.endswith(f".{one}") for one in _KUBELET_PREFIXES)
