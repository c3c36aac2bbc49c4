"""Generate gotypes.json from facts/go-types.json.gz.

Run as ``python -m sampan.apiserver.registry.validation.gotypes_generate``.

kube-apiserver validates *internal* types, and shows them in some messages: Go field names, no JSON options. They differ
from the v1 types in the order and place of a few fields; those differences are `ORDER` and `MOVED`.
"""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import orjson

_FACTS = Path(__file__).parents[4] / "facts" / "go-types.json.gz"
_PREFIX = "k8s.io.api."
ROOTS = (
    "core.v1.PodTemplateSpec", "core.v1.EphemeralContainer", "core.v1.PersistentVolumeClaimSpec",
    "core.v1.PersistentVolumeSource", "core.v1.PersistentVolumeSpec", "core.v1.ServicePort", "core.v1.Taint",
    "core.v1.NodeAddress", "core.v1.PodIP", "core.v1.HostIP", "core.v1.NodeConfigSource", "core.v1.ScopeSelector",
    "core.v1.VolumeNodeAffinity", "core.v1.TopologySelectorTerm", "core.v1.PersistentVolumeClaimTemplate",
    "apps.v1.DeploymentStrategy", "apps.v1.DaemonSetUpdateStrategy", "apps.v1.StatefulSetUpdateStrategy",
    "apps.v1.StatefulSetSpec", "batch.v1.JobSpec", "batch.v1.PodFailurePolicyRule", "batch.v1.JobStatus",
    "policy.v1.PodDisruptionBudgetSpec", "rbac.v1.RoleRef", "networking.v1.IngressBackend",
    "flowcontrol.v1.FlowDistinguisherMethod", "flowcontrol.v1.PriorityLevelConfigurationSpec",
    "flowcontrol.v1.FlowSchemaSpec", "flowcontrol.v1.ResourcePolicyRule", "storage.v1.CSINodeDriver",
    "storage.v1.TokenRequest", "storage.v1.VolumeAttachmentSpec", "node.v1.Overhead", "node.v1.Scheduling",
    "certificates.v1.CertificateSigningRequestCondition", "certificates.v1.CertificateSigningRequestSpec",
    "resource.v1.ResourceClaimSpec", "resource.v1.AllocationResult", "resource.v1.ResourcePool",
    "resource.v1.DeviceToleration", "resource.v1.ResourceClaimTemplateSpec", "resource.v1.ResourceSliceSpec",
    "discovery.v1.EndpointPort", "admissionregistration.v1.MatchResources",
    "networking.v1.IngressClassParametersReference",
    "networking.v1.ServiceCIDRSpec", "networking.v1.ParentReference", "coordination.v1.LeaseSpec",
)  # fmt: skip
ORDER: dict[str, tuple[str, ...]] = {
    "core.v1.PodSpec": (
        "Volumes", "InitContainers", "Containers", "EphemeralContainers", "RestartPolicy",
        "TerminationGracePeriodSeconds", "ActiveDeadlineSeconds", "DNSPolicy", "NodeSelector", "ServiceAccountName",
        "AutomountServiceAccountToken", "NodeName", "SecurityContext", "ImagePullSecrets", "Hostname", "Subdomain",
        "SetHostnameAsFQDN", "Affinity", "SchedulerName", "Tolerations", "HostAliases", "PriorityClassName", "Priority",
        "PreemptionPolicy", "DNSConfig", "ReadinessGates", "RuntimeClassName", "Overhead", "EnableServiceLinks",
        "TopologySpreadConstraints", "OS", "SchedulingGates", "ResourceClaims", "Resources", "HostnameOverride",
        "SchedulingGroup",
    ),
    "core.v1.PodSecurityContext": (
        "HostNetwork", "HostPID", "HostIPC", "ShareProcessNamespace", "HostUsers", "SELinuxOptions", "WindowsOptions",
        "RunAsUser", "RunAsGroup", "RunAsNonRoot", "SupplementalGroups", "SupplementalGroupsPolicy", "FSGroup",
        "FSGroupChangePolicy", "Sysctls", "SeccompProfile", "AppArmorProfile", "SELinuxChangePolicy",
    ),
    "core.v1.SecurityContext": (
        "Capabilities", "Privileged", "SELinuxOptions", "WindowsOptions", "RunAsUser", "RunAsGroup", "RunAsNonRoot",
        "ReadOnlyRootFilesystem", "AllowPrivilegeEscalation", "ProcMount", "SeccompProfile", "AppArmorProfile",
    ),
    "core.v1.PersistentVolumeSource": (
        "GCEPersistentDisk", "AWSElasticBlockStore", "HostPath", "Glusterfs", "NFS", "RBD", "Quobyte", "ISCSI",
        "FlexVolume", "Cinder", "CephFS", "FC", "Flocker", "AzureFile", "VsphereVolume", "AzureDisk",
        "PhotonPersistentDisk", "PortworxVolume", "ScaleIO", "Local", "StorageOS", "CSI",
    ),
    "core.v1.VolumeSource": (
        "HostPath", "EmptyDir", "GCEPersistentDisk", "AWSElasticBlockStore", "GitRepo", "Secret", "NFS", "ISCSI",
        "Glusterfs", "PersistentVolumeClaim", "RBD", "Quobyte", "FlexVolume", "Cinder", "CephFS", "Flocker",
        "DownwardAPI", "FC", "AzureFile", "ConfigMap", "VsphereVolume", "AzureDisk", "PhotonPersistentDisk",
        "Projected", "PortworxVolume", "ScaleIO", "StorageOS", "CSI", "Ephemeral", "Image",
    ),
}  # fmt: skip
_HOST = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers")
# Fields that the internal type holds one level deeper than the v1 type, by wire name of the deeper struct's field.
MOVED = {"core.v1.PodSpec": ("securityContext", _HOST)}
_SKIPPED = {"core.v1.PodSpec": {"DeprecatedServiceAccount", *("HostNetwork", "HostPID", "HostIPC"),
                                "ShareProcessNamespace", "HostUsers"}}  # fmt: skip
