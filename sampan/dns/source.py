"""Services and endpoint slices from informers, indexed as the zone asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.api.object import Object
    from sampan.client.informer import SharedInformer
    from sampan.client.interface import Stored

_BY_IP = "dns/ip"
_BY_SERVICE = "dns/service"


class InformerSource:
    """The zone's `Source` on two informers."""

    def __init__(self, services: SharedInformer, slices: SharedInformer) -> None:
        self._services = services
        self._slices = slices
        services.add_index(_BY_IP, _cluster_ips)
        slices.add_index(_BY_IP, _endpoint_ips)
        slices.add_index(_BY_SERVICE, _service)

    def service(self, namespace: str, name: str) -> Object | None:
        found = self._services.get(namespace, name)
        return None if found is None else found.object

    def slices(self, namespace: str, name: str) -> Iterable[Object]:
        return [one.object for one in self._slices.by_index(_BY_SERVICE, f"{namespace}/{name}")]

    def has_namespace(self, namespace: str) -> bool:
        return bool(self._services.list(namespace))

    def services_by_ip(self, ip: str) -> Iterable[Object]:
        return [one.object for one in self._services.by_index(_BY_IP, ip)]

    def slices_by_ip(self, ip: str) -> Iterable[Object]:
        return [one.object for one in self._slices.by_index(_BY_IP, ip)]


def _cluster_ips(item: Stored) -> tuple[str, ...]:
    spec = item.object.get("spec", {})
    if spec.get("type") == "ExternalName":
        return ()
    return tuple(one for one in spec.get("clusterIPs") or [spec.get("clusterIP", "")] if one not in ("", "None"))


def _endpoint_ips(item: Stored) -> tuple[str, ...]:
    return tuple(endpoint["addresses"][0] for endpoint in item.object.get("endpoints") or ())


def _service(item: Stored) -> tuple[str, ...]:
    name = item.labels.get("kubernetes.io/service-name")
    return (f"{item.namespace}/{name}",) if name else ()
