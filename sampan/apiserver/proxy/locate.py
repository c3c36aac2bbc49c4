"""Which container, on which node: the checks before a connect request goes to a kubelet.

Source: pkg/registry/core/pod/strategy.go (LogLocation, streamLocation, ResourceLocation); texts are its.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import errors
from sampan.api.gvk import GroupResource

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.http.upgrade import Exchange


def pod_of(exchange: Exchange) -> Object:
    """Return the pod. Raises NotFound."""
    target = exchange.target
    if target.object is None:
        raise errors.not_found(GroupResource("", "pods"), target.name)
    return target.object


def node_of(exchange: Exchange, name: str) -> Object:
    """Return a node. Raises NotFound."""
    node = exchange.lookup("", "nodes", "", name)
    if node is None:
        raise errors.not_found(GroupResource("", "nodes"), name)
    return node


def container_of(pod: Object, wanted: str) -> str:
    """Check or choose the container. Raises BadRequest."""
    name, spec = pod["metadata"]["name"], pod["spec"]
    regular = [c["name"] for c in spec.get("containers") or ()]
    init = [c["name"] for c in spec.get("initContainers") or ()]
    ephemeral = [c["name"] for c in spec.get("ephemeralContainers") or ()]
    if wanted:
        if wanted not in (*regular, *init, *ephemeral):
            raise errors.BadRequest(f"container {wanted} is not valid for pod {name}")
        return wanted
    if len(regular) == 1 and not init and not ephemeral:
        only: str = regular[0]
        return only
    text = f"a container name must be specified for pod {name}, choose one of: [{' '.join(regular)}]"
    if init:
        text += f" or one of the init containers: [{' '.join(init)}]"
    if ephemeral:
        text += f" or one of the ephemeral containers: [{' '.join(ephemeral)}]"
    raise errors.BadRequest(text)
