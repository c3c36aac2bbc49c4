"""`Client` and `ResourceClient`: typed calls on a transport.

``client.resource(PODS, "default").get("kubia")``. Objects are plain dicts; errors are `APIStatusError` classes and, for
network faults, OSError. Query options are keyword arguments in Python spelling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from sampan.client.interface import JSON, STRATEGIC_MERGE_PATCH, ObjectList, Request, Transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from sampan.api.gvk import GroupVersionResource
    from sampan.api.object import Object
    from sampan.client.interface import Verb, WatchEvent

Propagation = Literal["Background", "Foreground", "Orphan"]


class Client:
    """All resources of one API server, as one identity."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def resource(self, gvr: GroupVersionResource, namespace: str = "") -> ResourceClient:
        """The calls of one resource; namespace "" for cluster-scoped resources, and for lists over all namespaces."""
        return ResourceClient(self.transport, gvr, namespace)

    async def close(self) -> None:
        """Release the transport's connections."""
        await self.transport.close()


class ResourceClient:
    """One resource in one namespace."""

    __slots__ = ("_transport", "gvr", "namespace")

    def __init__(self, transport: Transport, gvr: GroupVersionResource, namespace: str) -> None:
        self._transport = transport
        self.gvr = gvr
        self.namespace = namespace

    async def get(self, name: str, *, subresource: str = "", resource_version: str = "") -> Object:
        """Read one object. Raises NotFound."""
        query = {"resourceVersion": resource_version} if resource_version else {}
        return await self._send("get", name=name, subresource=subresource, query=query)

    async def list(
        self,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_token: str = "",
        resource_version: str = "",
        resource_version_match: str = "",
    ) -> ObjectList:
        """List one page (limit 0: all)."""
        query = _selectors(label_selector, field_selector)
        if limit:
            query["limit"] = str(limit)
        if continue_token:
            query["continue"] = continue_token
        if resource_version:
            query["resourceVersion"] = resource_version
        if resource_version_match:
            query["resourceVersionMatch"] = resource_version_match
        return await self._transport.list(
            Request(verb="list", resource=self.gvr, namespace=self.namespace, query=query)
        )

    def watch(
        self,
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        bookmarks: bool = True,
        timeout_seconds: int = 0,
        send_initial_events: bool = False,
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[WatchEvent]]]:
        """Watch from a resourceVersion. timeout_seconds: after which the server ends it, 0 for its default."""
        query = _selectors(label_selector, field_selector)
        if resource_version:
            query["resourceVersion"] = resource_version
        if bookmarks:
            query["allowWatchBookmarks"] = "true"
        if timeout_seconds:
            query["timeoutSeconds"] = str(timeout_seconds)
        if send_initial_events:
            query.update(sendInitialEvents="true", resourceVersionMatch="NotOlderThan")
        return self._transport.watch(Request(verb="watch", resource=self.gvr, namespace=self.namespace, query=query))

    async def create(
        self, obj: Object, *, name: str = "", subresource: str = "", field_manager: str = "", dry_run: bool = False
    ) -> Object:
        """Create an object, or with name and subresource post to one (``binding``, ``eviction``, ``token``)."""
        query = _writing(field_manager, dry_run=dry_run)
        return await self._send("create", name=name, subresource=subresource, query=query, body=obj)

    async def update(
        self, obj: Object, *, subresource: str = "", field_manager: str = "", dry_run: bool = False
    ) -> Object:
        """Replace an object. Raises Conflict when its resourceVersion is no longer the newest."""
        query = _writing(field_manager, dry_run=dry_run)
        name = obj["metadata"]["name"]
        return await self._send("update", name=name, subresource=subresource, query=query, body=obj)

    async def update_status(self, obj: Object, *, field_manager: str = "") -> Object:
        """Replace an object's status."""
        return await self.update(obj, subresource="status", field_manager=field_manager)

    async def patch(
        self,
        name: str,
        patch: Any,
        *,
        content_type: str = STRATEGIC_MERGE_PATCH,
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
        dry_run: bool = False,
    ) -> Object:
        """Patch an object. force: take over conflicting fields (apply only)."""
        query = _writing(field_manager, dry_run=dry_run)
        if force:
            query["force"] = "true"
        return await self._send(
            "patch", name=name, subresource=subresource, query=query, body=patch, content_type=content_type
        )

    async def patch_status(self, name: str, patch: Any, *, content_type: str = STRATEGIC_MERGE_PATCH) -> Object:
        """Patch an object's status."""
        return await self.patch(name, patch, content_type=content_type, subresource="status")

    async def delete(
        self,
        name: str,
        *,
        grace_period_seconds: int | None = None,
        propagation: Propagation | None = None,
        uid: str = "",
        resource_version: str = "",
    ) -> Object:
        """Delete an object; uid and resource_version are preconditions (Conflict when they do not hold)."""
        body = delete_options(grace_period_seconds, propagation, uid, resource_version)
        return await self._send("delete", name=name, body=body)

    async def delete_collection(
        self,
        *,
        label_selector: str = "",
        field_selector: str = "",
        grace_period_seconds: int | None = None,
        propagation: Propagation | None = None,
    ) -> Object:
        """Delete all that match."""
        query = _selectors(label_selector, field_selector)
        return await self._send(
            "deletecollection", query=query, body=delete_options(grace_period_seconds, propagation, "", "")
        )

    async def _send(
        self,
        verb: Verb,
        *,
        name: str = "",
        subresource: str = "",
        query: dict[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
    ) -> Object:
        return await self._transport.send(
            Request(
                verb=verb,
                resource=self.gvr,
                namespace=self.namespace,
                name=name,
                subresource=subresource,
                query=query or {},
                body=body,
                content_type=content_type,
            )
        )


def delete_options(
    grace_period_seconds: int | None, propagation: Propagation | None, uid: str, resource_version: str
) -> Object | None:
    """Build DeleteOptions; None when nothing is asked for."""
    options: Object = {}
    if grace_period_seconds is not None:
        options["gracePeriodSeconds"] = grace_period_seconds
    if propagation is not None:
        options["propagationPolicy"] = propagation
    preconditions = {key: value for key, value in (("uid", uid), ("resourceVersion", resource_version)) if value}
    if preconditions:
        options["preconditions"] = preconditions
    return {"kind": "DeleteOptions", "apiVersion": "v1", **options} if options else None


def _selectors(labels: str, fields: str) -> dict[str, str]:
    query = {}
    if labels:
        query["labelSelector"] = labels
    if fields:
        query["fieldSelector"] = fields
    return query


def _writing(field_manager: str, *, dry_run: bool) -> dict[str, str]:
    query = {}
    if field_manager:
        query["fieldManager"] = field_manager
    if dry_run:
        query["dryRun"] = "All"
    return query
