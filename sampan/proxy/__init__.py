"""Node networking: pod network, service proxy on nftables, announcement of load-balancer addresses."""

from sampan.proxy.leftovers import remove_pod_network, remove_service_tables
from sampan.proxy.options import NetworkOptions
from sampan.proxy.podnetwork import PodNetwork
from sampan.proxy.podnetwork import cleanup as cleanup_pod_network
from sampan.proxy.proxy import Proxy
from sampan.proxy.proxy import cleanup as cleanup_proxy

__all__ = [
    "NetworkOptions",
    "PodNetwork",
    "Proxy",
    "cleanup_pod_network",
    "cleanup_proxy",
    "remove_pod_network",
    "remove_service_tables",
]
