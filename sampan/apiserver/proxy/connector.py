"""`NodeConnector`: finds the handler of a connect subresource."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.apiserver.proxy.kubelets import KubeletCredentials, Kubelets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sampan.apiserver.http.upgrade import Exchange

    Handler = Callable[[Exchange], Awaitable[None]]


class NodeConnector:
    """Handlers of all connect subresources; implements `sampan.apiserver.http.upgrade.Connector`."""

    def __init__(self, credentials: KubeletCredentials) -> None:
        self._kubelets = Kubelets(credentials)
        self._handlers: dict[tuple[str, str], Handler] | None = None

    def handler(self, resource: str, subresource: str) -> Handler | None:
        if self._handlers is None:
            self._handlers = self._made()
        return self._handlers.get((resource, subresource))

    def _made(self) -> dict[tuple[str, str], Handler]:
        """Make the handlers for the first who asks: the protocols behind them take a while to import."""
        from sampan.apiserver.proxy.forward import Forwarder  # noqa: PLC0415 - start-up time
        from sampan.apiserver.proxy.logs import LogHandler  # noqa: PLC0415
        from sampan.apiserver.proxy.streams import StreamHandler  # noqa: PLC0415

        streams, forward = StreamHandler(self._kubelets), Forwarder(self._kubelets)
        return {
            ("pods", "log"): LogHandler(self._kubelets).handle,
            ("pods", "exec"): streams.exec,
            ("pods", "attach"): streams.attach,
            ("pods", "portforward"): streams.port_forward,
            ("pods", "proxy"): forward.pod,
            ("services", "proxy"): forward.service,
            ("nodes", "proxy"): forward.node,
        }

    async def close(self) -> None:
        """Close the connections to kubelets."""
        await self._kubelets.close()
