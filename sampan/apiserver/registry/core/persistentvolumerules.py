"""What is valid in a persistent volume's spec (``ValidatePersistentVolumeSpec``)."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from sampan.api import field, quantity
from sampan.apiserver.registry.core.podspec import legacyvolumes
from sampan.apiserver.registry.core.podspec.affinity import node_selector
from sampan.apiserver.registry.core.podspec.claimspec import VOLUME_MODES, access_modes
from sampan.apiserver.registry.core.podspec.paths import no_backsteps
from sampan.apiserver.registry.core.podspec.volumes import host_path
from sampan.apiserver.registry.validation import names
from sampan.apiserver.registry.validation.numbers import positive_quantity

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.validation.names import Errors

_RECLAIM = ("Delete", "Recycle", "Retain")
# In kube-apiserver's order; a flexVolume is never counted as a second source.
SOURCES = (
    "hostPath", "gcePersistentDisk", "awsElasticBlockStore", "glusterfs", "flocker", "nfs", "rbd", "quobyte", "cephfs",
    "iscsi", "cinder", "fc", "flexVolume", "azureFile", "vsphereVolume", "photonPersistentDisk", "portworxVolume",
    "azureDisk", "scaleIO", "local", "storageos", "csi",
)  # fmt: skip
_SHARED = {
    "hostPath": host_path, "gcePersistentDisk": legacyvolumes.gce_disk, "awsElasticBlockStore": legacyvolumes.aws_disk,
    "flocker": legacyvolumes.flocker, "nfs": legacyvolumes.nfs, "rbd": legacyvolumes.rbd,
    "quobyte": legacyvolumes.quobyte, "cephfs": legacyvolumes.cephfs, "fc": legacyvolumes.fibre_channel,
    "flexVolume": legacyvolumes.flex_volume, "azureFile": legacyvolumes.azure_file,
    "vsphereVolume": legacyvolumes.vsphere, "photonPersistentDisk": legacyvolumes.photon,
    "portworxVolume": legacyvolumes.portworx, "azureDisk": legacyvolumes.azure_disk, "scaleIO": legacyvolumes.scaleio,
}  # fmt: skip


def volume_spec(
    errors: Errors, path: Path, spec: Object, name: str, *, inline: bool = False, tolerant: bool = False
) -> None:
    """name: the volume's. inline: of a VolumeAttachment. tolerant: node affinity may hold old invalid values."""
    if inline:
        for key in ("claimRef", "capacity"):
            if spec.get(key):
                errors.append(field.forbidden(path.child(key), "may not be specified in the context of inline volumes"))
        if "csi" not in spec:
            errors.append(field.required(path.child("csi"), "has to be specified in the context of inline volumes"))
    modes = spec.get("accessModes") or []
    if not modes:
        errors.append(field.required(path.child("accessModes")))
    access_modes(errors, path.child("accessModes"), modes)
    if not inline:
        _capacity(errors, path.child("capacity"), spec.get("capacity") or {})
    _reclaim(errors, path.child("persistentVolumeReclaimPolicy"), spec, inline=inline)
    if "nodeAffinity" in spec:
        here = path.child("nodeAffinity")
        if inline:
            errors.append(field.forbidden(here, "may not be specified in the context of inline volumes"))
        elif "required" in spec["nodeAffinity"]:
            node_selector(errors, here.child("required"), spec["nodeAffinity"]["required"], tolerant=tolerant)
        else:
            errors.append(field.required(here.child("required"), "must specify required node constraints"))
    _sources(errors, path, spec, name)
    _classes(errors, path, spec, inline=inline)


def _capacity(errors: Errors, path: Path, capacity: dict[str, str]) -> None:
    if not capacity:
        errors.append(field.required(path))
    if "storage" not in capacity or len(capacity) > 1:
        errors.append(field.not_supported(path, capacity or None, ("storage",)))
    for name, value in capacity.items():
        if quantity.parse(value) < 0:
            shown = quantity.to_int(value)
            errors.append(field.invalid(path.key(name), shown, "must be a valid resource quantity"))
        positive_quantity(errors, path.key(name), value)


def _reclaim(errors: Errors, path: Path, spec: Object, *, inline: bool) -> None:
    policy = spec.get("persistentVolumeReclaimPolicy")
    if not policy:
        return
    if inline:
        if policy != "Retain":
            errors.append(field.forbidden(path, "may only be Retain in the context of inline volumes"))
    else:
        names.one_of(errors, path, policy, _RECLAIM)


