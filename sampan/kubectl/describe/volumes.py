"""Volumes of pods and sources of persistent volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api.goformat import go_text
from sampan.kubectl.describe.writer import NONE

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.describe.writer import Writer

Fields = "list[tuple[str, Any]]"

_PLAIN: dict[str, tuple[str, tuple[tuple[str, str, Any], ...]]] = {
    "hostPath": ("HostPath (bare host directory volume)",
                 (("Path", "path", ""), ("HostPathType", "type", ""))),
    "gcePersistentDisk": ("GCEPersistentDisk (a Persistent Disk resource in Google Compute Engine)",
                          (("PDName", "pdName", ""), ("FSType", "fsType", ""), ("Partition", "partition", 0),
                           ("ReadOnly", "readOnly", False))),
    "awsElasticBlockStore": ("AWSElasticBlockStore (a Persistent Disk resource in AWS)",
                             (("VolumeID", "volumeID", ""), ("FSType", "fsType", ""), ("Partition", "partition", 0),
                              ("ReadOnly", "readOnly", False))),
    "nfs": ("NFS (an NFS mount that lasts the lifetime of a pod)",
            (("Server", "server", ""), ("Path", "path", ""), ("ReadOnly", "readOnly", False))),
    "local": ("LocalVolume (a persistent volume backed by local storage on a node)", (("Path", "path", ""),)),
    "persistentVolumeClaim": (
        "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
        (("ClaimName", "claimName", ""), ("ReadOnly", "readOnly", False)),
    ),
    "image": ("Image (a container image or OCI artifact)",
              (("Reference", "reference", ""), ("PullPolicy", "pullPolicy", ""))),
}  # fmt: skip


def write_volumes(writer: Writer, volumes: list[Object] | None, space: str = "") -> None:
    """Write a pod's or template's volumes; space: the template's indent."""
    if not volumes:
        writer.write(0, f"{space}Volumes:\t{NONE}\n")
        return
    writer.write(0, f"{space}Volumes:\n")
    indent = " " if space else ""
    for volume in volumes:
        writer.write(1, f"{indent}{volume['name']}:\n")
        write_source(writer, volume)


def write_source(writer: Writer, volume: Object) -> None:
    """Write one volume's source."""
    kind, fields = _source(volume)
    if not kind:
        writer.write(2, "Type:\t<unknown>\n")
        return
    writer.write(2, f"Type:\t{kind}\n")
    for name, value in fields:
        if name == "Items":
            writer.write(2, "Items:\n")
            for item in value:
                _item(writer, item)
        else:
            writer.write(2, f"{name}:\t{go_text(value)}\n")


def _item(writer: Writer, item: Object) -> None:
    if "fieldRef" in item:
        writer.write(3, f"{item['fieldRef']['fieldPath']} -> {item['path']}\n")
    elif "resourceFieldRef" in item:
        writer.write(3, f"{item['resourceFieldRef']['resource']} -> {item['path']}\n")


def _source(volume: Object) -> tuple[str, list[tuple[str, Any]]]:
    for field, (kind, fields) in _PLAIN.items():
        if field in volume:
            source = volume[field]
            return kind, [(shown, source.get(name, default)) for shown, name, default in fields]
    for field, reader in _READERS.items():
        if field in volume:
            found: tuple[str, list[tuple[str, Any]]] = reader(volume[field])
            return found
    return "", []


def _empty_dir(source: Object) -> tuple[str, list[tuple[str, Any]]]:
    size = source.get("sizeLimit") or "0"
    limit = size if size != "0" else "<unset>"
    fields = [("Medium", source.get("medium", "")), ("SizeLimit", limit)]
    return "EmptyDir (a temporary directory that shares a pod's lifetime)", fields


def _secret(source: Object) -> tuple[str, list[tuple[str, Any]]]:
    fields = [("SecretName", source.get("secretName", "")), ("Optional", source.get("optional", False))]
    return "Secret (a volume populated by a Secret)", fields


def _config_map(source: Object) -> tuple[str, list[tuple[str, Any]]]:
    fields = [("Name", source.get("name", "")), ("Optional", source.get("optional", False))]
    return "ConfigMap (a volume populated by a ConfigMap)", fields


def _downward(source: Object) -> tuple[str, list[tuple[str, Any]]]:
    items = source.get("items") or []
    return "DownwardAPI (a volume populated by information about the pod)", [("Items", items)]


def _projected(source: Object) -> tuple[str, list[tuple[str, Any]]]:
    fields: list[tuple[str, Any]] = []
    for one in source.get("sources") or []:
        if "secret" in one:
            fields += [("SecretName", one["secret"].get("name", "")),
                       ("Optional", one["secret"].get("optional", False))]  # fmt: skip
        elif "downwardAPI" in one:
            fields.append(("DownwardAPI", True))
        elif "configMap" in one:
            fields += [("ConfigMapName", one["configMap"].get("name", "")),
                       ("Optional", one["configMap"].get("optional", False))]  # fmt: skip
        elif "serviceAccountToken" in one:
            fields.append(("TokenExpirationSeconds", one["serviceAccountToken"].get("expirationSeconds", 3600)))
    return "Projected (a volume that contains injected data from multiple sources)", fields


def _csi(source: Object) -> tuple[str, list[tuple[str, Any]]]:
    attributes = source.get("volumeAttributes") or {}
    if "volumeHandle" in source:
        kind = "CSI (a Container Storage Interface (CSI) volume source)"
        fields = [("Driver", source["driver"]), ("FSType", source.get("fsType", "")),
                  ("VolumeHandle", source["volumeHandle"]), ("ReadOnly", source.get("readOnly", False))]  # fmt: skip
    else:
        kind = "CSI (a Container Storage Interface (CSI) volume source)"
        fields = [("Driver", source["driver"]), ("FSType", source.get("fsType", "")),
                  ("ReadOnly", source.get("readOnly", False))]  # fmt: skip
    return kind, [*fields, ("VolumeAttributes", _attributes(attributes))]


def _attributes(values: Object) -> str:
    return "\n\t".join(f"{key}={values[key]}" for key in sorted(values)) or NONE


def _ephemeral(source: Object) -> tuple[str, list[tuple[str, Any]]]:
    spec = (source.get("volumeClaimTemplate") or {}).get("spec") or {}
    fields = [("StorageClass", spec.get("storageClassName", "")), ("Volume", spec.get("volumeName", ""))]
    return "EphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)", fields


_READERS = {
    "emptyDir": _empty_dir,
    "secret": _secret,
    "configMap": _config_map,
    "downwardAPI": _downward,
    "projected": _projected,
    "csi": _csi,
    "ephemeral": _ephemeral,
}
