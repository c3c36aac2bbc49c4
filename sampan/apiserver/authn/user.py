"""Who makes a request: `authentication.k8s.io/v1` UserInfo as an immutable value that caches can be keyed by."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ANONYMOUS = "system:anonymous"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
MASTERS = "system:masters"
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"
SERVICE_ACCOUNTS = "system:serviceaccounts"
NODE_PREFIX = "system:node:"
NODES = "system:nodes"

_NO_EXTRA: Mapping[str, tuple[str, ...]] = {}


class User:
    """A user with groups.

    Equal by identity: authenticators hand out the same object for the same credential as long
    as they can, and decisions are cached per `identity`.
    """

    def __init__(
        self, name: str, *, uid: str = "", groups: Sequence[str] = (), extra: Mapping[str, Sequence[str]] = _NO_EXTRA
    ) -> None:
        self.name = name
        self.uid = uid
        self.groups = tuple(groups)
        self.extra = extra
        self.identity = (name, self.groups)

    def authenticated(self) -> User:
        """The same user in the group of all authenticated users."""
        if self.name == ANONYMOUS or AUTHENTICATED in self.groups or UNAUTHENTICATED in self.groups:
            return self
        return User(self.name, uid=self.uid, groups=(*self.groups, AUTHENTICATED), extra=self.extra)

    @cached_property
    def info(self) -> dict[str, Any]:
        """As a UserInfo object; shared, not to be changed."""
        info: dict[str, Any] = {}
        if self.name:
            info["username"] = self.name
        if self.uid:
            info["uid"] = self.uid
        if self.groups:
            info["groups"] = list(self.groups)
        if self.extra:
            info["extra"] = {key: list(values) for key, values in self.extra.items()}
        return info

    @cached_property
    def node_name(self) -> str:
        """The node that this user is the kubelet of, "" for others."""
        return self.name[len(NODE_PREFIX) :] if self.name.startswith(NODE_PREFIX) and NODES in self.groups else ""


ANONYMOUS_USER = User(ANONYMOUS, groups=(UNAUTHENTICATED,))


def split_service_account(name: str) -> tuple[str, str] | None:
    """Namespace and name of a service account's user name; None when it is not one."""
    if not name.startswith(SERVICE_ACCOUNT_PREFIX):
        return None
    parts = name[len(SERVICE_ACCOUNT_PREFIX) :].split(":")
    return (parts[0], parts[1]) if len(parts) == 2 and all(parts) else None


def service_account_groups(namespace: str) -> tuple[str, str]:
    """The groups of every service account of a namespace."""
    return SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{namespace}"
