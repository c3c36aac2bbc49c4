"""Names and conditions of a definition: which names it gets in its group, and whether it is established.

Behaviour: apiextensions-apiserver, packages controller/status, controller/establish and controller/apiapproval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.apiserver.registry import metadata as meta

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.api.object import Object

_APPROVED = "api-approved.kubernetes.io"
_CONFORMANT = "KubernetesAPIApprovalPolicyConformant"


def settled(definition: Object, others: Iterable[Object], now: float) -> Object:
    """The status that a definition should have. others: the definitions of the same group."""
    status = dict(definition.get("status") or {})
    accepted, problem = _accept(definition, status.get("acceptedNames") or {}, others)
    status["acceptedNames"] = accepted
    conditions = [dict(one) for one in status.get("conditions") or ()]
    if problem is None:
        set_condition(conditions, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now)
    else:
        set_condition(conditions, "NamesAccepted", "False", *problem, now)
    if _status(conditions, "Established") != "True":
        if problem is None:
            message = "the initial names have been accepted"
            set_condition(conditions, "Established", "True", "InitialNamesAccepted", message, now)
        else:
            set_condition(conditions, "Established", "False", "NotAccepted", "not all names are accepted", now)
    _approve(definition, conditions, now)
    status["conditions"] = conditions
    return status


def set_condition(  # noqa: PLR0917 - the fields in their order
    conditions: list[Object], kind: str, status: str, reason: str, message: str, now: float
) -> None:  # fmt: skip
    """Add or replace a condition; its time changes only with its status."""
    wanted: Object = {
        "type": kind, "status": status, "lastTransitionTime": meta.now_text(now), "reason": reason, "message": message
    }  # fmt: skip
    for position, one in enumerate(conditions):
        if one.get("type") == kind:
            if one.get("status") == status and one.get("lastTransitionTime"):
                wanted["lastTransitionTime"] = one["lastTransitionTime"]
            if "observedGeneration" in one:
                wanted["observedGeneration"] = one["observedGeneration"]
            conditions[position] = wanted
            return
    conditions.append(wanted)


def _status(conditions: list[Object], kind: str) -> str:
    return next((one.get("status", "") for one in conditions if one.get("type") == kind), "")


def _accept(
    definition: Object, accepted: Object, others: Iterable[Object]
) -> tuple[Object, tuple[str, str] | None]:  # fmt: skip
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        names = (other.get("status") or {}).get("acceptedNames") or {}
        resources.update(filter(None, (names.get("plural"), names.get("singular"), *(names.get("shortNames") or ()))))
        kinds.update(filter(None, (names.get("kind"), names.get("listKind"))))
    wanted: Object = definition["spec"]["names"]
    found: Object = dict(accepted)
    problem: tuple[str, str] | None = None
    for key, used, reason in (
        ("plural", resources, "PluralConflict"), ("singular", resources, "SingularConflict"),
        ("shortNames", resources, "ShortNamesConflict"), ("kind", kinds, "KindConflict"),
        ("listKind", kinds, "ListKindConflict"),
    ):  # fmt: skip
        value: Any = wanted.get(key)
        taken = _taken(value, accepted.get(key), used)
        if taken:
            problem = (reason, taken)
        elif value:
            found[key] = value
        else:
            found.pop(key, None)
    if wanted.get("categories"):
        found["categories"] = wanted["categories"]
    else:
        found.pop("categories", None)
    found.setdefault("plural", "")
    found.setdefault("kind", "")
    return found, problem


def _taken(wanted: Any, accepted: Any, used: set[str]) -> str:
    if isinstance(wanted, list):
        problems = [f'"{one}" is already in use' for one in wanted if one not in (accepted or ()) and one in used]
        return problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]" if problems else ""
    return f'"{wanted}" is already in use' if wanted and wanted != accepted and wanted in used else ""


def _approve(definition: Object, conditions: list[Object], now: float) -> None:
    """Groups of the Kubernetes community say whether their API is approved."""
    if not f".{definition['spec']['group']}".endswith((".k8s.io", ".kubernetes.io")):
        return
    value = (definition["metadata"].get("annotations") or {}).get(_APPROVED, "")
    see = "https://github.com/kubernetes/enhancements/pull/1111"
    if not value:
        text = f'protected groups must have approval annotation "{_APPROVED}", see {see}'
        set_condition(conditions, _CONFORMANT, "False", "MissingAnnotation", text, now)
    elif value.startswith(("http://", "https://")):
        set_condition(conditions, _CONFORMANT, "True", "ApprovedAnnotation", f"approved in {value}", now)
    elif value.startswith("unapproved"):
        set_condition(conditions, _CONFORMANT, "False", "UnapprovedAnnotation", f'not approved: "{value}"', now)
