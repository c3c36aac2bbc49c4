"""One write in progress: who writes what, how, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sampan.apiserver.registry.strategy import WriteContext

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.api.object import Object
    from sampan.apiserver.authn.user import User
    from sampan.apiserver.registry.strategy import Getter
    from sampan.apiserver.storage.entry import Entry
    from sampan.base.clock import Clock


@dataclass(slots=True, kw_only=True)
class Write:
    """A request to change something.

    manager: for managedFields. options: as admission sees them. warnings: collected
    for the answer. owned_as: the subresource that managedFields name when it is not the one that the strategy sees.
    """

    user: User
    namespace: str
    name: str
    subresource: str = ""
    dry_run: bool = False
    manager: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    owned_as: str | None = None

    @property
    def recorded_as(self) -> str:
        """The subresource as managedFields name it."""
        return self.subresource if self.owned_as is None else self.owned_as

    def context(self, clock: Clock, features: Mapping[str, bool], lookup: Getter) -> WriteContext:
        """What strategies see of it."""
        return WriteContext(
            subresource=self.subresource, namespace=self.namespace, user=self.user.info, clock=clock,
            dry_run=self.dry_run, features=features, lookup=lookup,
        )  # fmt: skip


@dataclass(slots=True)
class Outcome:
    """What a write or read gives: a stored entry, or an object that is stored nowhere (dry run, Status, Scale).

    status: HTTP status. as_is: the object is not of the resource's kind (a Status), so no Table is made of it.
    """

    status: int = 200
    entry: Entry | None = None
    object: Object | None = None
    as_is: bool = False
