"""Defaults of pods and pod templates (core/v1 ``SetDefaults_Pod``, ``SetDefaults_PodSpec`` and what they hold).

Every function changes its argument in place and is idempotent. The order of the keys it adds does not matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api import quantity
from sampan.apiserver.registry.core.podspec.images import default_pull_policy
from sampan.apiserver.registry.core.podspec.podlevel import default_pod_resources

if TYPE_CHECKING:
    from sampan.api.object import Object

_CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def default_pod(spec: Object) -> None:  # noqa: C901 - one branch a field
    """Default a pod's own spec: what holds for templates, and what only pods get."""
    default_pod_spec(spec)
    if spec["terminationGracePeriodSeconds"] < 0:
        # Only for pods: in templates it would roll out every controller's pods anew.
        spec["terminationGracePeriodSeconds"] = 1
    for name in ("containers", "initContainers"):
        for container in spec.get(name) or ():
            resources = container.get("resources")
            if resources and (limits := resources.get("limits")):
                resources["requests"] = {**limits, **(resources.get("requests") or {})}
    if "resources" in spec:
        default_pod_resources(spec)
    if "enableServiceLinks" not in spec:
        spec["enableServiceLinks"] = True
    if spec.get("hostNetwork"):
        for name in ("containers", "initContainers"):
            for container in spec.get(name) or ():
                for port in container.get("ports") or ():
                    port.setdefault("hostPort", port.get("containerPort", 0))


def default_template(template: Object) -> None:
    """Default a pod template."""
    default_pod_spec(template.setdefault("spec", {"containers": None}))


def default_pod_spec(spec: Object) -> None:
    """Default what pods and templates have in common."""
    if "dnsPolicy" not in spec:
        spec["dnsPolicy"] = "ClusterFirst"
    if "restartPolicy" not in spec:
        spec["restartPolicy"] = "Always"
    if "securityContext" not in spec:
        spec["securityContext"] = {}
    if "terminationGracePeriodSeconds" not in spec:
        spec["terminationGracePeriodSeconds"] = 30
    if "schedulerName" not in spec:
        spec["schedulerName"] = "default-scheduler"
    mirror_service_account(spec)
    for name in _CONTAINER_LISTS:
        for container in spec.get(name) or ():
            _default_container(container)
    for volume in spec.get("volumes") or ():
        _default_volume(volume)
    if "overhead" in spec:
        _round_up(spec["overhead"])


def mirror_service_account(spec: Object) -> None:
    """Keep the deprecated alias equal to serviceAccountName."""
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account


def _default_container(container: Object) -> None:  # noqa: C901, PLR0912 - one branch a field
    if "imagePullPolicy" not in container:
        container["imagePullPolicy"] = default_pull_policy(container.get("image", ""))
    if "terminationMessagePath" not in container:
        container["terminationMessagePath"] = "/dev/termination-log"
    if "terminationMessagePolicy" not in container:
        container["terminationMessagePolicy"] = "File"
    for port in container.get("ports") or ():
        if "protocol" not in port:
            port["protocol"] = "TCP"
    for variable in container.get("env") or ():
        if (source := variable.get("valueFrom")) is not None:
            _default_env_source(source)
    if resources := container.get("resources"):
        for name in ("limits", "requests"):
            if name in resources:
                _round_up(resources[name])
    for name in _PROBES:
        if name in container:
            _default_probe(container[name])
    if "lifecycle" in container:
        for handler in container["lifecycle"].values():
            if isinstance(handler, dict) and "httpGet" in handler:
                _default_http_get(handler["httpGet"])


def _default_env_source(source: Object) -> None:
    if "fieldRef" in source:
        source["fieldRef"].setdefault("apiVersion", "v1")
    if "fileKeyRef" in source:
        source["fileKeyRef"].setdefault("optional", False)


