"""`sampan logs`: the logs of sampan's own processes."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from typing import TYPE_CHECKING

import click

from sampan.cmd.cli import data_dir_option, option
from sampan.cmd.cluster import ClusterError

if TYPE_CHECKING:
    from pathlib import Path

    from sampan.cmd.cluster import ClusterDirectory

_COMPONENTS = ("supervisor", "server", "agent", "containerd", "registry", "simulate")
_FOLLOW_SECONDS = 0.2


@click.command()
@click.argument("components", nargs=-1, type=click.Choice(_COMPONENTS))
@data_dir_option
@option("--tail", "lines", default=100, help="Lines of each log, from its end; 0 for all.")
@click.option("-f", "--follow", is_flag=True, help="Go on as lines are written, until Ctrl-C.")
def logs(components: tuple[str, ...], directory: ClusterDirectory, lines: int, *, follow: bool) -> None:
    """Print the logs of sampan's own processes (all, or those named)."""
    directory.require()
    paths = {name: _log_file(directory, name) for name in components or _COMPONENTS}
    present = {name: path for name, path in paths.items() if path.exists()}
    if not present:
        raise ClusterError(f"nothing has been logged yet under {directory.root}")
    offsets = {}
    for name, path in present.items():
        offsets[name] = _print_tail(path, f"{name} | " if len(present) > 1 else "", lines)
    while follow:
        time.sleep(_FOLLOW_SECONDS)
        for name, path in present.items():
            offsets[name] = _print_new(path, f"{name} | " if len(present) > 1 else "", offsets[name])


def _log_file(directory: ClusterDirectory, name: str) -> Path:
    return (directory.agent if name == "containerd" else directory.root) / "logs" / f"{name}.log"


def _print_tail(path: Path, prefix: str, lines: int) -> int:
    with path.open("rb") as file:
        kept = deque(file, maxlen=lines or None)
        offset = file.tell()
    for line in kept:
        _write(prefix, line)
    return offset


def _print_new(path: Path, prefix: str, offset: int) -> int:
    try:
        size = os.stat(path).st_size  # noqa: PTH116
    except FileNotFoundError:
        return 0
    if size < offset:  # the log was rotated
        offset = 0
    if size == offset:
        return offset
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            _write(prefix, line)
        return file.tell()


def _write(prefix: str, line: bytes) -> None:
    sys.stdout.write(prefix + line.decode(errors="replace").rstrip("\n") + "\n")
    sys.stdout.flush()
