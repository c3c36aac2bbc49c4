"""Tolerations, taints, scheduling gates and topology spread constraints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.apiserver.registry.validation import gotypes, names, numbers, selectors

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.core.podspec.options import PodOptions
    from sampan.apiserver.registry.validation.names import Errors

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def tolerations(errors: Errors, path: Path, items: list[Object]) -> None:
    for position, item in enumerate(items):
        here = path.index(position)
        key, operator, value = item.get("key", ""), item.get("operator", ""), item.get("value", "")
        effect = item.get("effect", "")
        if key:
            names.label_name(errors, here.child("key"), key)
        elif operator != "Exists":
            detail = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            errors.append(field.invalid(here.child("operator"), operator, detail))
        if "tolerationSeconds" in item and effect != "NoExecute":
            detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            errors.append(field.invalid(here.child("effect"), effect, detail))
        if operator in ("", "Equal"):
            if messages := names.value_messages(value):
                errors.append(field.invalid(here.child("operator"), value, ";".join(messages)))
        elif operator == "Exists":
            if value:
                detail = "value must be empty when `operator` is 'Exists'"
                errors.append(field.invalid(here.child("operator"), value, detail))
        else:
            errors.append(field.not_supported(here.child("operator"), operator, ("Equal", "Exists")))
        if effect:
            names.one_of(errors, here.child("effect"), effect, _EFFECTS)


def taints(errors: Errors, path: Path, items: list[Object]) -> None:
    """Taints of a node: unique by key and effect."""
    seen: set[tuple[str, str]] = set()
    for position, item in enumerate(items):
        here = path.index(position)
        names.label_name(errors, here.child("key"), item.get("key", ""))
        if messages := names.value_messages(item.get("value", "")):
            errors.append(field.invalid(here.child("value"), item.get("value", ""), ";".join(messages)))
        names.one_of_required(errors, here.child("effect"), item.get("effect", ""), _EFFECTS)
        key = (item.get("effect", ""), item.get("key", ""))
        if key in seen:
            error = field.duplicate(here, gotypes.internal("core.v1.Taint", item))
            error.detail = "taints must be unique by key and effect pair"
            errors.append(error)
        seen.add(key)


def scheduling_gates(errors: Errors, path: Path, items: list[Object]) -> None:
    seen: set[str] = set()
    for position, item in enumerate(items):
        name = item.get("name", "")
        names.qualified_name(errors, path.index(position), name)
        if name in seen:
            errors.append(field.duplicate(path.index(position), name))
        seen.add(name)


def topology_spread(errors: Errors, path: Path, items: list[Object], options: PodOptions) -> None:
    for position, item in enumerate(items):
        here = path.index(position)
        numbers.positive(errors, here.child("maxSkew"), item.get("maxSkew", 0))
        key, action = item.get("topologyKey", ""), item.get("whenUnsatisfiable", "")
        if not key:
            errors.append(field.required(here.child("topologyKey"), "can not be empty"))
        names.one_of(errors, here.child("whenUnsatisfiable"), action, ("DoNotSchedule", "ScheduleAnyway"))
        if any(
            other.get("topologyKey", "") == key and other.get("whenUnsatisfiable", "") == action
            for other in items[position + 1 :]
        ):
            where = here.child("{topologyKey, whenUnsatisfiable}")
            errors.append(field.duplicate(where, f"{{{key}, {action}}}"))
        _min_domains(errors, here.child("minDomains"), item, action)
        for name in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            if name in item:
                names.one_of(errors, here.child(name), item[name], ("Honor", "Ignore"))
        _match_label_keys(errors, here.child("matchLabelKeys"), item)
        if not options.allow_invalid_spread_selector:
            selectors.label_selector(errors, here.child("labelSelector"), item.get("labelSelector"))


def _min_domains(errors: Errors, path: Path, item: Object, action: str) -> None:
    value = item.get("minDomains")
    if value is None:
        return
    numbers.positive(errors, path, value)
    if action != "DoNotSchedule":
        detail = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
        errors.append(field.invalid(path, value, detail))


def _match_label_keys(errors: Errors, path: Path, item: Object) -> None:
    keys = item.get("matchLabelKeys") or ()
    if not keys:
        return
    selector = item.get("labelSelector")
    if selector is None:
        errors.append(field.forbidden(path, "must not be specified when labelSelector is not set"))
        selector = {}
    # Pods get their matchLabelKeys merged into the selector, so one more requirement with such a key is the user's own.
    used = {*(selector.get("matchLabels") or ())}
    expressions = [one.get("key", "") for one in selector.get("matchExpressions") or ()]
    used |= {key for key in expressions if expressions.count(key) > 1 or key not in keys}
    for position, key in enumerate(keys):
        names.label_name(errors, path.index(position), key)
        if key in used:
            detail = "exists in both matchLabelKeys and labelSelector"
            errors.append(field.invalid(path.index(position), key, detail))
