"""`sampan token`: join tokens for further nodes."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING

import click

from sampan.api.errors import NotFound
from sampan.cmd.api import SECRETS, AdminAPI
from sampan.cmd.cli import data_dir_option, option
from sampan.cmd.cluster import ClusterError

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.cmd.cluster import ClusterDirectory

_TYPE = "bootstrap.kubernetes.io/token"


@click.group()
def token() -> None:
    """Create, list and delete the tokens with which nodes join."""


@token.command()
@data_dir_option
@option("--ttl", default=24, help="Hours until the token ends; 0 for never.")
@option("--description", default="", help="What the token is for.")
def create(directory: ClusterDirectory, ttl: int, description: str) -> None:
    """Print a new join token: write it to a file and give that to `sampan agent --token-file`."""
    directory.require()

    async def run() -> str:
        async with AdminAPI(directory.kubeconfig) as admin:
            return await admin.create_join_token(ttl_seconds=ttl * 3600, description=description)

    click.echo(asyncio.run(run()))


@token.command("list")
@data_dir_option
def list_tokens(directory: ClusterDirectory) -> None:
    """List tokens, without their secrets."""
    directory.require()

    async def run() -> list[Object]:
        async with AdminAPI(directory.kubeconfig) as admin:
            secrets = await admin.resource(SECRETS, "kube-system")
            listing = await secrets.list(field_selector=f"type={_TYPE}")
            return [item.object for item in listing.items]

    click.echo(f"{'TOKEN ID':10} {'EXPIRES':22} DESCRIPTION")
    for secret in asyncio.run(run()):
        data = {key: base64.b64decode(value).decode() for key, value in secret.get("data", {}).items()}
        click.echo(f"{data.get('token-id', ''):10} {data.get('expiration', 'never'):22} {data.get('description', '')}")


@token.command()
@data_dir_option
@click.argument("identity")
def delete(directory: ClusterDirectory, identity: str) -> None:
    """Delete a token by its id, the six characters before the dot."""
    directory.require()
    name = f"bootstrap-token-{identity.partition('.')[0]}"

    async def run() -> None:
        async with AdminAPI(directory.kubeconfig) as admin:
            await (await admin.resource(SECRETS, "kube-system")).delete(name)

    try:
        asyncio.run(run())
    except NotFound:
        raise ClusterError(f"no token {identity}; `sampan token list` shows those there are") from None
    click.echo(f"deleted {identity}")
