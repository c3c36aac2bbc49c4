"""The JSON merge patch of a client-side apply to a kind without a Go type: custom resources.

What the file says differently from the live object, and what the last applied file had and this one has not. Behaviour:
apimachinery's CreateThreeWayJSONMergePatch. Built-in kinds have `sampan.api.strategicdiff`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sampan.api.object import Object


def json_merge(original: Object, modified: Object, current: Object) -> Object:
    """Build the patch; {} when nothing changes."""
    patch: Object = {key: None for key in original if key not in modified and key in current}
    for key, value in modified.items():
        before, live = original.get(key), current.get(key)
        if isinstance(value, dict) and isinstance(live, dict):
            if below := json_merge(before if isinstance(before, dict) else {}, value, live):
                patch[key] = below
        elif value != live and not (value is None and key not in current):
            patch[key] = value
    return patch
