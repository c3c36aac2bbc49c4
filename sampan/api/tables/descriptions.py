"""What the columns of tables describe: the API field that a column shows, or a text for columns that summarise.

Fields are named as the OpenAPI schemas name them, without ``io.k8s.``.
"""

from __future__ import annotations

_TEMPLATE = {
    "Containers": "Names of each container in the template.",
    "Images": "Images referenced by each container in the template.",
}

FIELDS: dict[tuple[str, str], dict[str, str]] = {
    ("", "configmaps"): {
        "Data": "api.core.v1.ConfigMap.data",
    },
    ("", "endpoints"): {
        "Endpoints": "api.core.v1.Endpoints.subsets",
    },
    ("", "events"): {
        "Last Seen": "api.core.v1.Event.lastTimestamp",
        "Type": "api.core.v1.Event.type",
        "Reason": "api.core.v1.Event.reason",
        "Object": "api.core.v1.Event.involvedObject",
        "Subobject": "api.core.v1.ObjectReference.fieldPath",
        "Source": "api.core.v1.Event.source",
        "Message": "api.core.v1.Event.message",
        "First Seen": "api.core.v1.Event.firstTimestamp",
        "Count": "api.core.v1.Event.count",
    },
    ("", "nodes"): {
        "Version": "api.core.v1.NodeSystemInfo.kubeletVersion",
        "Internal-IP": "api.core.v1.NodeStatus.addresses",
        "External-IP": "api.core.v1.NodeStatus.addresses",
        "OS-Image": "api.core.v1.NodeSystemInfo.osImage",
        "Kernel-Version": "api.core.v1.NodeSystemInfo.kernelVersion",
        "Container-Runtime": "api.core.v1.NodeSystemInfo.containerRuntimeVersion",
    },
    ("", "persistentvolumeclaims"): {
        "Status": "api.core.v1.PersistentVolumeClaimStatus.phase",
        "Volume": "api.core.v1.PersistentVolumeClaimSpec.volumeName",
        "Capacity": "api.core.v1.PersistentVolumeClaimStatus.capacity",
        "Access Modes": "api.core.v1.PersistentVolumeClaimStatus.accessModes",
        "VolumeMode": "api.core.v1.PersistentVolumeClaimSpec.volumeMode",
    },
    ("", "persistentvolumes"): {
        "Capacity": "api.core.v1.PersistentVolumeSpec.capacity",
        "Access Modes": "api.core.v1.PersistentVolumeSpec.accessModes",
        "Reclaim Policy": "api.core.v1.PersistentVolumeSpec.persistentVolumeReclaimPolicy",
        "Status": "api.core.v1.PersistentVolumeStatus.phase",
        "Claim": "api.core.v1.PersistentVolumeSpec.claimRef",
        "Reason": "api.core.v1.PersistentVolumeStatus.reason",
        "VolumeMode": "api.core.v1.PersistentVolumeSpec.volumeMode",
    },
    ("", "pods"): {
        "IP": "api.core.v1.PodStatus.podIP",
        "Node": "api.core.v1.PodSpec.nodeName",
        "Nominated Node": "api.core.v1.PodStatus.nominatedNodeName",
        "Readiness Gates": "api.core.v1.PodSpec.readinessGates",
    },
    ("", "replicationcontrollers"): {
        "Desired": "api.core.v1.ReplicationControllerSpec.replicas",
        "Current": "api.core.v1.ReplicationControllerStatus.replicas",
        "Ready": "api.core.v1.ReplicationControllerStatus.readyReplicas",
        "Selector": "api.core.v1.ReplicationControllerSpec.selector",
    },
    ("", "secrets"): {
        "Type": "api.core.v1.Secret.type",
        "Data": "api.core.v1.Secret.data",
    },
    ("", "services"): {
        "Type": "api.core.v1.ServiceSpec.type",
        "Cluster-IP": "api.core.v1.ServiceSpec.clusterIP",
        "External-IP": "api.core.v1.ServiceSpec.externalIPs",
        "Port(s)": "api.core.v1.ServiceSpec.ports",
        "Selector": "api.core.v1.ServiceSpec.selector",
    },
    ("apps", "controllerrevisions"): {
        "Revision": "api.apps.v1.ControllerRevision.revision",
    },
    ("apps", "daemonsets"): {
        "Desired": "api.apps.v1.DaemonSetStatus.desiredNumberScheduled",
        "Current": "api.apps.v1.DaemonSetStatus.currentNumberScheduled",
        "Ready": "api.apps.v1.DaemonSetStatus.numberReady",
        "Up-to-date": "api.apps.v1.DaemonSetStatus.updatedNumberScheduled",
        "Available": "api.apps.v1.DaemonSetStatus.numberAvailable",
        "Node Selector": "api.core.v1.PodSpec.nodeSelector",
        "Selector": "api.apps.v1.DaemonSetSpec.selector",
    },
    ("apps", "deployments"): {
        "Up-to-date": "api.apps.v1.DeploymentStatus.updatedReplicas",
        "Available": "api.apps.v1.DeploymentStatus.availableReplicas",
        "Selector": "api.apps.v1.DeploymentSpec.selector",
    },
    ("apps", "replicasets"): {
        "Desired": "api.apps.v1.ReplicaSetSpec.replicas",
        "Current": "api.apps.v1.ReplicaSetStatus.replicas",
        "Ready": "api.apps.v1.ReplicaSetStatus.readyReplicas",
        "Selector": "api.apps.v1.ReplicaSetSpec.selector",
    },
    ("autoscaling", "horizontalpodautoscalers"): {
        "Reference": "api.autoscaling.v2.HorizontalPodAutoscalerSpec.scaleTargetRef",
        "Targets": "api.autoscaling.v2.HorizontalPodAutoscalerSpec.metrics",
        "MinPods": "api.autoscaling.v2.HorizontalPodAutoscalerSpec.minReplicas",
        "MaxPods": "api.autoscaling.v2.HorizontalPodAutoscalerSpec.maxReplicas",
        "Replicas": "api.autoscaling.v2.HorizontalPodAutoscalerStatus.currentReplicas",
    },
    ("batch", "cronjobs"): {
        "Schedule": "api.batch.v1.CronJobSpec.schedule",
        "Timezone": "api.batch.v1.CronJobSpec.timeZone",
        "Suspend": "api.batch.v1.CronJobSpec.suspend",
        "Active": "api.batch.v1.CronJobStatus.active",
        "Last Schedule": "api.batch.v1.CronJobStatus.lastScheduleTime",
        "Selector": "api.batch.v1.JobSpec.selector",
    },
    ("batch", "jobs"): {
        "Completions": "api.batch.v1.JobStatus.succeeded",
        "Selector": "api.batch.v1.JobSpec.selector",
    },
    ("certificates.k8s.io", "certificatesigningrequests"): {
        "SignerName": "api.certificates.v1.CertificateSigningRequestSpec.signerName",
        "Requestor": "api.certificates.v1.CertificateSigningRequestSpec.request",
        "RequestedDuration": "api.certificates.v1.CertificateSigningRequestSpec.expirationSeconds",
        "Condition": "api.certificates.v1.CertificateSigningRequestStatus.conditions",
    },
    ("coordination.k8s.io", "leases"): {
        "Holder": "api.coordination.v1.LeaseSpec.holderIdentity",
    },
    ("discovery.k8s.io", "endpointslices"): {
        "AddressType": "api.discovery.v1.EndpointSlice.addressType",
        "Ports": "api.discovery.v1.EndpointSlice.ports",
        "Endpoints": "api.discovery.v1.EndpointSlice.endpoints",
    },
    ("events.k8s.io", "events"): {
        "Last Seen": "api.core.v1.Event.lastTimestamp",
        "Type": "api.core.v1.Event.type",
        "Reason": "api.core.v1.Event.reason",
        "Object": "api.core.v1.Event.involvedObject",
        "Subobject": "api.core.v1.ObjectReference.fieldPath",
        "Source": "api.core.v1.Event.source",
        "Message": "api.core.v1.Event.message",
        "First Seen": "api.core.v1.Event.firstTimestamp",
        "Count": "api.core.v1.Event.count",
    },
    ("flowcontrol.apiserver.k8s.io", "flowschemas"): {
        "PriorityLevel": "api.flowcontrol.v1.PriorityLevelConfigurationReference.name",
        "MatchingPrecedence": "api.flowcontrol.v1.FlowSchemaSpec.matchingPrecedence",
        "DistinguisherMethod": "api.flowcontrol.v1.FlowSchemaSpec.distinguisherMethod",
    },
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"): {
        "Type": "api.flowcontrol.v1.PriorityLevelConfigurationSpec.type",
        "NominalConcurrencyShares": "api.flowcontrol.v1.LimitedPriorityLevelConfiguration.nominalConcurrencyShares",
        "Queues": "api.flowcontrol.v1.QueuingConfiguration.queues",
        "HandSize": "api.flowcontrol.v1.QueuingConfiguration.handSize",
        "QueueLengthLimit": "api.flowcontrol.v1.QueuingConfiguration.queueLengthLimit",
    },
    ("networking.k8s.io", "ipaddresses"): {
        "ParentRef": "api.networking.v1.IPAddressSpec.parentRef",
    },
    ("networking.k8s.io", "networkpolicies"): {
        "Pod-Selector": "api.networking.v1.NetworkPolicySpec.podSelector",
    },
    ("networking.k8s.io", "servicecidrs"): {
        "CIDRs": "api.networking.v1.ServiceCIDRSpec.cidrs",
    },
    ("resource.k8s.io", "resourceslices"): {
        "Node": "api.resource.v1.ResourceSliceSpec.nodeName",
        "Driver": "api.resource.v1.ResourceSliceSpec.driver",
        "Pool": "api.resource.v1.ResourcePool.name",
    },
    ("scheduling.k8s.io", "priorityclasses"): {
        "Value": "api.scheduling.v1.PriorityClass.value",
        "Global-Default": "api.scheduling.v1.PriorityClass.globalDefault",
        "PreemptionPolicy": "api.scheduling.v1.PriorityClass.preemptionPolicy",
    },
    ("storage.k8s.io", "csidrivers"): {
        "AttachRequired": "api.storage.v1.CSIDriverSpec.attachRequired",
        "PodInfoOnMount": "api.storage.v1.CSIDriverSpec.podInfoOnMount",
        "StorageCapacity": "api.storage.v1.CSIDriverSpec.storageCapacity",
        "TokenRequests": "api.storage.v1.CSIDriverSpec.tokenRequests",
        "RequiresRepublish": "api.storage.v1.CSIDriverSpec.requiresRepublish",
        "Modes": "api.storage.v1.CSIDriverSpec.volumeLifecycleModes",
    },
    ("storage.k8s.io", "storageclasses"): {
        "Provisioner": "api.storage.v1.StorageClass.provisioner",
        "ReclaimPolicy": "api.storage.v1.StorageClass.reclaimPolicy",
        "VolumeBindingMode": "api.storage.v1.StorageClass.volumeBindingMode",
        "AllowVolumeExpansion": "api.storage.v1.StorageClass.allowVolumeExpansion",
    },
    ("storage.k8s.io", "volumeattachments"): {
        "Attacher": "api.storage.v1.VolumeAttachmentSpec.attacher",
        "PV": "api.storage.v1.VolumeAttachmentSource.persistentVolumeName",
        "Node": "api.storage.v1.VolumeAttachmentSpec.nodeName",
        "Attached": "api.storage.v1.VolumeAttachmentStatus.attached",
    },
    ("storage.k8s.io", "volumeattributesclasses"): {
        "DriverName": "api.storage.v1.VolumeAttributesClass.driverName",
    },
}

