"""Names of kinds and resources: group, version, kind; group, version, resource; and what discovery says of each.

Group "" is the core group (``/api/v1``); its apiVersion is the bare version.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class GroupVersionKind(NamedTuple):
    """A kind, as in apiVersion and kind of an object."""

    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @classmethod
    def parse(cls, api_version: str, kind: str) -> GroupVersionKind:
        group, _, version = api_version.rpartition("/")
        return cls(group, version, kind)


class GroupResource(NamedTuple):
    """A resource without its version: what errors and RBAC name."""

    group: str
    resource: str

    def __str__(self) -> str:
        return f"{self.resource}.{self.group}" if self.group else self.resource


class GroupVersionResource(NamedTuple):
    """A resource as in a request path."""

    group: str
    version: str
    resource: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_resource(self) -> GroupResource:
        return GroupResource(self.group, self.resource)

    @property
    def prefix(self) -> str:
        """The path before ``/namespaces/...``: ``/api/v1`` or ``/apis/apps/v1``."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubresourceInfo:
    """One subresource as discovery lists it: ``scale`` of deployments has kind autoscaling/v1 Scale."""

    name: str
    kind: GroupVersionKind
    verbs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceInfo:
    """One resource of one served version, as discovery lists it."""

    group: str
    version: str
    resource: str
    singular: str
    kind: str
    namespaced: bool
    verbs: tuple[str, ...]
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    storage_version_hash: str = ""
    subresources: dict[str, SubresourceInfo] = field(default_factory=dict)

    @property
    def gvk(self) -> GroupVersionKind:
        return GroupVersionKind(self.group, self.version, self.kind)

    @property
    def gvr(self) -> GroupVersionResource:
        return GroupVersionResource(self.group, self.version, self.resource)

    @property
    def group_resource(self) -> GroupResource:
        return GroupResource(self.group, self.resource)
