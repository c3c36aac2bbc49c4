"""Label and field selectors of a request as a `Selection` that the watch cache can serve from its indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import fields as field_selectors
from sampan.api import labels as label_selectors
from sampan.api.errors import BadRequest
from sampan.apiserver.storage.resourcestore import Selection

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.apiserver.options import ListOptions
    from sampan.apiserver.registry.generic import Registry
    from sampan.apiserver.storage.entry import Entry

_NAME, _NAMESPACE = "metadata.name", "metadata.namespace"


def selection(registry: Registry, options: ListOptions, namespace: str, name: str = "") -> Selection:
    """What a list or watch is about. name: from the path of a historic watch. Raises BadRequest."""
    label_text, field_text = options.label_selector, options.field_selector
    if not label_text and not field_text:
        return Selection(namespace=namespace, name=name)
    labels, fields = _parse(label_text, field_text)
    wanted: dict[str, str] = {}
    complete = True
    for requirement in fields.requirements if fields is not None else ():
        _check_field(registry, requirement.field)
    if fields is not None:
        exact = dict(fields.exact_pairs())
        exact.pop("", None)
        complete = all(
            one.operator == "=" and exact.get(one.field) == one.value for one in fields.requirements if one.field
        )
        selected = exact.pop(_NAME, None)
        if selected is not None:
            if not selected or (name and name != selected):
                return Selection(namespace=namespace, name=name or selected, matches=_never)
            name = selected
        selected = exact.pop(_NAMESPACE, None)
        if selected is not None:
            if namespace and selected != namespace:
                return Selection(namespace=namespace, name=name, matches=_never)
            namespace = namespace or selected
            complete = complete and bool(selected)
        wanted = exact
    pairs = dict(labels.exact_pairs()) if labels is not None else {}
    labels_complete = labels is None or len(pairs) == len(labels.requirements)
    matches = None
    if not (complete and labels_complete):
        matches = _matcher(labels, fields)
    return Selection(
        namespace=namespace, name=name, labels=tuple(pairs.items()), fields=tuple(wanted.items()), matches=matches
    )


def _parse(
    label_text: str, field_text: str
) -> tuple[label_selectors.Selector | None, field_selectors.FieldSelector | None]:
    try:
        labels = label_selectors.parse(label_text) if label_text else None
        fields = field_selectors.parse(field_text) if field_text else None
    except (label_selectors.SelectorError, field_selectors.FieldSelectorError) as error:
        raise BadRequest(str(error)) from error
    return labels, fields


def _check_field(registry: Registry, name: str) -> None:
    if name in ("", _NAME) or name in registry.strategy.selectable:
        return
    if name == _NAMESPACE:
        return
    raise BadRequest(registry.strategy.unsupported_field(name))


def _never(entry: Entry) -> bool:
    del entry
    return False


def _matcher(
    labels: label_selectors.Selector | None, fields: field_selectors.FieldSelector | None
) -> Callable[[Entry], bool]:
    def matches(entry: Entry) -> bool:
        if labels is not None and not labels.matches(entry.labels):
            return False
        if fields is None:
            return True
        values = {**entry.fields, _NAME: entry.name, _NAMESPACE: entry.namespace}
        return all(
            not one.field or (values.get(one.field, "") == one.value) == (one.operator != "!=")
            for one in fields.requirements
        )

    return matches