def _sources(errors: Errors, path: Path, spec: Object, name: str) -> None:
    seen = False
    for kind in SOURCES:
        if kind not in spec:
            continue
        if seen and kind != "flexVolume":
            shown = "cephFS" if kind == "cephfs" else kind
            errors.append(field.forbidden(path.child(shown), "may not specify more than 1 volume type"))
            continue
        seen = True
        _source(errors, path, kind, spec, name)
    if not seen:
        errors.append(field.required(path, "must specify a volume type"))
    mounted = (spec.get("hostPath") or {}).get("path", "")
    if (
        mounted
        and posixpath.normpath(mounted) in ("/", "//")
        and spec.get("persistentVolumeReclaimPolicy") == "Recycle"
    ):
        detail = "may not be 'recycle' for a hostPath mount of '/'"
        errors.append(field.forbidden(path.child("persistentVolumeReclaimPolicy"), detail))


def _source(errors: Errors, path: Path, kind: str, spec: Object, name: str) -> None:
    source = spec[kind]
    here = path.child("persistentDisk" if kind == "gcePersistentDisk" else kind)
    if kind in _SHARED:
        _SHARED[kind](errors, here, source)
    elif kind == "glusterfs":
        legacyvolumes.glusterfs(errors, here, source)
        _glusterfs_namespace(errors, here.child("endpointsNamespace"), source)
    elif kind == "iscsi":
        legacyvolumes.iscsi_persistent(errors, here, source, name)
    elif kind == "cinder":
        names.required(errors, here.child("volumeID"), source.get("volumeID"))
        legacyvolumes.secret_name_and_namespace(errors, here, source)
    elif kind == "storageos":
        legacyvolumes.storageos_volume(errors, here, source)
        legacyvolumes.secret_name_and_namespace(errors, here, source)
    elif kind == "local":
        _local(errors, here, source)
        if "nodeAffinity" not in spec:
            errors.append(field.required(path.child("nodeAffinity"), "Local volume requires node affinity"))
    else:
        _csi(errors, here, source)


def _glusterfs_namespace(errors: Errors, path: Path, source: Object) -> None:
    namespace = source.get("endpointsNamespace")
    if namespace == "":
        detail = "if the endpointnamespace is set, it must be a valid namespace name"
        errors.append(field.invalid(path, namespace, detail))
    elif namespace is not None:
        names.dns_label(errors, path, namespace)


def _local(errors: Errors, path: Path, source: Object) -> None:
    value = source.get("path", "")
    if not value:
        errors.append(field.required(path.child("path")))
    else:
        no_backsteps(errors, path.child("path"), value)


def _csi(errors: Errors, path: Path, source: Object) -> None:
    names.csi_driver_name(errors, path.child("driver"), source.get("driver", ""))
    names.required(errors, path.child("volumeHandle"), source.get("volumeHandle"))
    for kind in ("controllerPublish", "controllerExpand", "nodePublish", "nodeExpand"):
        reference = source.get(f"{kind}SecretRef")
        if reference is not None:
            here = path.child(f"{kind}SecretRef")
            names.required_subdomain(errors, here.child("name"), reference.get("name", ""))
            names.required_dns_label(errors, here.child("namespace"), reference.get("namespace", ""))


def _classes(errors: Errors, path: Path, spec: Object, *, inline: bool) -> None:
    if storage_class := spec.get("storageClassName"):
        here = path.child("storageClassName")
        if inline:
            errors.append(field.forbidden(here, "may not be specified in the context of inline volumes"))
        else:
            names.dns_subdomain(errors, here, storage_class)
    mode = spec.get("volumeMode")
    if mode is not None:
        here = path.child("volumeMode")
        if not inline:
            names.one_of(errors, here, mode, VOLUME_MODES)
        elif mode != "Filesystem":
            detail = "may not specify volumeMode other than Filesystem in the context of inline volumes"
            errors.append(field.forbidden(here, detail))
    attributes = spec.get("volumeAttributesClassName")
    if attributes is not None:
        here = path.child("volumeAttributesClassName")
        if not attributes:
            errors.append(field.required(here, "an empty string is disallowed"))
        else:
            names.dns_subdomain(errors, here, attributes)
        if "csi" not in spec:
            detail = "has to be specified when using volumeAttributesClassName"
            errors.append(field.required(path.child("csi"), detail))
