from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.unit.kubelet.fakes import FakeNode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[FakeNode]:
    async with asyncio.TaskGroup() as group:
        fake = FakeNode(tmp_path, group)
        yield fake
        await fake.close()