def _default_probe(probe: Object) -> None:
    if not probe.get("timeoutSeconds"):
        probe["timeoutSeconds"] = 1
    if not probe.get("periodSeconds"):
        probe["periodSeconds"] = 10
    if not probe.get("successThreshold"):
        probe["successThreshold"] = 1
    if not probe.get("failureThreshold"):
        probe["failureThreshold"] = 3
    if "httpGet" in probe:
        _default_http_get(probe["httpGet"])
    if "grpc" in probe and probe["grpc"].get("service") is None:
        probe["grpc"]["service"] = ""


def _default_http_get(action: Object) -> None:
    if not action.get("path"):
        action["path"] = "/"
    if not action.get("scheme"):
        action["scheme"] = "HTTP"


def _default_volume(volume: Object) -> None:
    if (len(volume) <= 1 and "name" in volume) or not volume:
        volume["emptyDir"] = {}
        return
    for kind, function in _VOLUME_DEFAULTS.items():
        if kind in volume:
            function(volume[kind])


def _default_mode(source: Object) -> None:
    if "defaultMode" not in source:
        source["defaultMode"] = 0o644


def _default_downward(source: Object) -> None:
    _default_mode(source)
    _default_files(source)


def _default_files(source: Object) -> None:
    for item in source.get("items") or ():
        if "fieldRef" in item:
            item["fieldRef"].setdefault("apiVersion", "v1")


def _default_projected(source: Object) -> None:
    _default_mode(source)
    for one in source.get("sources") or ():
        if "serviceAccountToken" in one:
            one["serviceAccountToken"].setdefault("expirationSeconds", 3600)
        if "downwardAPI" in one:
            _default_files(one["downwardAPI"])
        if "podCertificate" in one:
            one["podCertificate"].setdefault("maxExpirationSeconds", 86400)


def _default_host_path(source: Object) -> None:
    source.setdefault("type", "")


def _default_iscsi(source: Object) -> None:
    source.setdefault("iscsiInterface", "default")


def _default_rbd(source: Object) -> None:
    source.setdefault("pool", "rbd")
    source.setdefault("user", "admin")
    source.setdefault("keyring", "/etc/ceph/keyring")


def _default_scaleio(source: Object) -> None:
    source.setdefault("storageMode", "ThinProvisioned")
    source.setdefault("fsType", "xfs")


def _default_azure_disk(source: Object) -> None:
    source.setdefault("cachingMode", "ReadWrite")
    source.setdefault("kind", "Shared")
    source.setdefault("fsType", "ext4")
    source.setdefault("readOnly", False)


def _default_ephemeral(source: Object) -> None:
    if (template := source.get("volumeClaimTemplate")) is not None:
        default_claim_spec(template.setdefault("spec", {}))


def _default_image(source: Object) -> None:
    if not source.get("pullPolicy"):
        source["pullPolicy"] = default_pull_policy(source.get("reference", ""))


def default_claim_spec(spec: Object) -> None:
    """Default a persistent volume claim's spec, in a claim or a template."""
    spec.setdefault("volumeMode", "Filesystem")
    if resources := spec.get("resources"):
        for name in ("limits", "requests"):
            if name in resources:
                _round_up(resources[name])


_VOLUME_DEFAULTS: dict[str, Any] = {
    "secret": _default_mode,
    "configMap": _default_mode,
    "projected": _default_projected,
    "downwardAPI": _default_downward,
    "hostPath": _default_host_path,
    "ephemeral": _default_ephemeral,
    "image": _default_image,
    "iscsi": _default_iscsi,
    "rbd": _default_rbd,
    "scaleIO": _default_scaleio,
    "azureDisk": _default_azure_disk,
}

default_iscsi, default_rbd, default_scaleio = _default_iscsi, _default_rbd, _default_scaleio
default_azure_disk, default_host_path = _default_azure_disk, _default_host_path


def _round_up(resources: dict[str, str]) -> None:
    """Round quantities up to thousandths, as SetDefaults_ResourceList does."""
    for name, value in resources.items():
        if value.endswith(("n", "u")) or "." in value:
            parsed = quantity.parse(value) * 1000
            if parsed != int(parsed):
                rounded = int(parsed) + (1 if parsed > 0 else 0)
                resources[name] = quantity.canonical(f"{rounded}m")


round_up = _round_up
