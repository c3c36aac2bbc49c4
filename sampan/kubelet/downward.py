"""The downward API: values of pod fields and container resources for environment variables and files.

Source: kubelet's pkg/fieldpath and pkg/api/v1/resource.
"""

from __future__ import annotations

import json
import re
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING

from sampan.api import quantity
from sampan.kubelet.pods import find_container

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sampan.api.object import Object

_SUBSCRIPT = re.compile(r"^(metadata\.(?:labels|annotations))\['(.*)'\]$")


class DownwardError(ValueError):
    """A field or resource cannot be told; the text is kubelet's."""


def pod_field(pod: Object, path: str, *, ips: Sequence[str], host_ips: Sequence[str]) -> str:
    """Read a fieldRef. ips, host_ips: the pod's and the node's addresses as they are now. Raises DownwardError."""
    meta, spec = pod["metadata"], pod["spec"]
    subscript = _SUBSCRIPT.match(path)
    if subscript:
        values: Mapping[str, str] = meta.get(subscript.group(1).removeprefix("metadata.")) or {}
        return values.get(subscript.group(2), "")
    simple: Callable[[], str] | None = {
        "metadata.name": lambda: meta["name"],
        "metadata.namespace": lambda: meta["namespace"],
        "metadata.uid": lambda: meta["uid"],
        "metadata.labels": lambda: _format_map(meta.get("labels")),
        "metadata.annotations": lambda: _format_map(meta.get("annotations")),
        "spec.nodeName": lambda: spec.get("nodeName", ""),
        "spec.serviceAccountName": lambda: spec.get("serviceAccountName", ""),
        "status.hostIP": lambda: host_ips[0] if host_ips else "",
        "status.hostIPs": lambda: ",".join(host_ips),
        "status.podIP": lambda: ips[0] if ips else "",
        "status.podIPs": lambda: ",".join(ips),
    }.get(path)
    if simple is None:
        raise DownwardError(f"unsupported fieldPath: {path}")
    return simple()


def container_resource(pod: Object, reference: Object, container: str, allocatable: Mapping[str, str]) -> str:
    """Read a resourceFieldRef; without a limit the node's allocatable amount stands in. Raises DownwardError."""
    spec = find_container(pod, reference.get("containerName") or container)
    if spec is None:
        raise DownwardError(f"container {reference.get('containerName')} not found")
    kind, _, resource = reference["resource"].partition(".")
    if kind not in ("limits", "requests") or not resource:
        raise DownwardError(f"unsupported container resource : {reference['resource']}")
    resources = spec.get("resources") or {}
    amount = (resources.get(kind) or {}).get(resource)
    if amount is None and kind == "limits":
        amount = allocatable.get(resource)
    value = Decimal(quantity.parse(amount)) if amount is not None else Decimal(0)
    divisor = Decimal(quantity.parse(reference.get("divisor") or "0")) or Decimal(1)
    if resource == "cpu":
        # Go works in millicores here: both are rounded up to them first.
        value, divisor = _milli(value), _milli(divisor)
    return str(int((value / divisor).to_integral_value(ROUND_CEILING)))


def _milli(value: Decimal) -> Decimal:
    return (value * 1000).to_integral_value(ROUND_CEILING)


def _format_map(values: Mapping[str, str] | None) -> str:
    """Write ``key="value"`` lines sorted by key, values quoted as Go's %q does."""
    return "\n".join(f"{key}={go_quote(value)}" for key, value in sorted((values or {}).items()))


def go_quote(text: str) -> str:
    r"""Quote as Go's %q: JSON's escapes, with ``\x`` for other control characters, printable characters as they are."""
    quoted = json.dumps(text, ensure_ascii=False)
    return re.sub(r"\\u00([0-9a-f]{2})", r"\\x\1", quoted)
