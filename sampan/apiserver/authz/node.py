"""The Node authorizer: a kubelet may read what the pods bound to its node refer to, and little else.

Behaviour of ``plugin/pkg/auth/authorizer/node``; relations are read from the pods of the node in the watch cache
instead of a graph kept beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.apiserver.authz.interface import Attributes, Decision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import Getter

_NO_OPINION = Decision(allowed=False)
_YES = Decision(allowed=True)
_READS = frozenset({"get", "list", "watch"})


class NodeAuthorizer:
    """See the module.

    pods_of: the pods bound to a node. has_rule: whether the rules of the role ``system:node`` allow a request.
    """

    def __init__(
        self, lookup: Getter, pods_of: Callable[[str], Iterable[Object]], has_rule: Callable[[Attributes], bool]
    ) -> None:
        self._lookup = lookup
        self._pods_of = pods_of
        self._has_rule = has_rule

    def authorize(self, attributes: Attributes) -> Decision:
        node = attributes.user.node_name
        if not node:
            return _NO_OPINION
        if attributes.is_resource:
            related = self._by_resource(node, attributes)
            if related is not None:
                return related
        return Decision(True) if self._has_rule(attributes) else _NO_OPINION

    def _by_resource(self, node: str, a: Attributes) -> Decision | None:  # noqa: C901
        match (a.group, a.resource):
            case ("", "secrets" | "configmaps"):
                return self._read(node, a, _READS)
            case ("", "persistentvolumeclaims"):
                if a.subresource == "status":
                    return self._related(node, a, "update", "patch")
                return self._read(node, a, frozenset({"get"}))
            case ("", "persistentvolumes"):
                return self._read(node, a, frozenset({"get"}))
            case ("storage.k8s.io", "volumeattachments") | ("resource.k8s.io", "resourceclaims"):
                return self._read(node, a, frozenset({"get"}))
            case ("", "serviceaccounts"):
                if a.subresource == "token":
                    return self._related(node, a, "create")
                return self._read(node, a, frozenset({"get"})) if a.verb == "get" else None
            case ("coordination.k8s.io", "leases"):
                return self._lease(node, a)
            case ("storage.k8s.io", "csinodes"):
                return self._own(node, a, frozenset({"get", "create", "update", "patch", "delete"}))
            case ("", "nodes"):
                return self._node(node, a)
            case ("resource.k8s.io", "resourceslices"):
                return self._slice(node, a)
            case ("", "pods"):
                return self._pod(node, a)
        return None

    def _read(self, node: str, a: Attributes, verbs: frozenset[str]) -> Decision:
        if a.verb not in verbs:
            return Decision(False, f"can only read resources of this type, {_article(a.verb)}")
        if a.subresource:
            return Decision(False, "cannot read subresource")
        if not a.name:
            return Decision(False, "No Object name found")
        return self._related(node, a, a.verb)

    def _related(self, node: str, a: Attributes, *verbs: str) -> Decision:
        if a.verb not in verbs:
            return Decision(False, f"can only {'/'.join(verbs)} {a.resource}/{a.subresource}")
        if not a.name:
            return Decision(False, "No Object name found")
        for pod in self._pods_of(node):
            if self._refers(pod, a):
                return Decision(True)
        if a.resource == "volumeattachments":
            attachment = self._lookup(a.group, a.resource, "", a.name)
            if attachment is not None and attachment.get("spec", {}).get("nodeName") == node:
                return Decision(True)
        return Decision(False, f"no relationship found between node '{node}' and this object")

    def _refers(self, pod: Object, a: Attributes) -> bool:
        namespace = pod["metadata"].get("namespace", "")
        # A request over all namespaces is none for the object that the pod refers to.
        if namespace != a.namespace and a.resource != "persistentvolumes":
            return False
        match a.resource:
            case "secrets":
                return a.name in secrets_of(pod) or self._volume_secret(pod, namespace, a)
            case "configmaps":
                return a.name in configmaps_of(pod)
            case "persistentvolumeclaims":
                return a.name in claims_of(pod)
            case "persistentvolumes":
                return any(self._bound_volume(namespace, claim) == a.name for claim in claims_of(pod))
            case "serviceaccounts":
                return bool(pod["spec"].get("serviceAccountName") == a.name)
            case "resourceclaims":
                return a.name in _resource_claims_of(pod)
        return False

    def _bound_volume(self, namespace: str, claim: str) -> str:
        found = self._lookup("", "persistentvolumeclaims", namespace, claim)
        return "" if found is None else found.get("spec", {}).get("volumeName", "")

    def _volume_secret(self, pod: Object, namespace: str, a: Attributes) -> bool:
        """Secrets that a bound persistent volume names."""
        for claim in claims_of(pod):
            volume = self._lookup("", "persistentvolumes", "", self._bound_volume(namespace, claim))
            if volume is not None and a.name in _volume_secrets(volume, namespace):
                return True
        return False

    @staticmethod
    def _own(node: str, a: Attributes, verbs: frozenset[str]) -> Decision | None:
        if a.verb not in verbs:
            return Decision(False, f"can only get, create, update, patch, or delete a {a.resource[:-1]}")
        if a.subresource:
            return Decision(False, "not authorized to access subresources")
        if a.verb != "create" and a.name != node:
            return Decision(False, f"can only access {a.resource[:-1]} with the same name as the requesting node")
        return Decision(True)

    def _lease(self, node: str, a: Attributes) -> Decision | None:
        if a.namespace != "kube-node-lease":
            return Decision(False, 'can only access leases in the "kube-node-lease" system namespace')
        return self._own(node, a, frozenset({"get", "create", "update", "patch", "delete"}))

    @staticmethod
    def _node(node: str, a: Attributes) -> Decision:
        """Its own Node; which one a write is to is NodeRestriction's to check."""
        if a.subresource == "":
            if a.verb in ("create", "update", "patch"):
                return _YES
            if a.verb in _READS:
                if a.name == node:
                    return _YES
                what = f"'{a.name}'" if a.name else "all nodes"
                return Decision(False, f"node '{node}' cannot read {what}, only its own Node object")
        elif a.subresource == "status" and a.verb in ("update", "patch"):
            return _YES
        return _NO_OPINION

    def _pod(self, node: str, a: Attributes) -> Decision:
        """The pods bound to it; whose the others are NodeRestriction checks."""
        if a.subresource == "":
            if a.verb in ("create", "delete"):
                return _YES
            if a.verb in _READS:
                return self._read_pod(node, a)
        elif (a.subresource == "status" and a.verb in ("update", "patch")) or (a.subresource, a.verb) == (
            "eviction",
            "create",
        ):
            return _YES
        return _NO_OPINION

    def _read_pod(self, node: str, a: Attributes) -> Decision:
        if a.verb != "get" and _selects(a.field_selector, "spec.nodeName", node):
            return _YES
        if not a.name:
            if a.verb == "get":
                return Decision(False, "No Object name found")
            return Decision(False, "can only list/watch pods with spec.nodeName field selector")
        pod = self._lookup("", "pods", a.namespace, a.name)
        if pod is None and a.verb == "get":
            return _YES  # a kubelet asks whether a pod is really gone: NotFound tells it, a refusal would not
        if pod is not None and (pod.get("spec") or {}).get("nodeName") == node:
            return _YES
        return Decision(False, f"no relationship found between node '{node}' and this object")

    def _slice(self, node: str, a: Attributes) -> Decision:
        """Its own resource slices; NodeRestriction checks whose a new one is."""
        if a.subresource:
            return Decision(False, "cannot authorize ResourceSlice subresources")
        if a.verb == "create":
            return _YES
        if a.verb in ("list", "watch", "deletecollection"):
            if _selects(a.field_selector, "spec.nodeName", node):
                return _YES
            why = "can only list/watch/deletecollection resourceslices with nodeName field selector"
            return Decision(False, why)
        found = self._lookup(a.group, a.resource, "", a.name) or {}
        if (found.get("spec") or {}).get("nodeName") == node:
            return _YES
        return Decision(False, f"no relationship found between node '{node}' and this object")


