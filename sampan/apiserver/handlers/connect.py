"""Connect subresources: exec, attach, portforward, proxy, log. The work is the connector's, see `http.upgrade`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api import errors
from sampan.api.errors import ServiceUnavailable
from sampan.apiserver import encode, negotiate
from sampan.apiserver.admission.interface import CONNECT
from sampan.apiserver.http.exchange import ConnectStream
from sampan.apiserver.http.upgrade import ConnectTarget
from sampan.apiserver.registry.write import Write

if TYPE_CHECKING:
    from sampan.api.errors import APIStatusError
    from sampan.api.object import Object
    from sampan.apiserver.handlers.call import Call
    from sampan.apiserver.http.response import Response
    from sampan.apiserver.server import APIServer


class Connect:
    """Hands connect requests over."""

    def __init__(self, server: APIServer) -> None:
        self._server = server

    def handle(self, call: Call) -> Any:
        """Start the connector's handler on the connection. Raises NotFound for an object that is not there."""
        info = call.info
        obj = self._object(call)
        connector = self._server.connector
        found = connector.handler(info.resource, info.subresource) if connector is not None else None
        if found is None:
            raise ServiceUnavailable("no node agents can be reached from this server")
        name = info.name
        prefix = f"/namespaces/{info.namespace}" if info.namespace else ""
        root = f"/api/{info.version}{prefix}/{info.resource}/{name}/{info.subresource}"
        target = ConnectTarget(
            resource=info.resource, namespace=info.namespace, name=name, subresource=info.subresource,
            path=info.path[len(root) :] if info.path.startswith(root) else "", query=call.query, object=obj,
        )  # fmt: skip
        return ConnectStream(
            call.http, self._admitted(call, found), user=call.user.info, target=target,
            lookup=self._server.resources.lookup, encode_error=_encode,
        )  # fmt: skip

    def _object(self, call: Call) -> Object | None:
        info, registry = call.info, call.registry
        entry = registry.store.get(info.namespace, info.name)
        if entry is None:
            if info.resource == "pods" or (info.subresource != "proxy"):
                raise errors.not_found(registry.group_resource, info.name)
            return None  # scheme:name:port is the connector's to read
        return registry.view(entry)

    def _admitted(self, call: Call, handler: Any) -> Any:
        """Let admission look at the connection first."""
        registry, info = call.registry, call.info
        write = Write(user=call.user, namespace=info.namespace, name=info.name, subresource=info.subresource)
        request = registry.admission_request(CONNECT, write, None, None)
        if not registry.admission.handles(CONNECT, registry.group_resource, info.subresource):
            return handler

        async def admitted(exchange: Any) -> None:
            await registry.admission.mutate(request)
            await registry.admission.validate(request)
            await handler(exchange)

        return admitted


def _encode(error: APIStatusError) -> Response:
    return encode.status_error(error, negotiate.PLAIN_JSON)
