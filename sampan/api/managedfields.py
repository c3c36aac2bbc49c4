"""Who owns which fields: metadata.managedFields after every write but apply (`sampan.api.apply` does that one).

A write by update, patch or a subresource gives its manager all that it added or changed and takes that from everybody
else; what it removed, nobody owns any more. `update` is called with the object as decoded and defaulted, before
admission, and writes the new list into it; `settle` afterwards, right before storing, puts old entries back if the
write changed nothing but their times. Behaviour: apimachinery, package util/managedfields; structured-merge-diff,
package merge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import orjson

from sampan.api import field, fieldset
from sampan.api.fieldset import FieldSetError, ordered, subtract, union, without_paths
from sampan.api.ownership import Comparison, compare, reconciled, shape_of
from sampan.api.schema.decode import decode_as

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sampan.api.field import FieldError, Path
    from sampan.api.fieldset import Fields
    from sampan.api.object import Object
    from sampan.api.schema.types import TypeInfo

Operation = Literal["Apply", "Update"]
Convert = "Callable[[Object, str], tuple[TypeInfo, Object] | None]"
"""Converts an object to another apiVersion of its group: type and object there, None if there is no such version."""

MAX_UPDATE_MANAGERS = 10
"""Entries of updates kept before the oldest are merged, as Kubernetes' ``DefaultMaxUpdateManagers``."""

ANCIENT = "ancient-changes"
BEFORE_FIRST_APPLY = "before-first-apply"
MAX_MANAGER_LENGTH = 128
_MAX_SUBRESOURCE_LENGTH = 256

_BUILT_IN = "k8s.io."
_STRIPPED = (
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "clusterName",
    "generation",
    "managedFields",
    "resourceVersion",
)
STRIP: Fields = {
    "f:apiVersion": {},
    "f:kind": {},
    "f:metadata": {".": {}, **{f"f:{name}": {} for name in _STRIPPED}},
}
"""What nobody owns."""


class Manager(NamedTuple):
    """Whose an entry is. An applier stays the same in all versions: its api_version does not count."""

    name: str
    operation: Operation
    subresource: str
    api_version: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        return (self.name, self.operation, self.subresource, "" if self.operation == "Apply" else self.api_version)

    def identifier(self) -> str:
        """The JSON by which Kubernetes sorts managers."""
        parts = {"manager": self.name, "operation": self.operation, "apiVersion": self.key[3]}
        parts["subresource"] = self.subresource
        return orjson.dumps({key: value for key, value in parts.items() if value}).decode()

    def __str__(self) -> str:
        text = field.go_quote(self.name)
        if self.subresource:
            text += f" with subresource {field.go_quote(self.subresource)}"
        return text if self.operation == "Apply" else f"{text} using {self.api_version}"


@dataclass(slots=True, kw_only=True)
class Entry:
    """One decoded entry. time: as on the wire, "" for none. raw: the wire form while nothing changed."""

    manager: Manager
    fields: Fields
    time: str = ""
    raw: Object | None = None

    def with_fields(self, fields: Fields) -> Entry:
        return Entry(manager=self.manager, fields=fields, time=self.time)

    def encode(self) -> Object:
        if self.raw is not None:
            return self.raw
        manager = self.manager
        out: Object = {"manager": manager.name, "operation": manager.operation, "apiVersion": manager.api_version}
        if self.time:
            out["time"] = self.time
        out["fieldsType"] = "FieldsV1"
        out["fieldsV1"] = ordered(self.fields)
        if manager.subresource:
            out["subresource"] = manager.subresource
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One write, as far as ownership goes.

    manager: the fieldManager parameter or `manager_of` the request. now: a metav1.Time's text. reset_fields: fields
    that this write cannot change (a set, see `fieldset.paths_to_fields`). convert: for kinds with several versions.
    """

    manager: str
    api_version: str
    now: str
    subresource: str = ""
    reset_fields: Fields
    convert: Callable[[Object, str], tuple[TypeInfo, Object] | None] | None = None


def manager_of(field_manager: str, user_agent: str) -> str:
    """Return the manager's name: the fieldManager parameter, else the User-Agent before its first slash.

    Unprintable characters are dropped and the length is limited, as Kubernetes does; nothing left is "unknown".
    """
    if field_manager:
        return field_manager
    name = "".join(char for char in user_agent.partition("/")[0] if char.isprintable())
    if len(name.encode()) > MAX_MANAGER_LENGTH:
        name = name.encode()[:MAX_MANAGER_LENGTH].decode(errors="ignore")
    return name or "unknown"


def validate_manager(name: str, path: Path) -> list[FieldError]:
    """Check a manager's name, also the fieldManager parameter."""
    errors = []
    if len(name.encode()) > MAX_MANAGER_LENGTH:
        errors.append(field.too_long(path, "", MAX_MANAGER_LENGTH))
    if not name.isprintable():
        errors.append(field.invalid(path, name, "should only contain printable characters"))
    return errors


