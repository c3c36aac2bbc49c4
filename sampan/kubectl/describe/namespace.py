"""Describing Namespaces, ResourceQuotas and LimitRanges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError
from sampan.kubectl.describe.writer import rfc1123

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.describe.writer import Writer
    from sampan.kubectl.session import Session

_SCOPES = {
    "Terminating": "Matches all pods that have an active deadline. These pods have a limited lifespan on a node before "
    "being actively terminated by the system.",
    "NotTerminating": "Matches all pods that do not have an active deadline. These pods usually include long running "
    "pods whose container command is not expected to terminate.",
    "BestEffort": "Matches all pods that do not have resource requirements set. These pods have a best effort quality "
    "of service.",
    "NotBestEffort": "Matches all pods that have at least one resource requirement set. These pods have a burstable or "
    "guaranteed quality of service.",
}
_LIMIT_COLUMNS = ("Type", "Resource", "Min", "Max", "Default Request", "Default Limit", "Max Limit/Request Ratio")
_LIMIT_FIELDS = ("min", "max", "defaultRequest", "default", "maxLimitRequestRatio")


async def describe_namespace(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe a Namespace, with its quotas and limits."""
    del events
    name, status = obj["metadata"]["name"], obj.get("status") or {}
    quotas = await _items(session, f"/api/v1/namespaces/{name}/resourcequotas")
    limits = await _items(session, f"/api/v1/namespaces/{name}/limitranges")
    writer.metadata(obj, namespaced=False)
    writer.write(0, f"Status:\t{status.get('phase', '')}\n")
    if status.get("conditions"):
        writer.write(0, "Conditions:\n")
        writer.write(1, "Type\tStatus\tLastTransitionTime\tReason\tMessage\n")
        writer.write(1, "----\t------\t------------------\t------\t-------\n")
        for one in status["conditions"]:
            when = rfc1123(one.get("lastTransitionTime"))
            text = f"{one['type']}\t{one['status']}\t{when}\t{one.get('reason', '')}\t{one.get('message', '')}\n"
            writer.write(1, text)
    _write_quotas(writer, quotas)
    _write_limits(writer, limits)


async def _items(session: Session, path: str) -> list[Object]:
    try:
        items: list[Object] = (await session.json("GET", path)).get("items") or []
    except APIStatusError:
        return []
    return items


def _write_quotas(writer: Writer, quotas: list[Object]) -> None:
    if not quotas:
        writer.write(0, "\nNo resource quota.\n")
        return
    writer.write(0, "\nResource Quotas\n")
    for quota in sorted(quotas, key=lambda one: one["metadata"]["name"]):
        writer.write(0, f"  Name:\t{quota['metadata']['name']}\n")
        if scopes := quota["spec"].get("scopes"):
            writer.write(0, f"  Scopes:\t{', '.join(sorted(scopes))}\n")
            for scope in sorted(scopes):
                if scope in _SCOPES:
                    writer.write(0, f"  * {_SCOPES[scope]}\n")
        writer.write(0, "  Resource\tUsed\tHard\n")
        writer.write(0, "  --------\t---\t---\n")
        status = quota.get("status") or {}
        for name in sorted(status.get("hard") or {}):
            used = (status.get("used") or {}).get(name, "0")
            writer.write(0, f"  {name}\t{used}\t{status['hard'][name]}\n")


def _write_limits(writer: Writer, ranges: list[Object]) -> None:
    if not ranges:
        writer.write(0, "\nNo LimitRange resource.\n")
        return
    writer.write(0, "\nResource Limits\n " + "\t".join(_LIMIT_COLUMNS) + "\n")
    writer.write(0, " " + "\t".join("-" * len(one) for one in _LIMIT_COLUMNS) + "\n")
    for one in ranges:
        _write_limit_rows(writer, one, " ")


def _write_limit_rows(writer: Writer, obj: Object, indent: str) -> None:
    for limit in obj["spec"].get("limits") or []:
        names = {name for field in _LIMIT_FIELDS for name in limit.get(field) or {}}
        for name in sorted(names):
            cells = [str((limit.get(field) or {}).get(name, "-")) for field in _LIMIT_FIELDS]
            writer.write(0, f"{indent}{limit['type']}\t{name}\t" + "\t".join(cells) + "\n")


async def describe_quota(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe a ResourceQuota."""
    del session, events
    status = obj.get("status") or {}
    writer.write(0, f"Name:\t{obj['metadata']['name']}\nNamespace:\t{obj['metadata']['namespace']}\n")
    if scopes := obj["spec"].get("scopes"):
        writer.write(0, f"Scopes:\t{', '.join(sorted(scopes))}\n")
        for scope in sorted(scopes):
            if scope in _SCOPES:
                writer.write(0, f" * {_SCOPES[scope]}\n")
    writer.write(0, "Resource\tUsed\tHard\n--------\t----\t----\n")
    for name in sorted(status.get("hard") or {}):
        used = (status.get("used") or {}).get(name, "0")
        writer.write(0, f"{name}\t{used}\t{status['hard'][name]}\n")


async def describe_limit_range(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe a LimitRange."""
    del session, events
    writer.write(0, f"Name:\t{obj['metadata']['name']}\nNamespace:\t{obj['metadata']['namespace']}\n")
    writer.write(0, "\t".join(_LIMIT_COLUMNS) + "\n" + "\t".join("-" * len(one) for one in _LIMIT_COLUMNS) + "\n")
    _write_limit_rows(writer, obj, "")
