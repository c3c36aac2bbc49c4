"""Rows of access control, admission, flow control, aggregation and dynamic resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api.tables.text import NONE, age

if TYPE_CHECKING:
    from sampan.api.object import Object


def _name(obj: Object) -> str:
    found: str = obj["metadata"].get("name", "")
    return found


def binding(obj: Object, now: float) -> list[Any]:
    """Role bindings of either scope."""
    role = obj.get("roleRef") or {}
    users, groups, accounts = [], [], []
    for one in obj.get("subjects") or ():
        if one.get("kind") == "User":
            users.append(one.get("name", ""))
        elif one.get("kind") == "Group":
            groups.append(one.get("name", ""))
        elif one.get("kind") == "ServiceAccount":
            accounts.append(f"{one.get('namespace', '')}/{one.get('name', '')}")
    shown = [", ".join(found) for found in (users, groups, accounts)]
    return [_name(obj), f"{role.get('kind', '')}/{role.get('name', '')}", age(obj, now), *shown]


def webhooks(obj: Object, now: float) -> list[Any]:
    return [_name(obj), len(obj.get("webhooks") or ()), age(obj, now)]


def _param_kind(spec: Object) -> str:
    kind = spec.get("paramKind")
    return f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else "<unset>"


def validating_policy(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    return [_name(obj), len(spec.get("validations") or ()), _param_kind(spec), age(obj, now)]


def mutating_policy(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    return [_name(obj), len(spec.get("mutations") or ()), _param_kind(spec), age(obj, now)]


def policy_binding(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    reference, shown = spec.get("paramRef"), "<unset>"
    if reference is not None:
        if reference.get("name"):
            shown = f"{reference.get('namespace') or '*'}/{reference['name']}"
        elif reference.get("selector") is not None:
            shown = _go_selector(reference["selector"])
    return [_name(obj), spec.get("policyName", ""), shown, age(obj, now)]


def _go_selector(selector: Object) -> str:
    labels = selector.get("matchLabels") or {}
    pairs = "".join(f"{key}: {labels[key]}," for key in sorted(labels))
    expressions = "".join(
        f"LabelSelectorRequirement{{Key:{one.get('key', '')},Operator:{one.get('operator', '')},"
        f"Values:[{' '.join(one.get('values') or ())}],}},"
        for one in selector.get("matchExpressions") or ()
    )
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{pairs}}},"
        f"MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )


def api_service(obj: Object, now: float) -> list[Any]:
    service = (obj.get("spec") or {}).get("service")
    shown = f"{service.get('namespace', '')}/{service.get('name', '')}" if service else "Local"
    state = next(
        (one for one in (obj.get("status") or {}).get("conditions") or () if one.get("type") == "Available"), None
    )
    available = "Unknown"
    if state is not None:
        available = state.get("status", "")
        if available != "True":
            available = f"{available} ({state.get('reason', '')})"
    return [_name(obj), shown, available, age(obj, now)]


def flow_schema(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    method = (spec.get("distinguisherMethod") or {}).get("type") or NONE
    dangling = next(
        (one for one in (obj.get("status") or {}).get("conditions") or () if one.get("type") == "Dangling"), None
    )
    return [
        _name(obj),
        (spec.get("priorityLevelConfiguration") or {}).get("name", ""),
        spec.get("matchingPrecedence", 0),
        method,
        age(obj, now),
        dangling.get("status", "") if dangling is not None else "?",
    ]


def priority_level(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    limited, exempt = spec.get("limited"), spec.get("exempt")
    shares: Any = NONE
    queues: list[Any] = [NONE, NONE, NONE]
    if limited is not None:
        shares = limited.get("nominalConcurrencyShares", 0)
        queuing = (limited.get("limitResponse") or {}).get("queuing")
        if queuing is not None:
            queues = [queuing.get(key, 0) for key in ("queues", "handSize", "queueLengthLimit")]
    elif exempt is not None:
        shares = exempt.get("nominalConcurrencyShares", 0)
    return [_name(obj), spec.get("type", ""), shares, *queues, age(obj, now)]


def resource_claim(obj: Object, now: float) -> list[Any]:
    status = obj.get("status") or {}
    states = []
    if obj["metadata"].get("deletionTimestamp"):
        states.append("deleted")
    if status.get("allocation") is None:
        if not states:
            states.append("pending")
    else:
        states.append("allocated")
        if status.get("reservedFor"):
            states.append("reserved")
    return [_name(obj), ",".join(states), age(obj, now)]


def resource_slice(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    pool = (spec.get("pool") or {}).get("name", "")
    return [_name(obj), spec.get("nodeName") or "", spec.get("driver", ""), pool, age(obj, now)]
