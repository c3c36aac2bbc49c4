"""Creating: metadata, admission, strategy and validation of a new object, in kube-apiserver's order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from sampan.api import errors
from sampan.api.errors import APIStatusError
from sampan.api.gvk import GroupResource
from sampan.apiserver.admission.interface import CREATE, AdmissionRequest
from sampan.apiserver.registry import emptylists, ownership
from sampan.apiserver.registry import metadata as meta
from sampan.apiserver.registry.base import RegistryBase
from sampan.apiserver.registry.write import Outcome
from sampan.apiserver.storage import translate
from sampan.apiserver.storage.interface import KeyExistsError, StorageError

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.write import Write

NAME_ATTEMPTS = 8
"""How often a generated name is tried before the client is told, kube-apiserver's RetryGenerateName."""

_NODES = GroupResource("", "nodes")
"""The one kind whose creator sets the status: a kubelet registers its node with what it has found."""


class Creation(RegistryBase):
    """A registry that creates."""

    async def create(self, write: Write, obj: Object) -> Outcome:
        """Create a decoded and defaulted object.

        Raises every error that kube-apiserver answers a create with.
        """
        self.check_namespace(write, obj)
        ownership.created(self, write, obj)
        request = self.admission_request(CREATE, write, obj, None)
        await self.admission.mutate(request)
        return await self.create_admitted(write, obj, request)

    async def create_admitted(self, write: Write, obj: Object, request: AdmissionRequest) -> Outcome:
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
        if self.strategy.has_status and self.group_resource != _NODES:
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
        if self.empty_lists:
            emptylists.settle(self.empty_lists, obj)
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
