"""hostPath and local volumes: the path must be what its type says.

Source: kubelet's pkg/volume/hostpath (checkTypeInternal); error texts are its.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sampan.kubelet.volumes.errors import VolumeError

if TYPE_CHECKING:
    from collections.abc import Callable

_CHECKS: dict[str, tuple[Callable[[Path], bool], str]] = {
    "Directory": (Path.is_dir, "a directory"),
    "DirectoryOrCreate": (Path.is_dir, "a directory"),
    "File": (Path.is_file, "a file"),
    "FileOrCreate": (Path.is_file, "a file"),
    "Socket": (Path.is_socket, "a socket file"),
    "CharDevice": (Path.is_char_device, "a character device"),
    "BlockDevice": (Path.is_block_device, "a block device"),
}


def check(path: Path, kind: str) -> None:
    """Make what may be made, then check. kind: spec.volumes[].hostPath.type. Raises VolumeError."""
    if kind == "DirectoryOrCreate" and not path.exists():
        path.mkdir(parents=True, mode=0o755)
    elif kind == "FileOrCreate" and not path.exists():
        try:
            path.touch(mode=0o644)
        except OSError as error:
            raise VolumeError(f"open {path}: {(error.strerror or '').lower()}") from error
    if kind in _CHECKS:
        is_right, name = _CHECKS[kind]
        if not is_right(path):
            raise VolumeError(f"hostPath type check failed: {path} is not {name}")
    elif not path.exists():
        # As a container runtime would: an untyped path that is absent becomes a directory.
        path.mkdir(parents=True, mode=0o755)
