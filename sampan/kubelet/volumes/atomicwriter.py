"""Files that change all at once: kubelet's atomic writer (pkg/volume/util/atomic_writer.go).

The content lies in a directory ``..<time>`` to which the symbolic link ``..data`` points; the names that users see are
links through ``..data``. A change writes a new directory and renames one link, so that a reader sees either the old
set of files or the new one.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from sampan.kubelet.volumes.errors import VolumeError

if TYPE_CHECKING:
    from collections.abc import Mapping

_DATA = "..data"
_DATA_NEW = "..data_tmp"


@dataclass(frozen=True, slots=True)
class File:
    """One file. mode: permission bits. owner: uid, or None for root."""

    data: bytes
    mode: int
    owner: int | None = None


def write(directory: Path, payload: Mapping[str, File], *, stamp: str, group: int | None = None) -> bool:
    """Make the directory hold exactly the payload's files. stamp: in the name of the new content directory.

    group: the pod's fsGroup: the files belong to it and it may read them. Returns whether anything changed.
    Raises VolumeError for paths that leave the directory.
    """
    for path in payload:
        _check(path)
    current = _current(directory)
    if current is not None and _same(current, payload, group):
        _link_users(directory, payload)
        return False
    content = Path(tempfile.mkdtemp(prefix=f"..{stamp}.", dir=directory))
    content.chmod(0o755)
    for path, file in payload.items():
        _write_file(content, path, file, group)
    if group is not None:
        for folder in (content, *(p for p in content.rglob("*") if p.is_dir())):
            os.chown(folder, -1, group)
            folder.chmod(folder.stat().st_mode | 0o2050)
    new_link = directory / _DATA_NEW
    new_link.unlink(missing_ok=True)
    new_link.symlink_to(content.name)
    new_link.rename(directory / _DATA)
    _link_users(directory, payload)
    _remove_stale(directory, payload)
    if current is not None:
        shutil.rmtree(current, ignore_errors=True)
    return True


def _check(path: str) -> None:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or parts[0].startswith(".."):
        raise VolumeError(f"invalid path: {path!r} must be relative and must not contain '..'")


def _current(directory: Path) -> Path | None:
    try:
        return directory / (directory / _DATA).readlink()
    except OSError:
        return None


def _same(current: Path, payload: Mapping[str, File], group: int | None) -> bool:
    existing = {str(p.relative_to(current)) for p in current.rglob("*") if not p.is_dir()}
    if existing != set(payload):
        return False
    for path, file in payload.items():
        stat = (current / path).stat()
        if stat.st_mode & 0o777 != _mode(file, group) or (current / path).read_bytes() != file.data:
            return False
    return True


def _mode(file: File, group: int | None) -> int:
    return file.mode if group is None else file.mode | 0o440


def _write_file(content: Path, path: str, file: File, group: int | None) -> None:
    target = content / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(file.data)
    target.chmod(_mode(file, group))
    if file.owner is not None or group is not None:
        os.chown(target, -1 if file.owner is None else file.owner, -1 if group is None else group)


def _roots(payload: Mapping[str, File]) -> set[str]:
    return {PurePosixPath(path).parts[0] for path in payload}


def _link_users(directory: Path, payload: Mapping[str, File]) -> None:
    for name in _roots(payload):
        link = directory / name
        if not link.is_symlink():
            link.symlink_to(f"{_DATA}/{name}")


def _remove_stale(directory: Path, payload: Mapping[str, File]) -> None:
    wanted = _roots(payload)
    for entry in directory.iterdir():
        if not entry.name.startswith("..") and entry.name not in wanted and entry.is_symlink():
            entry.unlink()
