"""Events: core/v1 and events.k8s.io/v1 are two views of one store (pkg/registry/core/event).

Stored as core/v1. The two versions name some fields differently; the internal type that upstream converts through has
the names of both, so errors use core's names in both.
"""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.api.gvk import GroupResource
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import names

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

EVENT_TTL = 3600
"""Seconds; kube-apiserver's --event-ttl."""

_RENAMED = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_IMMUTABLE = (
    ("involvedObject", "involvedObject"), ("reason", "reason"), ("message", "message"), ("source", "source"),
    ("firstTimestamp", "firstTimestamp"), ("lastTimestamp", "lastTimestamp"), ("count", "count"), ("reason", "reason"),
    ("type", "type"), ("eventTime", "eventTime"), ("action", "action"), ("related", "related"),
    ("reportingComponent", "reportingController"), ("reportingInstance", "reportingInstance"),
)  # fmt: skip
_OBJECT = Path("involvedObject").child("namespace")
# What core's type always shows, and events.k8s.io's leaves out when empty, and the other way round.
_CORE_ALWAYS: Object = {
    "involvedObject": {},
    "source": {},
    "firstTimestamp": None,
    "lastTimestamp": None,
    "eventTime": None,
}
_CORE_EMPTY = {"reportingComponent": "", "reportingInstance": ""}


class EventStrategy(Strategy):
    """Events of core/v1; they expire."""

    allow_create_on_update = True
    has_status = False
    tracks_generation = False
    ttl = EVENT_TTL
    selectable: tuple[str, ...] = (
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
        "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
        "reportingComponent", "source", "type",
    )  # fmt: skip

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        _legacy(errors, obj)
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        return self.validate(ctx, new)

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        involved = obj.get("involvedObject") or {}
        reporter = obj.get("reportingComponent") or ""
        component = (obj.get("source") or {}).get("component", "") or reporter
        return {
            "involvedObject.kind": involved.get("kind", ""),
            "involvedObject.namespace": involved.get("namespace", ""),
            "involvedObject.name": involved.get("name", ""),
            "involvedObject.uid": involved.get("uid", ""),
            "involvedObject.apiVersion": involved.get("apiVersion", ""),
            "involvedObject.resourceVersion": involved.get("resourceVersion", ""),
            "involvedObject.fieldPath": involved.get("fieldPath", ""),
            "reason": obj.get("reason", ""),
            "reportingComponent": reporter,
            "source": component,
            "type": obj.get("type", ""),
        }


class NewEventStrategy(EventStrategy):
    """Events of events.k8s.io/v1, which are checked strictly."""

    stored_as = GroupResource("", "events")
    selectable = (
        "regarding.kind", "regarding.namespace", "regarding.name", "regarding.uid", "regarding.apiVersion",
        "regarding.resourceVersion", "regarding.fieldPath", "reason", "reportingController", "type",
    )  # fmt: skip

    def to_stored(self, obj: Object) -> Object:
        return to_core(obj)

    def from_stored(self, obj: Object) -> Object:
        return from_core(obj)

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        event = to_core(dict(obj))
        _legacy(errors, event)
        _series(errors, event)
        if not event.get("eventTime"):
            errors.append(field.required(Path("eventTime")))
        if event.get("type") not in ("Normal", "Warning"):
            errors.append(field.invalid(Path("type"), "", f"has invalid value: {event.get('type', '')}"))
        for key in ("firstTimestamp", "lastTimestamp", "count"):
            if event.get(key):
                errors.append(field.invalid(Path(key), "", "needs to be unset"))
        if any((event.get("source") or {}).values()):
            errors.append(field.invalid(Path("source"), "", "needs to be unset"))
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        after, before = to_core(dict(new)), to_core(dict(old))
        _legacy(errors, after)
        if after.get("series") != before.get("series"):
            _series(errors, after)
        for key, shown in _IMMUTABLE:
            if (after.get(key) or None) != (before.get(key) or None):
                errors.append(field.invalid(Path(shown), after.get(key), "field is immutable"))
        return errors

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        core = super().selectable_fields(to_core(dict(obj)))
        renamed = {name.replace("involvedObject", "regarding"): value for name, value in core.items()}
        renamed["reportingController"] = renamed.pop("reportingComponent")
        del renamed["source"]
        return renamed


def to_core(event: Object) -> Object:
    """Turn an events.k8s.io/v1 event into core/v1, in normal form."""
    for new, name in _RENAMED.items():
        if new in event:
            event[name] = event.pop(new)
    for name, value in _CORE_ALWAYS.items():
        event.setdefault(name, {} if value == {} else value)
    for name, text in _CORE_EMPTY.items():
        event.setdefault(name, text)
    event["apiVersion"] = "v1"
    return event


def from_core(event: Object) -> Object:
    """Turn a stored core/v1 event into events.k8s.io/v1, in normal form."""
    for new, name in _RENAMED.items():
        if name in event:
            event[new] = event.pop(name)
    for name in ("reportingController", "reportingInstance"):
        if not event.get(name):
            event.pop(name, None)
    event["apiVersion"] = "events.k8s.io/v1"
    return event


def _legacy(errors: Errors, event: Object) -> None:
    namespace = event["metadata"].get("namespace", "")
    involved = (event.get("involvedObject") or {}).get("namespace", "")
    mismatch = field.invalid(_OBJECT, involved, "does not match event.namespace")
    if not event.get("eventTime"):
        if (involved != namespace) if involved else namespace not in ("", "default"):
            errors.append(mismatch)
    else:
        if not involved and namespace not in ("default", "kube-system"):
            errors.append(mismatch)
        _reporter(errors, event)
    names.dns_subdomain(errors, Path("namespace"), namespace)


def _reporter(errors: Errors, event: Object) -> None:
    controller = event.get("reportingComponent") or ""
    if not controller:
        errors.append(field.required(Path("reportingController")))
    names.qualified_name(errors, Path("reportingController"), controller)
    for key, limit, needed in (
        ("reportingInstance", 128, True), ("action", 128, True), ("reason", 128, True), ("message", 1024, False),
    ):  # fmt: skip
        value = event.get(key) or ""
        if needed and not value:
            errors.append(field.required(Path(key)))
        if len(value.encode()) > limit:
            errors.append(field.invalid(Path(key), "", f"can have at most {limit} characters"))


def _series(errors: Errors, event: Object) -> None:
    series = event.get("series")
    if series is None:
        return
    if series.get("count", 0) < 2:
        errors.append(field.invalid(Path("series.count"), "", "should be at least 2"))
    if not series.get("lastObservedTime"):
        errors.append(field.required(Path("series.lastObservedTime")))
