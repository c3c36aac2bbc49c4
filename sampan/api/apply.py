"""Server-side apply: merge a configuration into a live object, by who owns what.

An applier states all that it wants of an object. What it states it owns, together with others who state the same;
what it stated before and does not any more goes away, unless others own it; what others own with another value is a
conflict, unless forced. Behaviour: structured-merge-diff, package merge; apimachinery, package util/managedfields.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import orjson

from sampan.api import managedfields
from sampan.api.errors import APIStatusError, BadRequest, Conflict
from sampan.api.fieldset import (
    FieldSetError,
    difference,
    intersection,
    merge_roots,
    paths_of,
    subtract,
    without_paths,
)
from sampan.api.managedfields import BEFORE_FIRST_APPLY, STRIP, Entry, Manager, Versions, Write
from sampan.api.object import annotations_of, name_of, namespace_of
from sampan.api.ownership import compare, fields_of, shape_of, with_named_fields
from sampan.api.typed import merge, remove, validate

if TYPE_CHECKING:
    from sampan.api.fieldset import Fields
    from sampan.api.gvk import GroupVersionKind
    from sampan.api.object import Object
    from sampan.api.ownership import Shape
    from sampan.api.schema.types import TypeInfo

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
KUBECTL = "kubectl"
"""The manager that takes over what client-side apply owned."""

_ANNOTATIONS_LIMIT = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The outcome.

    object: with its managedFields, not in normal form and without defaults. changed: whether anything else changed.
    """

    object: Object
    changed: bool


class _ConflictsError(Exception):
    """Fields that others own with another value."""

    def __init__(self, found: list[tuple[Manager, Fields]]) -> None:
        super().__init__()
        self.found = sorted(found, key=lambda one: one[0].identifier())


def apply(
    info: TypeInfo, gvk: GroupVersionKind, live: Object | None, config: Object, write: Write, *, force: bool
) -> Applied:
    """Apply a parsed configuration. gvk: what the URL names. live: in normal form, None to create.

    Raises BadRequest, Conflict with one cause a field, APIStatusError (500) for a configuration that does not fit the
    type.
    """
    _check(gvk, config)
    try:
        entries = managedfields.decode(live["metadata"].get("managedFields") or () if live else (), trusted=True)
    except FieldSetError as error:
        raise APIStatusError(f"failed to decode managed fields: {error}") from error
    if not entries and live is not None:
        before = replace(write, manager=BEFORE_FIRST_APPLY)
        entries = managedfields.track(info, None, live, entries, before)
    entries = managedfields.reconcile(info, entries, write)
    operation = _Apply(info, live, config, write)
    try:
        found = operation.run(entries, force=force)
    except _ConflictsError as error:
        found = _take_over(operation, entries, error)
    if write.manager == KUBECTL:
        _sync_last_applied(found.object, config)
    return found


def _check(gvk: GroupVersionKind, config: Object) -> None:
    api_version, kind = config.get("apiVersion"), config.get("kind")
    api_version = api_version if isinstance(api_version, str) else ""
    kind = kind if isinstance(kind, str) else ""
    if (api_version, kind) != (gvk.api_version, gvk.kind):
        group, _, version = api_version.rpartition("/")
        raise BadRequest(f"invalid object type: {group}/{version}, Kind={kind}")
    metadata = config.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("managedFields"), list):
        raise BadRequest("metadata.managedFields must be nil")


