"""What a node leaves on its host, found by its names and paths, and removed.

Every function is safe to repeat and does nothing where there is nothing. Pods go through containerd while it lives
(so that CNI gives their addresses back); what containerd no longer knows goes by force.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sampan.base.clock import RealClock
from sampan.base.log import logger
from sampan.base.processes import ProcessRecord, process_start_time, terminate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.cmd.node import NodeLayout

log = logger("down")

_GRACE_SECONDS = 2
"""Pods get this long to end by themselves; `down` is not a drain."""
_CGROUPS = Path("/sys/fs/cgroup")


async def remove_pods(node: NodeLayout) -> None:
    """Stop and remove every sandbox of the node through containerd, if that answers."""
    from sampan.kubelet.cri import CRIRuntime  # noqa: PLC0415 - grpc takes a tenth of a second
    from sampan.kubelet.runtime import RuntimeFault  # noqa: PLC0415

    record = ProcessRecord.load(node.run / "containerd.json")
    if record is None or not record.alive or not node.containerd_socket.exists():
        return
    runtime = CRIRuntime(str(node.containerd_socket), RealClock())

    async def remove(sandbox_id: str, containers: list[str]) -> None:
        await asyncio.gather(*(runtime.stop_container(one, seconds=_GRACE_SECONDS) for one in containers))
        await runtime.stop_sandbox(sandbox_id)
        await runtime.remove_sandbox(sandbox_id)

    try:
        containers: dict[str, list[str]] = {}
        for container in await runtime.list_containers():
            containers.setdefault(container.sandbox_id, []).append(container.id)
        sandboxes = await runtime.list_sandboxes()
        results = await asyncio.gather(
            *(remove(one.id, containers.get(one.id, [])) for one in sandboxes), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                log.warning("Could not remove a sandbox in good order", error=result)
    except RuntimeFault as error:
        log.warning("containerd did not answer, removing containers by force", error=error)
    finally:
        await runtime.close()


async def remove_host_objects(node: NodeLayout) -> None:
    """Remove shims, mounts, cgroups, interfaces, nftables tables and runtime state of the node."""
    for pid in list(_shims(node)):
        if (start := process_start_time(pid)) is not None:
            await _end_tree(ProcessRecord(pid, start, []))
    _unmount_below(node.state, node.root)
    _remove_cgroups(node.cgroup_parent.strip("/"))
    await _remove_network(node)
    shutil.rmtree(node.state, ignore_errors=True)
    node.record_file.unlink(missing_ok=True)


def _shims(node: NodeLayout) -> Iterator[int]:
    """containerd-shim processes whose containerd was ours: its socket is in their arguments."""
    address = str(node.containerd_socket).encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"containerd-shim" in arguments[0] and any(one.startswith(address) for one in arguments):
            yield int(entry.name)


async def _end_tree(shim: ProcessRecord) -> None:
    """Kill a shim's containers, then the shim."""
    for child in _children(shim.pid):
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    await terminate(shim, seconds=1)


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _unmount_below(*roots: Path) -> None:
    """Unmount everything mounted under the roots, innermost first, lazily where it is busy."""
    prefixes = tuple(f"{root}/" for root in roots)
    points = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        point = line.split()[1].encode().decode("unicode_escape")
        if point.startswith(prefixes):
            points.append(point)
    for point in reversed(points):
        subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)  # noqa: S603, S607


def _remove_cgroups(name: str) -> None:
    """Remove the node's cgroup in every hierarchy, killing what still runs there."""
    candidates = [_CGROUPS / name, *(_CGROUPS.glob(f"*/{name}"))]
    for top in candidates:
        if not top.is_dir():
            continue
        for folder, _, _ in os.walk(top, topdown=False):
            for pid in _pids(Path(folder) / "cgroup.procs"):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with suppress(OSError):
                Path(folder).rmdir()


def _pids(file: Path) -> list[int]:
    try:
        return [int(one) for one in file.read_text().split()]
    except OSError:
        return []


async def _remove_network(node: NodeLayout) -> None:
    from sampan.proxy.leftovers import remove_pod_network, remove_service_tables  # noqa: PLC0415 - netlink is large

    await remove_pod_network(node.table, (node.bridge, node.dummy, node.vxlan))
    await remove_service_tables(node.table)
