"""Plug-ins that complete pods: DefaultTolerationSeconds, Priority, RuntimeClass; and nodes: TaintNodesByCondition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import errors, quantity
from sampan.api.gvk import GroupResource
from sampan.apiserver.admission.interface import CREATE, UPDATE, AdmissionRequest, AdmissionServices

if TYPE_CHECKING:
    from sampan.api.object import Object

_PODS = GroupResource("", "pods")
_CLASSES = GroupResource("scheduling.k8s.io", "priorityclasses")
_NOT_READY, _UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
_TOLERATION_SECONDS = 300


class DefaultTolerationSeconds:
    """Pods stay for five minutes on a node that is not ready or unreachable, unless they say otherwise."""

    name = "DefaultTolerationSeconds"

    def __init__(self, services: AdmissionServices) -> None:
        del services

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:
        return operation in (CREATE, UPDATE) and resource == _PODS and not subresource

    def mutate(self, request: AdmissionRequest) -> None:
        pod = request.object
        assert pod is not None
        spec = pod["spec"]
        tolerations = spec.get("tolerations") or []
        missing = [_NOT_READY, _UNREACHABLE]
        for one in tolerations:
            if one.get("effect", "") in ("", "NoExecute"):
                key = one.get("key", "")
                missing = [taint for taint in missing if key not in ("", taint)]
        if missing:
            spec["tolerations"] = [
                *tolerations,
                *(
                    {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _TOLERATION_SECONDS}
                    for key in missing
                ),
            ]


class Priority:
    """Resolves priority classes to numbers; keeps the default class single."""

    name = "Priority"

    def __init__(self, services: AdmissionServices) -> None:
        self._lookup = services.lookup
        self._objects = services.objects

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:
        return operation in (CREATE, UPDATE) and resource in (_PODS, _CLASSES) and not subresource

    def mutate(self, request: AdmissionRequest) -> None:
        if request.resource != _PODS:
            return
        assert request.object is not None
        spec = request.object["spec"]
        if request.operation == UPDATE:
            old = (request.old or {}).get("spec") or {}
            for key in ("priority", "preemptionPolicy"):
                if key not in spec and key in old:
                    spec[key] = old[key]
            return
        name, priority, policy = self._resolve(request, spec.get("priorityClassName", ""))
        if name:
            spec["priorityClassName"] = name
        given = spec.get("priority")
        if given is not None and given != priority:
            why = (
                f"the integer value of priority ({given}) must not be provided in pod spec; priority admission "
                f"controller computed {priority} from the given PriorityClass name"
            )
            raise errors.forbidden(_PODS, request.name, why)
        spec["priority"] = priority
        given = spec.get("preemptionPolicy")
        if given is not None and given != policy:
            why = (
                f"the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission "
                f"controller computed {policy} from the given PriorityClass name"
            )
            raise errors.forbidden(_PODS, request.name, why)
        spec["preemptionPolicy"] = policy

    def _resolve(self, request: AdmissionRequest, name: str) -> tuple[str, int, str]:
        if name:
            found = self._lookup(_CLASSES.group, _CLASSES.resource, "", name)
            if found is None:
                raise errors.forbidden(_PODS, request.name, f"no PriorityClass with name {name} was found")
        else:
            found = self._default()
            if found is None:
                return "", 0, "PreemptLowerPriority"
        policy = found.get("preemptionPolicy", "PreemptLowerPriority")
        return found["metadata"]["name"], found.get("value", 0), policy

    def _default(self) -> Object | None:
        """The default class; of several (made before the check, or by racing writers) the lowest."""
        defaults = [one for one in self._objects(*_CLASSES, "") if one.get("globalDefault")]
        return min(defaults, key=lambda one: one.get("value", 0), default=None)

    def validate(self, request: AdmissionRequest) -> None:
        if request.resource != _CLASSES or not (request.object or {}).get("globalDefault"):
            return
        default = self._default()
        if default is not None and default["metadata"]["name"] != request.name:
            known = default["metadata"]["name"]
            why = f"PriorityClass {known} is already marked as default. Only one default can exist"
            raise errors.forbidden(_CLASSES, request.name, why)


class RuntimeClass:
    """Adds a runtime class's overhead and scheduling to pods that use it."""

    name = "RuntimeClass"

    def __init__(self, services: AdmissionServices) -> None:
        self._lookup = services.lookup

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:
        return operation == CREATE and resource == _PODS and not subresource

    def _class_of(self, request: AdmissionRequest) -> Object | None:
        assert request.object is not None
        name = request.object["spec"].get("runtimeClassName")
        if not name:
            return None
        found = self._lookup("node.k8s.io", "runtimeclasses", "", name)
        if found is None:
            raise errors.forbidden(_PODS, request.name, f'pod rejected: RuntimeClass "{name}" not found')
        return found

    def mutate(self, request: AdmissionRequest) -> None:
        found = self._class_of(request)
        if found is None:
            return
        assert request.object is not None
        spec = request.object["spec"]
        overhead = (found.get("overhead") or {}).get("podFixed")
        if overhead:
            given = spec.get("overhead")
            if given and not _equal(given, overhead):
                why = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
                raise errors.forbidden(_PODS, request.name, why)
            spec["overhead"] = dict(overhead)
        scheduling = found.get("scheduling") or {}
        if selector := scheduling.get("nodeSelector"):
            known = spec.get("nodeSelector") or {}
            for key, value in selector.items():
                if known.get(key, value) != value:
                    wanted = f"runtimeClass.scheduling.nodeSelector[{key}] = {value}"
                    why = f"conflict: {wanted}; pod.spec.nodeSelector[{key}] = {known[key]}"
                    raise errors.forbidden(_PODS, request.name, why)
            spec["nodeSelector"] = {**known, **selector}
        if tolerations := scheduling.get("tolerations"):
            known_ones = spec.get("tolerations") or []
            spec["tolerations"] = [*known_ones, *(dict(one) for one in tolerations if one not in known_ones)]

    def validate(self, request: AdmissionRequest) -> None:
        found = self._class_of(request)
        assert request.object is not None
        overhead = request.object["spec"].get("overhead")
        if found is None:
            if overhead:
                why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
                raise errors.forbidden(_PODS, request.name, why)
            return
        wanted = (found.get("overhead") or {}).get("podFixed")
        if overhead and not wanted:
            why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
            raise errors.forbidden(_PODS, request.name, why)


def _equal(left: Object, right: Object) -> bool:
    return left.keys() == right.keys() and all(quantity.compare(left[key], right[key]) == 0 for key in left)


class TaintNodesByCondition:
    """A new node takes no pods before it has said that it is ready."""

    name = "TaintNodesByCondition"

    def __init__(self, services: AdmissionServices) -> None:
        del services

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:
        return operation == CREATE and resource == ("", "nodes") and not subresource

    def mutate(self, request: AdmissionRequest) -> None:
        assert request.object is not None
        spec = request.object.setdefault("spec", {})
        taints = spec.get("taints") or []
        if not any(one.get("key") == _NOT_READY and one.get("effect") == "NoSchedule" for one in taints):
            spec["taints"] = [*taints, {"key": _NOT_READY, "effect": "NoSchedule"}]
