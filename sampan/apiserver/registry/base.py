"""What every part of a registry stands on: the kind's structure, reading, conversion, what a write looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from sampan.api import errors, schema
from sampan.api.errors import BadRequest
from sampan.api.gvk import GroupResource, GroupVersionKind
from sampan.apiserver.admission.interface import AdmissionRequest
from sampan.apiserver.registry import emptylists
from sampan.apiserver.registry import metadata as meta
from sampan.apiserver.registry.strategy import Strategy

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.api.gvk import ResourceInfo
    from sampan.api.object import Object
    from sampan.apiserver.admission.chain import AdmissionChain
    from sampan.apiserver.registry.strategy import Environment, WriteContext
    from sampan.apiserver.registry.write import Write
    from sampan.apiserver.storage.entry import Entry
    from sampan.apiserver.storage.resourcestore import ResourceStore

_META_ORDER = (
    "name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "generation", "creationTimestamp",
    "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers",
    "managedFields",
)  # fmt: skip
"""The order of fields in Go's ObjectMeta, in which clients see them."""


class RegistryBase:
    """One resource of one served version: all but its writes.

    custom: whether the resource is a custom one, which decodes its objects itself. printer: prints its tables; None for
    built-in kinds.
    """

    custom = False
    printer: Any = None

    def __init__(
        self,
        info: ResourceInfo,
        strategy: Strategy,
        store: ResourceStore,
        admission: AdmissionChain,
        environment: Environment,
    ) -> None:
        self.info = info
        self.strategy = strategy
        self.store = store
        self.admission = admission
        self.environment = environment
        self.group_resource = GroupResource(info.group, info.resource)
        self.error_group = info.group if strategy.stored_as is None else strategy.stored_as.group
        self.gvk = info.gvk
        self.api_version = info.gvk.api_version
        self.clock = environment.clock
        self.converts = type(strategy).from_stored is not Strategy.from_stored
        self.has_versions = type(strategy).to_stored is not Strategy.to_stored
        self.item_prefix = b'{"kind":"%b","apiVersion":"%b",' % (info.kind.encode(), self.api_version.encode())
        """What every stored object's JSON begins with; items of lists are sent without it."""
        self.other_version: Callable[[str], RegistryBase | None] | None = None
        """Finds the registry of the same resource in another version; set where there are several."""
        self._rule = meta.name_rule(strategy.name_kind)
        self._type: schema.TypeInfo | None = None
        self._generation: bool | None = None
        self._empty_lists: emptylists.Plan | None = None
        self._empty_status: bytes | None = None

    # -- types

    @property
    def type(self) -> schema.TypeInfo:
        """The structure of the kind, compiled on first use."""
        if self._type is None:
            self._type = schema.type_of(self.gvk)
        return self._type

    @property
    def empty_lists(self) -> emptylists.Plan:
        """Where an empty list is stored as null: nowhere in kinds that are stored as JSON."""
        if self._empty_lists is None:
            as_json = self.custom or self.info.group == "apiextensions.k8s.io"
            self._empty_lists = {} if as_json else emptylists.plan_of(self.type)
        return self._empty_lists

    @property
    def tracks_generation(self) -> bool:
        if self._generation is None:
            wanted = self.strategy.tracks_generation
            known = self.strategy.has_status and "spec" in self.type.fields
            self._generation = known if wanted is None else wanted
        return self._generation

    def empty_status(self) -> Any:
        """A status nobody has written yet, in normal form; None when it is then left out."""
        if self._empty_status is None:
            empty = schema.decode_as(self.type, {}).object
            self._empty_status = orjson.dumps(empty.get("status"))
        return orjson.loads(self._empty_status)

    def decode_object(self, raw: Object) -> Object:
        """Bring an object that was made by patching back to normal form, with defaults. Raises schema.DecodeError."""
        found = schema.decode_as(self.type, raw).object
        found["kind"], found["apiVersion"] = self.gvk.kind, self.api_version
        self.strategy.default(found)
        return found

    def convert_for_ownership(self, obj: Object, api_version: str) -> tuple[schema.TypeInfo, Object] | None:
        """An object of this version in another one that managedFields name; None for versions that are not served."""
        if api_version == self.api_version:
            return self.type, obj
        copy = orjson.loads(orjson.dumps(obj))
        stored = self.strategy.to_stored(copy)
        if stored.get("apiVersion") != api_version:
            other = self.other_version(api_version) if self.other_version is not None else None
            if other is None:
                return None
            stored = other.strategy.from_stored(stored)
        return schema.type_of(GroupVersionKind.parse(api_version, self.info.kind)), stored

    # -- reading

    async def catch_up(self) -> None:
        """See all that was written before this call; at once when nobody else writes to the store."""
        if not self.store.authoritative:
            await self.store.wait_fresh()

    def find(self, namespace: str, name: str) -> Entry:
        """The current entry; raises NotFound."""
        entry = self.store.get(namespace, name)
        if entry is None:
            raise errors.not_found(self.group_resource, name)
        return entry

    def view(self, entry: Entry) -> Object:
        """An entry's object in this version; shared, not to be changed."""
        return self.strategy.from_stored(entry.copy()) if self.converts else entry.object

    def wire(self, entry: Entry) -> bytes:
        """An entry's JSON in this version."""
        return orjson.dumps(self.view(entry)) if self.converts else entry.wire

    def mutable(self, entry: Entry) -> Object:
        """An entry's object in this version, the caller's own."""
        obj = entry.copy()
        return self.strategy.from_stored(obj) if self.converts else obj

    # -- shared

    def context(self, write: Write) -> WriteContext:
        return write.context(self.clock, self.environment.features, self.environment.lookup)

    def check_namespace(self, write: Write, obj: Object) -> None:
        """Set the request's namespace in the object, or insist that they agree."""
        metadata = obj.setdefault("metadata", {})
        given = metadata.get("namespace", "")
        if given and given != write.namespace:
            if not self.info.namespaced:
                return
            raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
        if self.info.namespaced and write.namespace:
            metadata["namespace"] = write.namespace

    def admission_request(
        self, operation: str, write: Write, obj: Object | None, old: Object | None, kind: GroupVersionKind | None = None
    ) -> AdmissionRequest:
        return AdmissionRequest(
            operation=operation, resource=self.group_resource, version=self.info.version, kind=kind or self.gvk,
            subresource=write.subresource, namespace=write.namespace, name=write.name, object=obj, old=old,
            user=write.user, dry_run=write.dry_run, options=write.options, warnings=write.warnings,
        )  # fmt: skip

    def arranged(self, obj: Object) -> Object:
        """The object with its fields in the order clients are used to; the store does that for stored ones."""
        metadata = obj["metadata"]
        ordered = {key: metadata[key] for key in _META_ORDER if key in metadata}
        if len(ordered) < len(metadata):
            ordered.update((key, value) for key, value in metadata.items() if key not in ordered)
        result: Object = {"kind": self.gvk.kind, "apiVersion": self.api_version, "metadata": ordered}
        result.update((key, value) for key, value in obj.items() if key not in result)
        return result

    def _to_store(self, obj: Object) -> Object:
        return self.strategy.to_stored(obj) if self.has_versions else obj

    def storage_form(self, obj: Object) -> Object:
        """What the store takes; public for deletion."""
        return self._to_store(obj)
