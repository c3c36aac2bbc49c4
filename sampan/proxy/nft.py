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
    await shielded(_run(("-f", "-"), transaction), seconds=60)


async def read(*arguments: str) -> str:
    """Return what nft prints. Raises NftError when it fails, as for a chain that is not there."""
    return await _run(arguments, "")


async def _run(arguments: Sequence[str], text: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "nft",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate(text.encode())
    if process.returncode:
        raise NftError(errors.decode(errors="replace").strip()[:2000])
    return output.decode(errors="replace")
