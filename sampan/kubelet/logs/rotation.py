"""Log rotation.

A container's log over the size limit becomes ``<log>.<time>``, older ones are compressed, the oldest go. Source:
kubelet's logs/container_log_manager.go.
"""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from sampan.base.clock import utc
from sampan.base.log import logger
from sampan.kubelet.runtime import RuntimeFault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.base.clock import Clock
    from sampan.kubelet.records import ContainerRecord
    from sampan.kubelet.runtime import ContainerRuntime

_log = logger("kubelet.logrotation")


async def rotate_all(
    records: Iterable[ContainerRecord], runtime: ContainerRuntime, clock: Clock, *, max_size: int, max_files: int
) -> None:
    """Rotate the logs of running containers that are too large. max_size: bytes; max_files: with the current one."""
    for record in records:
        path = Path(record.log_path)
        try:
            if record.running and path.stat().st_size >= max_size:
                await rotate(path, record.id, runtime, clock, max_files=max_files)
        except FileNotFoundError:
            continue
        except (OSError, RuntimeFault) as error:
            _log.warning("Log cannot be rotated", path=path, error=error)


async def rotate(path: Path, container_id: str, runtime: ContainerRuntime, clock: Clock, *, max_files: int) -> None:
    """Rotate one log. Raises OSError, RuntimeFault."""
    old = sorted(p for p in path.parent.glob(path.name + ".*") if not p.name.endswith(".tmp"))
    # The new archive and the current file take two places of max_files.
    for surplus in old[: max(0, len(old) - max(max_files - 2, 0))]:
        surplus.unlink(missing_ok=True)
    for archive in old:
        if archive.exists() and archive.suffix != ".gz":
            _compress(archive)
    rotated = path.with_name(f"{path.name}.{utc(clock.time()).strftime('%Y%m%d-%H%M%S')}")
    path.rename(rotated)
    try:
        await runtime.reopen_log(container_id)
    except RuntimeFault:
        # The runtime still writes to the renamed file; it must get its name back or the next rotation loses it.
        rotated.rename(path)
        raise


def _compress(path: Path) -> None:
    temporary = path.with_name(path.name + ".tmp")
    with path.open("rb") as source, gzip.open(temporary, "wb", compresslevel=6) as target:
        shutil.copyfileobj(source, target)
    temporary.rename(path.with_name(path.name + ".gz"))
    path.unlink()
