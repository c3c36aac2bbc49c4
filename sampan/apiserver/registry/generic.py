"""The generic registry: everything that is the same for every kind.

A `Registry` serves one resource of one version: it decodes bodies, fills in and checks metadata, runs admission and the
kind's strategy in kube-apiserver's order, and writes. Behaviour of ``pkg/registry/generic/registry/store.go`` and
``pkg/registry/rest``; deletion is in `registry.deletion`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from sampan.api import errors, field, schema
from sampan.api.errors import APIStatusError, BadRequest
from sampan.api.gvk import GroupResource, GroupVersionKind
from sampan.apiserver.admission.interface import CREATE, UPDATE, AdmissionRequest
from sampan.apiserver.registry import metadata as meta
from sampan.apiserver.registry import ownership
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.write import Outcome
from sampan.apiserver.storage import translate
from sampan.apiserver.storage.interface import (
    KeyExistsError,
    KeyNotFoundError,
    RevisionConflictError,
    StorageError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sampan.api.gvk import ResourceInfo
    from sampan.api.object import Object
    from sampan.apiserver.admission.chain import AdmissionChain
    from sampan.apiserver.registry.strategy import Environment, Finish, WriteContext
    from sampan.apiserver.registry.write import Write
    from sampan.apiserver.storage.entry import Entry
    from sampan.apiserver.storage.resourcestore import ResourceStore

NAME_ATTEMPTS = 8
"""How often a generated name is tried before the client is told, kube-apiserver's RetryGenerateName."""
_WRITE_ATTEMPTS = 100
"""Bound on optimistic retries of one request; only a broken backend gets there."""

OUTDATED = "the object has been modified; please apply your changes to the latest version and try again"

_META_ORDER = (
    "name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "generation", "creationTimestamp",
    "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers",
    "managedFields",
)  # fmt: skip
"""The order of fields in Go's ObjectMeta, in which clients see them."""

Transform = "Callable[[Object | None, Entry | None], Awaitable[Object]]"


