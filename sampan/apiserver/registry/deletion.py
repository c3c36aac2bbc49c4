"""Deletion: grace periods, finalizers, propagation policies, preconditions, collections.

Behaviour of ``Delete`` and ``DeleteCollection`` in kube-apiserver's generic registry and of ``rest.BeforeDelete``. A
deletion with work left to do is an update that marks the object; the object goes when the last finalizer does or, for
graceful kinds, when the node agent confirms with a grace period of zero.
"""

from __future__ import annotations

from calendar import timegm
from dataclasses import dataclass
from time import strptime
from typing import TYPE_CHECKING, Any

from sampan.api import errors, field
from sampan.api.gvk import GroupResource
from sampan.apiserver.admission.interface import DELETE
from sampan.apiserver.options import META_GROUP, check_dry_run
from sampan.apiserver.registry import metadata as meta
from sampan.apiserver.registry.write import Outcome
from sampan.apiserver.storage import translate
from sampan.apiserver.storage.interface import KeyNotFoundError, RevisionConflictError, StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sampan.api.object import Object
    from sampan.apiserver.registry.generic import Registry
    from sampan.apiserver.registry.write import Write
    from sampan.apiserver.storage.entry import Entry

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
_NAMESPACES = GroupResource("", "namespaces")

_RETURNS_OBJECT = frozenset(
    {
        GroupResource("", "persistentvolumeclaims"), GroupResource("", "persistentvolumes"), GroupResource("", "pods"),
        GroupResource("", "podtemplates"), GroupResource("", "resourcequotas"), GroupResource("", "serviceaccounts"),
        GroupResource("", "services"), GroupResource("storage.k8s.io", "csidrivers"),
        GroupResource("storage.k8s.io", "csinodes"), GroupResource("storage.k8s.io", "storageclasses"),
        GroupResource("storage.k8s.io", "volumeattachments"), GroupResource("resource.k8s.io", "deviceclasses"),
        GroupResource("resource.k8s.io", "resourceclaims"), GroupResource("resource.k8s.io", "resourceclaimtemplates"),
        GroupResource("resource.k8s.io", "resourceslices"),
        GroupResource("storage.k8s.io", "volumeattributesclasses"),
    }
)  # fmt: skip
"""Kinds whose deletion answers with the object instead of a Status: ``ReturnDeletedObject`` in their stores."""

_ORPHANS_BY_DEFAULT = frozenset({GroupResource("", "replicationcontrollers"), GroupResource("batch", "jobs")})
"""Kinds that orphan dependents when nothing is said, for clients of old."""
_UNCOLLECTED = frozenset({GroupResource("", "events"), GroupResource("events.k8s.io", "events")})
"""Kinds that the garbage collector ignores: no finalizers are added for it."""

_JOBS = GroupResource("batch", "jobs")
_JOB_WARNING = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set "
    "propagationPolicy=Orphan to suppress this warning"
)

_ATTEMPTS = 100


@dataclass(slots=True)
class DeleteOptions:
    """Delete options as decoded. grace: seconds, None when not given. propagation: "" when not given."""

    raw: Mapping[str, Any]
    grace: int | None = None
    uid: str = ""
    resource_version: str = ""
    propagation: str = ""
    orphan: bool | None = None

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> DeleteOptions:
        """Read and check; raises Invalid."""
        found = _check(raw)
        if found:
            raise errors.invalid(META_GROUP, "DeleteOptions", "", found)
        preconditions = raw.get("preconditions") or {}
        return cls(
            raw=raw, grace=raw.get("gracePeriodSeconds"), uid=preconditions.get("uid") or "",
            resource_version=preconditions.get("resourceVersion") or "",
            propagation=raw.get("propagationPolicy") or "", orphan=raw.get("orphanDependents"),
        )  # fmt: skip


def _check(raw: Mapping[str, Any]) -> list[field.FieldError]:
    found: list[field.FieldError] = []
    policy, orphan = raw.get("propagationPolicy"), raw.get("orphanDependents")
    if policy is not None and orphan is not None:
        detail = "orphanDependents and deletionPropagation cannot be both set"
        found.append(field.invalid("propagationPolicy", policy, detail))
    if policy is not None and policy not in ("Foreground", "Background", "Orphan"):
        supported = ("Foreground", "Background", "Orphan", "nil")
        found.append(field.not_supported("propagationPolicy", policy, supported))
    return found + check_dry_run(raw.get("dryRun") or ())


