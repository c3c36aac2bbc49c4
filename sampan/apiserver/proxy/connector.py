"""`NodeConnector`: finds the handler of a connect subresource."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.apiserver.proxy.forward import Forwarder
from sampan.apiserver.proxy.kubelets import KubeletCredentials, Kubelets
from sampan.apiserver.proxy.logs import LogHandler
from sampan.apiserver.proxy.streams import StreamHandler

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sampan.apiserver.http.upgrade import Exchange


class NodeConnector:
    """Handlers of all connect subresources; implements `sampan.apiserver.http.upgrade.Connector`."""

    def __init__(self, credentials: KubeletCredentials) -> None:
        self._kubelets = Kubelets(credentials)
        streams, forward = StreamHandler(self._kubelets), Forwarder(self._kubelets)
        self._handlers: dict[tuple[str, str], Callable[[Exchange], Awaitable[None]]] = {
            ("pods", "log"): LogHandler(self._kubelets).handle,
            ("pods", "exec"): streams.exec,
            ("pods", "attach"): streams.attach,
            ("pods", "portforward"): streams.port_forward,
            ("pods", "proxy"): forward.pod,
            ("services", "proxy"): forward.service,
            ("nodes", "proxy"): forward.node,
        }

    def handler(self, resource: str, subresource: str) -> Callable[[Exchange], Awaitable[None]] | None:
        return self._handlers.get((resource, subresource))

    async def close(self) -> None:
        """Close the connections to kubelets."""
        await self._kubelets.close()
