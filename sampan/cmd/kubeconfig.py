"""`sampan kubeconfig`: where the administrator's kubeconfig lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sampan.cmd.cli import data_dir_option
from sampan.cmd.cluster import ClusterError

if TYPE_CHECKING:
    from sampan.cmd.cluster import ClusterDirectory


@click.command()
@data_dir_option
def kubeconfig(directory: ClusterDirectory) -> None:
    """Print the path of the administrator's kubeconfig."""
    directory.require()
    if not directory.kubeconfig.exists():
        raise ClusterError(f"{directory.kubeconfig} is not there; `sampan up --data-dir {directory.root}` writes it")
    click.echo(directory.kubeconfig)
