"""Objects of targets: one by name, or all pages of a list, with kubectl's words where a list fails."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from sampan.api.errors import APIStatusError, BadRequest, NotFound
from sampan.api.field import go_quote
from sampan.kubectl.builder import Failures, Target
from sampan.kubectl.errors import KubectlError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.api.object import Object
    from sampan.kubectl.session import Session

CHUNK = 500
NO_NAME = "resource(s) were provided, but no name was specified"


def selectors(session: Session) -> dict[str, str]:
    """The selectors of the command line as query parameters."""
    values, query = session.values, {}
    if values.get("selector"):
        query["labelSelector"] = values.selector
    if values.get("field-selector"):
        query["fieldSelector"] = values.get("field-selector")
    return query


def path_of(session: Session, target: Target) -> str:
    """The path of the collection, or of the object or its subresource."""
    name = quote(target.name, safe=":") if target.name else ""
    return target.resource.path(target.namespace, name, session.values.get("subresource", "") if name else "")


async def fetch(
    session: Session, target: Target, *, accept: str = "application/json", extra: Mapping[str, str] | None = None
) -> Object:
    """Get one object, or list all pages into one answer (rows of tables, items of lists). Raises APIStatusError."""
    path, more = path_of(session, target), dict(extra or {})
    if target.name:
        return await session.json("GET", path, query=more, accept=accept)
    query = {**selectors(session), **more}
    if chunk := session.values.get("chunk-size", CHUNK):
        query["limit"] = str(chunk)
    try:
        whole = await session.json("GET", path, query=query, accept=accept)
        field = "rows" if whole.get("kind") == "Table" else "items"
        page = whole
        while token := (page.get("metadata") or {}).get("continue"):
            page = await session.json("GET", path, query={**query, "continue": token}, accept=accept)
            whole[field] = [*(whole.get(field) or []), *(page.get(field) or [])]
    except (BadRequest, NotFound) as error:
        raise _listing_error(session, target, error) from error
    return whole


def _listing_error(session: Session, target: Target, error: APIStatusError) -> APIStatusError:
    values, gvr = session.values, target.resource.gvr
    labels, fields = values.get("selector") or "", values.get("field-selector") or ""
    group = f"{gvr.group}/{gvr.version}" if gvr.group else f"/{gvr.version}"
    resource = go_quote(f"{group}, Resource={gvr.resource}")
    if labels or fields:
        what = (
            f"Unable to find {resource} that match label selector {go_quote(labels)}, field selector {go_quote(fields)}"
        )
    else:
        what = f"Unable to list {resource}"
    return type(error)(f"{what}: {error.message}", code=error.code, details=error.details)


def typed_items(listing: Object) -> list[Object]:
    """The items of a list, each with the kind and apiVersion that the wire form leaves out."""
    kind = {"apiVersion": listing.get("apiVersion", ""), "kind": listing.get("kind", "").removesuffix("List")}
    return [{**kind, **one} for one in listing.get("items") or []]


async def objects_of(session: Session, targets: list[Target], failures: Failures) -> list[tuple[Target, Object]]:
    """Fetch everything that targets mean, each object with a target of its own; what fails is added to failures."""
    found: list[tuple[Target, Object]] = []
    for target in targets:
        try:
            answer = await fetch(session, target)
        except APIStatusError as error:
            failures.add(error)
            continue
        if target.name:
            found.append((target, answer))
        else:
            found += [(member(target, one), one) for one in typed_items(answer)]
    return found


def member(target: Target, obj: Object) -> Target:
    """The target of one object of a list."""
    metadata = obj["metadata"]
    return Target(resource=target.resource, namespace=metadata.get("namespace", ""), name=metadata["name"])


def require_names(session: Session, targets: list[Target]) -> None:
    """Raise KubectlError unless every target is named, or --all or a selector says which objects are meant."""
    values = session.values
    if any(values.get(flag) for flag in ("all", "selector", "field-selector")):
        return
    if not all(target.name for target in targets):
        raise KubectlError(NO_NAME)
