"""The admission contract: what a plug-in is asked, and what it may do.

Plug-ins run in the fixed order of the chain: all that mutate, then (behind the strategy and validation) all that
validate. A built-in plug-in never waits and reads other objects through `AdmissionServices`; one that must wait (a
webhook) implements the asynchronous twins.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.api.gvk import GroupResource, GroupVersionKind
    from sampan.api.object import Object
    from sampan.apiserver.authn.user import User
    from sampan.apiserver.authz.interface import Authorizer
    from sampan.apiserver.registry.strategy import Getter, Objects
    from sampan.base.clock import Clock

CREATE, UPDATE, DELETE, CONNECT = "CREATE", "UPDATE", "DELETE", "CONNECT"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionServices:
    """What plug-ins may use. lookup, objects: the watch cache. features: gate -> on."""

    lookup: Getter
    objects: Objects
    authorizer: Authorizer
    clock: Clock
    features: Mapping[str, bool]


@dataclass(slots=True, kw_only=True)
class Reinvocation:
    """How far the mutating plug-ins of one request have come.

    again: this is the second round. wanted: something changed that calls for one. invoked: those who asked to be called
    once more if others change the object behind them; required: those of them for whom that has happened. output: the
    object as the last round left it, encoded.
    """

    again: bool = False
    wanted: bool = False
    invoked: set[str] = field(default_factory=set)
    required: set[str] = field(default_factory=set)
    output: bytes | None = None

    def require_previous(self) -> None:
        """The object has changed behind those who were called before."""
        self.required |= self.invoked
        self.invoked.clear()


@dataclass(slots=True, kw_only=True)
class AdmissionRequest:
    """One write on its way.

    object: the new state, changed in place by those that mutate; None for a deletion. old: the
    state before, shared; None for a creation. options: the operation's options. warnings: texts for Warning headers.
    reinvocation: kept by plug-ins that may ask for a second round of all mutating plug-ins.
    """

    operation: str
    resource: GroupResource
    version: str
    kind: GroupVersionKind
    subresource: str
    namespace: str
    name: str
    object: Object | None
    old: Object | None
    user: User
    dry_run: bool
    options: Mapping[str, Any]
    warnings: list[str]
    reinvocation: Reinvocation | None = None


class AdmissionPlugin(Protocol):
    """One plug-in; implements `mutate`, `validate` or both, see `MutatingPlugin` and `ValidatingPlugin`."""

    name: str

    def handles(self, operation: str, resource: GroupResource, subresource: str) -> bool:
        """Whether requests of this shape concern the plug-in; asked once per shape."""
        ...


class MutatingPlugin(AdmissionPlugin, Protocol):
    """May change `request.object`."""

    def mutate(self, request: AdmissionRequest) -> None:
        """Change or refuse (raise an APIStatusError)."""
        ...


class ValidatingPlugin(AdmissionPlugin, Protocol):
    """Looks at the final object."""

    def validate(self, request: AdmissionRequest) -> None:
        """Refuse by raising an APIStatusError; must not change anything."""
        ...


class AsyncMutatingPlugin(AdmissionPlugin, Protocol):
    """`MutatingPlugin` for what must wait."""

    async def mutate_async(self, request: AdmissionRequest) -> None: ...


class AsyncValidatingPlugin(AdmissionPlugin, Protocol):
    """`ValidatingPlugin` for what must wait."""

    async def validate_async(self, request: AdmissionRequest) -> None: ...
