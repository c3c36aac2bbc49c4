"""`sampan doctor`: each prerequisite, whether it is there, and the command that mends it."""

from __future__ import annotations

import click

from sampan.cmd.cli import data_dir_option
from sampan.cmd.cluster import ClusterDirectory, is_port_free
from sampan.cmd.prerequisites import Check, check_all


@click.command()
@data_dir_option
def doctor(directory: ClusterDirectory) -> int:
    """Check what this machine has and lacks; exit 1 when something required is missing."""
    checks = [*check_all(directory.root), *_ports(directory)]
    for check in checks:
        mark = "ok" if check.ok else ("missing" if check.required else "warning")
        click.echo(f"{mark:8} {check.name:24} {check.found}")
        if check.cure:
            click.echo(f"{'':8} {'':24} -> {check.cure}")
    return 1 if any(check.required and not check.ok for check in checks) else 0


def _ports(directory: ClusterDirectory) -> list[Check]:
    """Ports of a recorded cluster that is not running: somebody else may have taken them."""
    config = directory.load()
    if config is None or any(directory.run.glob("*.json")):
        return []
    ports = {"API port": config.secure_port}
    if config.nodes:
        ports |= {"kubelet port": config.kubelet_port, "registry port": config.registry_port}
    return [
        Check(
            name=name, ok=is_port_free(port), found=str(port),
            cure="" if is_port_free(port) else f"see who listens: ss -ltnp sport = :{port}",
        )
        for name, port in ports.items()
    ]  # fmt: skip
