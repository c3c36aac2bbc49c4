"""Node and pod affinity, node selectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.apiserver.registry.validation import names, selectors

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.core.podspec.options import PodOptions
    from sampan.apiserver.registry.validation.names import Errors

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def affinity(errors: Errors, path: Path, value: Object, options: PodOptions) -> None:
    if (node := value.get("nodeAffinity")) is not None:
        _node_affinity(errors, path.child("nodeAffinity"), node, options)
    for kind in ("podAffinity", "podAntiAffinity"):
        if (pod := value.get(kind)) is not None:
            _pod_affinity(errors, path.child(kind), pod, tolerant=options.allow_invalid_selector_values)


def _node_affinity(errors: Errors, path: Path, value: Object, options: PodOptions) -> None:
    if (required := value.get(_REQUIRED)) is not None:
        node_selector(errors, path.child(_REQUIRED), required, tolerant=options.allow_invalid_node_affinity_values)
    for position, term in enumerate(value.get(_PREFERRED) or ()):
        here = path.child(_PREFERRED).index(position)
        _weight(errors, here, term)
        node_selector_term(errors, here.child("preference"), term.get("preference") or {}, tolerant=True)


def _weight(errors: Errors, path: Path, term: Object) -> None:
    weight = term.get("weight", 0)
    if not 1 <= weight <= 100:
        errors.append(field.invalid(path.child("weight"), weight, "must be in the range 1-100"))


def node_selector(errors: Errors, path: Path, selector: Object, *, tolerant: bool = False) -> None:
    """tolerant: values need not be label values."""
    terms = selector.get("nodeSelectorTerms") or ()
    if not terms:
        errors.append(field.required(path.child("nodeSelectorTerms"), "must have at least one node selector term"))
    for position, term in enumerate(terms):
        node_selector_term(errors, path.child("nodeSelectorTerms").index(position), term, tolerant=tolerant)


def node_selector_term(errors: Errors, path: Path, term: Object, *, tolerant: bool = False) -> None:
    for position, requirement in enumerate(term.get("matchExpressions") or ()):
        _expression(errors, path.child("matchExpressions").index(position), requirement, tolerant=tolerant)
    for position, requirement in enumerate(term.get("matchFields") or ()):
        _field(errors, path.child("matchFields").index(position), requirement)


def _expression(errors: Errors, path: Path, requirement: Object, *, tolerant: bool) -> None:
    operator, values = requirement.get("operator", ""), requirement.get("values") or ()
    if operator in ("In", "NotIn"):
        if not values:
            errors.append(field.required(path.child("values"), "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            errors.append(field.forbidden(path.child("values"), detail))
    elif operator in ("Gt", "Lt"):
        if len(values) != 1:
            detail = "must be specified single value when `operator` is 'Lt' or 'Gt'"
            errors.append(field.required(path.child("values"), detail))
    else:
        errors.append(field.invalid(path.child("operator"), operator, "not a valid selector operator"))
    names.label_name(errors, path.child("key"), requirement.get("key", ""))
    if not tolerant:
        for position, value in enumerate(values):
            names.label_value(errors, path.child("values").index(position), value)


def _field(errors: Errors, path: Path, requirement: Object) -> None:
    operator, values = requirement.get("operator", ""), requirement.get("values") or ()
    if operator in ("In", "NotIn"):
        if len(values) != 1:
            detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
            errors.append(field.required(path.child("values"), detail))
    else:
        errors.append(field.invalid(path.child("operator"), operator, "not a valid selector operator"))
    key = requirement.get("key", "")
    if key != "metadata.name":
        errors.append(field.invalid(path.child("key"), key, "not a valid field selector key"))
        return
    for position, value in enumerate(values):
        names.dns_subdomain(errors, path.child("values").index(position), value)


def _pod_affinity(errors: Errors, path: Path, value: Object, *, tolerant: bool) -> None:
    for position, term in enumerate(value.get(_REQUIRED) or ()):
        _pod_term(errors, path.child(_REQUIRED).index(position), term, tolerant=tolerant)
    for position, weighted in enumerate(value.get(_PREFERRED) or ()):
        here = path.child(_PREFERRED).index(position)
        _weight(errors, here, weighted)
        _pod_term(errors, here.child("podAffinityTerm"), weighted.get("podAffinityTerm") or {}, tolerant=tolerant)


def _pod_term(errors: Errors, path: Path, term: Object, *, tolerant: bool) -> None:
    for name in ("labelSelector", "namespaceSelector"):
        selectors.label_selector(errors, path.child(name), term.get(name), allow_invalid_values=tolerant)
    for name in term.get("namespaces") or ():
        names.dns_label(errors, path.child("namespace"), name)
    _label_keys(errors, path, term)
    key = term.get("topologyKey", "")
    if not key:
        errors.append(field.required(path.child("topologyKey"), "can not be empty"))
    names.label_name(errors, path.child("topologyKey"), key)


def _label_keys(errors: Errors, path: Path, term: Object) -> None:
    selector = term.get("labelSelector")
    match, mismatch = term.get("matchLabelKeys") or (), term.get("mismatchLabelKeys") or ()
    for name, keys in (("matchLabelKeys", match), ("mismatchLabelKeys", mismatch)):
        if keys and selector is None:
            errors.append(field.forbidden(path.child(name), "must not be specified when labelSelector is not set"))
            continue
        for position, key in enumerate(keys):
            names.label_name(errors, path.child(name).index(position), key)
    if selector is not None and match:
        seen = set(selector.get("matchLabels") or ())
        for requirement in selector.get("matchExpressions") or ():
            key = requirement.get("key", "")
            if key in match and key in seen:
                where = path.index(len(match) - 1 - list(reversed(match)).index(key))
                errors.append(field.invalid(where, key, "exists in both matchLabelKeys and labelSelector"))
            seen.add(key)
    for position, key in enumerate(match):
        if key in mismatch:
            detail = "exists in both matchLabelKeys and mismatchLabelKeys"
            errors.append(field.invalid(path.child("matchLabelKeys").index(position), key, detail))
