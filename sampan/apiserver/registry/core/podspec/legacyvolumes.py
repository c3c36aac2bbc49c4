"""Volume sources that pods and persistent volumes share, most of them served by CSI migration or not at all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sampan.api import field
from sampan.apiserver.registry.core.podspec.paths import local_descending
from sampan.apiserver.registry.validation import names
from sampan.apiserver.registry.validation.numbers import in_range

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.validation.names import Errors

_IQN = re.compile(r"iqn\.\d{4}-\d{2}\.([A-Za-z0-9\-.]+)(:[^,;*&$|\s]+)$")
_EUI = re.compile(r"^eui.[A-Za-z0-9]{16}$")
_NAA = re.compile(r"^naa.[A-Za-z0-9]{32}$")
_FORMATS = {"iqn": _IQN, "eui": _EUI, "naa": _NAA}
_HOST_PORTS = "must be a host:port pair or multiple pairs separated by commas"
_PORTAL_LENGTH = (
    "Total length of <volume name>:<iscsi.targetPortal> must be under 64 "
    "characters if iscsi.initiatorName is specified."
)


def _require(errors: Errors, path: Path, source: Object, *keys: str) -> None:
    for key in keys:
        if not source.get(key):
            errors.append(field.required(path.child(key)))


def git_repo(errors: Errors, path: Path, source: Object) -> None:
    _require(errors, path, source, "repository")
    local_descending(errors, path.child("directory"), source.get("directory", ""))


def _partition(errors: Errors, path: Path, source: Object) -> None:
    value = source.get("partition", 0)
    if not 0 <= value <= 255:
        errors.append(field.invalid(path.child("partition"), value, in_range(1, 255)))


def gce_disk(errors: Errors, path: Path, source: Object) -> None:
    _require(errors, path, source, "pdName")
    _partition(errors, path, source)


def aws_disk(errors: Errors, path: Path, source: Object) -> None:
    _require(errors, path, source, "volumeID")
    _partition(errors, path, source)


def nfs(errors: Errors, path: Path, source: Object) -> None:
    _require(errors, path, source, "server", "path")
    value = source.get("path", "")
    if not value.startswith("/"):
        errors.append(field.invalid(path.child("path"), value, "must be an absolute path"))


def iscsi(errors: Errors, path: Path, source: Object) -> None:
    _iscsi(errors, path, source, "must be valid format starting with iqn, eui, or naa")


def iscsi_name_length(errors: Errors, path: Path, name: str, source: Object) -> None:
    """The initiator's files are named after volume and portal."""
    if "initiatorName" in source and len(f"{name}:{source.get('targetPortal', '')}") > 64:
        errors.append(field.invalid(path.child("name"), name, _PORTAL_LENGTH))


def iscsi_persistent(errors: Errors, path: Path, source: Object, volume_name: str) -> None:
    """The source of a persistent volume, whose secret has a name of its own."""
    if not source.get("targetPortal"):
        errors.append(field.required(path.child("targetPortal")))
    if "initiatorName" in source and len(f"{volume_name}:{source.get('targetPortal', '')}") > 64:
        errors.append(field.invalid(path.child("targetportal"), source.get("targetPortal", ""), _PORTAL_LENGTH))
    _iscsi_rest(errors, path, source, "must be valid format")
    _initiator(errors, path, source, "must be valid format")


def _iscsi(errors: Errors, path: Path, source: Object, prefix_message: str) -> None:
    _require(errors, path, source, "targetPortal")
    _iscsi_rest(errors, path, source, prefix_message)
    _initiator(errors, path, source, prefix_message)


def _iscsi_rest(errors: Errors, path: Path, source: Object, prefix_message: str) -> None:
    iqn = source.get("iqn", "")
    if not iqn:
        errors.append(field.required(path.child("iqn")))
    elif iqn[:3] not in _FORMATS:
        errors.append(field.invalid(path.child("iqn"), iqn, prefix_message))
    elif _FORMATS[iqn[:3]].search(iqn) is None:
        errors.append(field.invalid(path.child("iqn"), iqn, "must be valid format"))
    lun = source.get("lun", 0)
    if not 0 <= lun <= 255:
        errors.append(field.invalid(path.child("lun"), lun, in_range(0, 255)))
    secret = source.get("secretRef")
    if (source.get("chapAuthDiscovery") or source.get("chapAuthSession")) and secret is None:
        errors.append(field.required(path.child("secretRef")))
    if secret is not None and "namespace" in secret and not secret.get("name"):
        errors.append(field.required(path.child("secretRef", "name")))


def _initiator(errors: Errors, path: Path, source: Object, prefix_message: str) -> None:
    value = source.get("initiatorName")
    if value is None:
        return
    if value[:3] not in _FORMATS:
        errors.append(field.invalid(path.child("initiatorname"), value, prefix_message))
    elif _FORMATS[value[:3]].search(value) is None:
        errors.append(field.invalid(path.child("initiatorname"), value, "must be valid format"))


def glusterfs(errors: Errors, path: Path, source: Object) -> None:
    _require(errors, path, source, "endpoints", "path")


