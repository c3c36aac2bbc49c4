"""Removing a pod's logs."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def remove_logs(directory: Path) -> None:
    """Remove a pod's log directory. Idempotent."""
    shutil.rmtree(directory, ignore_errors=True)