async def delete(registry: Registry, write: Write, options: DeleteOptions, *, entry: Entry | None = None) -> Outcome:
    """Delete one object, at once or by marking it.

    entry: the object's state as the caller has seen it. Raises NotFound, Conflict and what admission raises.
    """
    if registry.group_resource == _JOBS and not options.propagation and options.orphan is None:
        write.warnings.append(_JOB_WARNING)
    for _ in range(_ATTEMPTS):
        current = entry or registry.store.get(write.namespace, write.name)
        if current is None:
            await registry.catch_up()
            current = registry.find(write.namespace, write.name)
        entry = None
        try:
            return await _delete_once(registry, write, options, current)
        except RevisionConflictError:
            await registry.catch_up()
        except KeyNotFoundError as error:
            raise errors.not_found(registry.group_resource, write.name) from error
        except StorageError as error:
            raise translate.delete(registry.group_resource, write.name, error) from error
    raise errors.conflict(registry.group_resource, write.name, "too many concurrent changes")


async def _delete_once(registry: Registry, write: Write, options: DeleteOptions, current: Entry) -> Outcome:
    obj = registry.mutable(current)
    _check_preconditions(registry, obj, options)
    ctx = registry.context(write)
    registry.strategy.check_delete(ctx, obj)
    if registry.group_resource == _NAMESPACES:
        special = await _delete_namespace(registry, write, options, current, obj)
        if special is not None:
            return special
    if registry.strategy.mark_deleted(ctx, obj):
        await _validate(registry, write, registry.view(current))
        return _answer_marked(registry, await _store_mark(registry, write, current, obj), obj, write)
    graceful, pending = _begin_grace(registry, obj, options)
    if pending:
        await _validate(registry, write, registry.view(current))
        return _finished(registry, write, current, deleted=False)
    needs_update, finalizers = _finalizers(registry, obj["metadata"], options)
    if not graceful and not needs_update and not obj["metadata"].get("finalizers"):
        await _validate(registry, write, registry.view(current))
        return await _remove(registry, write, current, None)
    await _validate(registry, write, registry.view(current))
    if needs_update:
        _set(obj["metadata"], "finalizers", finalizers)
    waiting = bool(obj["metadata"].get("finalizers"))
    if not graceful and not waiting:
        return await _remove(registry, write, current, None)
    if not graceful:
        _mark(registry, obj)
    marked = await _store_mark(registry, write, current, obj)
    grace = obj["metadata"].get("deletionGracePeriodSeconds") or 0
    if waiting or (graceful and grace > 0):
        answer = _answer_marked(registry, marked, obj, write)
        answer.status = 202 if options.orphan is False else 200
        return answer
    return await _remove(registry, write, marked, None)


async def _validate(registry: Registry, write: Write, old: Object) -> None:
    request = registry.admission_request(DELETE, write, None, old)
    await registry.admission.mutate(request)
    await registry.admission.validate(request)


def _check_preconditions(registry: Registry, obj: Object, options: DeleteOptions) -> None:
    metadata = obj["metadata"]
    subject = GroupResource(registry.info.group, registry.info.kind)
    if options.uid and options.uid != metadata.get("uid"):
        why = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record "
            f"({metadata.get('uid', '')}). The object might have been deleted and then recreated"
        )
        raise errors.conflict(subject, metadata["name"], why)
    if options.resource_version and options.resource_version != metadata["resourceVersion"]:
        why = (
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match the ResourceVersion "
            f"in record ({metadata['resourceVersion']}). The object might have been modified"
        )
        raise errors.conflict(subject, metadata["name"], why)


def _begin_grace(registry: Registry, obj: Object, options: DeleteOptions) -> tuple[bool, bool]:
    """Mark a graceful kind's object; tells (marked now, nothing to do since it is marked already)."""
    metadata = obj["metadata"]
    requested = 1 if options.grace is not None and options.grace < 0 else options.grace
    if not registry.strategy.graceful:
        return False, False
    now = registry.clock.time()
    if metadata.get("deletionTimestamp"):
        known = metadata.get("deletionGracePeriodSeconds")
        if not known:
            return False, False
        if requested is None or requested >= known:
            return False, True
        ends = timegm(strptime(metadata["deletionTimestamp"], "%Y-%m-%dT%H:%M:%SZ")) - known + requested
        metadata["deletionTimestamp"] = meta.now_text(max(ends, now))
        metadata["deletionGracePeriodSeconds"] = requested
        return True, False
    grace = registry.strategy.grace_period(obj, requested)
    metadata["deletionTimestamp"] = meta.now_text(now + grace)
    metadata["deletionGracePeriodSeconds"] = grace
    if metadata.get("generation", 0) > 0:
        metadata["generation"] += 1
    return True, False


def _mark(registry: Registry, obj: Object) -> None:
    """Mark an object whose finalizers keep it."""
    metadata = obj["metadata"]
    if not metadata.get("deletionTimestamp"):
        if metadata.get("generation", 0) > 0:
            metadata["generation"] += 1
        metadata["deletionTimestamp"] = meta.now_text(registry.clock.time())
    metadata["deletionGracePeriodSeconds"] = 0


