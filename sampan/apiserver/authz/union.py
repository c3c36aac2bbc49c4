"""The authorizers of a server in order: superusers, nodes, RBAC. The first to allow or deny decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.apiserver.authn.user import MASTERS
from sampan.apiserver.authz.interface import Attributes, Decision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.apiserver.authz.interface import Authorizer

_YES = Decision(allowed=True)


class UnionAuthorizer:
    """Asks each in turn; reasons of those without an opinion are joined."""

    def __init__(self, authorizers: Sequence[Authorizer]) -> None:
        self._authorizers = tuple(authorizers)

    def authorize(self, attributes: Attributes) -> Decision:
        if MASTERS in attributes.user.groups:
            return _YES
        reasons: list[str] = []
        for authorizer in self._authorizers:
            decision = authorizer.authorize(attributes)
            if decision.allowed or decision.denied:
                return decision
            if decision.reason:
                reasons.append(decision.reason)
        return Decision(False, "\n".join(reasons))
