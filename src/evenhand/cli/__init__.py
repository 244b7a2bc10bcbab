"""The commands: one file each, imported when its command is called.

A command's file defines `COMMAND`, a `click.Command`, and imports nothing heavy at the top.
Exit codes: 0 done; 1 a bug of ours (traceback); 2 the input or the call is wrong; 3 a gate that was asked for
failed; 130 interrupted.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import TextIO

import click

from evenhand import registry
from evenhand.errors import InputError, MissingExtraError, nearest

WRONG_CALL = 2
INTERRUPTED = 130

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class _Commands(click.Group):
    """The files of this folder as commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name.replace("_", "-") for name in registry.names("evenhand.cli")]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = registry.load("evenhand.cli", cmd_name.replace("-", "_")).COMMAND
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"there is no command {args[0]!r}: {nearest(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from evenhand._version import __version__  # noqa: PLC0415

        click.echo(f"evenhand {__version__}")
        ctx.exit()


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version.",
)
def _evenhand() -> None:
    """Does an adaptation method hurt a subgroup? Paired audits: harm, harmless, help or undecided."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: words of the command line; None takes those of this process.

    Returns:
        The exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        code = _evenhand.main(arguments, prog_name="evenhand", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return WRONG_CALL
    except click.ClickException as error:
        return _refuse([error.format_message()], getattr(error, "ctx", None))
    except InputError as error:
        return _refuse(error.complaints)
    except MissingExtraError as error:
        return _refuse([str(error)])
    except (click.Abort, KeyboardInterrupt):
        click.echo("evenhand: interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        hush(sys.stdout)
        return 0
    return code if isinstance(code, int) else 0


def hush(stream: TextIO) -> None:
    """Send the rest of a stream nowhere: its reader has gone, and that is no error."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):
        return


def _refuse(complaints: Sequence[str], context: click.Context | None = None) -> int:
    """Print all complaints as one paragraph on standard error."""
    told = [_CONTROL.sub("�", complaint) for complaint in complaints]
    path = context.command_path if context else "evenhand"
    lead = f"{path}: " if len(told) == 1 else f"{path}: {len(told)} problems\n  - "
    click.echo(lead + "\n  - ".join(told), err=True)
    if context is not None:
        click.echo(f"  ({path} --help lists all options)", err=True)
    return WRONG_CALL
