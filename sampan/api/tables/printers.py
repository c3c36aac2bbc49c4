"""Which function prints which resource."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api.tables import cluster, network, pods, policy, workloads

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.api.gvk import GroupVersionResource
    from sampan.api.object import Object

    Printer = Callable[[Object, float], list[Any]]

PRINTERS: dict[tuple[str, str], Printer] = {
    ("", "pods"): pods.pod,
    ("", "services"): network.service,
    ("", "endpoints"): network.endpoints,
    ("", "configmaps"): cluster.config_map,
    ("", "secrets"): cluster.secret,
    ("", "serviceaccounts"): cluster.service_account,
    ("", "namespaces"): cluster.namespace,
    ("", "nodes"): cluster.node,
    ("", "events"): cluster.event,
    ("events.k8s.io", "events"): cluster.event,
    ("", "limitranges"): cluster.created_at,
    ("", "resourcequotas"): cluster.resource_quota,
    ("", "persistentvolumes"): cluster.persistent_volume,
    ("", "persistentvolumeclaims"): cluster.persistent_volume_claim,
    ("", "componentstatuses"): cluster.component_status,
    ("", "podtemplates"): workloads.pod_template,
    ("", "replicationcontrollers"): workloads.replication_controller,
    ("apps", "deployments"): workloads.deployment,
    ("apps", "replicasets"): workloads.replica_set,
    ("apps", "statefulsets"): workloads.stateful_set,
    ("apps", "daemonsets"): workloads.daemon_set,
    ("apps", "controllerrevisions"): workloads.controller_revision,
    ("batch", "jobs"): workloads.job,
    ("batch", "cronjobs"): workloads.cron_job,
    ("autoscaling", "horizontalpodautoscalers"): workloads.autoscaler,
    ("policy", "poddisruptionbudgets"): workloads.budget,
    ("scheduling.k8s.io", "priorityclasses"): workloads.priority_class,
    ("node.k8s.io", "runtimeclasses"): workloads.runtime_class,
    ("coordination.k8s.io", "leases"): workloads.lease,
    ("networking.k8s.io", "ingresses"): network.ingress,
    ("networking.k8s.io", "ingressclasses"): network.ingress_class,
    ("networking.k8s.io", "networkpolicies"): network.network_policy,
    ("networking.k8s.io", "ipaddresses"): network.ip_address,
    ("networking.k8s.io", "servicecidrs"): network.service_cidr,
    ("discovery.k8s.io", "endpointslices"): network.endpoint_slice,
    ("storage.k8s.io", "storageclasses"): cluster.storage_class,
    ("storage.k8s.io", "volumeattributesclasses"): cluster.volume_attributes_class,
    ("storage.k8s.io", "volumeattachments"): cluster.volume_attachment,
    ("storage.k8s.io", "csinodes"): cluster.csi_node,
    ("storage.k8s.io", "csidrivers"): cluster.csi_driver,
    ("storage.k8s.io", "csistoragecapacities"): cluster.created_at,
    ("certificates.k8s.io", "certificatesigningrequests"): cluster.signing_request,
    ("rbac.authorization.k8s.io", "roles"): cluster.created_at,
    ("rbac.authorization.k8s.io", "clusterroles"): cluster.created_at,
    ("rbac.authorization.k8s.io", "rolebindings"): policy.binding,
    ("rbac.authorization.k8s.io", "clusterrolebindings"): policy.binding,
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"): policy.webhooks,
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"): policy.webhooks,
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"): policy.validating_policy,
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies"): policy.mutating_policy,
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"): policy.policy_binding,
    ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings"): policy.policy_binding,
    ("apiextensions.k8s.io", "customresourcedefinitions"): cluster.created_at,
    ("apiregistration.k8s.io", "apiservices"): policy.api_service,
    ("flowcontrol.apiserver.k8s.io", "flowschemas"): policy.flow_schema,
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"): policy.priority_level,
    ("resource.k8s.io", "resourceclaims"): policy.resource_claim,
    ("resource.k8s.io", "resourceslices"): policy.resource_slice,
    ("resource.k8s.io", "resourceclaimtemplates"): cluster.named,
    ("resource.k8s.io", "deviceclasses"): cluster.named,
}


def row(gvr: GroupVersionResource, obj: Object, now: float) -> list[Any]:
    """Build the cells of one object. now: epoch seconds, for ages."""
    return PRINTERS.get((gvr.group, gvr.resource), cluster.created_at)(obj, now)
