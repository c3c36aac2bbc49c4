"""Shared informers: one list-watch per resource, an indexed cache of it, handlers that hear of each change.

Caches hold the transport's own `Stored` items (for the local transport the watch cache's entries: no second copy). They
are only changed between turns of the event loop, so a reconciler that does not await sees one consistent state.
Handlers are plain functions that enqueue keys and do nothing else; they are called in order, after the cache changed.
There is no periodic resync.
"""

from __future__ import annotations

import asyncio
import random as randomness
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sampan.base.log import logger
from sampan.base.tasks import STARTED_IGNORED, serve
from sampan.client.item import key as key_of
from sampan.client.reflector import Reflector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sampan.api.gvk import GroupVersionResource
    from sampan.base.clock import Clock
    from sampan.base.tasks import Started
    from sampan.client.client import Client
    from sampan.client.interface import Stored, WatchEvent

    Handler = Callable[[Stored | None, Stored | None], None]
    IndexFunction = Callable[[Stored], Iterable[str]]

T = TypeVar("T")
log = logger("client.informer")

_NONE: Mapping[str, Stored] = {}


class _Index:
    """Values to items. values: what each item was filed under, so that its removal need not decode it."""

    __slots__ = ("function", "items", "values")

    def __init__(self, function: IndexFunction) -> None:
        self.function = function
        self.items: dict[str, dict[str, Stored]] = {}
        self.values: dict[str, tuple[str, ...]] = {}

    def put(self, key: str, item: Stored) -> None:
        values = tuple(self.function(item))
        before = self.values.get(key, ())
        if before != values:
            self.drop(key)
            if values:
                self.values[key] = values
        for value in values:
            self.items.setdefault(value, {})[key] = item

    def drop(self, key: str) -> None:
        for value in self.values.pop(key, ()):
            found = self.items.get(value)
            if found is not None:
                found.pop(key, None)
                if not found:
                    del self.items[value]


class _View(Generic[T]):
    """What a function makes of each item, computed once per version."""

    __slots__ = ("function", "values")

    def __init__(self, function: Callable[[Stored], T]) -> None:
        self.function = function
        self.values: dict[str, T] = {}