def validate(entries: Iterable[Object], path: Path) -> list[FieldError]:
    """Check metadata.managedFields of a request; path: of the list."""
    errors: list[FieldError] = []
    for position, entry in enumerate(entries):
        at = path.index(position)
        if entry.get("operation") not in ("Apply", "Update"):
            errors.append(
                field.invalid(at.child("operation"), entry.get("operation", ""), "must be `Apply` or `Update`")
            )
        kind = entry.get("fieldsType", "")
        if kind and kind != "FieldsV1":
            errors.append(field.invalid(at.child("fieldsType"), kind, "must be `FieldsV1`"))
        errors.extend(validate_manager(entry.get("manager", ""), at.child("manager")))
        if len(entry.get("subresource", "").encode()) > _MAX_SUBRESOURCE_LENGTH:
            errors.append(field.too_long(at.child("subresource"), "", _MAX_SUBRESOURCE_LENGTH))
    return errors


def decode(entries: Iterable[Object], *, trusted: bool) -> list[Entry]:
    """Decode wire entries; trusted ones (from the store) keep their sets as they are. Raises FieldSetError."""
    found: dict[tuple[str, str, str, str], Entry] = {}
    for raw in entries:
        operation = raw.get("operation", "")
        if operation not in ("Apply", "Update"):
            raise FieldSetError(f"error decoding manager: operation is `{operation}`")
        kind = raw.get("fieldsType", "")
        if kind != "FieldsV1":
            problem = f"invalid fieldsType {field.go_quote(kind)} in managed fields entry"
            raise FieldSetError("missing fieldsType in managed fields entry" if not kind else problem)
        fields = raw.get("fieldsV1")
        manager = Manager(raw.get("manager", ""), operation, raw.get("subresource", ""), raw.get("apiVersion", ""))
        if trusted:
            entry = Entry(manager=manager, fields=fields or {}, time=raw.get("time") or "", raw=raw)
        else:
            entry = Entry(manager=manager, fields=fieldset.decode(fields or {}), time=raw.get("time") or "")
        found[manager.key] = entry
    return list(found.values())


def encode(obj: Object, entries: list[Entry]) -> None:
    """Write entries into an object, in Kubernetes' order; none removes the field."""
    if not entries:
        metadata = obj.get("metadata")
        if metadata:
            metadata.pop("managedFields", None)
        return
    obj.setdefault("metadata", {})["managedFields"] = ordered_entries(entries)


def ordered_entries(entries: list[Entry]) -> list[Object]:
    """Encode entries, in Kubernetes' order."""
    if len(entries) > 1:
        entries = sorted(entries, key=_order)
    return [entry.encode() for entry in entries]


def _order(entry: Entry) -> tuple[str, str, str, str, str]:
    manager = entry.manager
    return (manager.operation, entry.time, manager.name, manager.api_version, manager.subresource)


def update(info: TypeInfo, live: Object | None, new: Object, write: Write) -> None:
    """Bring new's metadata.managedFields up to date after a create (live: None), an update or a patch.

    new changes in place; live is only read. Both in normal form. Never fails: managed fields that a client sent and
    that make no sense count as not sent.
    """
    old_raw = live["metadata"].get("managedFields") or [] if live is not None else []
    sent = new.get("metadata", {}).get("managedFields") or []
    entries = _entries_to_start_from(old_raw, sent, write)
    if not entries and live is not None:
        # An object without managed fields, old or reset, stays without until somebody applies.
        encode(new, [])
        return
    try:
        found = track(info, live, new, entries, write)
    except FieldSetError:
        found = []  # conversion to another manager's version failed: rather no owners than wrong ones
    encode(new, found)


def _entries_to_start_from(old: list[Object], sent: list[Object], write: Write) -> list[Entry]:
    if not write.subresource and sent and sent != old:
        if len(sent) == 1 and not sent[0]:
            return []
        try:
            if entries := decode(sent, trusted=False):
                return entries
        except FieldSetError:
            pass
    try:
        return decode(old, trusted=True)
    except FieldSetError:
        return []


def track(info: TypeInfo, live: Object | None, new: Object, entries: list[Entry], write: Write) -> list[Entry]:
    """Return the entries after a write changed live (None: nothing was there) into new."""
    before = live if live is not None else empty(info)
    try:
        difference_ = without_reset(compare(shape_of(info), before, new), write.reset_fields)
    except FieldSetError:
        return entries
    if not difference_.changed and not difference_.removed:
        return entries
    entries = reconcile(info, entries, write)
    entries = Versions(before, new, difference_, write).release(entries)
    gained = subtract(difference_.changed, STRIP)
    if gained:
        manager = Manager(write.manager or "unknown", "Update", write.subresource, write.api_version)
        entries = _grant(entries, manager, gained, write.now)
    return _cap(entries)


