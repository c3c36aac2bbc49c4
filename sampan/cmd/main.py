"""The entry point ``sampan``: picks the command, imports only what it needs, turns errors into one line.

`sampan kubectl` bypasses click: it has kubectl's own flag syntax, and must start in a few hundredths of a second.
"""

from __future__ import annotations

import os
import sys

COMMANDS = {
    "up": "sampan.cmd.up:up",
    "down": "sampan.cmd.down:down",
    "status": "sampan.cmd.status:status",
    "doctor": "sampan.cmd.doctor:doctor",
    "run": "sampan.cmd.run:run",
    "server": "sampan.cmd.server:server",
    "agent": "sampan.cmd.agent:agent",
    "simulate": "sampan.cmd.simulate:simulate",
    "token": "sampan.cmd.token:token",
    "image": "sampan.cmd.image:image",
    "kubeconfig": "sampan.cmd.kubeconfig:kubeconfig",
    "env": "sampan.cmd.env:env",
    "logs": "sampan.cmd.logs:logs",
}
"""Commands in the order of their help."""


def main() -> None:
    """Run the command line and exit."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["kubectl"] or os.path.basename(sys.argv[0]) == "kubectl":  # noqa: PTH119 - pathlib costs start-up
        from sampan.kubectl.main import main as kubectl  # noqa: PLC0415 - start-up time

        sys.exit(kubectl(arguments[1:] if arguments[:1] == ["kubectl"] else arguments))
    from sampan.cmd.cli import run_cli  # noqa: PLC0415 - start-up time

    sys.exit(run_cli(arguments))


if __name__ == "__main__":
    main()
