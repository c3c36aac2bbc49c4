"""Image volumes: an image's files, mounted read-only.

The CRI mounts images itself only from containerd 2.1 on; for older ones the kubelet pulls the image and has
containerd's own client mount a view of it below the pod's directory. `clean` removes the views of pods that are gone.
Source: KEP-4639.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sampan.api.object import name_of
from sampan.kubelet.credentials import with_default_tag
from sampan.kubelet.images import StartError
from sampan.kubelet.volumes.errors import VolumeError

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubelet.runtime import Image

_SECONDS = 30.0


class ImageSource(Protocol):
    """Makes sure that an image is on the node."""

    async def ensure(self, pod: Object, container: Object) -> Image:
        """Raises StartError."""
        ...


class ImageMounter:
    """Mounts images with ``ctr``. endpoint: containerd's socket, with or without ``unix://``."""

    def __init__(self, images: ImageSource, endpoint: str) -> None:
        self._images = images
        self._endpoint = endpoint.removeprefix("unix://")
        self._used = True  # an earlier agent may have left views

    async def mount(self, pod: Object, volume: Object, target: Path) -> None:
        """Pull the image as its policy says and mount it. Raises VolumeError."""
        source = volume["image"]
        wanted = {"name": name_of(pod), "image": source["reference"], "imagePullPolicy": source.get("pullPolicy")}
        try:
            image = await self._images.ensure(pod, wanted)
        except StartError as error:
            raise VolumeError(f"failed to pull image {source['reference']}: {error.reason}: {error.message}") from error
        target.mkdir(parents=True, exist_ok=True)
        self._used = True
        name = image.tags[0] if image.tags else with_default_tag(source["reference"])
        code, output = await self._ctr("images", "mount", name, str(target))
        if code != 0:
            raise VolumeError(f"failed to mount image {source['reference']}: {output.strip()}")

    async def clean(self) -> None:
        """Remove the views whose directories are gone."""
        if not self._used:
            return
        code, output = await self._ctr("snapshots", "list")
        keys = [line.split()[0] for line in output.splitlines() if line.startswith("/")] if code == 0 else []
        for key in keys:
            if not Path(key).exists():
                await self._ctr("snapshots", "remove", key)
        self._used = code != 0 or any(Path(key).exists() for key in keys)

    async def _ctr(self, *argv: str) -> tuple[int, str]:
        program = shutil.which("ctr")
        if program is None:
            return 127, "ctr is not installed"
        process = await asyncio.create_subprocess_exec(
            program, "--address", self._endpoint, "--namespace", "k8s.io", *argv,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            async with asyncio.timeout(_SECONDS):
                output, _ = await process.communicate()
        except BaseException:
            process.kill()
            await process.wait()
            raise
        return process.returncode or 0, output.decode("utf-8", "replace")
