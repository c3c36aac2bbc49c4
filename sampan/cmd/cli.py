"""The click group behind ``sampan``: lazy subcommands, shared options, errors as one line.

Every option has an environment variable, ``SAMPAN_`` and its name in capitals, the same in every command.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

import sampan
from sampan.base.errors import SampanError
from sampan.cmd.cluster import ClusterDirectory, default_data_dir
from sampan.cmd.main import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

F = TypeVar("F", bound="Callable[..., Any]")


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return [*COMMANDS, "kubectl"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name == "kubectl":
            return click.Command("kubectl", help="sampan's own kubectl: kubectl's commands, flags and output.")
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(sampan.__version__, prog_name="sampan")
def cli() -> None:
    """Kubernetes in one Python package: the real API, real containers, one command to start.

    Begin with `sampan up`, then `eval "$(sampan env)"` and `kubectl get nodes`.
    """


def option(name: str, *parameter: str, **settings: Any) -> Callable[[F], F]:
    """Declare a long option whose environment variable is SAMPAN_<NAME>; help is required.

    parameter: the name under which the function takes the value, where it is not the option's own.
    """
    variable = "SAMPAN_" + name.removeprefix("--").partition("/")[0].replace("-", "_").upper()
    assert settings.get("help")
    settings.setdefault("show_default", settings.get("default") not in (None, "", False, ()))
    return click.option(name, *parameter, envvar=variable, show_envvar=True, **settings)


def _directory(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> ClusterDirectory:
    del ctx, parameter
    return ClusterDirectory(value or default_data_dir())


def data_dir_option(function: F) -> F:
    """Add --data-dir, passed on as `directory: ClusterDirectory`."""
    decorate = click.option(
        "--data-dir", "directory", type=click.Path(path_type=Path, file_okay=False), callback=_directory,
        envvar="SAMPAN_DATA_DIR", show_envvar=True,
        help="Where the cluster keeps its data. [default: /var/lib/sampan as root, else ~/.local/share/sampan]",
    )  # fmt: skip
    return decorate(function)


def log_level_option(function: F) -> F:
    """Add --log-level."""
    return option(
        "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info",
        help="How much to log.",
    )(function)  # fmt: skip


def run_cli(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: 0, 1 for an error with its one line on stderr, 2 for wrong usage."""
    try:
        result = cli.main(args=list(arguments), prog_name="sampan", standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0
    except SampanError as error:
        click.echo(f"sampan: {error}", err=True)
        return 1
    except PermissionError as error:
        click.echo(f"sampan: {error.strerror}: {error.filename}; try again as root", err=True)
        return 1
    except OSError as error:
        click.echo(f"sampan: {error}", err=True)
        return 1
    return result if isinstance(result, int) else 0
