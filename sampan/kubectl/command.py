"""A command: its name, flags and what it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sampan.kubectl.flags import Flag
    from sampan.kubectl.session import Session

Run = Callable[["Session", list[str], int], Awaitable["int | None"]]
"""(session, positional arguments, how many of them stood before ``--`` or -1) -> exit code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command. usage: what follows its name, e.g. ``(TYPE NAME | TYPE/NAME)``."""

    name: str
    short: str
    run: Run
    usage: str = ""
    flags: Sequence[Flag] = ()
    subcommands: Mapping[str, Command] = field(default_factory=dict)

    def help(self, path: str) -> str:
        """The text of --help: ours, not kubectl's."""
        lines = [self.short, "", "Usage:", f"  {path} {self.usage}".rstrip()]
        if self.subcommands:
            lines += ["", "Commands:"]
            lines += [f"  {name:16} {one.short}" for name, one in self.subcommands.items()]
        if self.flags:
            lines += ["", "Options:"]
            for flag in sorted(self.flags, key=lambda one: one.name):
                short = f"-{flag.short}, " if flag.short else "    "
                lines.append(f"  {short}--{flag.name:24} {flag.help}")
        return "\n".join(lines)