class SharedInformer:
    """One resource's cache. Made by `InformerFactory.informer`."""

    def __init__(
        self,
        client: Client,
        gvr: GroupVersionResource,
        *,
        clock: Clock,
        random: randomness.Random,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> None:
        self.gvr = gvr
        self._items: dict[str, Stored] = {}
        self._namespaces: dict[str, dict[str, Stored]] = {}
        self._indexes: dict[str, _Index] = {}
        self._views: dict[Callable[[Stored], Any], _View[Any]] = {}
        self._handlers: list[Handler] = []
        self._synced = asyncio.Event()
        self._reflector = Reflector(
            client.resource(gvr, namespace),
            self,
            clock=clock,
            random=random,
            label_selector=label_selector,
            field_selector=field_selector,
        )

    def __len__(self) -> int:
        return len(self._items)

    @property
    def has_synced(self) -> bool:
        """Whether the first list has arrived and its handlers have run."""
        return self._synced.is_set()

    @property
    def resource_version(self) -> str:
        """The last resourceVersion seen: everything up to it is in the cache."""
        return self._reflector.resource_version

    async def wait_synced(self) -> None:
        """Return when the first list has arrived."""
        await self._synced.wait()

    async def run(self, started: Started = STARTED_IGNORED) -> None:
        """List and watch until cancelled; started is called when the first list has arrived."""
        async with asyncio.TaskGroup() as group:
            serve(group, self._reflector.run(), name=f"reflector {self.gvr.group_resource}")
            await self._synced.wait()
            started()

    def add_handler(self, handler: Handler) -> None:
        """Call handler(old, new) for each change: old None when added, new None when deleted (old is its last state).

        What the cache holds already comes first, as additions.
        """
        self._handlers.append(handler)
        for item in list(self._items.values()):
            _call(handler, None, item)

    def remove_handler(self, handler: Handler) -> None:
        """Stop calling a handler."""
        self._handlers.remove(handler)

    def add_index(self, name: str, function: IndexFunction) -> None:
        """File each item under the values that function gives for it; a second index of the same name is ignored."""
        if name in self._indexes:
            return
        index = self._indexes[name] = _Index(function)
        for key, item in self._items.items():
            index.put(key, item)

    def add_view(self, function: Callable[[Stored], T]) -> Mapping[str, T]:
        """Keep what function makes of each item, by key, computed once per version: cheaper than decoding again.

        Views change before indexes and handlers see an item. The mapping is live and must not be changed.
        """
        found = self._views.get(function)
        if found is None:
            found = self._views[function] = _View(function)
            found.values.update((key, function(item)) for key, item in self._items.items())
        values: Mapping[str, T] = found.values
        return values

    def get(self, namespace: str, name: str) -> Stored | None:
        """Look an item up."""
        return self._items.get(f"{namespace}/{name}" if namespace else name)

    def get_by_key(self, key: str) -> Stored | None:
        """Look an item up by ``namespace/name`` or ``name``."""
        return self._items.get(key)

    def list(self, namespace: str = "") -> Sequence[Stored]:
        """Return all items, or those of a namespace; in no order, a list of the caller's own."""
        return list((self._namespaces.get(namespace, _NONE) if namespace else self._items).values())

    def by_index(self, name: str, value: str) -> Sequence[Stored]:
        """Return the items filed under a value."""
        return list(self._indexes[name].items.get(value, _NONE).values())

    def count_index(self, name: str, value: str) -> int:
        """Count the items filed under a value."""
        return len(self._indexes[name].items.get(value, _NONE))

    def index_values(self, name: str) -> Sequence[str]:
        """Return the values under which anything is filed."""
        return list(self._indexes[name].items)

    def replace(self, items: Sequence[Stored]) -> None:
        """Take a list's whole state: the handlers hear of the difference."""
        fresh = {key_of(item): item for item in items}
        for key in [key for key in self._items if key not in fresh]:
            self._delete(key, self._items[key])
        for key, item in fresh.items():
            current = self._items.get(key)
            if current is None or current.resource_version != item.resource_version:
                self._put(key, item)
        self._synced.set()

    def apply(self, batch: Sequence[WatchEvent]) -> None:
        """Take watch events in order."""
        for type_, item in batch:
            if type_ == "BOOKMARK":
                continue
            if type_ == "DELETED":
                self._delete(key_of(item), item)
            else:
                self._put(key_of(item), item)

    def _put(self, key: str, item: Stored) -> None:
        old = self._items.get(key)
        self._items[key] = item
        if item.namespace:
            self._namespaces.setdefault(item.namespace, {})[key] = item
        for view in self._views.values():
            view.values[key] = view.function(item)
        for index in self._indexes.values():
            index.put(key, item)
        for handler in tuple(self._handlers):
            _call(handler, old, item)

    def _delete(self, key: str, last: Stored) -> None:
        if self._items.pop(key, None) is None:
            return
        if last.namespace:
            found = self._namespaces.get(last.namespace)
            if found is not None:
                found.pop(key, None)
                if not found:
                    del self._namespaces[last.namespace]
        for view in self._views.values():
            view.values.pop(key, None)
        for index in self._indexes.values():
            index.drop(key)
        for handler in tuple(self._handlers):
            _call(handler, last, None)


class InformerFactory:
    """Shares informers between those who want the same resource, and owns their tasks."""

    def __init__(self, client: Client, *, clock: Clock, random: randomness.Random | None = None) -> None:
        self._client = client
        self._clock = clock
        self._random = random or randomness.Random()  # noqa: S311 - jitter, no secret
        self._informers: dict[tuple[GroupVersionResource, str, str, str], SharedInformer] = {}
        self._tasks: dict[SharedInformer, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None

    def informer(
        self, gvr: GroupVersionResource, *, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> SharedInformer:
        """Return the informer of a selection; when the factory runs, a new one starts at once."""
        wanted = (gvr, namespace, label_selector, field_selector)
        found = self._informers.get(wanted)
        if found is None:
            found = self._informers[wanted] = SharedInformer(
                self._client,
                gvr,
                clock=self._clock,
                random=self._random,
                namespace=namespace,
                label_selector=label_selector,
                field_selector=field_selector,
            )
            if self._group is not None:
                self._start(self._group, found)
        return found

    def release(self, informer: SharedInformer) -> None:
        """Stop an informer whose resource is gone and forget it."""
        for wanted, one in list(self._informers.items()):
            if one is informer:
                del self._informers[wanted]
        task = self._tasks.pop(informer, None)
        if task is not None:
            task.cancel()

    async def wait_synced(self) -> None:
        """Return when every informer known now has its first list."""
        for informer in list(self._informers.values()):
            await informer.wait_synced()

    async def run(self, started: Started = STARTED_IGNORED) -> None:
        """Run the informers until cancelled; started is called when all that exist at the start have synced."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for informer in list(self._informers.values()):
                    self._start(group, informer)
                await self.wait_synced()
                started()
                await asyncio.Event().wait()
            finally:
                self._group = None
                self._tasks.clear()

    def _start(self, group: asyncio.TaskGroup, informer: SharedInformer) -> None:
        self._tasks[informer] = serve(group, informer.run(), name=f"informer {informer.gvr.group_resource}")


def _call(handler: Handler, old: Stored | None, new: Stored | None) -> None:
    try:
        handler(old, new)
    except Exception:
        log.exception("Event handler failed", handler=getattr(handler, "__qualname__", handler))
