"""RBAC rules: what one allows, what a list of them covers, and how they are printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sampan.api.object import Object


def allows_resource(rule: Object, verb: str, group: str, resource: str) -> bool:
    """Whether a rule names this verb, group and resource (``pods/log`` with its subresource); names not considered."""
    verbs = rule.get("verbs") or ()
    if verb not in verbs and "*" not in verbs:
        return False
    groups = rule.get("apiGroups") or ()
    if group not in groups and "*" not in groups:
        return False
    resources = rule.get("resources") or ()
    if resource in resources or "*" in resources:
        return True
    _, slash, subresource = resource.partition("/")
    return bool(slash) and f"*/{subresource}" in resources


def allows_path(rule: Object, verb: str, path: str) -> bool:
    """Whether a rule allows a non-resource request."""
    verbs = rule.get("verbs") or ()
    if verb not in verbs and "*" not in verbs:
        return False
    for pattern in rule.get("nonResourceURLs") or ():
        if pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern.rstrip("*"))):
            return True
    return False


def uncovered(owned: Sequence[Object], wanted: Iterable[Object]) -> list[Object]:
    """The parts of the wanted rules that the owned ones do not cover; empty when all are covered.

    Each wanted rule is broken down to single verb, group, resource, name; what is left over is put together again as
    kube-apiserver prints it.
    """
    missing: list[Object] = []
    for rule in wanted:
        missing += [part for part in _break_down(rule) if not any(_covers(one, part) for one in owned)]
    return missing


def _break_down(rule: Object) -> Iterator[Object]:
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            for verb in rule.get("verbs") or ():
                names = rule.get("resourceNames")
                if names:
                    for name in names:
                        yield {"verbs": [verb], "apiGroups": [group], "resources": [resource], "resourceNames": [name]}
                else:
                    yield {"verbs": [verb], "apiGroups": [group], "resources": [resource]}
    for url in rule.get("nonResourceURLs") or ():
        for verb in rule.get("verbs") or ():
            yield {"verbs": [verb], "nonResourceURLs": [url]}


def _covers(owner: Object, part: Object) -> bool:
    verbs = owner.get("verbs") or ()
    if "*" not in verbs and part["verbs"][0] not in verbs:
        return False
    if "nonResourceURLs" in part:
        return _covers_url(owner.get("nonResourceURLs") or (), part["nonResourceURLs"][0])
    groups = owner.get("apiGroups") or ()
    if "*" not in groups and part["apiGroups"][0] not in groups:
        return False
    if not _covers_wanted_resource(owner.get("resources") or (), part["resources"][0]):
        return False
    names = owner.get("resourceNames") or ()
    if not names:
        return True
    wanted = part.get("resourceNames")
    return wanted is not None and len(wanted) > 0 and wanted[0] in names


def _covers_wanted_resource(owned: Sequence[str], wanted: str) -> bool:
    if wanted in owned or "*" in owned:
        return True
    _, slash, subresource = wanted.partition("/")
    return bool(slash) and f"*/{subresource}" in owned


def _covers_url(owned: Sequence[str], wanted: str) -> bool:
    return any(
        pattern in ("*", wanted) or (pattern.endswith("*") and wanted.startswith(pattern.rstrip("*")))
        for pattern in owned
    )


def compact(parts: Sequence[Object]) -> list[Object]:
    """Join rules for the same group and resource without names into one, verbs in order of appearance."""
    simple: dict[tuple[str, str], Object] = {}
    result: list[Object] = []
    for part in parts:
        if "resourceNames" not in part and "nonResourceURLs" not in part:
            key = (part["apiGroups"][0], part["resources"][0])
            known = simple.get(key)
            if known is not None:
                known["verbs"] = [*known["verbs"], *part["verbs"]]
                continue
            part = simple[key] = dict(part)  # noqa: PLW2901
        result.append(part)
    return result


def compact_string(rule: Object) -> str:
    """Print as Go does: ``{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}``."""
    parts = []
    for label, key in (
        ("APIGroups", "apiGroups"), ("Resources", "resources"), ("NonResourceURLs", "nonResourceURLs"),
        ("ResourceNames", "resourceNames"), ("Verbs", "verbs"),
    ):  # fmt: skip
        if values := rule.get(key):
            parts.append(f"{label}:[{' '.join(_quoted(value) for value in values)}]")
    return "{" + ", ".join(parts) + "}"


def _quoted(text: str) -> str:
    return f'"{text}"'
