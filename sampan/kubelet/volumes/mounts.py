"""mount(2) and umount2(2), and what is mounted below a directory.

Through ctypes: the standard library has no mount call, and a process per mount would cost ten times the mount.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 32, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_UMOUNT_NOFOLLOW = 8


def mount(source: str, target: Path, kind: str, flags: int, options: str = "") -> None:
    """Mount. Raises OSError."""
    result = _libc.mount(
        source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), options.encode() or None
    )
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def unmount(target: Path) -> None:
    """Unmount, lazily, so that a process still using it is no obstacle. Raises OSError."""
    if _libc.umount2(os.fsencode(target), _MNT_DETACH | _UMOUNT_NOFOLLOW) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def mounted_below(directory: Path) -> list[Path]:
    """List mount points at or below a directory, the deepest first."""
    prefix = str(directory)
    found = []
    with Path("/proc/self/mountinfo").open() as lines:
        for line in lines:
            point = _unescape(line.split(" ", 5)[4])
            if point == prefix or point.startswith(prefix + "/"):
                found.append(Path(point))
    return found[::-1]


def _unescape(text: str) -> str:
    """Undo mountinfo's octal escapes of blanks and backslashes."""
    return text.encode("latin-1").decode("unicode_escape") if "\\" in text else text
