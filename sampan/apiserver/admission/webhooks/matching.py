"""Which webhooks a request concerns: rules, scope, selectors, equivalent resources.

Behaviour: k8s.io/apiserver/pkg/admission/plugin/webhook, generic and predicates; policies match likewise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sampan.api import errors
from sampan.api.gvk import GroupResource, GroupVersionKind, GroupVersionResource

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sampan.api.gvk import ResourceInfo
    from sampan.api.labels import Selector
    from sampan.api.object import Object
    from sampan.apiserver.admission.interface import AdmissionRequest
    from sampan.apiserver.admission.webhooks.hooks import Hook
    from sampan.apiserver.registry.resources import Resources
    from sampan.apiserver.registry.strategy import Getter

_NAMESPACES = GroupResource("", "namespaces")
_GROUP = "admissionregistration.k8s.io"
_EVENTS = (GroupVersionResource("", "v1", "events"), GroupVersionResource("events.k8s.io", "v1", "events"))


@dataclass(frozen=True, slots=True)
class Invocation:
    """A webhook that is to be called, and the resource and kind in which it wants the object."""

    hook: Hook
    resource: GroupVersionResource
    kind: GroupVersionKind


class Matcher:
    """Decides whether hooks are called. resources: what the server serves, for equivalent versions."""

    def __init__(self, lookup: Getter, resources: Resources) -> None:
        self._lookup = lookup
        self._resources = resources

    def invocation(self, hook: Hook, request: AdmissionRequest) -> Invocation | None:
        """How the hook is to be called for the request, None when it is not. Raises what kube-apiserver answers."""
        problem: errors.APIStatusError | None = None
        if hook.namespaces is not None:
            try:
                if not self.namespace_matches(hook.namespaces, request):
                    return None
            except errors.NotFound as error:  # matters only to hooks that apply otherwise
                problem = error
        if hook.objects is not None and not object_matches(hook.objects, request):
            return None
        own = GroupVersionResource(request.resource.group, request.version, request.resource.resource)
        found: Invocation | None = None
        if any(rule_matches(rule, request, own) for rule in hook.rules):
            found = Invocation(hook, own, request.kind)
        elif hook.equivalent:
            found = self._equivalent(hook, request, own)
        if found is not None and problem is not None:
            raise problem
        return found

    def _equivalent(self, hook: Hook, request: AdmissionRequest, own: GroupVersionResource) -> Invocation | None:
        others = [one for one in self.equivalents(own) if one != own]
        for rule in hook.rules:
            for other in others:
                if rule_matches(rule, request, other):
                    return Invocation(hook, other, self._kind(other, request))
        return None

    def equivalents(self, resource: GroupVersionResource) -> Iterable[GroupVersionResource]:
        """Other names of the same objects."""
        if resource in _EVENTS:
            return _EVENTS
        infos: Mapping[tuple[str, str, str], ResourceInfo] = self._resources.infos
        wanted = (resource.group, resource.resource)
        return [GroupVersionResource(*key) for key in infos if (key[0], key[2]) == wanted]

    def _kind(self, resource: GroupVersionResource, request: AdmissionRequest) -> GroupVersionKind:
        info = self._resources.infos[resource.group, resource.version, resource.resource]
        sub = info.subresources.get(request.subresource)
        return info.gvk if sub is None else sub.kind

    def namespace_matches(self, selector: Selector, request: AdmissionRequest) -> bool:
        """Evaluate a namespace selector. Raises NotFound."""
        if request.resource == _NAMESPACES and not request.subresource:
            obj = request.object if request.object is not None else request.old
            if obj is None:
                obj = self._lookup("", "namespaces", "", request.name)
            return selector.matches(((obj or {}).get("metadata") or {}).get("labels") or {})
        if not request.namespace:
            return True
        namespace = self._lookup("", "namespaces", "", request.namespace)
        if namespace is None:
            raise errors.not_found(_NAMESPACES, request.namespace)
        return selector.matches(namespace["metadata"].get("labels") or {})


def object_matches(selector: Selector, request: AdmissionRequest) -> bool:
    """Whether the new or the old object has the labels."""
    return any(_has_labels(selector, one) for one in (request.object, request.old))


def _has_labels(selector: Selector, obj: Object | None) -> bool:
    metadata = None if obj is None else obj.get("metadata")
    return metadata is not None and selector.matches(metadata.get("labels") or {})


def rule_matches(rule: Object, request: AdmissionRequest, resource: GroupVersionResource) -> bool:
    """Evaluate one rule; resource: under the name to look for."""
    operations = rule.get("operations") or ()
    if "*" not in operations and request.operation not in operations:
        return False
    groups, versions = rule.get("apiGroups") or (), rule.get("apiVersions") or ()
    if "*" not in groups and resource.group not in groups:
        return False
    if "*" not in versions and resource.version not in versions:
        return False
    return _in_scope(rule.get("scope") or "*", request) and any(
        _names(one, resource.resource, request.subresource) for one in rule.get("resources") or ()
    )


def _in_scope(scope: str, request: AdmissionRequest) -> bool:
    if scope == "*":
        return True
    namespaced = bool(request.namespace) and request.resource != _NAMESPACES
    return namespaced == (scope == "Namespaced")


def _names(pattern: str, resource: str, subresource: str) -> bool:
    wanted, _, sub = pattern.partition("/")
    return wanted in ("*", resource) and sub in ("*", subresource)


def is_exempt(resource: GroupResource) -> bool:
    """Admission's own configuration never passes through webhooks and policies: a bad one could not be removed."""
    return resource.group == _GROUP
