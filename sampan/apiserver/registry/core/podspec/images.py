"""Image references, as far as defaulting needs them: which tag an image has."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(4096)
def default_pull_policy(image: str) -> str:
    """Tell a policy: "Always" for the tag ``latest`` or none at all, "IfNotPresent" for other tags and digests."""
    name, at, _ = image.partition("@")
    if at:
        # A reference with both tag and digest is pulled by digest; the tag still decides when it is "latest".
        return "Always" if _tag(name) == "latest" else "IfNotPresent"
    tag = _tag(name)
    return "Always" if tag in ("", "latest") and image == image.strip() and image else "IfNotPresent"


def _tag(name: str) -> str:
    last = name.rpartition("/")[2]
    return last.partition(":")[2]
