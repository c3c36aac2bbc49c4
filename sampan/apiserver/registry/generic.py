"""The generic registry: everything that is the same for every kind.

A `Registry` serves one resource of one version: it fills in and checks metadata, runs admission and the kind's strategy
in kube-apiserver's order, and writes. Behaviour of ``pkg/registry/generic/registry/store.go`` and of
``pkg/registry/rest``.
Creating is in `registry.creation`, deletion in `registry.deletion`; this module updates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from sampan.api import errors, field
from sampan.api.errors import APIStatusError, BadRequest
from sampan.apiserver.admission.interface import CREATE, UPDATE
from sampan.apiserver.registry import emptylists, ownership
from sampan.apiserver.registry import metadata as meta
from sampan.apiserver.registry.creation import Creation
from sampan.apiserver.registry.write import Outcome
from sampan.apiserver.storage import translate
from sampan.apiserver.storage.interface import KeyNotFoundError, RevisionConflictError, StorageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.write import Write
    from sampan.apiserver.storage.entry import Entry

    Transform = Callable[[Object | None, Entry | None], Awaitable[Object]]

_WRITE_ATTEMPTS = 100
"""Bound on optimistic retries of one request; only a broken backend gets there."""

OUTDATED = "the object has been modified; please apply your changes to the latest version and try again"


class Registry(Creation):
    """One resource of one served version."""

    async def update(
        self,
        write: Write,
        transform: Transform,
        *,
        uid: str = "",
        create: bool = False,
        forced_create: bool = False,
    ) -> Outcome:
        """Change the current object with transform until it is stored, raising whatever stands against it.

        transform: makes the new object (the caller's own, decoded, defaulted, admitted) from the current one, None when
        there is none. uid: the object must have it. create: an absent object may come to be.
        """
        for _ in range(_WRITE_ATTEMPTS):
            # A pending version is as good to build on as a committed one: the store answers in their order.
            current = self.store.newest(write.namespace, write.name)
            if current is None:
                await self.store.settled(write.namespace, write.name)
                await self.catch_up()
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
                return await self.create_admitted(write, obj, request)
            try:
                return await self._update_once(write, transform, current, uid)
            except (RevisionConflictError, KeyNotFoundError):
                await self.catch_up()
            except StorageError as error:
                raise translate.update(self.group_resource, write.name, error) from error
            except APIStatusError:
                await self.store.settled(write.namespace, write.name)  # what it rests upon must be there to be read
                raise
        raise errors.conflict(self.group_resource, write.name, OUTDATED)

    async def _update_once(
        self,
        write: Write,
        transform: Transform,
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
                wrong = field.invalid(
                    "resourceVersion", wanted, f'strconv.ParseUint: parsing "{wanted}": invalid syntax'
                )
                raise APIStatusError(str(wrong))
            raise errors.conflict(self.group_resource, write.name, OUTDATED)

    def before_update(self, ctx: WriteContext, new: Object, old: Object, write: Write) -> None:
        """Put back what an updater may not change, then validate. Raises Invalid."""
        metadata, old_meta = new["metadata"], old["metadata"]
        if self.info.namespaced:
            if metadata.setdefault("namespace", write.namespace) != write.namespace:
                raise BadRequest(
                    "the namespace of the provided object does not match the namespace sent on the request"
                )
        else:
            metadata.pop("namespace", None)
        _keep(metadata, old_meta, "generation")
        if self.empty_lists:  # before anything is compared with the old object, which has none
            emptylists.settle(self.empty_lists, new)
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
        if write.dry_run or new == old:
            await self.store.settled(current.namespace, current.name)
            return Outcome(entry=current) if new == old else Outcome(object=self.arranged(new))
        entry = await self.store.update(current, self._to_store(new), ttl=self.strategy.ttl)
        return Outcome(entry=entry)

    async def overwrite(self, write: Write, current: Entry, new: Object) -> Outcome:
        """Store a changed object as it is: for system subresources (binding, eviction) that strategies do not judge.

        Raises RevisionConflictError and KeyNotFoundError for the caller to try again.
        """
        return await self._store_changed(write, current, new, self.view(current))


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
    return any(key not in ignored and new.get(key) != old.get(key) for key in new.keys() | old.keys())


def _should_delete(new: Object, old: Object) -> bool:
    """Whether the write takes the last finalizer from an object whose grace period is over."""
    if new["metadata"].get("finalizers") or not old["metadata"].get("deletionTimestamp"):
        return False
    return not old["metadata"].get("deletionGracePeriodSeconds")
