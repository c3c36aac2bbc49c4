"""Read-only views of informers' caches, by namespace and label selector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.api.object import Object
    from sampan.client.informer import SharedInformer
    from sampan.client.interface import Stored


class Matcher(Protocol):
    """What a compiled label selector does."""

    def matches(self, labels: Mapping[str, str]) -> bool: ...


class Lister:
    """One informer's items. The objects are shared and must not be changed."""

    __slots__ = ("_informer",)

    def __init__(self, informer: SharedInformer) -> None:
        self._informer = informer

    def get(self, namespace: str, name: str) -> Object | None:
        """Look an object up."""
        found = self._informer.get(namespace, name)
        return None if found is None else found.object

    def by_index(self, name: str, value: str) -> list[Stored]:
        """Return the items filed under a value of an informer's index."""
        return list(self._informer.by_index(name, value))

    def list(self, namespace: str = "", selector: Matcher | None = None) -> list[Stored]:
        """Return the items of a namespace ("" for all) whose labels match; only these need decoding."""
        items = self._informer.list(namespace)
        if selector is None:
            return list(items)
        return [item for item in items if selector.matches(item.labels)]
