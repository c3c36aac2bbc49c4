"""ServiceAccount: every pod runs as a service account and, unless it declines, finds its token mounted."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from sampan.api import errors
from sampan.api.gvk import GroupResource
from sampan.apiserver.admission.interface import CREATE, AdmissionRequest, AdmissionServices

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.api.object import Object

_PODS = GroupResource("", "pods")
_MIRROR = "kubernetes.io/config.mirror"
_ENFORCE = "kubernetes.io/enforce-mountable-secrets"
_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_VOLUME = "kube-api-access-"
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_TOKEN_SECONDS = 3607
"""An hour and a bit: recognisable, so that the server can extend such tokens' lives for clients that do not reload."""


class ServiceAccount:
    """See the module."""

    name = "ServiceAccount"

    def __init__(self, services: AdmissionServices) -> None:
        self._lookup = services.lookup

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:
        return operation == CREATE and resource == _PODS and not subresource

    def mutate(self, request: AdmissionRequest) -> None:
        pod = request.object
        assert pod is not None
        if _MIRROR in (pod["metadata"].get("annotations") or {}):
            self._check_mirror(request, pod)
            return
        spec = pod["spec"]
        name = spec.get("serviceAccountName") or "default"
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        account = self._lookup("", "serviceaccounts", request.namespace, name)
        if account is None:
            why = f'error looking up service account {request.namespace}/{name}: serviceaccount "{name}" not found'
            raise self._forbidden(request, why)
        if (account["metadata"].get("annotations") or {}).get(_ENFORCE) == "true":
            self._check_secrets(request, pod, account)
        if _wants_token(account, spec):
            _mount(spec)
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = [dict(one) for one in account["imagePullSecrets"]]

    @staticmethod
    def _forbidden(request: AdmissionRequest, why: str) -> errors.Forbidden:
        return errors.forbidden(_PODS, request.name, why)

    def _check_mirror(self, request: AdmissionRequest, pod: Object) -> None:
        spec = pod["spec"]
        if spec.get("serviceAccountName"):
            raise self._forbidden(request, "a mirror pod may not reference service accounts")
        if any(_secret_names(spec)):
            raise self._forbidden(request, "a mirror pod may not reference secrets")
        for volume in spec.get("volumes") or ():
            for source in (volume.get("projected") or {}).get("sources") or ():
                if "serviceAccountToken" in source:
                    raise self._forbidden(request, "a mirror pod may not use ServiceAccountToken volume projections")

    def _check_secrets(self, request: AdmissionRequest, pod: Object, account: Object) -> None:
        mountable = {one.get("name") for one in account.get("secrets") or ()}
        name = account["metadata"]["name"]
        for volume in pod["spec"].get("volumes") or ():
            secret = (volume.get("secret") or {}).get("secretName")
            if secret and secret not in mountable:
                why = (
                    f'volume with secret.secretName="{secret}" is not allowed because service account {name} does not '
                    "reference that secret"
                )
                raise self._forbidden(request, why)
        pulls = {one.get("name") for one in account.get("imagePullSecrets") or ()}
        for position, pull in enumerate(pod["spec"].get("imagePullSecrets") or ()):
            if pull.get("name") not in pulls:
                why = (
                    f'imagePullSecrets[{position}].name="{pull.get("name")}" is not allowed because service account '
                    f"{name} does not reference that imagePullSecret"
                )
                raise self._forbidden(request, why)


def _wants_token(account: Object, spec: Object) -> bool:
    asked = spec.get("automountServiceAccountToken")
    if asked is None:
        asked = account.get("automountServiceAccountToken")
    return asked is None or bool(asked)


def _mount(spec: Object) -> None:
    volumes = spec.get("volumes") or []
    present = next((one["name"] for one in volumes if one["name"].startswith(_VOLUME)), "")
    name = present or _VOLUME + "".join(random.choices(_LETTERS, k=5))  # noqa: S311 - a name, no secret
    needed = False
    for key in ("initContainers", "containers"):
        for container in spec.get(key) or ():
            mounts = container.get("volumeMounts") or []
            if any(mount.get("mountPath") == _MOUNT for mount in mounts):
                continue
            container["volumeMounts"] = [*mounts, {"name": name, "readOnly": True, "mountPath": _MOUNT}]
            needed = True
    if needed and not present:
        spec["volumes"] = [*volumes, _volume(name)]


def _volume(name: str) -> Object:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    sources = [
        {"serviceAccountToken": {"expirationSeconds": _TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]
    return {"name": name, "projected": {"sources": sources, "defaultMode": 420}}


def _secret_names(spec: Object) -> Iterator[str]:
    for volume in spec.get("volumes") or ():
        if "secret" in volume:
            yield volume["secret"].get("secretName", "")
    for pull in spec.get("imagePullSecrets") or ():
        yield pull.get("name", "")
    for key in ("initContainers", "containers"):
        for container in spec.get(key) or ():
            for variable in container.get("env") or ():
                if "secretKeyRef" in (variable.get("valueFrom") or {}):
                    yield variable["valueFrom"]["secretKeyRef"].get("name", "")
            for source in container.get("envFrom") or ():
                if "secretRef" in source:
                    yield source["secretRef"].get("name", "")
