"""A pytest fixture: ``pytest_plugins = ["sampan.testing.plugin"]`` gives every test a `cluster` of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from sampan.testing.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest_asyncio.fixture
async def cluster() -> AsyncIterator[Cluster]:
    """Start a control plane in this process; it ends with the test."""
    async with Cluster() as started:
        yield started
