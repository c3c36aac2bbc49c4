"""The admission chain: which plug-ins a request concerns, worked out once per shape of request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sampan.api.gvk import GroupResource
    from sampan.apiserver.admission.interface import AdmissionRequest

    _Steps = tuple[tuple[bool, Callable[[AdmissionRequest], Any]], ...]
    """What to call, and whether it is to be awaited."""

_Shape = tuple[str, "GroupResource", str]


class AdmissionChain:
    """All plug-ins of a server, in order."""

    def __init__(self, plugins: Sequence[Any]) -> None:
        self.plugins = tuple(plugins)
        self._mutating: dict[_Shape, _Steps] = {}
        self._validating: dict[_Shape, _Steps] = {}

    async def mutate(self, request: AdmissionRequest) -> None:
        """Run the plug-ins that mutate."""
        shape = (request.operation, request.resource, request.subresource)
        steps = self._mutating.get(shape)
        if steps is None:
            steps = self._mutating[shape] = self._select(shape, "mutate")
        await _run(steps, request)
        state = request.reinvocation
        if state is not None and state.wanted:
            state.again = True
            await _run(steps, request)

    async def validate(self, request: AdmissionRequest) -> None:
        """Run the plug-ins that validate."""
        shape = (request.operation, request.resource, request.subresource)
        steps = self._validating.get(shape)
        if steps is None:
            steps = self._validating[shape] = self._select(shape, "validate")
        await _run(steps, request)

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:
        """Whether any plug-in concerns itself with such requests."""
        return any(plugin.handles(operation, resource, subresource) for plugin in self.plugins)

    def _select(self, shape: _Shape, method: str) -> _Steps:
        steps: list[tuple[bool, Callable[[AdmissionRequest], Any]]] = []
        for plugin in self.plugins:
            step = getattr(plugin, f"{method}_async", None)
            waits = step is not None
            if step is None:
                step = getattr(plugin, method, None)
            if step is not None and plugin.handles(*shape):
                steps.append((waits, step))
        return tuple(steps)


async def _run(steps: _Steps, request: AdmissionRequest) -> None:
    for waits, step in steps:
        if waits:
            await step(request)
        else:
            step(request)
