"""`sampan env`: the shell lines that make `kubectl` talk to this cluster."""

from __future__ import annotations

import shlex
import shutil
import sys
from typing import TYPE_CHECKING

import click

from sampan.cmd.cli import data_dir_option, option

if TYPE_CHECKING:
    from pathlib import Path

    from sampan.cmd.cluster import ClusterDirectory


@click.command()
@data_dir_option
@option("--shim", is_flag=True, help="Put sampan's own kubectl first on the PATH even where kubectl is installed.")
def env(directory: ClusterDirectory, *, shim: bool) -> None:
    """Print shell lines that set KUBECONFIG, and a kubectl where none is installed: eval "$(sampan env)"."""
    directory.require()
    click.echo(f"export KUBECONFIG={shlex.quote(str(directory.kubeconfig))}")
    folder = _write_shims(directory.root / "bin")
    if shim or shutil.which("kubectl") is None:
        click.echo(f'export PATH={shlex.quote(str(folder))}:"$PATH"')
    elif shutil.which("sampan") is None:
        click.echo(f'export PATH="$PATH":{shlex.quote(str(folder))}')


def _write_shims(folder: Path) -> Path:
    """Write `kubectl` and `sampan` scripts that run this very installation."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    for name, arguments in (("kubectl", " kubectl"), ("sampan", "")):
        script = folder / name
        text = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m sampan.cmd.main{arguments} "$@"\n'
        if not script.exists() or script.read_text() != text:
            script.write_text(text)
            script.chmod(0o755)
    return folder
