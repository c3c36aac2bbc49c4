"""The `nft` program: one atomic transaction on its standard input."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sampan.base.errors import SampanError
from sampan.base.tasks import shielded

if TYPE_CHECKING:
    from collections.abc import Sequence


class NftError(SampanError):
    """nft refused a transaction, which then changed nothing; the message is nft's."""


async def apply(transaction: str) -> None:
    """Apply a transaction as a whole. Raises NftError, and FileNotFoundError when nft is not installed.

    Cancellation does not tear a running transaction: it is waited for (it takes milliseconds).
    """
    await shielded(_run(("-f", "-"), transaction), seconds=30)


async def is_chain(family: str, table: str, chain: str) -> bool:
    """Tell whether the kernel has a chain."""
    try:
        await _run(("list", "chain", family, table, chain), "")
    except NftError:
        return False
    return True


async def _run(arguments: Sequence[str], text: str) -> None:
    process = await asyncio.create_subprocess_exec(
        "nft",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate(text.encode())
    if process.returncode:
        raise NftError(errors.decode(errors="replace").strip()[:2000])
