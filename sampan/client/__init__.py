"""The async client: transports, typed requests, reflector, informer, lister, workqueue.

Names are imported when first used: a command line that needs one of them should not pay for all. `kubeconfig`,
`resources` and `streaming` are modules of their own.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sampan.client.client import Client, ResourceClient
    from sampan.client.config import ClientConfig, ConfigError, Impersonation
    from sampan.client.https import HTTPSTransport
    from sampan.client.informer import InformerFactory, SharedInformer
    from sampan.client.interface import (
        APPLY_PATCH,
        JSON_PATCH,
        MERGE_PATCH,
        STRATEGIC_MERGE_PATCH,
        ObjectList,
        Request,
        Stored,
        Transport,
        WatchEvent,
    )
    from sampan.client.kubeconfig import Kubeconfig
    from sampan.client.lister import Lister
    from sampan.client.reflector import Reflector
    from sampan.client.workqueue import RateLimiter, WorkQueue

__all__ = [
    "APPLY_PATCH",
    "JSON_PATCH",
    "MERGE_PATCH",
    "STRATEGIC_MERGE_PATCH",
    "Client",
    "ClientConfig",
    "ConfigError",
    "HTTPSTransport",
    "Impersonation",
    "InformerFactory",
    "Kubeconfig",
    "Lister",
    "ObjectList",
    "RateLimiter",
    "Reflector",
    "Request",
    "ResourceClient",
    "SharedInformer",
    "Stored",
    "Transport",
    "WatchEvent",
    "WorkQueue",
]

_INTERFACE = ("APPLY_PATCH", "JSON_PATCH", "MERGE_PATCH", "STRATEGIC_MERGE_PATCH", "ObjectList", "Request", "Stored",
              "Transport", "WatchEvent")  # fmt: skip
_MODULES = {
    "Client": "client",
    "ResourceClient": "client",
    "ClientConfig": "config",
    "ConfigError": "config",
    "Impersonation": "config",
    "HTTPSTransport": "https",
    "InformerFactory": "informer",
    "SharedInformer": "informer",
    "Kubeconfig": "kubeconfig",
    "Lister": "lister",
    "Reflector": "reflector",
    "RateLimiter": "workqueue",
    "WorkQueue": "workqueue",
    **dict.fromkeys(_INTERFACE, "interface"),
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
