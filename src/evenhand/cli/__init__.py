"""The commands: one file per command, imported when the command is called.

A command's file defines `COMMAND`, a `click.Command`, and imports nothing heavy at the top.
Exit codes: 0 success; 1 a bug in evenhand (with a traceback), or failed runs; 2 the input or the call is
wrong; 3 the gate of --fail-on failed; 130 interrupted.
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
    """A group whose commands are the files of this folder."""

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
            ctx.fail(f"unknown command {args[0]!r}; {nearest(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


def _show_version(ctx: click.Context, _: click.Parameter, requested: bool) -> None:
    if requested and not ctx.resilient_parsing:
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
    help="Show the version and exit.",
)
def _evenhand() -> None:
    """Find out whether a fine-tuning method harms a subgroup.

    Each method is compared with a reference on the same examples, by group. A comparison is judged as harm,
    harmless, help or undecided.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: words of the command line; None uses those of this process.

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
        silence(sys.stdout)
        return 0
    return code if isinstance(code, int) else 0


def silence(stream: TextIO) -> None:
    """Discard further output to a stream whose reader has closed it; this is not an error."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):
        return


def _refuse(complaints: Sequence[str], context: click.Context | None = None) -> int:
    """Print all complaints as one paragraph on standard error."""
    lines = [_CONTROL.sub("�", complaint) for complaint in complaints]
    path = context.command_path if context else "evenhand"
    lead = f"{path}: " if len(lines) == 1 else f"{path}: {len(lines)} problems\n  - "
    click.echo(lead + "\n  - ".join(lines), err=True)
    if context is not None:
        click.echo(f"  ({path} --help lists all options)", err=True)
    return WRONG_CALL
