"""The admission chain: which plug-ins a request concerns, worked out once per shape of request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.gvk import GroupResource
    from sampan.apiserver.admission.interface import AdmissionRequest

_Shape = tuple[str, "GroupResource", str]


class AdmissionChain:
    """All plug-ins of a server, in order."""

    def __init__(self, plugins: Sequence[Any]) -> None:
        self.plugins = tuple(plugins)
        self._mutating: dict[_Shape, tuple[Any, ...]] = {}
        self._validating: dict[_Shape, tuple[Any, ...]] = {}

    async def mutate(self, request: AdmissionRequest) -> None:
        """Run the plug-ins that mutate."""
        shape = (request.operation, request.resource, request.subresource)
        plugins = self._mutating.get(shape)
        if plugins is None:
            plugins = self._mutating[shape] = self._select(shape, "mutate")
        await _mutate(plugins, request)
        state = request.reinvocation
        if state is not None and state.wanted:
            state.again = True
            await _mutate(plugins, request)

    async def validate(self, request: AdmissionRequest) -> None:
        """Run the plug-ins that validate."""
        shape = (request.operation, request.resource, request.subresource)
        plugins = self._validating.get(shape)
        if plugins is None:
            plugins = self._validating[shape] = self._select(shape, "validate")
        for plugin in plugins:
            if hasattr(plugin, "validate_async"):
                await plugin.validate_async(request)
            else:
                plugin.validate(request)

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:
        """Whether any plug-in concerns itself with such requests."""
        return any(plugin.handles(operation, resource, subresource) for plugin in self.plugins)

    def _select(self, shape: _Shape, method: str) -> tuple[Any, ...]:
        return tuple(
            plugin
            for plugin in self.plugins
            if (hasattr(plugin, method) or hasattr(plugin, f"{method}_async")) and plugin.handles(*shape)
        )


async def _mutate(plugins: Sequence[Any], request: AdmissionRequest) -> None:
    for plugin in plugins:
        if hasattr(plugin, "mutate_async"):
            await plugin.mutate_async(request)
        else:
            plugin.mutate(request)
