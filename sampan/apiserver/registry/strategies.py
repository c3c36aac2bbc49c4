"""Which strategy serves which resource: an explicit table, its modules imported when a resource is first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from sampan.apiserver.registry.strategy import Strategy

if TYPE_CHECKING:
    from sampan.api.gvk import ResourceInfo

_HERE = "sampan.apiserver.registry"

STRATEGIES: dict[tuple[str, str], str] = {
    ("", "pods"): "core.pod:PodStrategy",
    ("", "services"): "core.service:ServiceStrategy",
    ("", "configmaps"): "core.configuration:ConfigMapStrategy",
    ("", "secrets"): "core.configuration:SecretStrategy",
    ("", "namespaces"): "core.cluster:NamespaceStrategy",
    ("", "nodes"): "core.cluster:NodeStrategy",
    ("", "serviceaccounts"): "core.cluster:ServiceAccountStrategy",
    ("", "events"): "core.events:EventStrategy",
    ("events.k8s.io", "events"): "core.events:NewEventStrategy",
    ("", "endpoints"): "core.endpoints:EndpointsStrategy",
    ("", "replicationcontrollers"): "core.replication:ReplicationControllerStrategy",
    ("", "podtemplates"): "core.replication:PodTemplateStrategy",
    ("", "persistentvolumes"): "core.persistence:PersistentVolumeStrategy",
    ("", "persistentvolumeclaims"): "core.persistence:PersistentVolumeClaimStrategy",
    ("", "limitranges"): "core.quota:LimitRangeStrategy",
    ("", "resourcequotas"): "core.quota:ResourceQuotaStrategy",
    ("apps", "deployments"): "apps.deployment:DeploymentStrategy",
    ("apps", "replicasets"): "apps.deployment:ReplicaSetStrategy",
    ("apps", "statefulsets"): "apps.statefulset:StatefulSetStrategy",
    ("apps", "controllerrevisions"): "apps.statefulset:ControllerRevisionStrategy",
    ("apps", "daemonsets"): "apps.daemonset:DaemonSetStrategy",
    ("batch", "jobs"): "batch.job:JobStrategy",
    ("batch", "cronjobs"): "batch.cronjob:CronJobStrategy",
    ("networking.k8s.io", "ingresses"): "networking.ingress:IngressStrategy",
    ("networking.k8s.io", "ingressclasses"): "networking.ingress:IngressClassStrategy",
    ("networking.k8s.io", "networkpolicies"): "networking.networkpolicy:NetworkPolicyStrategy",
    ("networking.k8s.io", "ipaddresses"): "networking.serviceaddresses:IPAddressStrategy",
    ("networking.k8s.io", "servicecidrs"): "networking.serviceaddresses:ServiceCIDRStrategy",
    ("discovery.k8s.io", "endpointslices"): "discovery.endpointslice:EndpointSliceStrategy",
    ("coordination.k8s.io", "leases"): "coordination.lease:LeaseStrategy",
    ("scheduling.k8s.io", "priorityclasses"): "scheduling.priorityclass:PriorityClassStrategy",
    ("node.k8s.io", "runtimeclasses"): "node.runtimeclass:RuntimeClassStrategy",
    ("rbac.authorization.k8s.io", "roles"): "rbac.roles:RoleStrategy",
    ("rbac.authorization.k8s.io", "clusterroles"): "rbac.roles:ClusterRoleStrategy",
    ("rbac.authorization.k8s.io", "rolebindings"): "rbac.roles:RoleBindingStrategy",
    ("rbac.authorization.k8s.io", "clusterrolebindings"): "rbac.roles:ClusterRoleBindingStrategy",
    ("autoscaling", "horizontalpodautoscalers"): "autoscaling.horizontalpodautoscaler:HorizontalPodAutoscalerStrategy",
    ("autoscaling/v1", "horizontalpodautoscalers"): (
        "autoscaling.horizontalpodautoscaler:HorizontalPodAutoscalerV1Strategy"
    ),
    ("storage.k8s.io", "storageclasses"): "storage.classes:StorageClassStrategy",
    ("storage.k8s.io", "volumeattributesclasses"): "storage.classes:VolumeAttributesClassStrategy",
    ("storage.k8s.io", "csidrivers"): "storage.csi:CSIDriverStrategy",
    ("storage.k8s.io", "csinodes"): "storage.csi:CSINodeStrategy",
    ("storage.k8s.io", "csistoragecapacities"): "storage.csi:CSIStorageCapacityStrategy",
    ("storage.k8s.io", "volumeattachments"): "storage.csi:VolumeAttachmentStrategy",
    ("flowcontrol.apiserver.k8s.io", "flowschemas"): "flowcontrol.flow:FlowSchemaStrategy",
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"): "flowcontrol.flow:PriorityLevelStrategy",
    ("certificates.k8s.io", "certificatesigningrequests"): (
        "certificates.signingrequest:CertificateSigningRequestStrategy"
    ),
    ("apiextensions.k8s.io", "customresourcedefinitions"): (
        "apiextensions.customresourcedefinition:CustomResourceDefinitionStrategy"
    ),
    ("apiregistration.k8s.io", "apiservices"): "apiregistration.apiservice:APIServiceStrategy",
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"): (
        "admissionregistration.webhooks:ValidatingWebhookStrategy"
    ),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"): (
        "admissionregistration.webhooks:MutatingWebhookStrategy"
    ),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"): (
        "admissionregistration.policies:ValidatingAdmissionPolicyStrategy"
    ),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies"): (
        "admissionregistration.policies:MutatingAdmissionPolicyStrategy"
    ),
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"): (
        "admissionregistration.policies:PolicyBindingStrategy"
    ),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings"): (
        "admissionregistration.policies:MutatingPolicyBindingStrategy"
    ),
    ("resource.k8s.io", "deviceclasses"): "resource.claims:DeviceClassStrategy",
    ("resource.k8s.io", "resourceclaims"): "resource.claims:ResourceClaimStrategy",
    ("resource.k8s.io", "resourceclaimtemplates"): "resource.claims:ResourceClaimTemplateStrategy",
    ("resource.k8s.io", "resourceslices"): "resource.claims:ResourceSliceStrategy",
    ("policy", "poddisruptionbudgets"): "policy.poddisruptionbudget:PodDisruptionBudgetStrategy",
}
"""(group, resource) -> module below this package, and class."""


def strategy_for(info: ResourceInfo) -> Strategy:
    """Build the strategy of a built-in resource; the generic one where nothing is special."""
    return strategy_class(info.group, info.resource, info.version)(info)


def strategy_class(group: str, resource: str, version: str = "") -> type[Strategy]:
    """Find the class; version: only where the versions of a group differ."""
    place = STRATEGIES.get((f"{group}/{version}", resource)) or STRATEGIES.get((group, resource))
    if place is None:
        return Strategy
    module, _, name = place.partition(":")
    found: type[Strategy] = getattr(import_module(f"{_HERE}.{module}"), name)
    return found
