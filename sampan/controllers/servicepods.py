"""What Endpoints and EndpointSlice share: pods as services see them, which services a pod is behind, trigger times."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from sampan.api import times
from sampan.controllers.podview import condition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sampan.api.object import Object
    from sampan.client.informer import SharedInformer
    from sampan.client.interface import Stored

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
HEADLESS_LABEL = "service.kubernetes.io/headless"
TRIGGER_ANNOTATION = "endpoints.kubernetes.io/last-change-trigger-time"
_SELECTOR_INDEX = "selector"


class ContainerPort(NamedTuple):
    """A named container port."""

    name: str
    protocol: str
    number: int


class ServicePod(NamedTuple):
    """A pod as a service sees it: what matters for endpoints and nothing else, so that two can be compared."""

    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str]
    ips: tuple[str, ...]
    node: str
    ready: bool
    terminating: bool
    finished: bool
    hostname: str
    subdomain: str
    ports: tuple[ContainerPort, ...]
    triggered: float | None

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    def wanted(self, *, terminating: bool) -> bool:
        """Whether the pod can be an endpoint. terminating: also those being deleted."""
        return bool(self.ips) and not self.finished and (terminating or not self.terminating)

    def hostname_for(self, service: Object) -> str:
        """The hostname that the endpoint gets: only pods of the service's subdomain have one."""
        same = self.hostname and self.subdomain == service["metadata"]["name"]
        return self.hostname if same and self.namespace == service["metadata"]["namespace"] else ""

    def port_number(self, port: Object) -> int | None:
        """Resolve a service port on this pod; None when it names a port that the pod has not."""
        target = port.get("targetPort", port["port"])
        if isinstance(target, int):
            return target
        protocol = port.get("protocol", "TCP")
        return next((one.number for one in self.ports if one.name == target and one.protocol == protocol), None)


def service_pod(item: Stored) -> ServicePod:
    """Take what services see of a pod."""
    pod = item.object
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    ready = condition(pod, "Ready") or {}
    since = ready.get("lastTransitionTime")
    ips = tuple(one["ip"] for one in status.get("podIPs") or () if one.get("ip"))
    return ServicePod(
        namespace=item.namespace,
        name=item.name,
        uid=metadata.get("uid", ""),
        labels=item.labels,
        ips=ips or ((status["podIP"],) if status.get("podIP") else ()),
        node=spec.get("nodeName", ""),
        ready=ready.get("status") == "True",
        terminating="deletionTimestamp" in metadata,
        finished=status.get("phase") in ("Succeeded", "Failed"),
        hostname=spec.get("hostname", ""),
        subdomain=spec.get("subdomain", ""),
        ports=tuple(_ports(spec)),
        triggered=times.parse(since) if since else None,
    )


def _ports(spec: Object) -> Iterable[ContainerPort]:
    sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    for container in (*(spec.get("containers") or ()), *sidecars):
        for port in container.get("ports") or ():
            if port.get("name"):
                yield ContainerPort(port["name"], port.get("protocol", "TCP"), port["containerPort"])


def is_headless(service: Object) -> bool:
    """Whether the service has no cluster IP of its own."""
    return service["spec"].get("clusterIP") in (None, "", "None")


class ServicePods:
    """Joins services and pods by selector, either way."""

    def __init__(self, services: SharedInformer, pods: SharedInformer) -> None:
        self._services = services
        self._pods = pods
        self.views = pods.add_view(service_pod)
        services.add_index(_SELECTOR_INDEX, _selector_values)

    def of_service(self, service: Object) -> list[ServicePod]:
        """The pods that a service selects, in order of their names."""
        selector = service["spec"].get("selector") or {}
        found = [
            self.views[f"{item.namespace}/{item.name}"]
            for item in self._pods.list(service["metadata"]["namespace"])
            if selector.items() <= item.labels.items()
        ]
        return sorted(found, key=lambda pod: pod.name)

    def affected(self, old: Stored | None, new: Stored | None) -> set[tuple[str, str]]:
        """The services (namespace, name) whose endpoints a change of a pod may change."""
        if new is None:
            assert old is not None
            return self._selecting(old.namespace, old.labels)
        now = self.views[f"{new.namespace}/{new.name}"]
        if old is None:
            return self._selecting(new.namespace, new.labels)
        before = service_pod(old)
        if before._replace(triggered=None) == now._replace(triggered=None):
            return set()
        found = self._selecting(new.namespace, new.labels)
        if before.labels == now.labels:
            return found
        was = self._selecting(old.namespace, old.labels)
        same = before._replace(triggered=None, labels={}) == now._replace(triggered=None, labels={})
        return found ^ was if same else found | was

    def services_of(self, pod: ServicePod) -> set[tuple[str, str]]:
        """The services (namespace, name) that select a pod."""
        return self._selecting(pod.namespace, pod.labels)

    def _selecting(self, namespace: str, labels: Mapping[str, str]) -> set[tuple[str, str]]:
        """Services are filed under one pair of their selector, so that a pod meets only those that may match."""
        found: set[tuple[str, str]] = set()
        pairs = labels.items()
        for key, value in pairs:
            for item in self._services.by_index(_SELECTOR_INDEX, f"{namespace}/{key}={value}"):
                if item.object["spec"]["selector"].items() <= pairs:
                    found.add((item.namespace, item.name))
        for item in self._services.by_index(_SELECTOR_INDEX, f"{namespace}/"):
            found.add((item.namespace, item.name))
        return found


def _selector_values(item: Stored) -> Sequence[str]:
    spec = item.object.get("spec") or {}
    selector = spec.get("selector")
    if selector is None or spec.get("type") == "ExternalName":
        return ()
    if not selector:
        return (f"{item.namespace}/",)
    key, value = min(selector.items())
    return (f"{item.namespace}/{key}={value}",)


@dataclass(slots=True)
class _Triggers:
    service: float | None = None
    pods: dict[str, float] = field(default_factory=dict)


class TriggerTimes:
    """When the change happened that made endpoints change: kubelet's and users' times, for latency measurements."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], _Triggers] = {}

    def forget(self, key: tuple[str, str]) -> None:
        """The service is gone."""
        self._seen.pop(key, None)

    def compute(self, service: Object, pods: Sequence[ServicePod]) -> str:
        """The earliest trigger that is new since the last call, as RFC 3339 with nanoseconds; "" for none."""
        key = (service["metadata"]["namespace"], service["metadata"]["name"])
        before = self._seen.get(key)
        now = _Triggers(times.parse(service["metadata"]["creationTimestamp"]))
        earliest: float | None = None
        for pod in pods:
            if pod.triggered is not None:
                now.pods[pod.key] = pod.triggered
                known = before.pods.get(pod.key) if before else None
                if known is None or pod.triggered > known:
                    earliest = pod.triggered if earliest is None else min(earliest, pod.triggered)
        if now.service is not None and (before is None or before.service is None or now.service > before.service):
            earliest = now.service if earliest is None else min(earliest, now.service)
        if before is None:
            earliest = now.service
        self._seen[key] = now
        return "" if earliest is None else times.format_time(earliest)
