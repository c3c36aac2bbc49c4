"""Projected volumes: secrets, config maps, fields and tokens in one directory, no path twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.apiserver.registry.core.podspec import downward
from sampan.apiserver.registry.core.podspec.paths import key_to_path, local_nonreserved
from sampan.apiserver.registry.validation import names, numbers, selectors
from sampan.apiserver.registry.validation.signers import signer_name

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.core.podspec.options import PodOptions
    from sampan.apiserver.registry.validation.names import Errors

_DUPLICATE = "conflicting duplicate paths"
_KEY_TYPES = ("ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519", "RSA3072", "RSA4096")


def projected(errors: Errors, path: Path, source: Object, options: PodOptions) -> None:
    numbers.file_mode(errors, path.child("defaultMode"), source.get("defaultMode"))
    paths: set[str] = set()
    for position, one in enumerate(source.get("sources") or ()):
        here = path.child("sources").index(position)
        for kind in ("secret", "configMap"):
            if kind in one:
                _keys(errors, path, here.child(kind), one[kind], paths)
        if "downwardAPI" in one:
            for item in one["downwardAPI"].get("items") or ():
                downward.volume_file(errors, here.child("downwardAPI"), item)
                _claim_path(errors, path, paths, item.get("path", ""), item.get("path", ""))
        if "serviceAccountToken" in one:
            _token(errors, path, here.child("serviceAccountToken"), one["serviceAccountToken"], options)
        if "clusterTrustBundle" in one:
            _trust_bundle(errors, here.child("clusterTrustBundle"), one["clusterTrustBundle"])
            _claim_path(errors, path, paths, one["clusterTrustBundle"].get("path", ""), None)
        if "podCertificate" in one:
            _certificate(errors, here.child("podCertificate"), one["podCertificate"], paths, path)
        if len(one) > 1:
            errors.append(field.forbidden(here, "may not specify more than 1 volume type per source"))


def _claim_path(errors: Errors, path: Path, paths: set[str], value: str, shown: str | None) -> None:
    if not value and shown is not None:
        return
    if value in paths:
        errors.append(field.invalid(path, value if shown is None else shown, _DUPLICATE))
    paths.add(value)


def _keys(errors: Errors, path: Path, here: Path, source: Object, paths: set[str]) -> None:
    name = source.get("name", "")
    names.required(errors, here.child("name"), name)
    for position, item in enumerate(source.get("items") or ()):
        key_to_path(errors, here.child("items").index(position), item)
        _claim_path(errors, path, paths, item.get("path", ""), name)


def _token(errors: Errors, path: Path, here: Path, source: Object, options: PodOptions) -> None:
    expiration = source.get("expirationSeconds", 0)
    if expiration < 600:
        detail = "may not specify a duration less than 10 minutes"
        errors.append(field.invalid(here.child("expirationSeconds"), expiration, detail))
    if expiration > 1 << 32:
        detail = "may not specify a duration larger than 2^32 seconds"
        errors.append(field.invalid(here.child("expirationSeconds"), expiration, detail))
    value = source.get("path", "")
    if not value:
        errors.append(field.required(path.child("path")))
    elif not options.allow_nonlocal_token_path:
        local_nonreserved(errors, path.child("path"), value)


def _trust_bundle(errors: Errors, here: Path, source: Object) -> None:
    by_name, by_signer = source.get("name"), source.get("signerName")
    if by_name is not None and by_signer is not None:
        errors.append(field.invalid(here, source, "only one of name and signerName may be used"))
    elif by_name is not None:
        if not by_name:
            errors.append(field.required(here.child("name"), "must be a valid object name"))
        for message in names.subdomain_messages(by_name.rpartition(":")[2]):
            errors.append(field.invalid(here.child("name"), by_name, f"not a valid clustertrustbundlename: {message}"))
        if "labelSelector" in source:
            detail = "labelSelector must be unset if name is specified"
            errors.append(field.invalid(here.child("labelSelector"), source["labelSelector"], detail))
    elif by_signer is not None:
        if not by_signer:
            errors.append(field.required(here.child("signerName"), "must be a valid signer name"))
        signer_name(errors, here.child("signerName"), by_signer)
        selectors.label_selector(errors, here.child("labelSelector"), source.get("labelSelector"))
    else:
        errors.append(field.required(here, "either name or signerName must be specified"))
    value = source.get("path", "")
    names.required(errors, here.child("path"), value)
    local_nonreserved(errors, here.child("path"), value)


def _certificate(errors: Errors, here: Path, source: Object, paths: set[str], path: Path) -> None:
    signer_name(errors, here.child("signerName"), source.get("signerName", ""))
    names.one_of(errors, here.child("keyType"), source.get("keyType", ""), _KEY_TYPES)
    lifetime = source.get("maxExpirationSeconds")
    if lifetime is not None and not 3600 <= lifetime <= 7862400:
        detail = f"if provided, maxExpirationSeconds must be {'>= 3600' if lifetime < 3600 else '<= 7862400'}"
        errors.append(field.invalid(here.child("maxExpirationSeconds"), lifetime, detail))
    files = [(key, source.get(key, "")) for key in ("credentialBundlePath", "keyPath", "certificateChainPath")]
    if not any(value for _, value in files):
        detail = "specify at least one of credentialBundlePath, keyPath, and certificateChainPath"
        errors.append(field.required(here, detail))
    for key, value in files:
        if value:
            local_nonreserved(errors, here.child(key), value)
            _claim_path(errors, path, paths, value, value)
