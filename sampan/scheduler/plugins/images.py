"""ImageLocality: prefers nodes that have the pod's images already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sampan.scheduler.interface import MAX_NODE_SCORE

if TYPE_CHECKING:
    from sampan.scheduler.interface import CycleState, Integers
    from sampan.scheduler.nodetable import NodeTable
    from sampan.scheduler.podinfo import PodInfo

_MEGABYTE = 1024 * 1024
_LEAST = 23 * _MEGABYTE
_MOST_PER_CONTAINER = 1000 * _MEGABYTE


class ImageLocality:
    """Bytes of images present, each weighed by the share of nodes that have it, so that no node draws all pods."""

    name = "ImageLocality"

    def score_all(self, state: CycleState, pod: PodInfo, nodes: NodeTable, rows: Integers) -> Integers:
        del state
        if not any(normalized(image) in nodes.images for image in pod.images):
            return np.zeros(len(rows), dtype=np.int64)
        present = np.zeros(nodes.rows, dtype=np.int64)
        total = max(len(nodes), 1)
        for image in pod.images:
            holders = nodes.images.get(normalized(image), {})
            share = len(holders) / total
            for row, size in holders.items():
                present[row] += int(size * share)
        most = _MOST_PER_CONTAINER * max(len(pod.images), 1)
        return MAX_NODE_SCORE * (np.clip(present[rows], _LEAST, most) - _LEAST) // (most - _LEAST)


def normalized(image: str) -> str:
    """Add the tag that an image name implies."""
    return image if ":" in image.rpartition("/")[2] else f"{image}:latest"
