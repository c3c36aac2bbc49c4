"""What the machine is: processors, memory, disk, operating system, identities. Read from /proc, /sys and /etc."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "ppc64le": "ppc64le", "s390x": "s390x"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """memory, disk, hugepages: bytes. cpus: usable by this process."""

    cpus: int
    memory: int
    disk: int
    hugepages: dict[str, int]
    architecture: str
    kernel: str
    os_image: str
    machine_id: str
    system_uuid: str
    boot_id: str


def read_machine(directory: Path) -> Machine:
    """Read it all. directory: on the disk whose size is the node's ephemeral storage."""
    directory.mkdir(parents=True, exist_ok=True)
    stat = os.statvfs(directory)
    release = _release()
    return Machine(
        cpus=os.cpu_count() or 1,
        memory=memory_total(),
        disk=stat.f_blocks * stat.f_frsize,
        hugepages=_hugepages(),
        architecture=_ARCHITECTURES.get(platform.machine(), platform.machine()),
        kernel=platform.release(),
        os_image=release.get("PRETTY_NAME", "Linux"),
        machine_id=_text("/etc/machine-id") or _text("/var/lib/dbus/machine-id"),
        system_uuid=_text("/sys/class/dmi/id/product_uuid") or _text("/etc/machine-id"),
        boot_id=_text("/proc/sys/kernel/random/boot_id"),
    )


def meminfo() -> dict[str, int]:
    """Read /proc/meminfo as bytes."""
    values = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        fields = rest.split()
        values[name] = int(fields[0]) * (1024 if len(fields) > 1 else 1)
    return values


def memory_total() -> int:
    return meminfo()["MemTotal"]


def memory_available() -> int:
    return meminfo()["MemAvailable"]


def _hugepages() -> dict[str, int]:
    """Bytes of each page size, named as quantities: ``2Mi``."""
    found = {}
    folder = Path("/sys/kernel/mm/hugepages")
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        kib = int(entry.name.removeprefix("hugepages-").removesuffix("kB"))
        name = f"{kib // 1048576}Gi" if kib >= 1048576 else f"{kib // 1024}Mi" if kib >= 1024 else f"{kib}Ki"
        found[name] = int(_text(str(entry / "nr_hugepages")) or 0) * kib * 1024
    return found


def _release() -> dict[str, str]:
    lines = _text("/etc/os-release").splitlines()
    return {k: v.strip('"') for k, _, v in (line.partition("=") for line in lines)}


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