def reconcile(info: TypeInfo, entries: list[Entry], write: Write) -> list[Entry]:
    """Adapt entries to a custom resource's schema, which may have changed since they were written."""
    if info.name.startswith(_BUILT_IN):
        return entries
    shape = shape_of(info)
    return [
        entry
        if entry.manager.api_version != write.api_version or (fields := reconciled(shape, entry.fields)) is entry.fields
        else entry.with_fields(fields)
        for entry in entries
    ]


def empty(info: TypeInfo) -> Object:
    """Return what a new object is compared with: the type's zero, fields that are always there included.

    A custom resource's is empty.
    """
    if not info.name.startswith(_BUILT_IN):
        return {}
    found: Object | None = info.derived.get("empty")
    if found is None:
        found = info.derived["empty"] = decode_as(info, {}).object
    return found


def without_reset(found: Comparison, reset: Fields) -> Comparison:
    """Leave out of a comparison what the write cannot change."""
    if not reset:
        return found
    return Comparison(without_paths(found.changed, reset), without_paths(found.removed, reset))


class Versions:
    """One change, as the managers of other API versions see it."""

    def __init__(self, old: Object, new: Object, found: Comparison, write: Write) -> None:
        self._old = old
        self._new = new
        self._write = write
        self._found: dict[str, Comparison | None] = {write.api_version: found}

    def comparison(self, api_version: str) -> Comparison | None:
        """What changed in this version, None if there is no such version."""
        if api_version not in self._found:
            self._found[api_version] = self._compare(api_version)
        return self._found[api_version]

    def _compare(self, api_version: str) -> Comparison | None:
        convert = self._write.convert
        if convert is None:
            return self._found[self._write.api_version]
        old, new = convert(self._old, api_version), convert(self._new, api_version)
        if old is None or new is None:
            return None
        return without_reset(compare(shape_of(new[0]), old[1], new[1]), self._write.reset_fields)

    def release(self, entries: list[Entry]) -> list[Entry]:
        """Take what changed from every entry; entries left with nothing, or of versions that are gone, end."""
        kept = []
        for entry in entries:
            found = self.comparison(entry.manager.api_version)
            if found is None:
                continue
            fields = subtract(subtract(entry.fields, found.changed), found.removed)
            if fields:
                kept.append(entry if fields is entry.fields else entry.with_fields(fields))
        return kept


def _grant(entries: list[Entry], manager: Manager, gained: Fields, now: str) -> list[Entry]:
    for position, entry in enumerate(entries):
        if entry.manager.key == manager.key:
            merged = Entry(manager=manager, fields=union(entry.fields, gained), time=now)
            return [*entries[:position], merged, *entries[position + 1 :]]
    return [*entries, Entry(manager=manager, fields=gained, time=now)]


def _cap(entries: list[Entry]) -> list[Entry]:
    """Merge the oldest updates of each version until no more than the limit are left."""
    updates = [entry for entry in entries if entry.manager.operation == "Update"]
    excess = len(updates) - MAX_UPDATE_MANAGERS
    if excess <= 0:
        return entries
    kept = {entry.manager.key: entry for entry in entries}
    first: dict[str, Entry] = {}
    for entry in sorted(updates, key=lambda one: (one.time, one.manager.identifier())):
        if excess <= 0:
            break
        version = entry.manager.api_version
        if version not in first:
            first[version] = entry
            continue
        bucket = Manager(ANCIENT, "Update", "", version)
        gathered = kept.get(bucket.key)
        if gathered is None:
            gathered = kept.pop(first[version].manager.key)
        fields = union(entry.fields, gathered.fields)
        kept.pop(entry.manager.key, None)
        kept[bucket.key] = Entry(manager=bucket, fields=fields, time=entry.time)
        excess -= 1
    return list(kept.values())


def settle(new: Object, old: Object) -> None:
    """Put old's entries into new if nothing but their times differs: a write without effect stays without.

    Call it when new is final (after admission and the strategy), before comparing it with what is stored.
    """
    mine, theirs = new["metadata"].get("managedFields"), old["metadata"].get("managedFields")
    if mine is None or theirs is None or mine == theirs or len(mine) != len(theirs):
        return
    if not _same_but_times(mine, theirs):
        return
    for key, value in new.items():
        if key != "metadata" and old.get(key) != value:
            return
    if new.keys() != old.keys():
        return
    mine_meta, old_meta = new["metadata"], old["metadata"]
    if mine_meta.keys() == old_meta.keys() and all(
        value == old_meta[key] for key, value in mine_meta.items() if key not in ("managedFields", "resourceVersion")
    ):
        mine_meta["managedFields"] = theirs


def _same_but_times(mine: list[Object], theirs: list[Object]) -> bool:
    left, right = sorted(mine, key=_whose), sorted(theirs, key=_whose)
    return all(
        _whose(one) == _whose(other) and one.get("fieldsV1") == other.get("fieldsV1")
        for one, other in zip(left, right, strict=True)
    )


def _whose(entry: Object) -> tuple[str, ...]:
    return tuple(entry.get(key, "") for key in ("operation", "manager", "apiVersion", "subresource"))
