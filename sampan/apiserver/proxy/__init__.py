"""Connect subresources: log, exec, attach, portforward and proxy of pods, proxy of services and nodes."""

from sampan.apiserver.proxy.connector import NodeConnector

__all__ = ["NodeConnector"]
