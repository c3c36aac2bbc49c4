"""The ServiceAccount ``default`` in every namespace, and the ConfigMap ``kube-root-ca.crt`` beside it.

Behaviour: kube-controller-manager's serviceaccount-controller and root-ca-certificate-publisher-controller. Deleted
ones are made again; the ConfigMap's data is put right when somebody changes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.errors import AlreadyExists, APIStatusError, NotFound
from sampan.client.item import copy_object
from sampan.client.resources import CONFIGMAPS, NAMESPACES, SERVICEACCOUNTS
from sampan.controllers.podcontrol import is_namespace_terminating
from sampan.runtime import DONE, Controller, Request, Result

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext

_ACCOUNT = "default"
_CONFIG_MAP = "kube-root-ca.crt"
_DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)


def new(context: ControllerContext) -> Controller:
    """The ServiceAccount controller."""
    return _Accounts(context).controller


def new_root_ca_publisher(context: ControllerContext) -> Controller:
    """The publisher of the root CA."""
    return _RootCA(context).controller


class _Accounts:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._namespaces = context.informer(NAMESPACES)
        self._accounts = context.informer(SERVICEACCOUNTS)
        self.controller = Controller("serviceaccount-controller", self, clock=context.clock, workers=1)
        self._queue = self.controller.queue
        self._namespaces.add_handler(self._on_namespace)
        self._accounts.add_handler(self._on_account)

    def _on_namespace(self, _: Stored | None, new: Stored | None) -> None:
        if new is not None:
            self._queue.add(Request("", new.name))

    def _on_account(self, old: Stored | None, new: Stored | None) -> None:
        if new is None and old is not None and old.name == _ACCOUNT:
            self._queue.add(Request("", old.namespace))

    async def reconcile(self, request: Request) -> Result:
        """Sync one namespace."""
        if not _is_active(self._namespaces.get("", request.name)):
            return DONE
        if self._accounts.get(request.name, _ACCOUNT) is not None:
            return DONE
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": _ACCOUNT, "namespace": request.name},
        }
        try:
            await self._client.resource(SERVICEACCOUNTS, request.name).create(account)
        except AlreadyExists:
            return DONE
        except APIStatusError as error:
            if not is_namespace_terminating(error):
                raise
        return DONE


class _RootCA:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._data = {"ca.crt": context.options.root_ca.decode()}
        self._namespaces = context.informer(NAMESPACES)
        self._config_maps = context.informer(CONFIGMAPS)
        self.controller = Controller("root-ca-certificate-publisher-controller", self, clock=context.clock, workers=1)
        self._queue = self.controller.queue
        self._namespaces.add_handler(self._on_namespace)
        self._config_maps.add_handler(self._on_config_map)

    def _on_namespace(self, _: Stored | None, new: Stored | None) -> None:
        if new is not None:
            self._queue.add(Request("", new.name))

    def _on_config_map(self, old: Stored | None, new: Stored | None) -> None:
        item = new or old
        if item is not None and item.name == _CONFIG_MAP:
            self._queue.add(Request("", item.namespace))

    async def reconcile(self, request: Request) -> Result:
        """Sync one namespace."""
        if not self._data["ca.crt"] or not _is_active(self._namespaces.get("", request.name)):
            return DONE
        resource = self._client.resource(CONFIGMAPS, request.name)
        stored = self._config_maps.get(request.name, _CONFIG_MAP)
        try:
            if stored is None:
                await resource.create(self._wanted(request.name))
            elif not self._is_right(stored.object):
                changed = copy_object(stored.object)
                changed["data"] = self._data
                changed["metadata"]["annotations"] = {
                    **(changed["metadata"].get("annotations") or {}),
                    "kubernetes.io/description": _DESCRIPTION,
                }
                await resource.update(changed)
        except (AlreadyExists, NotFound):
            return Result(requeue=True)
        except APIStatusError as error:
            if not is_namespace_terminating(error):
                raise
        return DONE

    def _is_right(self, config_map: Object) -> bool:
        annotations = config_map["metadata"].get("annotations") or {}
        return config_map.get("data") == self._data and "kubernetes.io/description" in annotations

    def _wanted(self, namespace: str) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": _CONFIG_MAP,
                "namespace": namespace,
                "annotations": {"kubernetes.io/description": _DESCRIPTION},
            },
            "data": self._data,
        }


def _is_active(namespace: Stored | None) -> bool:
    if namespace is None:
        return False
    obj = namespace.object
    return (obj.get("status") or {}).get("phase") != "Terminating" and "deletionTimestamp" not in obj["metadata"]