def flocker(errors: Errors, path: Path, source: Object) -> None:
    name, uuid = source.get("datasetName", ""), source.get("datasetUUID", "")
    if not name and not uuid:
        errors.append(field.required(path, "one of datasetName and datasetUUID is required"))
    if name and uuid:
        detail = "datasetName and datasetUUID can not be specified simultaneously"
        errors.append(field.invalid(path, "resource", detail))
    if "/" in name:
        errors.append(field.invalid(path.child("datasetName"), name, "must not contain '/'"))


def rbd(errors: Errors, path: Path, source: Object) -> None:
    _require(errors, path, source, "monitors", "image")


def cinder(errors: Errors, path: Path, source: Object) -> None:
    _require(errors, path, source, "volumeID")
    _secret_name(errors, path, source)


def _secret_name(errors: Errors, path: Path, source: Object) -> None:
    secret = source.get("secretRef")
    if secret is not None and not secret.get("name"):
        errors.append(field.required(path.child("secretRef", "name")))


def secret_name_and_namespace(errors: Errors, path: Path, source: Object) -> None:
    """The secret of a persistent volume's source."""
    _secret_name(errors, path, source)
    secret = source.get("secretRef")
    if secret is not None and not secret.get("namespace"):
        errors.append(field.required(path.child("secretRef", "namespace")))


def cephfs(errors: Errors, path: Path, source: Object) -> None:
    _require(errors, path, source, "monitors")


def quobyte(errors: Errors, path: Path, source: Object) -> None:
    registry = source.get("registry", "")
    if not registry:
        errors.append(field.required(path.child("registry"), _HOST_PORTS))
    elif len(source.get("tenant", "")) >= 65:
        detail = "must be a UUID and may not exceed a length of 64 characters"
        errors.append(field.required(path.child("tenant"), detail))
    else:
        for pair in registry.split(","):
            if re.fullmatch(r"(\[[^\[\]]*\]|[^:\[\]]*):[^:]*", pair) is None:
                errors.append(field.invalid(path.child("registry"), registry, _HOST_PORTS))
    _require(errors, path, source, "volume")


def fibre_channel(errors: Errors, path: Path, source: Object) -> None:
    targets, wwids = source.get("targetWWNs"), source.get("wwids")
    if not targets and not wwids:
        detail = "must specify either targetWWNs or wwids, but not both"
        errors.append(field.required(path.child("targetWWNs"), detail))
    if targets and wwids:
        detail = "targetWWNs and wwids can not be specified simultaneously"
        errors.append(field.invalid(path.child("targetWWNs"), targets, detail))
    if targets:
        lun = source.get("lun")
        if lun is None:
            errors.append(field.required(path.child("lun"), "lun is required if targetWWNs is specified"))
        elif not 0 <= lun <= 255:
            errors.append(field.invalid(path.child("lun"), lun, in_range(0, 255)))


def flex_volume(errors: Errors, path: Path, source: Object) -> None:
    _require(errors, path, source, "driver")
    for key in source.get("options") or ():
        domain = "." + key.partition("/")[0].lower()
        if domain.endswith((".kubernetes.io", ".k8s.io")):
            detail = "kubernetes.io and k8s.io namespaces are reserved"
            errors.append(field.invalid(path.child("options").key(key), key, detail))


def azure_file(errors: Errors, path: Path, source: Object) -> None:
    _require(errors, path, source, "secretName", "shareName")
    if "secretNamespace" in source and not source["secretNamespace"]:
        errors.append(field.required(path.child("secretNamespace")))


def azure_disk(errors: Errors, path: Path, source: Object) -> None:
    _require(errors, path, source, "diskName", "diskURI")
    if "cachingMode" in source:
        names.one_of(errors, path.child("cachingMode"), source["cachingMode"], ("None", "ReadOnly", "ReadWrite"))
    kind = source.get("kind")
    if kind is None:
        return
    names.one_of(errors, path.child("kind"), kind, ("Dedicated", "Managed", "Shared"))
    uri = source.get("diskURI", "")
    if kind == "Managed":
        example, prefix = (
            "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}",
            "/subscriptions/",
        )
    else:
        example, prefix = (
            "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd",
            "https://",
        )
    if not uri.startswith(prefix):
        errors.append(field.not_supported(path.child("diskURI"), uri, (example,)))


def vsphere(errors: Errors, path: Path, source: Object) -> None:
    _require(errors, path, source, "volumePath")


def photon(errors: Errors, path: Path, source: Object) -> None:
    _require(errors, path, source, "pdID")


def portworx(errors: Errors, path: Path, source: Object) -> None:
    _require(errors, path, source, "volumeID")


def scaleio(errors: Errors, path: Path, source: Object) -> None:
    _require(errors, path, source, "gateway", "system", "volumeName")


def storageos(errors: Errors, path: Path, source: Object) -> None:
    storageos_volume(errors, path, source)
    _secret_name(errors, path, source)


def storageos_volume(errors: Errors, path: Path, source: Object) -> None:
    """Name and namespace, as pods and persistent volumes have them."""
    names.required_dns_label(errors, path.child("volumeName"), source.get("volumeName", ""))
    if source.get("volumeNamespace"):
        names.dns_label(errors, path.child("volumeNamespace"), source["volumeNamespace"])
