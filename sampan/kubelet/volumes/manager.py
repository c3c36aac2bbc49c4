"""`VolumeManager`: gives each pod its volumes below the kubelet's directory, and takes all of them away again.

Layout as kubelet's: ``pods/<uid>/volumes/kubernetes.io~<plugin>/<name>``. Setting up is idempotent, and is also how a
changed configMap, secret, label or token reaches a running pod.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sampan.api import quantity
from sampan.api.errors import APIStatusError, NotFound
from sampan.api.object import name_of, namespace_of, uid_of
from sampan.base.clock import utc
from sampan.kubelet.volumes import atomicwriter, hostpath, localpath, mounts, subpath
from sampan.kubelet.volumes.errors import VolumeError
from sampan.kubelet.volumes.sources import volume_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.kubelet.volumes.imagevolume import ImageMounter
    from sampan.kubelet.volumes.sources import Sources

_FILE_PLUGINS = {
    "configMap": "configmap",
    "secret": "secret",
    "downwardAPI": "downward-api",
    "projected": "projected",
}
_IN_MEMORY = ("secret", "projected")
"""Volumes that may hold secrets never touch a disk."""


class ClaimSource(Protocol):
    """Reads claims and volumes."""

    async def claim(self, namespace: str, name: str) -> Object: ...

    async def persistent_volume(self, name: str) -> Object: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    pod: Object
    volume: Object
    ips: Sequence[str]


class VolumeManager:
    """All pods' volumes. root: the kubelet's data directory. images: mounts image volumes; None: there are none."""

    def __init__(
        self, root: Path, sources: Sources, claims: ClaimSource, clock: Clock, *, images: ImageMounter | None = None
    ) -> None:
        self._images = images
        self._root = root / "pods"
        # Files in it may hold secrets with modes made for a container's users; no user of the host gets that far.
        self._root.mkdir(parents=True, exist_ok=True)
        self._root.chmod(0o750)
        self._sources = sources
        self._claims = claims
        self._clock = clock
        self._resolved: dict[tuple[str, str], Path] = {}

    def pod_directory(self, uid: str) -> Path:
        return self._root / uid

    async def set_up(self, pod: Object, ips: Sequence[str]) -> None:
        """Make every volume of the pod ready, contents up to date. Raises VolumeError naming the volume."""
        for volume in pod["spec"].get("volumes") or ():
            place = _Place(pod=pod, volume=volume, ips=ips)
            try:
                path = await self._set_up_one(place)
            except (VolumeError, APIStatusError, OSError, TimeoutError) as error:
                raise VolumeError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}') from error
            self._resolved[uid_of(pod), volume["name"]] = path

    def path(self, pod: Object, volume: str) -> Path:
        """Tell where a volume that was set up lies on the host."""
        found: Path = self._resolved[uid_of(pod), volume]
        return found

    def sub_path(self, pod: Object, container: str, index: int, volume: str, relative: str) -> Path:
        """Return a host path that is safe to mount for a subPath. Raises VolumeError."""
        target = self.pod_directory(uid_of(pod)) / "volume-subpaths" / volume / container / str(index)
        return subpath.bind(self.path(pod, volume), relative, target)

    def tear_down(self, uid: str, *, keep_messages: bool = False) -> None:
        """Unmount and remove all that the pod had here; keep_messages: but its containers' termination messages.

        Idempotent. Raises OSError when a mount cannot be undone.
        """
        directory = self.pod_directory(uid)
        if not directory.exists():
            return
        for point in mounts.mounted_below(directory):
            mounts.unmount(point)
        if not mounts.mounted_below(directory):  # never delete through a mount
            doomed = [directory / "volumes", directory / "volume-subpaths"] if keep_messages else [directory]
            for path in doomed:
                shutil.rmtree(path, ignore_errors=True)
        for key in [key for key in self._resolved if key[0] == uid]:
            del self._resolved[key]

    def leftovers(self) -> list[str]:
        """List uids that have a directory here."""
        return [entry.name for entry in self._root.iterdir()] if self._root.is_dir() else []

    async def _set_up_one(self, place: _Place) -> Path:
        volume = place.volume
        for field, plugin in _FILE_PLUGINS.items():
            if field in volume:
                return await self._files(place, plugin)
        if "image" in volume and self._images is not None:
            directory = self._directory(place, "image")
            if not mounts.mounted_below(directory):
                await self._images.mount(place.pod, volume, directory)
            return directory
        if "emptyDir" in volume:
            return self._empty_dir(place)
        if "hostPath" in volume:
            source = volume["hostPath"]
            path = Path(source["path"])
            hostpath.check(path, source.get("type") or "")
            return path
        if "persistentVolumeClaim" in volume:
            return await self._claim(place, volume["persistentVolumeClaim"]["claimName"])
        if "ephemeral" in volume:
            return await self._claim(place, f"{name_of(place.pod)}-{volume['name']}")
        kind = ", ".join(key for key in volume if key != "name")
        raise VolumeError(f"no volume plugin matched: {kind} is not supported by this node")

    def _directory(self, place: _Place, plugin: str) -> Path:
        return self.pod_directory(uid_of(place.pod)) / "volumes" / f"kubernetes.io~{plugin}" / str(place.volume["name"])

    async def _files(self, place: _Place, plugin: str) -> Path:
        directory = self._directory(place, plugin)
        files = await volume_files(place.pod, place.volume, self._sources, place.ips)
        if not directory.exists():
            directory.mkdir(parents=True, mode=0o777)
            directory.chmod(0o777)
            if plugin in _IN_MEMORY:
                mounts.mount("tmpfs", directory, "tmpfs", 0)
        group = _fs_group(place.pod)
        stamp = utc(self._clock.time()).strftime("%Y_%m_%d_%H_%M_%S")
        atomicwriter.write(directory, files, stamp=stamp, group=group)
        return directory

    def _empty_dir(self, place: _Place) -> Path:
        directory = self._directory(place, "empty-dir")
        if directory.exists():
            return directory
        source = place.volume["emptyDir"] or {}
        directory.mkdir(parents=True)
        if source.get("medium") == "Memory":
            limit = source.get("sizeLimit")
            options = f"size={quantity.to_int(limit)}" if limit else ""
            mounts.mount("tmpfs", directory, "tmpfs", 0, options)
        directory.chmod(0o777)
        group = _fs_group(place.pod)
        if group is not None:
            os.chown(directory, -1, group)
            directory.chmod(0o2777)
        return directory

    async def _claim(self, place: _Place, name: str) -> Path:
        namespace = namespace_of(place.pod)
        try:
            claim = await self._claims.claim(namespace, name)
        except NotFound as error:
            raise VolumeError(f'error getting PVC "{namespace}"/"{name}": {error}') from error
        bound = claim["spec"].get("volumeName")
        if claim.get("status", {}).get("phase") != "Bound" or not bound:
            raise VolumeError(f"PVC is not bound: {namespace}/{name}")
        persistent = await self._claims.persistent_volume(bound)
        spec = persistent["spec"]
        source = spec.get("hostPath") or spec.get("local")
        if source is None:
            raise VolumeError(f"persistent volume {bound} is of a type that this node does not support")
        path = Path(source["path"])
        if localpath.is_provisioned(persistent):
            localpath.make(path)
        if "hostPath" in spec:
            hostpath.check(path, source.get("type") or "")
        elif not path.exists():
            raise VolumeError(f'path "{path}" does not exist')
        return path


def _fs_group(pod: Object) -> int | None:
    group: int | None = (pod["spec"].get("securityContext") or {}).get("fsGroup")
    return group
