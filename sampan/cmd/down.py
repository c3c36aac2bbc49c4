"""`sampan down`: stop everything and leave nothing behind on the host; data is kept unless --purge.

Works from records on disk, whoever is still alive: supervisor gone, agent gone, containerd killed. Order: supervisor
and agent (so that nobody restarts pods), the pods through containerd, containerd, server and registry, then whatever
of mounts, shims, cgroups, interfaces and nftables tables carries this node's name.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from sampan.base.processes import ProcessRecord, terminate, wait_exit
from sampan.cmd import leftovers
from sampan.cmd.cli import data_dir_option, option
from sampan.cmd.node import NodeLayout
from sampan.cmd.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

    from sampan.cmd.cluster import ClusterDirectory

_STOP_SECONDS = 10.0


@click.command()
@data_dir_option
@option("--purge", is_flag=True, help="Remove the cluster's data as well: objects, images, volumes, keys.")
def down(directory: ClusterDirectory, *, purge: bool) -> None:
    """Stop a cluster (or a node that joined one) and remove what it made on this host."""
    if not directory.root.exists():
        click.echo(f"nothing runs in {directory.root}")
        return
    with directory.locked("sampan down"):
        asyncio.run(_stop(directory))
    if purge:
        shutil.rmtree(directory.root)
        click.echo(f"removed {directory.root}")
    else:
        click.echo(f"data kept in {directory.root}; `sampan up` starts it again, `sampan down --purge` removes it")


async def _stop(directory: ClusterDirectory) -> None:
    progress = Progress()
    supervisor = ProcessRecord.load(directory.run / "supervisor.json")
    if supervisor is not None and supervisor.alive:
        with progress.step("supervisor"):
            await _release(supervisor)
    (directory.run / "supervisor.json").unlink(missing_ok=True)
    with progress.step("agent"):
        await _end(directory.run / "agent.json")
        for node in (NodeLayout(directory.agent), NodeLayout(directory.root)):
            await _end(node.run / "agent.json")
    if (directory.run / "simulate.json").exists():
        with progress.step("simulated nodes"):
            await _end(directory.run / "simulate.json")
    for node in (NodeLayout(directory.agent), NodeLayout(directory.root)):
        if node.record_file.exists():
            with progress.step("pods"):
                await leftovers.remove_pods(node)
            with progress.step("containerd"):
                await _end(node.run / "containerd.json")
    with progress.step("server and registry"):
        await asyncio.gather(
            *(_end(directory.run / f"{name}.json") for name in ("server", "registry", "node-registry"))
        )
    if os.geteuid() == 0:  # without root there was never a node
        with progress.step("network, mounts and cgroups"):
            for node in (NodeLayout(directory.agent), NodeLayout(directory.root)):
                await leftovers.remove_host_objects(node)
    with suppress(OSError):
        shutil.rmtree(directory.host_state)


async def _release(supervisor: ProcessRecord) -> None:
    """End the supervisor alone: what it supervises is ended in our order."""
    with suppress(ProcessLookupError):
        os.kill(supervisor.pid, signal.SIGUSR2)
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await wait_exit(supervisor.pid)
    except TimeoutError:
        await terminate(supervisor, seconds=0)


async def _end(record_file: Path) -> None:
    if (record := ProcessRecord.load(record_file)) is not None:
        await terminate(record, seconds=_STOP_SECONDS)
    record_file.unlink(missing_ok=True)
