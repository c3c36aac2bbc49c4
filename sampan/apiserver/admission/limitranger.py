"""LimitRanger: a namespace's limit ranges give containers default resources and bound what pods and claims ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import errors, quantity
from sampan.api.gvk import GroupResource
from sampan.apiserver.admission.interface import CREATE, UPDATE, AdmissionRequest, AdmissionServices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sampan.api.object import Object

    Resources = Mapping[str, str]
    Check = Callable[[str, str, str, Resources, Resources], str]

_PODS, _CLAIMS = GroupResource("", "pods"), GroupResource("", "persistentvolumeclaims")
_ANNOTATION = "kubernetes.io/limit-ranger"
_NOTHING: Resources = {}


class LimitRanger:
    """See the module."""

    name = "LimitRanger"

    def __init__(self, services: AdmissionServices) -> None:
        self._objects = services.objects

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:
        if resource == _PODS:
            return operation == CREATE and not subresource
        return resource == _CLAIMS and operation in (CREATE, UPDATE) and not subresource

    def _limits(self, request: AdmissionRequest) -> list[Object]:
        ranges = self._objects("", "limitranges", request.namespace)
        return [limit for one in ranges for limit in (one.get("spec") or {}).get("limits") or ()]

    def mutate(self, request: AdmissionRequest) -> None:
        if request.resource != _PODS:
            return
        assert request.object is not None
        spec = request.object["spec"]
        for limit in self._limits(request):
            if limit.get("type") != "Container":
                continue
            notes: list[str] = []
            for key, word in (("containers", "container"), ("initContainers", "init container")):
                for container in spec.get(key) or ():
                    notes += _complete(container, limit, word)
            if notes:
                annotations = request.object["metadata"].get("annotations") or {}
                note = f"LimitRanger plugin set: {'; '.join(notes)}"
                request.object["metadata"]["annotations"] = {**annotations, _ANNOTATION: note}

    def validate(self, request: AdmissionRequest) -> None:
        assert request.object is not None
        problems: list[str] = []
        for limit in self._limits(request):
            if request.resource == _PODS:
                problems += _check_pod(request.object, limit)
            elif limit.get("type") == "PersistentVolumeClaim":
                requests = ((request.object["spec"].get("resources") or {}).get("requests")) or {}
                problems += _check("PersistentVolumeClaim", limit.get("min"), _minimum, requests, _NOTHING)
                problems += _check("PersistentVolumeClaim", limit.get("max"), _request_maximum, requests, _NOTHING)
        if problems:
            unique = list(dict.fromkeys(problems))
            why = unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]"
            raise errors.forbidden(request.resource, request.name, why)


def _complete(container: Object, limit: Object, word: str) -> list[str]:
    """Fill in what a container leaves open; tells what was set, as the annotation says it."""
    resources = container.setdefault("resources", {})
    notes = []
    for key, source, kind in (("requests", "defaultRequest", "request"), ("limits", "default", "limit")):
        present = resources.get(key) or {}
        missing = {name: value for name, value in (limit.get(source) or {}).items() if name not in present}
        if missing:
            resources[key] = {**present, **missing}
            notes.append(f"{', '.join(sorted(missing))} {kind} for {word} {container['name']}")
    return notes


def _check_pod(pod: Object, limit: Object) -> list[str]:
    spec, kind = pod["spec"], limit.get("type", "")
    problems: list[str] = []
    if kind == "Container":
        for key in ("containers", "initContainers"):
            for container in spec.get(key) or ():
                resources = container.get("resources") or {}
                problems += _all(kind, limit, resources.get("requests") or {}, resources.get("limits") or {})
    elif kind == "Pod":
        problems += _all(kind, limit, pod_total(spec, "requests"), pod_total(spec, "limits"))
    return problems


def pod_total(spec: Object, key: str) -> dict[str, str]:
    """What a pod asks for altogether: its containers and sidecars, or its greediest init container with them."""
    total: dict[str, str] = {}
    for container in spec.get("containers") or ():
        _add(total, (container.get("resources") or {}).get(key))
    sidecars: dict[str, str] = {}
    peak: dict[str, str] = {}
    for container in spec.get("initContainers") or ():
        own = (container.get("resources") or {}).get(key)
        if container.get("restartPolicy") == "Always":
            _add(total, own)
            _add(sidecars, own)
            _raise_to(peak, sidecars)
        else:
            needed = dict(sidecars)
            _add(needed, own)
            _raise_to(peak, needed)
    _raise_to(total, peak)
    total.update((spec.get("resources") or {}).get(key) or {})
    return total


def _add(total: dict[str, str], more: Resources | None) -> None:
    for name, value in (more or {}).items():
        total[name] = quantity.add(total[name], value) if name in total else value


def _raise_to(total: dict[str, str], other: Resources) -> None:
    for name, value in other.items():
        if name not in total or quantity.compare(value, total[name]) > 0:
            total[name] = value


def _all(kind: str, limit: Object, requests: Resources, limits: Resources) -> list[str]:
    return [
        *_check(kind, limit.get("min"), _minimum, requests, limits),
        *_check(kind, limit.get("max"), _maximum, requests, limits),
        *_check(kind, limit.get("maxLimitRequestRatio"), _ratio, requests, limits),
    ]


def _check(kind: str, bounds: Resources | None, check: Check, requests: Resources, limits: Resources) -> Iterable[str]:
    found = (check(kind, name, bound, requests, limits) for name, bound in (bounds or {}).items())
    return [problem for problem in found if problem]


def _minimum(kind: str, name: str, bound: str, requests: Resources, limits: Resources) -> str:
    head = f"minimum {name} usage per {kind} is {bound}"
    if name not in requests:
        return f"{head}.  No request is specified"
    if quantity.compare(requests[name], bound) < 0:
        return f"{head}, but request is {requests[name]}"
    if name in limits and quantity.compare(limits[name], bound) < 0:
        return f"{head}, but limit is {limits[name]}"
    return ""


def _maximum(kind: str, name: str, bound: str, requests: Resources, limits: Resources) -> str:
    head = f"maximum {name} usage per {kind} is {bound}"
    if name not in limits:
        return f"{head}.  No limit is specified"
    if quantity.compare(limits[name], bound) > 0:
        return f"{head}, but limit is {limits[name]}"
    if name in requests and quantity.compare(requests[name], bound) > 0:
        return f"{head}, but request is {requests[name]}"
    return ""


def _request_maximum(kind: str, name: str, bound: str, requests: Resources, limits: Resources) -> str:
    del limits
    head = f"maximum {name} usage per {kind} is {bound}"
    if name not in requests:
        return f"{head}.  No request is specified"
    if quantity.compare(requests[name], bound) > 0:
        return f"{head}, but request is {requests[name]}"
    return ""


def _ratio(kind: str, name: str, bound: str, requests: Resources, limits: Resources) -> str:
    head = f"{name} max limit to request ratio per {kind} is {bound}"
    request = quantity.parse(requests.get(name, "0"))
    limit = quantity.parse(limits.get(name, "0"))
    if not request:
        return f"{head}, but no request is specified or request is 0"
    if not limit:
        return f"{head}, but no limit is specified or limit is 0"
    observed = float(limit) / float(request)
    if observed > float(quantity.parse(bound)):
        return f"{head}, but provided ratio is {observed:f}"
    return ""
