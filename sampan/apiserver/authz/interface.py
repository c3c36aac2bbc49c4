"""What an authorizer is asked and answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sampan.api.gvk import GroupResource

if TYPE_CHECKING:
    from sampan.apiserver.authn.user import User


@dataclass(frozen=True, slots=True)
class Attributes:
    """One question: may this user do this? For a non-resource request only verb and path count.

    field_selector: of a list or watch, as the request has it; only for users whose rights depend on it: nodes.
    """

    user: User
    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    is_resource: bool = True
    field_selector: str = ""


class Decision(NamedTuple):
    """What an authorizer says.

    allowed: False means that nobody allowed it. reason: why, "" when there is nothing to say. denied: somebody
    forbade it, so that nobody else is asked.
    """

    allowed: bool
    reason: str = ""
    denied: bool = False


class Authorizer(Protocol):
    """Decides; never waits."""

    def authorize(self, attributes: Attributes) -> Decision: ...


def forbidden_message(attributes: Attributes) -> str:
    """``User "x" cannot list resource "pods" in API group "" in the namespace "n"``."""
    user = f'User "{attributes.user.name}" cannot {attributes.verb}'
    if not attributes.is_resource:
        return f'{user} path "{attributes.path}"'
    resource = attributes.resource
    if attributes.subresource:
        resource = f"{resource}/{attributes.subresource}"
    scope = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
    return f'{user} resource "{resource}" in API group "{attributes.group}" {scope}'


def subject_of(attributes: Attributes) -> GroupResource:
    """The resource that a Forbidden error names."""
    return GroupResource(attributes.group, attributes.resource) if attributes.is_resource else GroupResource("", "")