class Registry:
    """One resource of one served version."""

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
        self.other_version: Callable[[str], Registry | None] | None = None
        """Finds the registry of the same resource in another version; set where there are several."""
        self._rule = meta.name_rule(strategy.name_kind)
        self._type: schema.TypeInfo | None = None
        self._generation: bool | None = None
        self._empty_status: bytes | None = None

    # -- types

    @property
    def type(self) -> schema.TypeInfo:
        """The structure of the kind, compiled on first use."""
        if self._type is None:
            self._type = schema.type_of(self.gvk)
        return self._type

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

    def decode(self, body: bytes, *, yaml: bool, validation: str, warnings: list[str], kind: Any = None) -> Object:
        """Decode and default a request's body; warnings are added to. Raises BadRequest."""
        decoded = schema.decode_body(body, kind or self.gvk, yaml=yaml, field_validation=validation or "Warn")  # type: ignore[arg-type]
        warnings += decoded.strict
        return decoded.object

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

    # -- creating

    async def create(self, write: Write, obj: Object) -> Outcome:
        """Create a decoded and defaulted object.

        Raises every error that kube-apiserver answers a create with.
        """
        self.check_namespace(write, obj)
        ownership.created(self, write, obj)
        request = self.admission_request(CREATE, write, obj, None)
        await self.admission.mutate(request)
        return await self._create_admitted(write, obj, request)

    async def _create_admitted(self, write: Write, obj: Object, request: AdmissionRequest) -> Outcome:
        base = "" if obj["metadata"].get("name") else obj["metadata"].get("generateName", "")
        if not base:
            return await self._create_once(write, obj, request)
        fresh = orjson.dumps(obj)  # an attempt that fails has changed its object
        for attempt in range(1, NAME_ATTEMPTS + 1):
            obj["metadata"]["name"] = meta.generate_name(base)
            try:
                return await self._create_once(write, obj, request)
            except errors.AlreadyExists as error:
                if attempt == NAME_ATTEMPTS:
                    message = f"{error.message}, the server was not able to generate a unique name for the object"
                    details = {**(error.details or {}), "retryAfterSeconds": 1}
                    raise errors.AlreadyExists(message, details=details) from error
                obj = orjson.loads(fresh)
        raise AssertionError

    async def _create_once(self, write: Write, obj: Object, request: AdmissionRequest) -> Outcome:
        ctx = self.context(write)
        self._fill_system_fields(write, obj)
        finish = self.strategy.begin_create(ctx, obj)
        stored = False
        try:
            self.before_create(ctx, obj, write)
            request.object, request.name = obj, obj["metadata"]["name"]
            await self.admission.validate(request)
            outcome = await self._store_new(write, obj)
            stored = not write.dry_run
        finally:
            if finish is not None:
                finish(stored)
        return outcome

    def _fill_system_fields(self, write: Write, obj: Object) -> None:
        metadata = obj["metadata"]
        metadata["creationTimestamp"] = meta.now_text(self.clock.time())
        metadata["uid"] = meta.new_uid()
        if self.info.namespaced:
            metadata["namespace"] = write.namespace
        if not metadata.get("namespace"):
            metadata.pop("namespace", None)

    def before_create(self, ctx: WriteContext, obj: Object, write: Write) -> None:
        """Reset what a creator may not set, then validate. Raises Invalid."""
        metadata = obj["metadata"]
        if metadata.get("resourceVersion"):
            raise APIStatusError("resourceVersion should not be set on objects to be created")
        for key in ("deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion", "selfLink"):
            metadata.pop(key, None)
        if self.tracks_generation:
            metadata["generation"] = 1
        if self.strategy.has_status:
            self._reset_status(obj)
        self.strategy.prepare_for_create(ctx, obj)
        found = meta.validate(metadata, namespaced=self.info.namespaced, rule=self._rule)
        found += self.strategy.validate(ctx, obj)
        if found:
            raise errors.invalid(self.error_group, self.info.kind, metadata.get("name", ""), found)
        write.warnings += self.strategy.warnings_on_create(ctx, obj)

    def _reset_status(self, obj: Object) -> None:
        empty = self.empty_status()
        if empty is None:
            obj.pop("status", None)
        else:
            obj["status"] = empty

    async def _store_new(self, write: Write, obj: Object) -> Outcome:
        metadata = obj["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        if write.dry_run:
            if self.store.get(namespace, name) is not None:
                raise self._taken(namespace, name)
            return Outcome(201, object=self.arranged(obj))
        try:
            entry = await self.store.create(namespace, name, self._to_store(obj), ttl=self.strategy.ttl)
        except KeyExistsError as error:
            raise self._taken(namespace, name) from error
        except StorageError as error:
            raise translate.create(self.group_resource, name, error) from error
        return Outcome(201, entry=entry)

    def _taken(self, namespace: str, name: str) -> errors.AlreadyExists:
        error = errors.already_exists(self.group_resource, name)
        current = self.store.get(namespace, name)
        if current is not None and "deletionTimestamp" in current.object["metadata"]:
            error.message = f"object is being deleted: {error.message}"
        return error

    # -- updating

    async def update(
        self,
        write: Write,
        transform: Callable[[Object | None, Entry | None], Awaitable[Object]],
        *,
        uid: str = "",
        create: bool = False,
        forced_create: bool = False,
        retry_conflicts: bool = True,
    ) -> Outcome:
        """Change the current object with transform until it is stored, raising whatever stands against it.

        transform: makes the new object (the caller's own, decoded, defaulted, admitted) from the current one, None when
        there is none. uid: the object must have it. create: an absent object may come to be.
        """
        for _ in range(_WRITE_ATTEMPTS):
            current = self.store.get(write.namespace, write.name)
            if current is None:
                if not (forced_create or (create and self.strategy.allow_create_on_update)):
                    raise errors.not_found(self.group_resource, write.name)
                if uid:
                    why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: "
                    raise errors.conflict(self.group_resource, write.name, why)
                obj = await transform(None, None)
                if obj["metadata"].get("uid") and forced_create:
                    wanted = obj["metadata"]["uid"]
                    why = f"uid mismatch: the provided object specified uid {wanted}, and no existing object was found"
                    raise errors.conflict(self.group_resource, write.name, why)
                obj["metadata"].pop("resourceVersion", None)
                request = self.admission_request(CREATE, write, obj, None)
                return await self._create_admitted(write, obj, request)
            try:
                return await self._update_once(write, transform, current, uid)
            except RevisionConflictError:
                continue
            except KeyNotFoundError:
                continue
            except StorageError as error:
                raise translate.update(self.group_resource, write.name, error) from error
        raise errors.conflict(self.group_resource, write.name, OUTDATED)

    async def _update_once(
        self,
        write: Write,
        transform: Callable[[Object | None, Entry | None], Awaitable[Object]],
        current: Entry,
        uid: str,
    ) -> Outcome:
        old = self.view(current)
        old_meta = old["metadata"]
        if uid and uid != old_meta.get("uid"):
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old_meta.get('uid', '')}"
            raise errors.conflict(self.group_resource, write.name, why)
        new = await transform(old, current)
        self._check_version(write, new, old_meta["resourceVersion"])
        ctx = self.context(write)
        finish = self.strategy.begin_update(ctx, new, old) if not write.subresource else None
        stored = False
        try:
            self.before_update(ctx, new, old, write)
            request = self.admission_request(UPDATE, write, new, old)
            await self.admission.validate(request)
            if _should_delete(new, old):
                from sampan.apiserver.registry import deletion  # noqa: PLC0415 - deletion builds on this module

                if self._may_delete_during_update(new):
                    return await deletion.delete_finalized(self, write, current, new)
            outcome = await self._store_changed(write, current, new, old)
            stored = not write.dry_run
        finally:
            if finish is not None:
                finish(stored)
        return outcome

    def _may_delete_during_update(self, new: Object) -> bool:
        """A namespace also waits for the finalizers in its spec."""
        if self.group_resource == ("", "namespaces"):
            return not (new.get("spec") or {}).get("finalizers")
        return True

    def _check_version(self, write: Write, new: Object, current: str) -> None:
        """Optimistic concurrency: the new object names the version that it changes, or none where that is allowed."""
        metadata = new["metadata"]
        wanted = metadata.get("resourceVersion", "")
        if wanted in ("", "0"):
            if not self.strategy.allow_unconditional_update:
                wrong = field.invalid("metadata.resourceVersion", 0, "must be specified for an update")
                raise errors.invalid(self.info.group, self.info.resource, write.name, [wrong])
            metadata["resourceVersion"] = current
        elif wanted != current:
            if not wanted.isascii() or not wanted.isdigit():
                wrong = field.invalid("resourceVersion", wanted, f'strconv.ParseUint: parsing "{wanted}": invalid syntax')
                raise APIStatusError(str(wrong))
            raise errors.conflict(self.group_resource, write.name, OUTDATED)

    def before_update(self, ctx: WriteContext, new: Object, old: Object, write: Write) -> None:
        """Put back what an updater may not change, then validate. Raises Invalid."""
        metadata, old_meta = new["metadata"], old["metadata"]
        if self.info.namespaced:
            if metadata.setdefault("namespace", write.namespace) != write.namespace:
                raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
        else:
            metadata.pop("namespace", None)
        _keep(metadata, old_meta, "generation")
        self._prepare_update(ctx, new, old)
        metadata = new["metadata"]
        if not metadata.get("uid"):
            _keep(metadata, old_meta, "uid")
        _keep(metadata, old_meta, "creationTimestamp")
        if old_meta.get("deletionTimestamp"):
            _keep(metadata, old_meta, "deletionTimestamp")
        if "deletionGracePeriodSeconds" in old_meta and "deletionGracePeriodSeconds" not in metadata:
            _keep(metadata, old_meta, "deletionGracePeriodSeconds")
        metadata.pop("selfLink", None)
        # The generic layer checks metadata as such and against the old one; the kind's validation does both again.
        wrong = meta.validate(metadata, namespaced=self.info.namespaced, rule=self._rule)
        changed = meta.validate_update(metadata, old_meta)
        found = [*wrong, *changed, *changed, *wrong]
        found += self._validate_update(ctx, new, old)
        if found:
            raise errors.invalid(self.error_group, self.info.kind, metadata.get("name", ""), found)
        write.warnings += self.strategy.warnings_on_update(ctx, new, old)
        ownership.ignore_times(new, old)

    def _prepare_update(self, ctx: WriteContext, new: Object, old: Object) -> None:
        strategy = self.strategy
        if ctx.subresource == "":
            if strategy.has_status:
                _keep(new, old, "status")
            strategy.prepare_for_update(ctx, new, old)
            if self.tracks_generation and _spec_changed(new, old, has_status=strategy.has_status):
                new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        elif ctx.subresource == "status":
            _only_status(new, old)
            strategy.prepare_for_status_update(ctx, new, old)
        else:
            strategy.prepare_for_subresource_update(ctx, new, old)
            if self.tracks_generation and _spec_changed(new, old, has_status=strategy.has_status):
                new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    def _validate_update(self, ctx: WriteContext, new: Object, old: Object) -> list[field.FieldError]:
        if ctx.subresource == "":
            return self.strategy.validate_update(ctx, new, old)
        if ctx.subresource == "status":
            return self.strategy.validate_status_update(ctx, new, old)
        return self.strategy.validate_subresource_update(ctx, new, old)

    async def _store_changed(self, write: Write, current: Entry, new: Object, old: Object) -> Outcome:
        if new == old:
            return Outcome(entry=current)
        if write.dry_run:
            return Outcome(object=self.arranged(new))
        entry = await self.store.update(current, self._to_store(new), ttl=self.strategy.ttl)
        return Outcome(entry=entry)

    async def overwrite(self, write: Write, current: Entry, new: Object) -> Outcome:
        """Store a changed object as it is: for system subresources (binding, eviction) that strategies do not judge.

        Raises RevisionConflictError and KeyNotFoundError for the caller to try again.
        """
        return await self._store_changed(write, current, new, self.view(current))

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


