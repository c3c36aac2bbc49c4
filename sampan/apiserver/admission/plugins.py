"""The plug-ins of a server, in kube-apiserver's order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.apiserver.admission.certificates import (
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
)
from sampan.apiserver.admission.conversion import Conversion
from sampan.apiserver.admission.escalation import RBACEscalation
from sampan.apiserver.admission.lifecycle import NamespaceLifecycle
from sampan.apiserver.admission.limitranger import LimitRanger
from sampan.apiserver.admission.noderestriction import NodeRestriction
from sampan.apiserver.admission.podresize import PodResizeValidator
from sampan.apiserver.admission.podsecurity import PodSecurity
from sampan.apiserver.admission.podspec import (
    DefaultTolerationSeconds,
    Priority,
    RuntimeClass,
    TaintNodesByCondition,
)
from sampan.apiserver.admission.policy.mutating import MutatingAdmissionPolicy
from sampan.apiserver.admission.policy.policies import Parameters, Policies
from sampan.apiserver.admission.policy.validating import ValidatingAdmissionPolicy
from sampan.apiserver.admission.resourcequota import ResourceQuota
from sampan.apiserver.admission.serviceaccount import ServiceAccount
from sampan.apiserver.admission.storage import (
    DefaultIngressClass,
    DefaultStorageClass,
    PersistentVolumeClaimResize,
    StorageObjectInUseProtection,
)
from sampan.apiserver.admission.topology import PodTopologyLabels
from sampan.apiserver.admission.webhooks.dispatch import MutatingAdmissionWebhook, ValidatingAdmissionWebhook
from sampan.apiserver.admission.webhooks.hooks import Hooks
from sampan.apiserver.admission.webhooks.matching import Matcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.apiserver.admission.interface import AdmissionServices
    from sampan.apiserver.authz.rbac import RBACAuthorizer
    from sampan.apiserver.outbound import Outbound
    from sampan.apiserver.registry.generic import Registry
    from sampan.apiserver.registry.resources import Resources
    from sampan.apiserver.storage.resourcestore import ResourceStore


_WEBHOOKS = "admissionregistration.k8s.io"


def build(
    services: AdmissionServices, rbac: Callable[[], RBACAuthorizer], resources: Resources, outbound: Outbound
) -> list[Any]:
    """Make every plug-in that is on by default, and NodeRestriction, which every installer adds."""

    def quotas() -> Registry:
        found = resources.get(("", "v1", "resourcequotas"))
        assert found is not None
        return found

    def store_of(resource: str) -> Callable[[], ResourceStore]:
        return lambda: resources.store_of(_WEBHOOKS, resource)

    matcher = Matcher(services.lookup, resources)
    conversion = Conversion(resources)
    shared = (matcher, outbound, conversion, services.authorizer)
    judging = (matcher, Parameters(resources), conversion, services.authorizer, services.lookup)

    def policies(kind: str) -> Policies:
        return Policies(store_of(f"{kind}admissionpolicies"), store_of(f"{kind}admissionpolicybindings"))

    return [
        NamespaceLifecycle(services),
        LimitRanger(services),
        ServiceAccount(services),
        NodeRestriction(services),
        TaintNodesByCondition(services),
        PodSecurity(services),
        Priority(services),
        DefaultTolerationSeconds(services),
        DefaultStorageClass(services),
        StorageObjectInUseProtection(services),
        PersistentVolumeClaimResize(services),
        RuntimeClass(services),
        CertificateApproval(services),
        CertificateSigning(services),
        CertificateSubjectRestriction(services),
        DefaultIngressClass(services),
        PodTopologyLabels(services),
        PodResizeValidator(services),
        MutatingAdmissionPolicy(policies("mutating"), *judging),
        MutatingAdmissionWebhook(Hooks(store_of("mutatingwebhookconfigurations")), *shared),
        RBACEscalation(services, rbac),
        ValidatingAdmissionPolicy(policies("validating"), *judging),
        ValidatingAdmissionWebhook(Hooks(store_of("validatingwebhookconfigurations")), *shared),
        ResourceQuota(services, quotas),
    ]
