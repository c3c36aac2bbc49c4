"""The kubelet's HTTPS server: logs, exec, attach, port-forward, stats, metrics."""

from sampan.kubelet.server.server import KubeletServer

__all__ = ["KubeletServer"]
