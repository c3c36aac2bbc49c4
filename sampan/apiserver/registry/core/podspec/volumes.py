"""Volumes of a pod: exactly one source each, unique names (``ValidateVolumes``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api import field, quantity
from sampan.apiserver.registry.core.podspec import claimspec, downward, legacyvolumes, projected
from sampan.apiserver.registry.core.podspec.paths import key_to_path, no_backsteps
from sampan.apiserver.registry.validation import names, numbers

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.core.podspec.options import PodOptions
    from sampan.apiserver.registry.validation.names import Errors

_TWO_TYPES = "may not specify more than 1 volume type"
HOST_PATH_TYPES = (
    "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket",
)  # fmt: skip
PULL_POLICIES = ("Always", "IfNotPresent", "Never")


def volumes(errors: Errors, path: Path, items: list[Object], pod_name: str, options: PodOptions) -> dict[str, Object]:
    """Check all volumes; return the good ones by name. pod_name: "" for a template."""
    good: dict[str, Object] = {}
    created = {f"{pod_name}-{one.get('name', '')}" for one in items if "ephemeral" in one} if pod_name else frozenset()
    for position, volume in enumerate(items):
        here = path.index(position)
        name = volume.get("name", "")
        found: Errors = []
        _source(found, here, volume, pod_name, options)
        names.required_dns_label(found, here.child("name"), name)
        if name in good:
            found.append(field.duplicate(here.child("name"), name))
        if found:
            errors += found
        else:
            good[name] = volume
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName", "")
        if claim and claim in created:
            detail = "must not reference a PVC that gets created for an ephemeral volume"
            errors.append(field.invalid(here.child("persistentVolumeClaim", "claimName"), claim, detail))
    return good


def _source(errors: Errors, path: Path, volume: Object, pod_name: str, options: PodOptions) -> None:
    seen = False
    for kind in _ORDER if len(volume) > 2 else volume:
        if kind == "name" or kind not in volume:
            continue
        checker = _CHECKS.get(kind)
        if checker is None:
            continue
        if seen and kind != "emptyDir":
            errors.append(field.forbidden(path.child(_ODD_NAMES.get(kind, kind)), _TWO_TYPES))
        else:
            checker(errors, path.child(_CHECK_NAMES.get(kind, kind)), volume[kind], options)
            if kind == "ephemeral":
                _ephemeral_name(errors, path, volume.get("name", ""), pod_name)
        if kind == "iscsi":
            legacyvolumes.iscsi_name_length(errors, path, volume.get("name", ""), volume[kind])
        seen = True
    if not seen:
        errors.append(field.required(path, "must specify a volume type"))


def _ephemeral_name(errors: Errors, path: Path, name: str, pod_name: str) -> None:
    if pod_name and name:
        claim = f"{pod_name}-{name}"
        for message in names.subdomain_messages(claim):
            errors.append(field.invalid(path.child("name"), name, f"PVC name {field.go_quote(claim)}: {message}"))


def _empty_dir(errors: Errors, path: Path, source: Object, _: PodOptions) -> None:
    limit = source.get("sizeLimit")
    if limit is not None and quantity.parse(limit) < 0:
        errors.append(field.forbidden(path.child("sizeLimit"), "SizeLimit field must be a valid resource quantity"))


def host_path(errors: Errors, path: Path, source: Object, _: object = None) -> None:
    value = source.get("path", "")
    if not value:
        errors.append(field.required(path.child("path")))
        return
    no_backsteps(errors, path.child("path"), value)
    if "type" in source:
        names.one_of(errors, path.child("type"), source["type"], HOST_PATH_TYPES)


def _secret(errors: Errors, path: Path, source: Object, _: PodOptions) -> None:
    names.required(errors, path.child("secretName"), source.get("secretName"))
    _mode_and_items(errors, path, source)


def _config_map(errors: Errors, path: Path, source: Object, _: PodOptions) -> None:
    names.required(errors, path.child("name"), source.get("name"))
    _mode_and_items(errors, path, source)


def _mode_and_items(errors: Errors, path: Path, source: Object) -> None:
    mode = source.get("defaultMode")
    if mode is not None and not 0 <= mode <= 0o777:
        numbers.file_mode(errors, path.child("defaultMode"), mode)
    for position, item in enumerate(source.get("items") or ()):
        key_to_path(errors, path.child("items").index(position), item)


def _claim(errors: Errors, path: Path, source: Object, _: PodOptions) -> None:
    names.required(errors, path.child("claimName"), source.get("claimName"))


def _csi(errors: Errors, path: Path, source: Object, _: PodOptions) -> None:
    names.csi_driver_name(errors, path.child("driver"), source.get("driver", ""))
    if (reference := source.get("nodePublishSecretRef")) is not None:
        name = reference.get("name", "")
        if not name:
            errors.append(field.required(path.child("nodePublishSecretRef", "name")))
        else:
            names.dns_subdomain(errors, path.child("name"), name)


def _ephemeral(errors: Errors, path: Path, source: Object, _: PodOptions) -> None:
    template = source.get("volumeClaimTemplate")
    if template is None:
        errors.append(field.required(path.child("volumeClaimTemplate")))
    else:
        claimspec.claim_template(errors, path.child("volumeClaimTemplate"), template)


def pull_policy(errors: Errors, path: Path, value: str) -> None:
    if value not in PULL_POLICIES:
        names.one_of_required(errors, path, value, PULL_POLICIES)


def _image(errors: Errors, path: Path, source: Object, options: PodOptions) -> None:
    if options.resource_is_pod and not source.get("reference"):
        errors.append(field.required(path.child("reference")))
    pull_policy(errors, path.child("pullPolicy"), source.get("pullPolicy", ""))


def _downward(errors: Errors, path: Path, source: Object, _: PodOptions) -> None:
    numbers.file_mode(errors, path.child("defaultMode"), source.get("defaultMode"))
    for item in source.get("items") or ():
        downward.volume_file(errors, path, item)


def _legacy(check: Callable[[Errors, Path, Any], None]) -> Callable[[Errors, Path, Any, PodOptions], None]:
    return lambda errors, path, source, _: check(errors, path, source)


# In the order in which kube-apiserver looks at them: with two sources, the later one is the error.
_CHECKS: dict[str, Callable[[Errors, Path, Any, PodOptions], None]] = {
    "emptyDir": _empty_dir,
    "hostPath": host_path,
    "gitRepo": _legacy(legacyvolumes.git_repo),
    "gcePersistentDisk": _legacy(legacyvolumes.gce_disk),
    "awsElasticBlockStore": _legacy(legacyvolumes.aws_disk),
    "secret": _secret,
    "nfs": _legacy(legacyvolumes.nfs),
    "iscsi": _legacy(legacyvolumes.iscsi),
    "glusterfs": _legacy(legacyvolumes.glusterfs),
    "flocker": _legacy(legacyvolumes.flocker),
    "persistentVolumeClaim": _claim,
    "rbd": _legacy(legacyvolumes.rbd),
    "cinder": _legacy(legacyvolumes.cinder),
    "cephfs": _legacy(legacyvolumes.cephfs),
    "quobyte": _legacy(legacyvolumes.quobyte),
    "downwardAPI": _downward,
    "fc": _legacy(legacyvolumes.fibre_channel),
    "flexVolume": _legacy(legacyvolumes.flex_volume),
    "configMap": _config_map,
    "azureFile": _legacy(legacyvolumes.azure_file),
    "vsphereVolume": _legacy(legacyvolumes.vsphere),
    "photonPersistentDisk": _legacy(legacyvolumes.photon),
    "portworxVolume": _legacy(legacyvolumes.portworx),
    "azureDisk": _legacy(legacyvolumes.azure_disk),
    "storageos": _legacy(legacyvolumes.storageos),
    "projected": projected.projected,
    "scaleIO": _legacy(legacyvolumes.scaleio),
    "csi": _csi,
    "ephemeral": _ephemeral,
    "image": _image,
}
_ORDER = tuple(_CHECKS)
# Upstream spells a few paths its own way.
_ODD_NAMES = {"cephfs": "cephFS", "downwardAPI": "downwarAPI"}
_CHECK_NAMES = {"gcePersistentDisk": "persistentDisk"}
