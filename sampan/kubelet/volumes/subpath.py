"""subPath mounts, safe against links that containers plant in a volume.

Each component is opened relative to the one before without following links that lead outside, and the open descriptor,
not the name, is bind-mounted: what was checked is what the container gets. Source: CVE-2017-1002101, KEP-less design in
kubelet's pkg/volume/util/subpath.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from sampan.kubelet.volumes import mounts
from sampan.kubelet.volumes.errors import VolumeError

_MAX_LINKS = 255


def bind(volume: Path, sub_path: str, target: Path) -> Path:
    """Bind-mount ``volume/sub_path`` at target, creating the directory if it is absent. An earlier bind is replaced.

    Raises VolumeError when the path leaves the volume.
    """
    for point in mounts.mounted_below(target):
        # From an earlier start of the container: the file may have been replaced since (a changed configMap).
        mounts.unmount(point)
    descriptor = _open_inside(volume, sub_path)
    try:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        mounts.mount(f"/proc/{os.getpid()}/fd/{descriptor}", target, "", mounts.MS_BIND | mounts.MS_REC)
    finally:
        os.close(descriptor)
    return target


def _open_inside(volume: Path, sub_path: str) -> int:
    """Open ``volume/sub_path`` with O_PATH, resolving links inside the volume only."""
    root = volume.resolve()
    wanted = list(PurePosixPath(sub_path).parts)
    if ".." in wanted or sub_path.startswith("/"):
        raise VolumeError(f'subPath "{sub_path}" must be a relative path inside the volume')
    done: list[str] = []
    links = 0
    while wanted:
        name = wanted.pop(0)
        current = root.joinpath(*done, name)
        if current.is_symlink():
            links += 1
            leads_to = (current.parent / current.readlink()).resolve() if links <= _MAX_LINKS else root.parent
            if leads_to != root and root not in leads_to.parents:
                raise VolumeError(f'subPath "{sub_path}" leaves the volume through the link {current}')
            done = list(leads_to.relative_to(root).parts)
            continue
        if not current.exists():
            current.mkdir(mode=root.stat().st_mode & 0o7777)
        done.append(name)
    return _open_chain(root, done)


def _open_chain(root: Path, parts: list[str]) -> int:
    """Open component by component without following links: a link planted since the check makes it fail."""
    descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY)
    for name in parts:
        try:
            following = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=descriptor)
        except OSError as error:
            raise VolumeError(f"subPath changed while it was mounted: {error}") from error
        finally:
            os.close(descriptor)
        descriptor = following
    return descriptor
