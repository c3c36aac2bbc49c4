"""get and list: synchronous from the watch cache whenever it is authoritative and no history is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sampan.api import errors, field
from sampan.api.errors import APIStatusError
from sampan.apiserver import selectors
from sampan.apiserver.registry.write import Outcome
from sampan.apiserver.requestinfo import first
from sampan.apiserver.storage import translate
from sampan.apiserver.storage.interface import StorageError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from sampan.apiserver.handlers.call import Call
    from sampan.apiserver.options import ListOptions
    from sampan.apiserver.registry.generic import Registry
    from sampan.apiserver.storage.resourcestore import Listing, Selection


@dataclass(slots=True)
class ListResult:
    """A list as found; encoding is the transport's."""

    registry: Registry
    listing: Listing


def get(call: Call) -> Outcome | Awaitable[Outcome]:
    """Read one object."""
    registry, info = call.registry, call.info
    store = registry.store
    if not store.authoritative or (call.query and first(call.query, "resourceVersion") not in (None, "", "0")):
        return _get_fresh(call)
    entry = store.get(call.namespace, info.name)
    if entry is None:
        raise errors.not_found(registry.group_resource, info.name)
    return Outcome(200, entry)


async def _get_fresh(call: Call) -> Outcome:
    wanted = first(call.query, "resourceVersion") or ""
    registry = call.registry
    try:
        await registry.store.wait_fresh(parse_version(wanted))
    except StorageError as error:
        raise translate.get(registry.group_resource, call.info.name, error) from error
    return Outcome(200, registry.find(call.namespace, call.info.name))


def parse_version(text: str) -> int:
    """A resourceVersion as a number, 0 for none. Raises the error that kube-apiserver answers with: a bare 500."""
    if not text:
        return 0
    if not text.isascii() or not text.isdigit():
        wrong = field.invalid(
            "resourceVersion", text, f"strconv.ParseUint: parsing {field.go_quote(text)}: invalid syntax"
        )
        raise APIStatusError(str(wrong))
    value = int(text)
    if value >= 1 << 64:
        wrong = field.invalid("resourceVersion", text, f'strconv.ParseUint: parsing "{text}": value out of range')
        raise APIStatusError(str(wrong))
    return value


def selected(call: Call, options: ListOptions) -> Selection:
    """The request's selection, worked out once per plan."""
    plan = call.plan
    found = plan.selection
    if found is None:
        name = call.info.name if call.info.has_name else ""
        found = plan.selection = selectors.selection(call.registry, options, call.namespace, name)
    return found


def list_(call: Call) -> ListResult | Awaitable[ListResult]:
    """Read many objects."""
    options = call.plan.list_options
    assert options is not None
    selection = selected(call, options)
    registry = call.registry
    needs_history = options.limit or options.continue_token or options.resource_version_match == "Exact"
    if needs_history or not registry.store.authoritative or options.resource_version not in ("", "0"):
        return _list_slowly(call, options, selection)
    return ListResult(registry, registry.store.list(selection))


async def _list_slowly(call: Call, options: ListOptions, selection: Selection) -> ListResult:
    registry, store = call.registry, call.registry.store
    try:
        version = parse_version(options.resource_version)
    except APIStatusError as error:
        raise errors.BadRequest(f"invalid resource version: {error}") from error
    # At version 0 kube-apiserver answers from its cache, which knows no pages.
    limit = 0 if options.resource_version == "0" else options.limit
    exact = version if options.resource_version_match == "Exact" else 0
    if options.limit and version and not options.resource_version_match and not options.continue_token:
        exact = version  # the historic meaning of limit with a resourceVersion
    if options.continue_token and version:
        raise errors.BadRequest("specifying resource version is not allowed when using continue")
    try:
        if not exact and not options.continue_token and options.resource_version != "0":
            await store.wait_fresh(version)
        if limit < 0:
            return ListResult(registry, store.list(selection))
        listing = await store.list_page(
            selection, limit=limit, continue_token=options.continue_token, exact_revision=exact
        )
    except StorageError as error:
        raise translate.list_(registry.group_resource, error) from error
    except ValueError as error:
        raise errors.BadRequest(f"continue key is not valid: {error}") from error
    return ListResult(registry, listing)


def list_now(registry: Registry, selection: Selection) -> Any:
    """The current matches, for deletecollection."""
    return registry.store.list(selection)
