"""Impersonation: ``Impersonate-User`` and its sisters, allowed by the verb "impersonate" on what is impersonated."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from sampan.api import errors
from sampan.api.errors import InternalError
from sampan.api.gvk import GroupResource
from sampan.apiserver.authn.user import (
    ANONYMOUS,
    AUTHENTICATED,
    UNAUTHENTICATED,
    User,
    service_account_groups,
    split_service_account,
)
from sampan.apiserver.authz.interface import Attributes, forbidden_message

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sampan.apiserver.authz.interface import Authorizer

_USER, _GROUP, _UID, _EXTRA = "impersonate-user", "impersonate-group", "impersonate-uid", "impersonate-extra-"
_AUTHENTICATION = "authentication.k8s.io"


def is_asked_for(headers: Mapping[str, str]) -> bool:
    """Whether a request impersonates."""
    return any(name.startswith("impersonate-") for name in headers)


def impersonate(user: User, headers: Mapping[str, str], authorizer: Authorizer) -> User:
    """The user that a request acts as. Raises Forbidden."""
    name = headers.get(_USER, "")
    groups = [one.strip() for one in headers.get(_GROUP, "").split(",") if one.strip()]
    uid = headers.get(_UID, "")
    extra = {
        unquote(key[len(_EXTRA) :]).lower(): tuple(one.strip() for one in value.split(","))
        for key, value in headers.items()
        if key.startswith(_EXTRA)
    }
    if not name:
        raise InternalError("requested impersonation without impersonating a user")
    for attributes in _questions(user, name, groups, uid, extra):
        decision = authorizer.authorize(attributes)
        if not decision.allowed:
            resource = GroupResource(attributes.group, attributes.resource)
            why = forbidden_message(attributes) + (f": {decision.reason}" if decision.reason else "")
            raise errors.forbidden(resource, attributes.name, why)
    account = split_service_account(name)
    if account is not None and not groups:
        groups = list(service_account_groups(account[0]))
    if name == ANONYMOUS:
        if UNAUTHENTICATED not in groups:
            groups.append(UNAUTHENTICATED)
    elif AUTHENTICATED not in groups and UNAUTHENTICATED not in groups:
        groups.append(AUTHENTICATED)
    return User(name, uid=uid, groups=groups, extra=extra)


def _questions(
    user: User, name: str, groups: list[str], uid: str, extra: Mapping[str, tuple[str, ...]]
) -> Iterator[Attributes]:
    account = split_service_account(name)
    if account is not None:
        yield Attributes(user, "impersonate", "", "v1", "serviceaccounts", "", account[0], account[1])
    else:
        yield Attributes(user, "impersonate", "", "v1", "users", "", "", name)
    for group in groups:
        yield Attributes(user, "impersonate", "", "v1", "groups", "", "", group)
    for key, values in extra.items():
        for value in values:
            yield Attributes(user, "impersonate", _AUTHENTICATION, "v1", "userextras", key, "", value)
    if uid:
        yield Attributes(user, "impersonate", _AUTHENTICATION, "v1", "uids", "", "", uid)
