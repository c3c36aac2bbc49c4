"""PodSecurity: a namespace's labels say which of the pod security standards its pods must, should or may keep.

Behaviour of ``k8s.io/pod-security-admission``: levels privileged, baseline, restricted; modes enforce, audit, warn; a
version per mode. What the standards demand is in `admission.podsecuritychecks`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sampan.api import errors, field
from sampan.apiserver.admission import podsecuritychecks as checks
from sampan.apiserver.admission.interface import CREATE, UPDATE, AdmissionRequest, AdmissionServices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.api.gvk import GroupResource
    from sampan.api.object import Object

_PREFIX = "pod-security.kubernetes.io/"
_LEVELS = ("privileged", "baseline", "restricted")
_VERSION = re.compile(r"v1\.([0-9]+)")
_LATEST = 1 << 30

_TEMPLATES: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "pods"): (),
    ("", "podtemplates"): ("template",),
    ("", "replicationcontrollers"): ("spec", "template"),
    ("apps", "replicasets"): ("spec", "template"),
    ("apps", "deployments"): ("spec", "template"),
    ("apps", "statefulsets"): ("spec", "template"),
    ("apps", "daemonsets"): ("spec", "template"),
    ("batch", "jobs"): ("spec", "template"),
    ("batch", "cronjobs"): ("spec", "jobTemplate", "spec", "template"),
}
"""Where each kind keeps its pod."""


@dataclass(frozen=True, slots=True)
class Standard:
    """A level at a version. text: as labels spell it."""

    level: str = "privileged"
    minor: int = _LATEST

    @property
    def text(self) -> str:
        return f"{self.level}:{'latest' if self.minor == _LATEST else f'v1.{self.minor}'}"


class PodSecurity:
    """See the module."""

    name = "PodSecurity"

    def __init__(self, services: AdmissionServices) -> None:
        self._lookup = services.lookup
        self._objects = services.objects

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:
        if operation not in (CREATE, UPDATE):
            return False
        if resource == ("", "namespaces"):
            return not subresource
        if resource == ("", "pods"):
            return subresource in ("", "ephemeralcontainers")
        return resource in _TEMPLATES and not subresource

    def validate(self, request: AdmissionRequest) -> None:
        if request.resource == ("", "namespaces"):
            self._namespace(request)
            return
        namespace = self._lookup("", "namespaces", "", request.namespace)
        if namespace is None:
            return
        labels = namespace["metadata"].get("labels") or {}
        if not any(key.startswith(_PREFIX) for key in labels):
            return
        policy, _ = policy_of(labels)
        found = _pod_of(request)
        if found is None:
            return
        metadata, spec = found
        if request.resource == ("", "pods"):
            if request.operation == UPDATE and not _is_significant(request):
                return
            enforced = checks.violations(metadata, spec, policy["enforce"].level, policy["enforce"].minor)
            if enforced:
                why = f'violates PodSecurity "{policy["enforce"].text}": {", ".join(enforced)}'
                raise errors.forbidden(request.resource, request.name, why)
        warned = checks.violations(metadata, spec, policy["warn"].level, policy["warn"].minor)
        if warned:
            request.warnings.append(f'would violate PodSecurity "{policy["warn"].text}": {", ".join(warned)}')

    def _namespace(self, request: AdmissionRequest) -> None:
        """Check the labels, and warn about pods that a stricter level would not let in."""
        labels = (request.object or {})["metadata"].get("labels") or {}
        policy, wrong = policy_of(labels)
        old_labels = ((request.old or {}).get("metadata") or {}).get("labels") or {}
        old_policy, _ = policy_of(old_labels)
        if wrong and (request.operation == CREATE or _policy_labels(labels) != _policy_labels(old_labels)):
            raise errors.invalid("", "Namespace", request.name, wrong)
        new, old = policy["enforce"], old_policy["enforce"]
        if request.operation == CREATE or new == old or new.level == "privileged":
            return
        problems: dict[str, list[str]] = {}
        for pod in self._objects("", "pods", request.name):
            violated = checks.violations(pod["metadata"], pod["spec"], new.level, new.minor, details=False)
            if violated:
                problems.setdefault(", ".join(violated), []).append(pod["metadata"]["name"])
        if problems:
            request.warnings.append(
                f'existing pods in namespace "{request.name}" violate the new PodSecurity enforce level "{new.text}"'
            )
            for problem, names in sorted(problems.items()):
                names.sort()
                others = len(names) - 1
                more = f" (and {others} other pod{'s' if others > 1 else ''})" if others else ""
                request.warnings.append(f"{names[0]}{more}: {problem}")


def _policy_labels(labels: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if key.startswith(_PREFIX)}


def policy_of(labels: Mapping[str, str]) -> tuple[dict[str, Standard], list[field.FieldError]]:
    """The standard of each mode, and what is wrong with the labels; without a label warnings are as enforced."""
    policy: dict[str, Standard] = {}
    wrong: list[field.FieldError] = []
    path = field.Path("metadata").child("labels")
    for mode in ("enforce", "audit", "warn"):
        key = f"{_PREFIX}{mode}"
        level, minor = labels.get(key, "privileged"), _LATEST
        if level not in _LEVELS:
            wrong.append(field.invalid(path.key(key), level, f"must be one of {', '.join(_LEVELS)}"))
            level = "restricted" if mode == "enforce" else "privileged"
        version_key = f"{key}-version"
        version = labels.get(version_key, "latest")
        if version != "latest":
            match = _VERSION.fullmatch(version)
            if match is None:
                wrong.append(field.invalid(path.key(version_key), version, 'must be "latest" or "v1.x"'))
            else:
                minor = int(match.group(1))
        policy[mode] = Standard(level, minor)
    if f"{_PREFIX}warn" not in labels and f"{_PREFIX}enforce" in labels:
        enforced = policy["enforce"]
        policy["warn"] = Standard(enforced.level, policy["warn"].minor if _has_version(labels) else enforced.minor)
    return policy, wrong


def _has_version(labels: Mapping[str, str]) -> bool:
    return f"{_PREFIX}warn-version" in labels


def _pod_of(request: AdmissionRequest) -> tuple[Object, Object] | None:
    obj = request.object or {}
    for name in _TEMPLATES[request.resource.group, request.resource.resource]:
        obj = obj.get(name) or {}
    spec = obj.get("spec")
    return (obj.get("metadata") or {}, spec) if spec else None


def _is_significant(request: AdmissionRequest) -> bool:
    """Whether an update of a pod can change what the standards say of it."""
    new, old = request.object or {}, request.old or {}
    if request.subresource == "ephemeralcontainers":
        return True
    for key in ("containers", "initContainers", "ephemeralContainers", "securityContext", "volumes"):
        if new["spec"].get(key) != old["spec"].get(key):
            return True
    return (new["metadata"].get("annotations") or {}) != (old["metadata"].get("annotations") or {})
