"""Which nodes a DaemonSet's pods belong on, and what such a pod looks like. Pure functions.

Behaviour: kube-controller-manager's pkg/controller/daemon: a pod is bound to its node by required affinity to its
name (the default scheduler places it) and tolerates what daemons have to live with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api import taints
from sampan.api.affinity import required_matches, required_node_names
from sampan.api.object import annotations_of
from sampan.client.item import copy_object

if TYPE_CHECKING:
    from sampan.api.object import Object

REVISION_LABEL = "controller-revision-hash"
_GENERATION_LABEL = "pod-template-generation"
_GENERATION_ANNOTATION = "deprecated.daemonset.template.generation"
_TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)
_HOST_NETWORK = ("node.kubernetes.io/network-unavailable", "NoSchedule")


def pod_template(owner: Object, digest: str) -> Object:
    """The template of the owner's pods: labelled with its revision, tolerating what daemons tolerate."""
    template = copy_object(owner["spec"]["template"])
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    labels[REVISION_LABEL] = digest
    generation = annotations_of(owner).get(_GENERATION_ANNOTATION)
    if generation:
        labels[_GENERATION_LABEL] = generation
    spec = template["spec"]
    spec["tolerations"] = tolerations(spec)
    return template


def tolerations(spec: Object) -> list[Object]:
    """The tolerations of a pod spec with those that every daemon has."""
    found = list(spec.get("tolerations") or ())
    wanted = [*_TOLERATED, _HOST_NETWORK] if spec.get("hostNetwork") else _TOLERATED
    for key, effect in wanted:
        toleration = {"key": key, "operator": "Exists", "effect": effect}
        same = [
            number
            for number, one in enumerate(found)
            if (one.get("key"), one.get("operator"), one.get("effect"), one.get("value"))
            == (key, "Exists", effect, None)
        ]
        if same:
            found[same[0]] = toleration
        else:
            found.append(toleration)
    return found


def bind_to(pod: Object, node: str) -> None:
    """Require a node by name; the template's own required terms, which were checked already, give way."""
    affinity: dict[str, Any] = pod["spec"].setdefault("affinity", {})
    node_affinity = affinity.setdefault("nodeAffinity", {})
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    node_affinity["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": [{"matchFields": [field]}]}


def target_node(pod: Object) -> str:
    """The node that a daemon pod is on or is meant for, "" when it cannot be told."""
    spec = pod.get("spec") or {}
    if spec.get("nodeName"):
        name: str = spec["nodeName"]
        return name
    names = required_node_names(spec)
    return next(iter(names)) if names is not None and len(names) == 1 else ""


def fits(owner: Object, node: Object) -> tuple[bool, bool]:
    """Whether a pod should be started on a node, and whether one that is there may stay."""
    spec = owner["spec"]["template"].get("spec") or {}
    if spec.get("nodeName") and spec["nodeName"] != node["metadata"]["name"]:
        return False, False
    if not required_matches(spec, node):
        return False, False
    node_taints = (node.get("spec") or {}).get("taints") or ()
    if not node_taints:
        return True, True
    tolerated = tolerations(spec)
    if taints.untolerated(node_taints, tolerated) is None:
        return True, True
    return False, taints.untolerated(node_taints, tolerated, frozenset({taints.NO_EXECUTE})) is None
