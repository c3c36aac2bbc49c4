"""Cgroups of pods: the parent below which the runtime puts a pod's containers, and its removal.

Names as kubelet's cgroupfs driver: ``<root>/kubepods[/burstable|/besteffort]/pod<uid>``. Handles version 1, 2 and
hybrid hosts by looking at what is mounted. root is unique to the cluster instance.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_MOUNT = Path("/sys/fs/cgroup")


class PodCgroups:
    """The pods' part of the cgroup tree. root: ``/sampan-x``."""

    def __init__(self, root: str, mount: Path = _MOUNT) -> None:
        self._root = "/" + root.strip("/")
        self._unified = (mount / "cgroup.controllers").exists()
        if self._unified:
            self._hierarchies = [mount]
        else:
            # Comounted controllers appear as links; each hierarchy once.
            folders = [e for e in mount.iterdir() if e.is_dir() and not e.is_symlink()] if mount.is_dir() else []
            self._hierarchies = folders
        self._mount = mount

    def parent(self, uid: str, qos: str) -> str:
        """Tell the cgroup parent of a pod."""
        tier = {"Burstable": "/burstable", "BestEffort": "/besteffort"}.get(qos, "")
        return f"{self._root}/kubepods{tier}/pod{uid}"

    def create(self, uid: str, qos: str, *, shares: int, quota: int, memory: int, grow: bool = False) -> None:
        """Make a pod's cgroup with its limits; 0 leaves one alone. grow: leave limits that are higher already.

        Whatever the host refuses stays unlimited: the containers' own limits hold nevertheless.
        """
        path = self.parent(uid, qos).lstrip("/")
        if self._unified:
            values = {
                "cpu.weight": str(1 + (shares - 2) * 9999 // 262142),
                "cpu.max": f"{quota} 100000" if quota else "",
                "memory.max": str(memory) if memory else "",
            }
            self._write(self._mount / path, values, grow=grow)
            return
        values = {"cpu.shares": str(shares), "cpu.cfs_quota_us": str(quota or "")}
        self._write(self._mount / "cpu" / path, values, grow=grow)
        if memory:
            self._write(self._mount / "memory" / path, {"memory.limit_in_bytes": str(memory)}, grow=grow)

    @staticmethod
    def _write(folder: Path, values: dict[str, str], *, grow: bool) -> None:
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
        for name, value in values.items():
            if value and (folder / name).exists():
                with suppress(OSError):
                    if grow and _is_higher((folder / name).read_text(), value):
                        continue
                    (folder / name).write_text(value)

    def remove(self, uid: str) -> None:
        """Remove a pod's cgroups; those with processes in them stay."""
        for tier in ("", "burstable", "besteffort"):
            for hierarchy in self._hierarchies:
                _remove_tree(hierarchy / self._root.lstrip("/") / "kubepods" / tier / f"pod{uid}")

    def pods(self) -> set[str]:
        """List uids of pods that have a cgroup."""
        found = set()
        for hierarchy in self._hierarchies:
            base = hierarchy / self._root.lstrip("/") / "kubepods"
            for folder in (base, base / "burstable", base / "besteffort"):
                if folder.is_dir():
                    found |= {e.name[3:] for e in folder.iterdir() if e.name.startswith("pod") and e.is_dir()}
        return found

    def clean(self) -> None:
        """Remove the whole tree as far as it is empty."""
        for hierarchy in self._hierarchies:
            _remove_tree(hierarchy / self._root.lstrip("/"))


def _is_higher(before: str, after: str) -> bool:
    """Tell whether a limit is higher than another; "max" and -1 are no limit."""
    one, other = before.split(maxsplit=1)[0], after.split(maxsplit=1)[0]
    if not one.isdigit():
        return True
    return other.isdigit() and int(one) > int(other)


def _remove_tree(folder: Path) -> None:
    if not folder.is_dir():
        return
    for path, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            Path(path).rmdir()