class _Apply:
    """One application, which may run twice: first to see the conflicts, then by force."""

    def __init__(self, info: TypeInfo, live: Object | None, config: Object, write: Write) -> None:
        self.info = info
        self.shape = shape_of(info)
        self.config = config
        self.write = write
        self.manager = Manager(write.manager, "Apply", write.subresource, write.api_version)
        errors = validate(self.shape, info, config)
        if errors:
            raise APIStatusError(f"failed to create typed patch object ({_describe(config)}): {errors}")
        self.live = live if live is not None else managedfields.empty(info)

    def run(self, entries: list[Entry], *, force: bool) -> Applied:
        """Merge, take away, and settle who owns what. Raises _ConflictsError."""
        merged = merge(self.shape, self.live, self.config)
        own = without_paths(fields_of(self.shape, self.config) or {}, self.write.reset_fields)
        last = next((entry for entry in entries if entry.manager.key == self.manager.key), None)
        others = [entry for entry in entries if entry is not last]
        mine = Entry(manager=self.manager, fields=own, time=last.time if last is not None else "")
        merged = self._prune(merged, [*others, mine], last)
        found = managedfields.without_reset(compare(self.shape, self.live, merged), self.write.reset_fields)
        versions = Versions(self.live, merged, found, self.write)
        if not force:
            self._check_conflicts(others, versions)
        others = versions.release(others)
        # Python takes true for 1; JSON does not.
        changed = merged != self.live or _spelled(merged) != _spelled(self.live)
        if changed:
            mine.time = self.write.now
        mine.fields = subtract(own, STRIP)
        new = dict(merged if changed else self.live)
        new["metadata"] = dict(new.get("metadata") or {})
        managedfields.encode(new, [*others, mine] if mine.fields else others)
        return Applied(object=new, changed=changed)

    @staticmethod
    def _check_conflicts(others: list[Entry], versions: Versions) -> None:
        conflicts = []
        for entry in others:
            found = versions.comparison(entry.manager.api_version)
            if found is None or not found.changed or not entry.fields:
                continue
            both = intersection(entry.fields, found.changed)
            if both:
                conflicts.append((entry.manager, both))
        if conflicts:
            raise _ConflictsError(conflicts)

    def _at(self, obj: Object, api_version: str) -> tuple[Shape, Object] | None:
        """Convert an object from this version; None if there is no such version."""
        if api_version == self.write.api_version or self.write.convert is None:
            return self.shape, obj
        found = self.write.convert(obj, api_version)
        return None if found is None else (shape_of(found[0]), found[1])

    def _back(self, obj: Object, api_version: str) -> Object:
        if api_version == self.write.api_version or self.write.convert is None:
            return obj
        found = self.write.convert(obj, self.write.api_version)
        assert found is not None
        return found[1]

    def _prune(self, merged: Object, entries: list[Entry], last: Entry | None) -> Object:
        """Take away what was applied last time and is not now, but for what somebody else owns.

        entries: all that will be, the applier's own last.
        """
        if last is None or not last.fields:
            return merged
        version = last.manager.api_version
        if version == self.write.api_version and not subtract(last.fields, entries[-1].fields):
            # All that was stated is stated again: the usual case.
            return merged
        converted = self._at(merged, version)
        if converted is None:
            return merged
        shape, whole = converted
        applied = with_named_fields(shape, last.fields)
        pruned = remove(shape, whole, applied) or {}
        pruned = self._add_back_owned(whole, pruned, version, entries)
        # Only what this applier had stated may go.
        gone = subtract(_members(shape, whole), _members(shape, pruned))
        dropped = (intersection(gone, applied) if gone and applied else None) or {}
        return self._back(remove(shape, whole, dropped) or {}, version)

    def _add_back_owned(self, whole: Object, pruned: Object, version: str, entries: list[Entry]) -> Object:
        owned: dict[str, Fields] = {version: {}}
        for entry in entries:
            at = entry.manager.api_version
            owned[at] = merge_roots(owned.get(at, {}), entry.fields)
        for at, fields in owned.items():
            merged_there = self._between(whole, version, at)
            pruned_there = self._between(pruned, version, at)
            if merged_there is None or pruned_there is None:
                continue
            shape = merged_there[0]
            keep = merge_roots(_members(shape, pruned_there[1]), with_named_fields(shape, fields))
            lost = subtract(_members(shape, merged_there[1]), keep)
            found = remove(shape, merged_there[1], lost) or {}
            back = self._between(found, at, version)
            assert back is not None
            pruned = back[1]
        return pruned

    def _between(self, obj: Object, source: str, target: str) -> tuple[Shape, Object] | None:
        if source == target:
            return self._at(obj, target) if target == self.write.api_version else self._same(obj, target)
        return self._at(self._back(obj, source), target)

    def _same(self, obj: Object, version: str) -> tuple[Shape, Object] | None:
        found = self._at(self._back(obj, version), version)
        return None if found is None else (found[0], obj)


def _spelled(obj: Object) -> bytes:
    return orjson.dumps(obj, option=orjson.OPT_SORT_KEYS)


def _members(shape: Shape, obj: Object) -> Fields:
    return with_named_fields(shape, fields_of(shape, obj) or {})


def _describe(obj: Object) -> str:
    metadata = obj.get("metadata")
    named = isinstance(metadata, dict)
    namespace, name = (namespace_of(obj), name_of(obj)) if named else ("", "")
    group, _, version = obj["apiVersion"].rpartition("/")
    # A core type shows as "/v1", any other as "apps/v1".
    return f"{namespace}/{name}; {group}/{version}, Kind={obj['kind']}"


def _take_over(operation: _Apply, entries: list[Entry], error: _ConflictsError) -> Applied:
    """Let kubectl take over from client-side apply the fields that still have the values last applied."""
    if operation.write.manager == KUBECTL:
        allowed = _last_applied_fields(operation)
        if allowed is not None:
            rest = [(manager, left) for manager, fields in error.found if (left := difference(fields, allowed))]
            if not rest:
                return operation.run(entries, force=True)
            raise _conflict(rest)
    raise _conflict(error.found)


def _last_applied_fields(operation: _Apply) -> Fields | None:
    text = annotations_of(operation.live).get(LAST_APPLIED)
    if not text:
        return None
    try:
        last = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    shape = operation.shape
    if not isinstance(last, dict) or last.get("apiVersion") != operation.write.api_version:
        return None
    if validate(shape, operation.info, last):
        return None
    found = compare(shape, last, operation.live)
    return subtract(subtract(fields_of(shape, last) or {}, found.changed), found.removed)


def _conflict(found: list[tuple[Manager, Fields]]) -> Conflict:
    listed = [(manager, paths_of(fields)) for manager, fields in found]
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": path}
        for manager, paths in listed
        for path in paths
    ]
    if len(causes) == 1:
        message = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        lines = [
            line
            for manager, paths in listed
            for line in (f"conflicts with {manager}:", *(f"- {path}" for path in paths))
        ]
        message = f"Apply failed with {len(causes)} conflicts: " + "\n".join(lines)
    return Conflict(message, details={"causes": causes})


def _sync_last_applied(obj: Object, config: Object) -> None:
    """Keep the annotation of client-side apply in step, so that going back to it stays possible."""
    annotations = annotations_of(obj)
    if not annotations.get(LAST_APPLIED):
        return
    applied = dict(config)
    metadata = dict(applied.get("metadata") or {})
    if isinstance(metadata.get("annotations"), dict):
        kept = {key: value for key, value in metadata["annotations"].items() if key != LAST_APPLIED}
        metadata["annotations"] = kept
        if not kept:
            del metadata["annotations"]
        applied["metadata"] = metadata
    text = orjson.dumps(applied, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE).decode()
    changed = {**annotations, LAST_APPLIED: text}
    if sum(len(key.encode()) + len(value.encode()) for key, value in changed.items()) > _ANNOTATIONS_LIMIT:
        del changed[LAST_APPLIED]
    obj["metadata"] = {**obj["metadata"], "annotations": changed}
