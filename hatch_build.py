"""Hatchling's hook: compile the facts into data files whenever the package is built or installed in editable mode."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class FactsHook(BuildHookInterface[Any]):
    """Runs `facts/compile.py` before files are collected; an sdist ships the facts themselves instead."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        if self.target_name != "wheel":
            return
        sys.path.insert(0, str(Path(self.root) / "facts"))
        try:
            import compile as facts  # noqa: PLC0415  facts/compile.py, only importable from here

            facts.compile_facts(Path(self.root) / "sampan" / "api" / "schema" / "_data")
        finally:
            sys.path.pop(0)
