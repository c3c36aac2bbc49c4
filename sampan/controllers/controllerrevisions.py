"""ControllerRevisions: the history of pod templates of StatefulSets and DaemonSets.

Behaviour: kube-controller-manager's pkg/controller/history. A revision's data is the patch that puts its template back
(``spec.template`` with ``$patch: replace``), as `kubectl rollout undo` expects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from sampan.api.errors import AlreadyExists, NotFound
from sampan.api.object import annotations_of, controller_of, name_of, namespace_of, uid_of
from sampan.client.item import copy_object
from sampan.client.resources import CONTROLLERREVISIONS
from sampan.controllers.podcontrol import controller_reference
from sampan.controllers.revisions import template_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sampan.api.object import Object
    from sampan.client.client import Client
    from sampan.client.informer import SharedInformer
    from sampan.client.interface import Stored
    from sampan.client.lister import Matcher

HASH_LABEL = "controller.kubernetes.io/hash"
_OWNER_INDEX = "controller-uid"


@dataclass(slots=True)
class Revisions:
    """What a round works with. current: what pods not yet updated have; update: the newest template's."""

    current: Object
    update: Object
    collisions: int | None
    all: list[Object]


def template_of(revision: Object) -> Object:
    """The pod template that a revision holds."""
    template = dict(revision["data"]["spec"]["template"])
    template.pop("$patch", None)
    return template


class History:
    """The revisions of one kind of owner. label: that tells a revision's hash."""

    def __init__(self, client: Client, informer: SharedInformer, kind: str, *, label: str = HASH_LABEL) -> None:
        self._label = label
        self._client = client
        self._informer = informer
        self._kind = kind
        informer.add_index(_OWNER_INDEX, _controller)

    async def list(self, owner: Object, selector: Matcher) -> Sequence[Object]:
        """The owner's revisions by age; orphans that match are adopted."""
        found = [item.object for item in self._informer.by_index(_OWNER_INDEX, uid_of(owner))]
        orphans = self._informer.by_index(_OWNER_INDEX, f"orphan:{namespace_of(owner)}")
        if "deletionTimestamp" not in owner["metadata"]:
            adopted = [await self._adopt(owner, item) for item in orphans if selector.matches(item.labels)]
            found.extend(one for one in adopted if one is not None)
        return sorted(found, key=_order)

    async def _adopt(self, owner: Object, item: Stored) -> Object | None:
        reference = controller_reference(owner, "apps/v1", self._kind)
        patch = {"metadata": {"uid": item.object["metadata"]["uid"], "ownerReferences": [reference]}}
        try:
            return await self._client.resource(CONTROLLERREVISIONS, item.namespace).patch(item.name, patch)
        except NotFound:
            return None

    async def sync(self, owner: Object, found: Sequence[Object], current_name: str) -> Revisions:
        """See that the owner's template has a revision, with the highest number."""
        status = owner.get("status") or {}
        number = max((one.get("revision", 0) for one in found), default=0) + 1
        data = {"spec": {"template": {**owner["spec"]["template"], "$patch": "replace"}}}
        equal = [one for one in found if one.get("data") == data]
        collisions = status.get("collisionCount")
        revisions = list(found)
        if equal and equal[-1] is found[-1]:
            update = equal[-1]
        elif equal:
            update = await self._renumber(equal[-1], number)
            revisions = sorted([one for one in found if one is not equal[-1]] + [update], key=_order)
        else:
            update, collisions = await self._create(owner, data, number, collisions)
            revisions.append(update)
        current = next((one for one in revisions if name_of(one) == current_name), update)
        return Revisions(current, update, collisions, revisions)

    async def _renumber(self, revision: Object, number: int) -> Object:
        """An old template is wanted again: its revision becomes the newest."""
        changed = copy_object({**revision, "revision": number})
        return await self._client.resource(CONTROLLERREVISIONS, namespace_of(revision)).update(changed)

    async def _create(
        self, owner: Object, data: Object, number: int, collisions: int | None
    ) -> tuple[Object, int | None]:
        resource = self._client.resource(CONTROLLERREVISIONS, namespace_of(owner))
        while True:
            digest = template_hash(data, collisions)
            labels = (owner["spec"]["template"].get("metadata") or {}).get("labels") or {}
            revision = {
                "apiVersion": "apps/v1",
                "kind": "ControllerRevision",
                "metadata": {
                    "name": f"{name_of(owner)}-{digest}",
                    "namespace": namespace_of(owner),
                    "labels": {**labels, self._label: digest},
                    "annotations": dict(annotations_of(owner)),
                    "ownerReferences": [controller_reference(owner, "apps/v1", self._kind)],
                },
                "data": data,
                "revision": number,
            }
            try:
                return await resource.create(revision), collisions
            except AlreadyExists:
                existing = await resource.get(name_of(revision))
                mine = (controller_of(existing) or {}).get("uid") == uid_of(owner)
                if mine and _plain(existing.get("data")) == _plain(data):
                    return existing, collisions
                collisions = (collisions or 0) + 1

    async def truncate(self, owner: Object, revisions: Revisions, live: Iterable[str]) -> None:
        """Delete the oldest revisions over the limit that no pod has. live: names of revisions in use."""
        limit = owner["spec"].get("revisionHistoryLimit", 10)
        kept = {name_of(revisions.current), name_of(revisions.update), *live}
        unused = [one for one in revisions.all if name_of(one) not in kept]
        for one in unused[: max(len(unused) - limit, 0)]:
            try:
                await self._client.resource(CONTROLLERREVISIONS, namespace_of(one)).delete(name_of(one))
            except NotFound:
                continue


def _order(revision: Object) -> tuple[int, str, str]:
    return (revision.get("revision", 0), revision["metadata"].get("creationTimestamp", ""), name_of(revision))


def _plain(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _controller(item: Stored) -> tuple[str, ...]:
    owner = controller_of(item.object)
    return (f"orphan:{item.namespace}",) if owner is None else (owner["uid"],)
