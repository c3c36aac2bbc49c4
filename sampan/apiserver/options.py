"""Query options of requests: list, create, update, patch and delete options, decoded and checked as apimachinery does.

Errors are `BadRequest` for text that cannot be decoded and `Invalid` on ``ListOptions.meta.k8s.io`` and its sisters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sampan.api import errors, field
from sampan.api.errors import BadRequest
from sampan.apiserver.requestinfo import FALSE_WORDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.apiserver.requestinfo import Query

_INT64 = 1 << 63
_EXACT, _NOT_OLDER = "Exact", "NotOlderThan"
_FIELD_MANAGER_LIMIT = 128
META_GROUP = "meta.k8s.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOptions:
    """Options of list, watch and deletecollection. None: not given."""

    watch: bool = False
    label_selector: str = ""
    field_selector: str = ""
    resource_version: str = ""
    resource_version_match: str = ""
    limit: int = 0
    continue_token: str = ""
    timeout_seconds: int | None = None
    allow_bookmarks: bool = False
    send_initial_events: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """Options of create, update and patch. force: of an apply; None when not given."""

    dry_run: bool = False
    field_manager: str = ""
    field_validation: str = ""
    force: bool | None = None


def parse_int(text: str) -> int:
    """Decode an int64 parameter; raises BadRequest with Go's text."""
    digits = text[1:] if text[:1] in "+-" else text
    if not digits.isascii() or not digits.isdigit():
        raise BadRequest(f"strconv.ParseInt: parsing {field.go_quote(text)}: invalid syntax")
    value = int(text) if len(digits) <= 40 else _INT64  # more digits than any number that fits
    if not -_INT64 <= value < _INT64:
        raise BadRequest(f"strconv.ParseInt: parsing {field.go_quote(text)}: value out of range")
    return value


def _flag(text: str) -> bool:
    return text.lower() not in FALSE_WORDS


def list_options(query: Query, *, watch: bool) -> ListOptions:
    """Decode and check list options. watch: whether the request is a watch whatever the query says."""
    values: dict[str, str] = {}
    for key, value in query:
        values.setdefault(key, value)
    timeout = values.get("timeoutSeconds")
    initial = values.get("sendInitialEvents")
    resource_version = values.get("resourceVersion", "")
    match = values.get("resourceVersionMatch", "")
    send_initial = None if initial is None else _flag(initial)
    limit = parse_int(values["limit"]) if values.get("limit") else 0
    if watch and send_initial is None and not match and resource_version in ("", "0"):
        send_initial, match = True, _NOT_OLDER  # a watch from nowhere begins with the current state
    options = ListOptions(
        watch=watch,
        label_selector=values.get("labelSelector", ""),
        field_selector=values.get("fieldSelector", ""),
        resource_version=resource_version,
        resource_version_match=match,
        limit=limit,
        continue_token=values.get("continue", ""),
        timeout_seconds=parse_int(timeout) if timeout else None,
        allow_bookmarks="allowWatchBookmarks" in values and _flag(values["allowWatchBookmarks"]),
        send_initial_events=send_initial,
    )
    found = _check_watch(options) if watch else _check_list(options)
    if found:
        raise errors.invalid(META_GROUP, "ListOptions", "", found)
    return options


def _check_list(options: ListOptions) -> list[field.FieldError]:
    found: list[field.FieldError] = []
    path = "resourceVersionMatch"
    if match := options.resource_version_match:
        if not options.resource_version:
            found.append(field.forbidden(path, f"{path} is forbidden unless resourceVersion is provided"))
        if options.continue_token:
            found.append(field.forbidden(path, f"{path} is forbidden when continue is provided"))
        if match not in (_EXACT, _NOT_OLDER):
            found.append(field.not_supported(path, match, (_EXACT, _NOT_OLDER, "")))
        if match == _EXACT and options.resource_version == "0":
            found.append(field.forbidden(path, f'{path} "exact" is forbidden for resourceVersion "0"'))
    if options.send_initial_events is not None:
        found.append(field.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    return found


def _check_watch(options: ListOptions) -> list[field.FieldError]:
    found: list[field.FieldError] = []
    path, match = "resourceVersionMatch", options.resource_version_match
    if options.send_initial_events is not None and match != _NOT_OLDER:
        found.append(field.forbidden(path, f"sendInitialEvents requires setting {path} to {_NOT_OLDER}"))
    if match:
        if options.send_initial_events is None:
            found.append(field.forbidden(path, f"{path} is forbidden for watch unless sendInitialEvents is provided"))
        if match != _NOT_OLDER:
            found.append(field.not_supported(path, match, (_NOT_OLDER,)))
        if options.continue_token:
            found.append(field.forbidden(path, f"{path} is forbidden when continue is provided"))
    return found


_NO_OPTIONS = WriteOptions()


def write_options(query: Query, kind: str, *, apply: bool = False) -> WriteOptions:
    """Decode and check create, update or patch options. kind: "CreateOptions", "UpdateOptions" or "PatchOptions"."""
    if not query:
        if apply:
            return _checked(kind, (), WriteOptions(), apply=True)
        return _NO_OPTIONS
    dry_run: list[str] = []
    values: dict[str, str] = {}
    for key, value in query:
        if key == "dryRun":
            dry_run.append(value)
        else:
            values.setdefault(key, value)
    force = values.get("force")
    options = WriteOptions(
        dry_run=bool(dry_run),
        field_manager=values.get("fieldManager", ""),
        field_validation=values.get("fieldValidation", ""),
        force=None if force is None else _flag(force),
    )
    return _checked(kind, dry_run, options, apply=apply)


def _checked(kind: str, dry_run: Sequence[str], options: WriteOptions, *, apply: bool) -> WriteOptions:
    found: list[field.FieldError] = []
    if kind == "PatchOptions":
        if apply:
            if not options.field_manager:
                found.append(field.required("fieldManager", "is required for apply patch"))
        elif options.force is not None:
            found.append(field.forbidden("force", "may not be specified for non-apply patch"))
    found += check_field_manager(options.field_manager)
    found += check_dry_run(dry_run)
    if options.field_validation not in ("", "Ignore", "Warn", "Strict"):
        supported = ("", "Ignore", "Strict", "Warn")
        found.append(field.not_supported("fieldValidation", options.field_validation, supported))
    if found:
        raise errors.invalid(META_GROUP, kind, "", found)
    return options


def check_field_manager(manager: str) -> list[field.FieldError]:
    """Length and characters of a field manager's name."""
    found: list[field.FieldError] = []
    if len(manager.encode()) > _FIELD_MANAGER_LIMIT:
        found.append(field.too_long("fieldManager", manager, _FIELD_MANAGER_LIMIT))
    for position, char in enumerate(manager):
        if not (char.isprintable()):
            detail = f"invalid character U+{ord(char):04X} (at position {position})"
            found.append(field.invalid("fieldManager", manager, f"should only contain printable characters: {detail}"))
            break
    return found


def check_dry_run(values: Sequence[str]) -> list[field.FieldError]:
    """The only directive is "All"."""
    if all(value == "All" for value in values):
        return []
    return [field.not_supported("dryRun", list(values), ("All",))]
