"""Which pods belong together: the selectors of Services and of workload controllers that mean a pod.

They give pods without topology spread constraints of their own the default ones (kube-scheduler's system defaults:
spread over hosts and zones as well as it goes). Selectors are compiled when their object changes, not once a pod.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import labels
from sampan.api.object import controller_of

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.client.informer import SharedInformer
    from sampan.client.interface import Stored
    from sampan.scheduler.podinfo import PodInfo


class WorkloadSelectors:
    """Selectors by namespace, kept by informers' handlers."""

    def __init__(self) -> None:
        self._services: dict[str, dict[str, labels.Selector]] = {}
        self._owners: dict[tuple[str, str, str], labels.Selector] = {}

    def watch_services(self, informer: SharedInformer) -> None:
        """Follow Services."""
        informer.add_handler(self._service_changed)

    def watch_owners(self, informer: SharedInformer, kind: str) -> None:
        """Follow ReplicationControllers, ReplicaSets or StatefulSets."""

        def changed(old: Stored | None, new: Stored | None) -> None:
            item = new or old
            assert item is not None
            key = (kind, item.namespace, item.name)
            if new is None:
                self._owners.pop(key, None)
            else:
                self._owners[key] = _selector_of(new.object, kind)

        informer.add_handler(changed)

    def of(self, pod: PodInfo) -> labels.Selector | None:
        """The selector that a pod shares with its like: what all that means it asks for; None when nothing does."""
        found = [one for one in self._services.get(pod.namespace, {}).values() if one.matches(pod.labels)]
        owner = controller_of(pod.object)
        if owner is not None:
            selector = self._owners.get((owner["kind"], pod.namespace, owner["name"]))
            if selector is not None:
                found.append(selector)
        requirements = {str(one): one for selector in found for one in selector.requirements}
        return labels.Selector(requirements.values()) if requirements else None

    def _service_changed(self, old: Stored | None, new: Stored | None) -> None:
        item = new or old
        assert item is not None
        services = self._services.setdefault(item.namespace, {})
        selector = (new.object.get("spec") or {}).get("selector") if new is not None else None
        if selector:
            services[item.name] = labels.from_map(selector)
        else:
            services.pop(item.name, None)


def _selector_of(owner: Object, kind: str) -> labels.Selector:
    selector = (owner.get("spec") or {}).get("selector")
    return labels.from_map(selector) if kind == "ReplicationController" else labels.from_object(selector)
