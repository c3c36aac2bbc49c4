"""Revisions of a Deployment: which ReplicaSet has its template, how a new one looks, what its annotations say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from sampan.api.object import annotations_of, name_of, namespace_of
from sampan.client.item import copy_object
from sampan.controllers.podcontrol import controller_reference
from sampan.controllers.rollout import (
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    REVISION,
    REVISION_HISTORY,
    max_surge,
    revision,
    wanted,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.object import Object

HASH_LABEL = "pod-template-hash"
_HISTORY_LIMIT = 2000
"""Characters of old revisions kept in an annotation."""

_NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
        REVISION,
        REVISION_HISTORY,
        DESIRED_REPLICAS,
        MAX_REPLICAS,
    }
)
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Kubernetes' safe letters: no vowels, so no words."""


def template_hash(template: Object, collisions: int | None) -> str:
    """A short name of a template; collisions: how often it was already taken by another one.

    FNV-1a over the canonical JSON. Kubernetes hashes its Go structs, so its values differ; nothing depends on them.
    """
    data = orjson.dumps(template, option=orjson.OPT_SORT_KEYS)
    if collisions:
        data += collisions.to_bytes(8, "little")
    value = 0x811C9DC5
    for byte in data:
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return "".join(_ALPHABET[ord(char) % len(_ALPHABET)] for char in str(value))


def same_template(first: Object, second: Object) -> bool:
    """Whether two pod templates are equal but for the hash label."""
    return _without_hash(first) == _without_hash(second)


def _without_hash(template: Object) -> Object:
    metadata = template.get("metadata") or {}
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH_LABEL}
    kept = {key: value for key, value in metadata.items() if key not in ("labels", "creationTimestamp") and value}
    return {**template, "metadata": {**kept, "labels": labels}}


def find_newest(deployment: Object, replica_sets: Sequence[Object]) -> Object | None:
    """The ReplicaSet that has the Deployment's template; of several the oldest."""
    template = deployment["spec"]["template"]
    ordered = sorted(replica_sets, key=lambda one: (one["metadata"]["creationTimestamp"], name_of(one)))
    return next((one for one in ordered if same_template(one["spec"]["template"], template)), None)


def make_replica_set(deployment: Object) -> Object:
    """Build the ReplicaSet for the Deployment's template, without size and annotations."""
    spec = deployment["spec"]
    digest = template_hash(spec["template"], (deployment.get("status") or {}).get("collisionCount"))
    template = copy_object(spec["template"])
    labels = {**(template.setdefault("metadata", {}).get("labels") or {}), HASH_LABEL: digest}
    template["metadata"]["labels"] = labels
    selector = copy_object(spec["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: digest}
    made: Object = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{name_of(deployment)}-{digest}",
            "namespace": namespace_of(deployment),
            "labels": dict(labels),
            "ownerReferences": [controller_reference(deployment, "apps/v1", "Deployment")],
        },
        "spec": {"replicas": 0, "selector": selector, "template": template},
    }
    if spec.get("minReadySeconds"):
        made["spec"]["minReadySeconds"] = spec["minReadySeconds"]
    return made


def annotations_for(deployment: Object, replica_set: Object, number: int, *, exists: bool) -> dict[str, str]:
    """The annotations that a Deployment's newest ReplicaSet is to have; number: its revision."""
    copied = {key: value for key, value in annotations_of(deployment).items() if key not in _NOT_COPIED}
    annotations = {**annotations_of(replica_set), **copied}
    old = annotations.get(REVISION, "")
    if revision(replica_set) < number:
        annotations[REVISION] = str(number)
        if old:
            annotations[REVISION_HISTORY] = _history(annotations.get(REVISION_HISTORY, ""), old)
    if not exists:
        annotations.update(size_annotations(deployment))
    return annotations


def size_annotations(deployment: Object) -> dict[str, str]:
    """What a ReplicaSet remembers of its Deployment's size, for proportional scaling."""
    replicas = wanted(deployment)
    return {DESIRED_REPLICAS: str(replicas), MAX_REPLICAS: str(replicas + max_surge(deployment))}


def _history(history: str, old: str) -> str:
    numbers = [*history.split(","), old] if history else [old]
    while numbers and len(",".join(numbers)) > _HISTORY_LIMIT:
        numbers.pop(0)
    return ",".join(numbers)
