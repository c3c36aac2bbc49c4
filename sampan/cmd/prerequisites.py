"""What a host must have for real containers, and the command that installs or mends each thing.

`check_all` is what `sampan doctor` prints and what `sampan up` refuses to start without. Nothing is changed here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CNI_DIRECTORIES = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
"""Where Debian, the CNI project and Fedora put the plug-ins."""
CNI_PLUGINS = ("bridge", "host-local", "loopback", "portmap")
_MINIMUM_FREE = 2 * 2**30
"""Bytes free on the data directory's disk below which images and logs soon fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at.

    required: `sampan up` with nodes cannot do without it. cure: a command, "" when all is well.
    """

    name: str
    ok: bool
    found: str
    cure: str = ""
    required: bool = True


_PROGRAMS = (
    ("containerd", "containerd", True),
    ("ctr", "containerd", True),
    ("runc", "runc", True),
    ("nft", "nftables", True),
    ("ip", "iproute2", True),
    ("iptables", "iptables", False),
    ("conntrack", "conntrack", False),
    ("docker-registry", "docker-registry", False),
    ("buildah", "buildah", False),
    ("skopeo", "skopeo", False),
)
"""Program, Debian package, whether nodes need it; the others serve hostPorts, UDP services, and images."""


def check_all(data_dir: Path) -> list[Check]:
    """Look at everything, in the order in which it should be mended."""
    return [*_identity(), *_programs(), *_kernel(), *_disk(data_dir)]


def missing(data_dir: Path) -> list[Check]:
    """What is required and not there."""
    return [one for one in check_all(data_dir) if one.required and not one.ok]


def cni_directory() -> Path | None:
    """The directory with all CNI plug-ins that pods need."""
    for folder in CNI_DIRECTORIES:
        if all((folder / plugin).exists() for plugin in CNI_PLUGINS):
            return folder
    return None


def _identity() -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check(
        name="python",
        ok=sys.version_info >= (3, 11),
        found=version,
        cure="" if sys.version_info >= (3, 11) else "apt-get install python3.11 python3.11-venv",
    )
    root = os.geteuid() == 0
    yield Check(
        name="root", ok=root, found="root" if root else f"uid {os.geteuid()}",
        cure="" if root else "run as root: sudo sampan up; or without containers: sampan up --no-nodes",
    )  # fmt: skip


def _programs() -> Iterator[Check]:
    for program, package, required in _PROGRAMS:
        path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
        yield Check(
            name=program, ok=path is not None, found=path or "not found", required=required,
            cure="" if path else f"apt-get install {package}",
        )  # fmt: skip
    folder = cni_directory()
    yield Check(
        name="CNI plug-ins", ok=folder is not None, found=str(folder or "not found"),
        cure="" if folder else "apt-get install containernetworking-plugins",
    )  # fmt: skip


def _kernel() -> Iterator[Check]:
    filesystems = Path("/proc/filesystems").read_text()
    overlay = "\toverlay\n" in filesystems
    yield Check(
        name="overlayfs", ok=overlay, found="yes" if overlay else "not in /proc/filesystems",
        cure="" if overlay else "modprobe overlay",
    )  # fmt: skip
    mounts = Path("/proc/mounts").read_text()
    version = "v1" if " cgroup rw" in mounts else "v2"
    if version == "v1" and "cgroup2" in mounts:
        version = "v1 beside v2 (hybrid)"
    found = "cgroup" in mounts
    yield Check(
        name="cgroups", ok=found, found=version if found else "not mounted",
        cure="" if found else "mount -t cgroup2 none /sys/fs/cgroup",
    )  # fmt: skip
    if os.geteuid() == 0 and (nft := shutil.which("nft") or shutil.which("nft", path="/usr/sbin")):
        result = subprocess.run([nft, "list", "tables"], capture_output=True, text=True, check=False)  # noqa: S603
        working = result.returncode == 0
        yield Check(
            name="nftables in the kernel", ok=working, found="yes" if working else result.stderr.strip(),
            cure="" if working else "modprobe nf_tables",
        )  # fmt: skip


def _disk(data_dir: Path) -> Iterator[Check]:
    folder = data_dir
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    ok = free >= _MINIMUM_FREE
    yield Check(
        name="disk", ok=ok, required=False, found=f"{free / 2**30:.1f} GiB free at {folder}",
        cure="" if ok else f"free some space at {folder}, or choose another disk: sampan up --data-dir DIR",
    )  # fmt: skip