def _finalizers(registry: Registry, metadata: Object, options: DeleteOptions) -> tuple[bool, list[str]]:
    """The finalizers that the garbage collector needs for this deletion; whether they differ from the present ones."""
    if registry.group_resource in _UNCOLLECTED:
        return False, []
    present: list[str] = metadata.get("finalizers") or []
    wanted = [one for one in present if one not in (ORPHAN, FOREGROUND)]
    if _orphans(registry, present, options):
        wanted.append(ORPHAN)
    elif _in_foreground(present, options):
        wanted.append(FOREGROUND)
    return (False, present) if set(wanted) == set(present) else (True, wanted)


def _orphans(registry: Registry, present: Sequence[str], options: DeleteOptions) -> bool:
    if options.orphan is not None:
        return options.orphan
    if options.propagation:
        return options.propagation == "Orphan"
    for one in present:
        if one in (ORPHAN, FOREGROUND):
            return one == ORPHAN
    return registry.group_resource in _ORPHANS_BY_DEFAULT


def _in_foreground(present: Sequence[str], options: DeleteOptions) -> bool:
    if options.orphan is not None:
        return False
    if options.propagation:
        return options.propagation == "Foreground"
    for one in present:
        if one in (ORPHAN, FOREGROUND):
            return one == FOREGROUND
    return False


def _set(metadata: Object, key: str, values: list[str]) -> None:
    if values:
        metadata[key] = values
    else:
        metadata.pop(key, None)


async def _store_mark(registry: Registry, write: Write, current: Entry, obj: Object) -> Entry:
    if write.dry_run or obj == registry.view(current):
        return current
    return await registry.store.update(current, registry.storage_form(obj))


def _answer_marked(registry: Registry, marked: Entry, obj: Object, write: Write) -> Outcome:
    return Outcome(object=registry.arranged(obj)) if write.dry_run else Outcome(entry=marked)


async def _remove(registry: Registry, write: Write, current: Entry, last: Object | None) -> Outcome:
    if write.dry_run:
        return _finished(registry, write, current, deleted=False)
    removed = await registry.store.delete(current, None if last is None else registry.storage_form(last))
    return _finished(registry, write, removed, deleted=True)


async def delete_finalized(registry: Registry, write: Write, current: Entry, last: Object) -> Outcome:
    """Delete an object whose last finalizer an update has just taken; answers like that update."""
    if write.dry_run:
        await registry.store.settled(write.namespace, write.name)
        return Outcome(object=registry.arranged(last))
    removed = await registry.store.delete(current, registry.storage_form(last))
    registry.strategy.after_delete(registry.context(write), registry.view(removed))
    return Outcome(object=registry.arranged(last))  # at the revision before the deletion, as kube-apiserver answers


def _finished(registry: Registry, write: Write, entry: Entry, *, deleted: bool) -> Outcome:
    """The answer to a deletion that needed no mark.

    entry: the last state, at the deletion's own revision if it happened.
    """
    obj = registry.view(entry)
    if deleted:
        registry.strategy.after_delete(registry.context(write), obj)
    if registry.group_resource in _RETURNS_OBJECT or not (deleted or write.dry_run):
        return Outcome(entry=entry)
    return Outcome(object=success_status(registry, obj), as_is=True)


def success_status(registry: Registry, obj: Object) -> Object:
    """The Status that answers a deletion."""
    details: Object = {"name": obj["metadata"]["name"]}
    if registry.info.group:
        details["group"] = registry.info.group
    details["kind"] = registry.info.resource
    details["uid"] = obj["metadata"].get("uid", "")
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


async def _delete_namespace(
    registry: Registry, write: Write, options: DeleteOptions, current: Entry, obj: Object
) -> Outcome | None:
    """A namespace is first marked as terminating; it goes when its own finalizers (spec) are gone. None: delete now."""
    if obj["metadata"].get("deletionTimestamp"):
        if (obj.get("spec") or {}).get("finalizers"):
            await _validate(registry, write, registry.view(current))
            return Outcome(entry=current)
        return None
    await _validate(registry, write, registry.view(current))
    metadata = obj["metadata"]
    metadata["deletionTimestamp"] = meta.now_text(registry.clock.time())
    obj.setdefault("status", {})["phase"] = "Terminating"
    needs_update, finalizers = _finalizers(registry, metadata, options)
    if needs_update:
        _set(metadata, "finalizers", finalizers)
    if write.dry_run:
        return Outcome(object=registry.arranged(obj))
    return Outcome(entry=await registry.store.update(current, registry.storage_form(obj)))