_SPECIAL = {
    "resource.Quantity": "q", "intstr.IntOrString": "n", "metav1.Time": "t", "metav1.MicroTime": "t",
    "runtime.RawExtension": "v", "metav1.Duration": "v", "types.UID": "s", "types.NodeName": "s",
    "v1.LabelSelector": "v",
}  # fmt: skip


class Generator:
    """Collects every struct that the roots reach."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.facts = facts
        self.out: dict[str, list[list[str]]] = {}

    def kind(self, package: str, go_type: str) -> str:
        """Spell a Go type: s, n, b, q (quantity), t (time), v (on the wire), ``*`` ``[]`` ``{}`` of one, ``.Name``."""
        for prefix, mark in (("*", "*"), ("[]", "[]"), ("map[string]", "{}")):
            if go_type == "[]byte":
                return "v"
            if go_type.startswith(prefix):
                return mark + self.kind(package, go_type[len(prefix) :])
        if go_type.startswith("map["):
            return "{}" + self.kind(package, go_type.partition("]")[2])
        basic = {"string": "s", "bool": "b", "interface{}": "v", "any": "v"}.get(go_type)
        if basic or re.fullmatch(r"u?int\d*|float\d+|byte", go_type):
            return basic or "n"
        if go_type in _SPECIAL:
            return _SPECIAL[go_type]
        return self.named(package, go_type)

    def named(self, package: str, go_type: str) -> str:
        qualifier, _, name = go_type.rpartition(".")
        if qualifier in ("v1", "corev1", "core"):
            package = "core.v1"
        elif qualifier == "metav1":
            return "v"
        entry = self.facts.get(f"{_PREFIX}{package}.{name}")
        if entry is None and qualifier:
            return "v"
        if isinstance(entry, str):
            return self.kind(package, entry)
        if isinstance(entry, dict):
            return self.kind(package, entry["type"])
        self.struct(f"{package}.{name}")
        return f".{package}.{name}"

    def struct(self, name: str) -> None:
        if name in self.out:
            return
        self.out[name] = []
        self.out[name] = self.fields(name)

    def fields(self, name: str) -> list[list[str]]:
        package = name.rpartition(".")[0]
        fields: list[list[str]] = []
        for wire, go_name, go_type, options, *_ in self.facts[_PREFIX + name]:
            if options == "inline" or (not go_name and go_type != "metav1.ObjectMeta"):
                if go_type != "metav1.TypeMeta":
                    fields += self.fields(f"{package}.{go_type}")
            elif go_type == "metav1.ObjectMeta":
                fields.append([wire, "", "v"])
            elif go_name not in _SKIPPED.get(name, ()):
                fields.append([wire, go_name, self.kind(package, go_type)])
        if name == "core.v1.PodSecurityContext":
            for wire, go_name, go_type, *_ in self.facts[_PREFIX + "core.v1.PodSpec"]:
                if wire in _HOST:
                    fields.append([wire, go_name, self.kind(package, go_type)])
        order = ORDER.get(name)
        if order is not None:
            fields.sort(key=lambda one: order.index(one[1]))
        return fields


def main() -> None:
    generator = Generator(orjson.loads(gzip.decompress(_FACTS.read_bytes())))
    for root in ROOTS:
        generator.struct(root)
    lines = [
        f"{orjson.dumps(name).decode()}: {orjson.dumps(fields).decode()}" for name, fields in generator.out.items()
    ]
    target = Path(__file__).with_name("gotypes.json")
    target.write_text("{\n" + ",\n".join(sorted(lines)) + "\n}\n")


if __name__ == "__main__":
    main()
