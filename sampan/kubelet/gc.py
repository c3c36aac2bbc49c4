"""Garbage: dead containers beyond the newest of each, their logs, dead sandboxes, unused images when the disk fills.

Source: kubelet's container garbage collection (MaxPerPodContainerCount 1) and images/image_gc_manager.go.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sampan.base.log import logger
from sampan.kubelet.pauseimage import PAUSE_IMAGE
from sampan.kubelet.runtime import RuntimeFault

if TYPE_CHECKING:
    from sampan.base.clock import Clock
    from sampan.kubelet.events import Recorder
    from sampan.kubelet.images import ImageManager
    from sampan.kubelet.options import KubeletOptions
    from sampan.kubelet.podworker import PodWorker
    from sampan.kubelet.podworkers import PodWorkers
    from sampan.kubelet.records import ContainerRecord
    from sampan.kubelet.runtime import ContainerRuntime, Image

_log = logger("kubelet.gc")

_DEAD_KEPT = 1


async def collect_containers(workers: PodWorkers, runtime: ContainerRuntime) -> None:
    """Remove dead containers and sandboxes that nothing needs any more."""
    for worker in workers.all():
        for history in list(worker.records.containers.values()):
            for record in [r for r in history if r.ended][_DEAD_KEPT:]:
                await _remove(worker, record, runtime)
        for sandbox in [s for s in worker.records.sandboxes[1:] if not s.ready]:
            in_use = any(record.sandbox_id == sandbox.id for record in worker.records)
            if in_use:
                continue  # removing the sandbox would take the kept containers and their logs with it
            with suppress(RuntimeFault):
                await runtime.remove_sandbox(sandbox.id)
                worker.records.sandboxes.remove(sandbox)


async def _remove(worker: PodWorker, record: ContainerRecord, runtime: ContainerRuntime) -> None:
    try:
        await runtime.remove_container(record.id)
    except RuntimeFault as error:
        _log.warning("Dead container cannot be removed", container=record.id, error=error)
        return
    worker.records.forget(record.id)
    log = Path(record.log_path)
    for path in log.parent.glob(log.name + "*"):
        path.unlink(missing_ok=True)


class ImageCollector:
    """Keeps the disk from filling with images."""

    def __init__(
        self,
        options: KubeletOptions,
        runtime: ContainerRuntime,
        images: ImageManager,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._options = options
        self._runtime = runtime
        self._images = images
        self._recorder = recorder
        self._clock = clock
        self._first_seen: dict[str, float] = {}

    async def collect(self, workers: PodWorkers, node: dict[str, str]) -> None:
        """Remove the images unused for longest when usage is over the high threshold, down to the low one.

        node: the ObjectReference for events. Raises RuntimeFault.
        """
        images = await self._runtime.list_images()
        now = self._clock.time()
        for image in images:
            self._first_seen.setdefault(image.id, now)
        disk = os.statvfs(self._options.data_dir)
        total, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
        used_percent = 100 - free * 100 // total if total else 0
        if used_percent < self._options.image_gc_high_percent:
            return
        wanted = total * (100 - self._options.image_gc_low_percent) // 100 - free
        freed = 0
        for image in self._candidates(workers, list(images), now):
            if freed >= wanted:
                break
            with suppress(RuntimeFault):
                await self._runtime.remove_image(image.id)
                freed += image.size
                self._first_seen.pop(image.id, None)
        if freed < wanted:
            text = (
                f"Failed to garbage collect required amount of images. Attempted to free {wanted} bytes, but only "
                f"found {freed} bytes eligible to free."
            )
            self._recorder.event(node, "Warning", "FreeDiskSpaceFailed", text)

    def _candidates(self, workers: PodWorkers, images: list[Image], now: float) -> list[Image]:
        used = {r.image_ref for w in workers.all() for r in w.records} | {
            r.image for w in workers.all() for r in w.records
        }
        last = self._images.last_used
        free = [
            image
            for image in images
            if not image.pinned
            and PAUSE_IMAGE not in image.tags
            and not used & {image.id, *image.tags, *image.digests}
            and now - self._first_seen[image.id] >= self._options.image_minimum_age
        ]
        return sorted(free, key=lambda image: last.get(image.id, self._first_seen[image.id]))