TEXTS: dict[tuple[str, str], dict[str, str]] = {
    ("", "componentstatuses"): {
        "Status": "Status of the component conditions",
        "Message": "Message of the component conditions",
        "Error": "Error of the component conditions",
    },
    ("", "namespaces"): {
        "Status": "The status of the namespace",
    },
    ("", "nodes"): {
        "Status": "The status of the node",
        "Roles": "The roles of the node",
    },
    ("", "persistentvolumeclaims"): {
        "StorageClass": "StorageClass of the pvc",
        "VolumeAttributesClass": "VolumeAttributesClass of the pvc",
    },
    ("", "persistentvolumes"): {
        "StorageClass": "StorageClass of the pv",
        "VolumeAttributesClass": "VolumeAttributesClass of the pv",
    },
    ("", "pods"): {
        "Ready": "The aggregate readiness state of this pod for accepting traffic.",
        "Status": "The aggregate status of the containers in this pod.",
        "Restarts": (
            "The number of times the containers in this pod have been restarted and when the last container "
            "in this pod has restarted."
        ),
    },
    ("", "podtemplates"): {
        **_TEMPLATE,
        "Pod Labels": "The labels for the pod template.",
    },
    ("", "replicationcontrollers"): {
        **_TEMPLATE,
    },
    ("", "resourcequotas"): {
        "Request": "Request represents a minimum amount of cpu/memory that a container may consume.",
        "Limit": (
            "Limits control the maximum amount of cpu/memory that a container may use independent of "
            "contention on the node."
        ),
    },
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies"): {
        "Mutations": "Mutations indicates the number of mutation rules defined in this configuration",
        "ParamKind": "ParamKind specifies the kind of resources used to parameterize this policy",
    },
    ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings"): {
        "PolicyName": "PolicyName indicates the policy definition which the policy binding binded to",
        "ParamRef": "ParamRef indicates the param resource which sets the configuration param",
    },
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"): {
        "Webhooks": "Webhooks indicates the number of webhooks registered in this configuration",
    },
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"): {
        "Validations": "Validations indicates the number of validation rules defined in this configuration",
        "ParamKind": "ParamKind specifies the kind of resources used to parameterize this policy",
    },
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"): {
        "PolicyName": "PolicyName indicates the policy definition which the policy binding binded to",
        "ParamRef": "ParamRef indicates the param resource which sets the configuration param",
    },
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"): {
        "Webhooks": "Webhooks indicates the number of webhooks registered in this configuration",
    },
    ("apiregistration.k8s.io", "apiservices"): {
        "Service": "The reference to the service that hosts this API endpoint.",
        "Available": "Whether this service is available.",
    },
    ("apps", "controllerrevisions"): {
        "Controller": "Controller of the object",
    },
    ("apps", "daemonsets"): {
        **_TEMPLATE,
    },
    ("apps", "deployments"): {
        **_TEMPLATE,
        "Ready": "Number of the pod with ready state",
    },
    ("apps", "replicasets"): {
        **_TEMPLATE,
    },
    ("apps", "statefulsets"): {
        **_TEMPLATE,
        "Ready": "Number of the pod with ready state",
    },
    ("batch", "cronjobs"): {
        **_TEMPLATE,
    },
    ("batch", "jobs"): {
        **_TEMPLATE,
        "Status": "Status of the job.",
        "Duration": "Time required to complete the job.",
    },
    ("flowcontrol.apiserver.k8s.io", "flowschemas"): {
        "MissingPL": "references a broken or non-existent PriorityLevelConfiguration",
    },
    ("networking.k8s.io", "ingressclasses"): {
        "Controller": "Controller that is responsible for handling this class",
        "Parameters": "A reference to a resource with additional parameters",
    },
    ("networking.k8s.io", "ingresses"): {
        "Class": "The name of the IngressClass resource that should be used for additional configuration",
        "Hosts": "Hosts that incoming requests are matched against before the ingress rule",
        "Address": "Address is a list containing ingress points for the load-balancer",
        "Ports": "Ports of TLS configurations that open",
    },
    ("node.k8s.io", "runtimeclasses"): {
        "Handler": "",
    },
    ("policy", "poddisruptionbudgets"): {
        "Min Available": "The minimum number of pods that must be available.",
        "Max Unavailable": "The maximum number of pods that may be unavailable.",
        "Allowed Disruptions": "Calculated number of pods that may be disrupted at this time.",
    },
    ("rbac.authorization.k8s.io", "clusterrolebindings"): {
        "Role": (
            "RoleRef can only reference a ClusterRole in the global namespace. If the RoleRef cannot be "
            "resolved, the Authorizer must return an error."
        ),
        "Users": "Users in the clusterRoleBinding",
        "Groups": "Groups in the clusterRoleBinding",
        "ServiceAccounts": "ServiceAccounts in the clusterRoleBinding",
    },
    ("rbac.authorization.k8s.io", "rolebindings"): {
        "Role": (
            "RoleRef can reference a Role in the current namespace or a ClusterRole in the global "
            "namespace. If the RoleRef cannot be resolved, the Authorizer must return an error."
        ),
        "Users": "Users in the roleBinding",
        "Groups": "Groups in the roleBinding",
        "ServiceAccounts": "ServiceAccounts in the roleBinding",
    },
    ("resource.k8s.io", "resourceclaims"): {
        "State": "A summary of the current state (allocated, pending, reserved, etc.).",
    },
    ("storage.k8s.io", "csinodes"): {
        "Drivers": "Drivers indicates the number of CSI drivers registered on the node",
    },
}
