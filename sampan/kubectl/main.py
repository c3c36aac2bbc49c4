"""The entry point of `sampan kubectl`: finds the command, parses its flags, runs it, prints errors as kubectl does."""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import TYPE_CHECKING, Any

from sampan.api.errors import APIStatusError
from sampan.base.errors import SampanError
from sampan.kubectl.errors import KubectlError, render_status_error
from sampan.kubectl.flags import parse
from sampan.kubectl.session import GLOBAL_FLAGS, Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.kubectl.command import Command
    from sampan.kubectl.flags import Flag

COMMANDS: dict[str, str] = {
    "annotate": "sampan.kubectl.metadata:ANNOTATE",
    "api-resources": "sampan.kubectl.apiresources:API_RESOURCES",
    "api-versions": "sampan.kubectl.apiresources:API_VERSIONS",
    "apply": "sampan.kubectl.apply:APPLY",
    "attach": "sampan.kubectl.attach:ATTACH",
    "auth": "sampan.kubectl.auth:AUTH",
    "cluster-info": "sampan.kubectl.information:CLUSTER_INFO",
    "config": "sampan.kubectl.config:CONFIG",
    "cordon": "sampan.kubectl.nodes:CORDON",
    "create": "sampan.kubectl.create:CREATE",
    "delete": "sampan.kubectl.delete:DELETE",
    "describe": "sampan.kubectl.describe.command:DESCRIBE",
    "events": "sampan.kubectl.events:EVENTS",
    "exec": "sampan.kubectl.execute:EXEC",
    "explain": "sampan.kubectl.explain:EXPLAIN",
    "expose": "sampan.kubectl.expose:EXPOSE",
    "get": "sampan.kubectl.get:GET",
    "label": "sampan.kubectl.metadata:LABEL",
    "logs": "sampan.kubectl.logs:LOGS",
    "patch": "sampan.kubectl.patch:PATCH",
    "port-forward": "sampan.kubectl.portforward:PORT_FORWARD",
    "replace": "sampan.kubectl.patch:REPLACE",
    "rollout": "sampan.kubectl.rollout:ROLLOUT",
    "run": "sampan.kubectl.run:RUN",
    "scale": "sampan.kubectl.scale:SCALE",
    "taint": "sampan.kubectl.nodes:TAINT",
    "uncordon": "sampan.kubectl.nodes:UNCORDON",
    "version": "sampan.kubectl.information:VERSION",
    "wait": "sampan.kubectl.wait:WAIT",
}
"""Command name -> module:attribute of its `Command`; subcommands hang on their parent."""


def main(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        return asyncio.run(_run(list(arguments)))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 141
    except KubectlError as error:
        if text := error.render():
            print(text, file=sys.stderr)
        return error.code
    except APIStatusError as error:
        print(render_status_error(error), file=sys.stderr)
        return 1
    except (SampanError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


async def _run(arguments: list[str]) -> int:
    command, path, rest = find_command(arguments)
    if command is None:
        return _usage(arguments)
    if any(one in ("-h", "--help") for one in rest[: rest.index("--") if "--" in rest else None]):
        print(command.help(path))
        return 0
    values, positional, dash = parse(rest, _flags_of(command), path)
    session = Session(values, path)
    try:
        result = await command.run(session, positional, dash)
    finally:
        await session.close()
    if values.warnings_as_errors and session.warned:
        count = len(session.warned)
        raise KubectlError(f"{count} warning{'s' if count > 1 else ''} received")
    return result or 0


def _flags_of(command: Command) -> list[Flag]:
    """The command's flags, and the global ones that it does not redefine."""
    own = {flag.name for flag in command.flags}
    letters = {flag.short for flag in command.flags}
    return [
        *command.flags,
        *(one for one in GLOBAL_FLAGS if one.name not in own and (not one.short or one.short not in letters)),
    ]


def find_command(arguments: list[str]) -> tuple[Command | None, str, list[str]]:
    """Find the (sub)command: (command, its full name, the other arguments). Flags may come before the command."""
    rest, path = list(arguments), "kubectl"
    command: Any = None
    table: Any = COMMANDS
    while table:
        index = _first_word(rest)
        if index is None or (found := table.get(rest[index])) is None:
            break
        path = f"{path} {rest.pop(index)}"
        command = _load(found) if isinstance(found, str) else found
        path = path.rpartition(" ")[0] + f" {command.name}"
        table = command.subcommands
    return command, path, rest


def _first_word(arguments: list[str]) -> int | None:
    """The first argument that is no flag and no global flag's value."""
    valued = {f"--{flag.name}" for flag in GLOBAL_FLAGS if flag.kind != "bool"}
    valued |= {f"-{flag.short}" for flag in GLOBAL_FLAGS if flag.short and flag.kind != "bool"}
    skip = False
    for index, argument in enumerate(arguments):
        if skip:
            skip = False
        elif argument == "--":
            return None
        elif argument in valued:
            skip = True
        elif not argument.startswith("-"):
            return index
    return None


def _load(place: str) -> Command:
    module, _, attribute = place.partition(":")
    command: Command = getattr(importlib.import_module(module), attribute)
    return command


def _usage(arguments: list[str]) -> int:
    index = _first_word(arguments)
    if index is None:
        print("kubectl controls the Kubernetes cluster manager.\n\nCommands:")
        for name in sorted(set(COMMANDS)):
            print(f"  {name:16} {_load(COMMANDS[name]).short}")
        return 0
    print(f'error: unknown command "{arguments[index]}" for "kubectl"', file=sys.stderr)
    return 1
