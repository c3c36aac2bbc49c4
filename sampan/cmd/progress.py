"""Progress on a terminal: one line a step, with its time; plain lines where there is no terminal."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator


class Progress:
    """Prints steps as they begin and end."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Show a step for as long as the body runs; the line keeps its outcome and seconds."""
        if self._terminal:
            click.echo(f"  …  {name}", nl=False)
        began = time.monotonic()
        try:
            yield
        except BaseException:
            self._end("FAIL", name, began)
            raise
        self._end("ok", name, began)

    def _end(self, mark: str, name: str, began: float) -> None:
        line = f"{mark:>4}  {name:32} {time.monotonic() - began:6.2f} s"
        click.echo(f"\r{line}" if self._terminal else line)