def _selects(selector: str, field: str, value: str) -> bool:
    """Whether a field selector insists on a value."""
    for part in selector.split(","):
        key, equals, wanted = part.partition("=")
        if equals and key.strip() == field and wanted.removeprefix("=").strip() == value:
            return True
    return False


def _article(verb: str) -> str:
    return f"not {verb}"


def _containers(pod: Object) -> Iterator[Object]:
    spec = pod.get("spec", {})
    for key in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(key) or ()


def sources_of(pod: Object) -> Iterator[Object]:
    """Volume sources, those inside projected volumes included."""
    for volume in pod.get("spec", {}).get("volumes") or ():
        yield volume
        yield from (volume.get("projected") or {}).get("sources") or ()


def secrets_of(pod: Object) -> set[str]:
    """The Secrets that a pod refers to, by name."""
    names = {one.get("name", "") for one in pod["spec"].get("imagePullSecrets") or ()}
    for source in sources_of(pod):
        secret = source.get("secret")
        if secret:
            names.add(secret.get("secretName") or secret.get("name", ""))
        for kind in ("cephfs", "flexVolume", "rbd", "scaleIO", "iscsi", "storageos"):
            reference = (source.get(kind) or {}).get("secretRef")
            if reference:
                names.add(reference.get("name", ""))
        if source.get("azureFile"):
            names.add(source["azureFile"].get("secretName", ""))
        if (reference := (source.get("csi") or {}).get("nodePublishSecretRef")) is not None:
            names.add(reference.get("name", ""))
    names |= _environment(pod, "secretKeyRef", "secretRef")
    names.discard("")
    return names


