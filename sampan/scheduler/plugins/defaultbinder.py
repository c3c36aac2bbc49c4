"""DefaultBinder: binds a pod by posting to its ``binding`` subresource."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError
from sampan.client.resources import PODS
from sampan.scheduler.interface import SUCCESS, Code, Status

if TYPE_CHECKING:
    from sampan.client.client import Client
    from sampan.scheduler.interface import CycleState
    from sampan.scheduler.podinfo import PodInfo


class DefaultBinder:
    """Binds through the API."""

    name = "DefaultBinder"

    def __init__(self, client: Client) -> None:
        self._client = client

    async def bind(self, state: CycleState, pod: PodInfo, node: str) -> Status:
        """Post the Binding; what the API or the network refuses is an ERROR, so the pod is tried again."""
        del state
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
            "target": {"kind": "Node", "name": node},
        }
        try:
            await self._client.resource(PODS, pod.namespace).create(binding, name=pod.name, subresource="binding")
        except (APIStatusError, OSError) as error:
            return Status(Code.ERROR, (str(error),), self.name)
        return SUCCESS
