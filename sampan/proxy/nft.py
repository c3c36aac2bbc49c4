"""The `nft` program: one atomic transaction on its standard input."""

from __future__ import annotations

import asyncio

from sampan.base.errors import SampanError
from sampan.base.tasks import shielded


class NftError(SampanError):
    """nft refused a transaction, which then changed nothing; the message is nft's."""


async def apply(transaction: str) -> None:
    """Apply a transaction as a whole. Raises NftError, and FileNotFoundError when nft is not installed.

    Cancellation does not tear a running transaction: it is waited for (it takes milliseconds).
    """
    await shielded(_run(transaction), seconds=60)


async def _run(text: str) -> None:
    process = await asyncio.create_subprocess_exec(
        "nft",
        "-f",
        "-",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate(text.encode())
    if process.returncode:
        raise NftError(errors.decode(errors="replace").strip()[:2000])