def _keep(new: Object, old: Object, key: str) -> None:
    """Take a field from the old object; old is shared, so containers are copied."""
    if key in old:
        value = old[key]
        new[key] = orjson.loads(orjson.dumps(value)) if isinstance(value, (dict, list)) else value
    else:
        new.pop(key, None)


def _only_status(new: Object, old: Object) -> None:
    """All but status comes from old; of the metadata a status update changes what Kubernetes lets it change."""
    status, metadata = new.get("status"), new["metadata"]
    had = "status" in new
    new.clear()
    new.update(orjson.loads(orjson.dumps(old)))
    new["metadata"] = metadata
    if had:
        new["status"] = status
    else:
        new.pop("status", None)


def _spec_changed(new: Object, old: Object, *, has_status: bool) -> bool:
    ignored = {"metadata", "status"} if has_status else {"metadata"}
    for key in new.keys() | old.keys():
        if key not in ignored and new.get(key) != old.get(key):
            return True
    return False


def _should_delete(new: Object, old: Object) -> bool:
    """Whether the write takes the last finalizer from an object whose grace period is over."""
    if new["metadata"].get("finalizers") or not old["metadata"].get("deletionTimestamp"):
        return False
    return not old["metadata"].get("deletionGracePeriodSeconds")


def preconditions_of(options: Mapping[str, Any]) -> tuple[str, str]:
    """uid and resourceVersion that delete options insist on, "" for none."""
    found = options.get("preconditions") or {}
    return found.get("uid") or "", found.get("resourceVersion") or ""
