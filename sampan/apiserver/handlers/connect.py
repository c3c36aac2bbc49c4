"""Connect subresources: exec, attach, portforward, proxy, log. The work is the connector's, see `http.upgrade`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api import errors
from sampan.api.errors import ServiceUnavailable
from sampan.api.gvk import GroupVersionKind
from sampan.apiserver import encode, negotiate
from sampan.apiserver.admission.interface import CONNECT
from sampan.apiserver.http.exchange import ConnectStream
from sampan.apiserver.http.upgrade import ConnectTarget
from sampan.apiserver.registry.write import Write
from sampan.apiserver.requestinfo import is_true

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
            if info.subresource != "proxy":
                raise errors.not_found(registry.group_resource, info.name)
            return None  # scheme:name:port is the connector's to read
        return registry.view(entry)

    def _admitted(self, call: Call, handler: Any) -> Any:
        """Let admission look at the connection first."""
        registry, info = call.registry, call.info
        if info.subresource == "log":  # a read, not a connection
            return handler
        if not registry.admission.handles(CONNECT, registry.group_resource, info.subresource):
            return handler
        write = Write(user=call.user, namespace=info.namespace, name=info.name, subresource=info.subresource)
        options = _options(call)
        kind = GroupVersionKind.parse("v1", options["kind"])
        request = registry.admission_request(CONNECT, write, options, None, kind)

        async def admitted(exchange: Any) -> None:
            await registry.admission.mutate(request)
            await registry.admission.validate(request)
            await handler(exchange)

        return admitted


_OPTIONS = {
    ("pods", "exec"): "PodExecOptions", ("pods", "attach"): "PodAttachOptions", ("pods", "proxy"): "PodProxyOptions",
    ("pods", "portforward"): "PodPortForwardOptions", ("services", "proxy"): "ServiceProxyOptions",
    ("nodes", "proxy"): "NodeProxyOptions",
}  # fmt: skip


def _options(call: Call) -> Object:
    """The connection's options as an object, which is what admission sees."""
    info = call.info
    options: Object = {"kind": _OPTIONS[info.resource, info.subresource], "apiVersion": "v1"}
    for key, value in call.query:
        if key in ("stdin", "stdout", "stderr", "tty"):
            options[key] = is_true(value)
        elif key == "command":
            options.setdefault("command", []).append(value)
        elif key == "ports":
            options.setdefault("ports", []).extend(int(one) for one in value.split(",") if one.isdigit())
        elif key == "container":
            options[key] = value
    if info.subresource == "proxy":
        options["path"] = "/".join(info.tail)
    return options


def _encode(error: APIStatusError) -> Response:
    return encode.status_error(error, negotiate.PLAIN_JSON)