def configmaps_of(pod: Object) -> set[str]:
    """The ConfigMaps that a pod refers to, by name."""
    names = {source["configMap"].get("name", "") for source in sources_of(pod) if source.get("configMap")}
    names |= _environment(pod, "configMapKeyRef", "configMapRef")
    names.discard("")
    return names


def _environment(pod: Object, key_reference: str, from_reference: str) -> set[str]:
    names = set()
    for container in _containers(pod):
        for variable in container.get("env") or ():
            if reference := (variable.get("valueFrom") or {}).get(key_reference):
                names.add(reference.get("name", ""))
        for source in container.get("envFrom") or ():
            if reference := source.get(from_reference):
                names.add(reference.get("name", ""))
    return names


def claims_of(pod: Object) -> set[str]:
    """The PersistentVolumeClaims that a pod uses, by name."""
    names = set()
    for volume in pod["spec"].get("volumes") or ():
        if claim := volume.get("persistentVolumeClaim"):
            names.add(claim.get("claimName", ""))
        elif volume.get("ephemeral"):
            names.add(f"{pod['metadata']['name']}-{volume['name']}")
    return names


def _resource_claims_of(pod: Object) -> set[str]:
    names = {one.get("resourceClaimName", "") for one in pod["spec"].get("resourceClaims") or ()}
    names |= {one.get("resourceClaimName", "") for one in pod.get("status", {}).get("resourceClaimStatuses") or ()}
    return names


def _volume_secrets(volume: Object, claim_namespace: str) -> set[str]:
    names = set()
    for source in volume.get("spec", {}).values():
        if not isinstance(source, dict):
            continue
        for key in ("secretRef", "nodePublishSecretRef", "nodeStageSecretRef", "controllerPublishSecretRef"):
            reference = source.get(key)
            if isinstance(reference, dict) and reference.get("namespace", claim_namespace) == claim_namespace:
                names.add(reference.get("name", ""))
        if source.get("secretName") and source.get("secretNamespace", claim_namespace) == claim_namespace:
            names.add(source["secretName"])
    return names
