"""What an installer adds to a bare control plane, so that nodes can join and pods can resolve names.

kubeadm creates the same objects: the ``cluster-info`` ConfigMap that anyone may read, the rights of bootstrap tokens
and nodes, and the ``kube-dns`` Service. The StorageClass `local-path` is sampan's own. `sampan-cluster` in
kube-system tells agents the cluster's ranges.
Every write is conditional: what an administrator changed stays as it is, but for the data that describes this server.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from sampan.api.errors import AlreadyExists, NotFound
from sampan.api.gvk import GroupVersionResource
from sampan.api.volumes import DEFAULT_CLASS, LOCAL_PATH
from sampan.client.interface import MERGE_PATCH
from sampan.client.resources import STORAGECLASSES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.api.object import Object
    from sampan.client.client import Client

CONFIG_MAPS = GroupVersionResource("", "v1", "configmaps")
SERVICES = GroupVersionResource("", "v1", "services")
_RBAC = "rbac.authorization.k8s.io"
ROLES = GroupVersionResource(_RBAC, "v1", "roles")
ROLE_BINDINGS = GroupVersionResource(_RBAC, "v1", "rolebindings")
CLUSTER_ROLES = GroupVersionResource(_RBAC, "v1", "clusterroles")
CLUSTER_ROLE_BINDINGS = GroupVersionResource(_RBAC, "v1", "clusterrolebindings")
CLUSTER_CONFIG = "sampan-cluster"
CLUSTER_INFO = "cluster-info"
JOINERS = "system:bootstrappers:sampan:nodes"
"""The group of join tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """What nodes must know. server: the URL under which other machines reach the API; ca: PEM; ranges: CIDRs."""

    server: str
    ca: bytes
    cluster_cidr: str
    service_cidr: str
    load_balancer_cidr: str
    dns_address: str
    registry: str = ""
    cluster_domain: str = "cluster.local"

    def to_data(self) -> dict[str, str]:
        """The data of the `sampan-cluster` ConfigMap."""
        return {
            "server": self.server,
            "clusterCIDR": self.cluster_cidr,
            "serviceClusterIPRange": self.service_cidr,
            "loadBalancerCIDR": self.load_balancer_cidr,
            "clusterDNS": self.dns_address,
            "localRegistry": self.registry,
            "clusterDomain": self.cluster_domain,
        }


async def ensure(client: Client, facts: ClusterFacts) -> None:
    """Create what is missing and bring the server's own data up to date."""
    for gvr, obj in _objects(facts):
        resource, name = client.resource(gvr, obj["metadata"].get("namespace", "")), obj["metadata"]["name"]
        try:
            current = await resource.get(name)
        except NotFound:
            with suppress(AlreadyExists):  # another server on the same store was quicker
                await resource.create(obj, field_manager="sampan")
            continue
        if "data" in obj and current.get("data") != obj["data"]:
            await resource.patch(name, {"data": obj["data"]}, content_type=MERGE_PATCH, field_manager="sampan")


def _objects(facts: ClusterFacts) -> Iterator[tuple[GroupVersionResource, Object]]:
    yield CONFIG_MAPS, _config_map("kube-public", CLUSTER_INFO, {"kubeconfig": _cluster_info(facts)})
    yield ROLES, _reader("kube-public", "sampan:cluster-info", CLUSTER_INFO)
    yield (
        ROLE_BINDINGS,
        _role_binding(
            "kube-public",
            "sampan:cluster-info",
            _subject("User", "system:anonymous"),
            _subject("Group", "system:unauthenticated"),
        ),
    )
    yield CONFIG_MAPS, _config_map("kube-system", CLUSTER_CONFIG, facts.to_data())
    yield ROLES, _reader("kube-system", "sampan:cluster-config", CLUSTER_CONFIG)
    yield ROLE_BINDINGS, _role_binding("kube-system", "sampan:cluster-config", _subject("Group", "system:nodes"))
    nodes, joiners = _subject("Group", "system:nodes"), _subject("Group", JOINERS)
    approvals = "system:certificates.k8s.io:certificatesigningrequests"
    yield CLUSTER_ROLE_BINDINGS, _cluster_role_binding("sampan:join", "system:node-bootstrapper", joiners)
    yield CLUSTER_ROLE_BINDINGS, _cluster_role_binding("sampan:approve-join", f"{approvals}:nodeclient", joiners)
    yield CLUSTER_ROLE_BINDINGS, _cluster_role_binding("sampan:approve-renewal", f"{approvals}:selfnodeclient", nodes)
    yield CLUSTER_ROLE_BINDINGS, _cluster_role_binding("sampan:node-proxier", "system:node-proxier", nodes)
    yield CLUSTER_ROLE_BINDINGS, _cluster_role_binding("sampan:node-dns", "system:kube-dns", nodes)
    yield SERVICES, _dns_service(facts.dns_address)
    yield STORAGECLASSES, _storage_class()
    rule = {"apiGroups": [""], "resources": ["persistentvolumes"], "verbs": ["get", "list", "watch"]}
    yield CLUSTER_ROLES, _cluster_role("sampan:local-path", rule)
    yield CLUSTER_ROLE_BINDINGS, _cluster_role_binding("sampan:local-path", "sampan:local-path", nodes)


def _metadata(name: str, namespace: str = "") -> Object:
    return {"name": name, "namespace": namespace} if namespace else {"name": name}


def _config_map(namespace: str, name: str, data: dict[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(name, namespace), "data": data}


def _reader(namespace: str, name: str, config_map: str) -> Object:
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [config_map], "verbs": ["get"]}
    return {"apiVersion": f"{_RBAC}/v1", "kind": "Role", "metadata": _metadata(name, namespace), "rules": [rule]}


def _subject(kind: str, name: str) -> Object:
    return {"apiGroup": _RBAC, "kind": kind, "name": name}


def _role_binding(namespace: str, name: str, *subjects: Object) -> Object:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": _metadata(name, namespace),
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": name},
        "subjects": list(subjects),
    }


def _cluster_role_binding(name: str, role: str, subject: Object) -> Object:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": _metadata(name),
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    }


def _cluster_info(facts: ClusterFacts) -> str:
    """A kubeconfig with the server and its CA and no user, as JSON (which is YAML)."""
    cluster = {"certificate-authority-data": base64.b64encode(facts.ca).decode(), "server": facts.server}
    document = {"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "", "cluster": cluster}]}
    return orjson.dumps(document).decode()


def _cluster_role(name: str, rule: Object) -> Object:
    return {"apiVersion": f"{_RBAC}/v1", "kind": "ClusterRole", "metadata": _metadata(name), "rules": [rule]}


def _storage_class() -> Object:
    """The class that claims get when they name none: directories on the node of their first pod."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {**_metadata("local-path"), "annotations": {DEFAULT_CLASS: "true"}},
        "provisioner": LOCAL_PATH,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": True,
    }


def _dns_service(address: str) -> Object:
    """The cluster DNS address under its usual name. Agents answer it themselves: the Service has no selector."""
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
    ]
    labels = {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {**_metadata("kube-dns", "kube-system"), "labels": labels},
        "spec": {"clusterIP": address, "ports": ports},
    }
