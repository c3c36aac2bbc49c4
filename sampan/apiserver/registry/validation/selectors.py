"""Labels, annotations and label selectors of objects (metav1.LabelSelector)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.validation.names import qualified_messages, report, value_messages

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.validation.names import Errors

ANNOTATIONS_LIMIT = 256 * 1024


def labels(errors: Errors, path: Path, values: dict[str, str] | None) -> None:
    """Every key a qualified name, every value a label value; all reported at the map's path."""
    for key, value in (values or {}).items():
        if messages := qualified_messages(key):
            report(errors, path, key, messages)
        if messages := value_messages(value):
            report(errors, path, value, messages)


def annotation_keys(errors: Errors, path: Path, values: dict[str, str] | None) -> None:
    """Every key a qualified name, whatever its case; 256 KiB in all."""
    if not values:
        return
    size = 0
    for key, value in values.items():
        if messages := qualified_messages(key.lower()):
            report(errors, path, key, messages)
        size += len(key.encode()) + len(value.encode())
    if size > ANNOTATIONS_LIMIT:
        errors.append(field.too_long(path, "", ANNOTATIONS_LIMIT))


def label_selector(errors: Errors, path: Path, selector: Object | None, *, allow_invalid_values: bool = False) -> None:
    """A selector in object form; None is valid."""
    if selector is None:
        return
    if "matchLabels" in selector:
        labels(errors, path.child("matchLabels"), selector["matchLabels"])
    for position, requirement in enumerate(selector.get("matchExpressions") or ()):
        _requirement(errors, path.child("matchExpressions").index(position), requirement, allow_invalid_values)


def _requirement(errors: Errors, path: Path, requirement: Object, allow_invalid_values: bool) -> None:  # noqa: FBT001
    operator = requirement.get("operator", "")
    values = requirement.get("values") or ()
    if operator in ("In", "NotIn"):
        if not values:
            errors.append(field.required(path.child("values"), "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            errors.append(field.forbidden(path.child("values"), detail))
    else:
        errors.append(field.invalid(path.child("operator"), operator, "not a valid selector operator"))
    if messages := qualified_messages(requirement.get("key", "")):
        report(errors, path.child("key"), requirement.get("key", ""), messages)
    if not allow_invalid_values:
        for position, value in enumerate(values):
            if messages := value_messages(value):
                report(errors, path.child("values").index(position), value, messages)


def is_valid(selector: Object | None) -> bool:
    """Whether `label_selector` finds nothing wrong."""
    errors: Errors = []
    label_selector(errors, Path(""), selector)
    return not errors


def is_empty(selector: Object) -> bool:
    """Whether a selector has no requirement: it would match everything."""
    return not selector.get("matchLabels") and not selector.get("matchExpressions")


def selector_matches(selector: Object, values: dict[str, str]) -> bool:
    """Whether a valid selector matches these labels."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if values.get(key) != value:
            return False
    return all(_matches(requirement, values) for requirement in selector.get("matchExpressions") or ())


def _matches(requirement: Any, values: dict[str, str]) -> bool:
    key: str = requirement["key"]
    operator: str = requirement["operator"]
    if operator == "In":
        return key in values and bool(values[key] in requirement["values"])
    if operator == "NotIn":
        return key not in values or bool(values[key] not in requirement["values"])
    return (key in values) == (operator == "Exists")
