"""Bootstrap tokens whose time is over are deleted.

Behaviour: kube-controller-manager's token-cleaner-controller: Secrets of type ``bootstrap.kubernetes.io/token`` in
kube-system, by their ``expiration``.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from sampan.api import times
from sampan.api.errors import NotFound
from sampan.base.log import logger
from sampan.client.resources import SECRETS
from sampan.runtime import DONE, Controller, Request, Result, enqueue

if TYPE_CHECKING:
    from sampan.controllers.context import ControllerContext

log = logger("controllers.tokencleaner")

_TYPE = "bootstrap.kubernetes.io/token"
_NAMESPACE = "kube-system"


def new(context: ControllerContext) -> Controller:
    """The token cleaner."""
    return _Cleaner(context).controller


class _Cleaner:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._secrets = context.informer(SECRETS, namespace=_NAMESPACE, field_selector=f"type={_TYPE}")
        self.controller = Controller("token-cleaner-controller", self, clock=context.clock, workers=1)
        self._secrets.add_handler(enqueue(self.controller.queue))

    async def reconcile(self, request: Request) -> Result:
        """Delete one token if it has expired, else come back when it does."""
        stored = self._secrets.get(request.namespace, request.name)
        if stored is None:
            return DONE
        secret = stored.object
        encoded = (secret.get("data") or {}).get("expiration", "")
        if not encoded:
            return DONE
        try:
            end = times.parse(base64.b64decode(encoded).decode())
        except ValueError:  # a time that nobody can read is over, as kube-controller-manager sees it
            end = 0.0
        wait = end - self._clock.time()
        if wait > 0:
            return Result(requeue_after=wait)
        log.info("Deleting expired bootstrap token", secret=request)
        try:
            await self._client.resource(SECRETS, request.namespace).delete(request.name, uid=secret["metadata"]["uid"])
        except NotFound:
            return DONE
        return DONE
