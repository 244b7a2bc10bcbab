"""`evenhand show`: show the facts of a study, a run or a plug-in."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from evenhand.cli.lib.studies import print_faults, resolve_path
from evenhand.errors import CallError, InputError, nearest

if TYPE_CHECKING:
    from evenhand.store.folder import StudyFolder

_EXAMPLES = """\b
Examples:
  evenhand show evenhand-runs/text
  evenhand show evenhand-runs/text/runs/1-0f3c9a7be2d15c36
  evenhand show lora"""


@click.command("show", epilog=_EXAMPLES, short_help="Show a study, a run or a plug-in.")
@click.argument("what", metavar="DIR|RUN|NAME")
def COMMAND(what: str) -> None:
    """Show the study or the run in a folder (with the traceback of a failed run), or describe a plug-in."""
    from evenhand.store.folder import StudyFolder  # noqa: PLC0415
    from evenhand.store.runs import RECORD  # noqa: PLC0415

    path = resolve_path(what)
    try:
        run, study, folder = (path / RECORD).is_file(), StudyFolder(path).study.is_file(), path.is_dir()
    except OSError as error:
        raise CallError(f"{what}: cannot be read ({error.strerror or error}).") from None
    if run:
        _show_run(path / RECORD)
    elif study:
        _show_study(StudyFolder(path))
    elif folder:
        raise CallError(f"{what}: this folder contains neither a study nor a run that has ended.")
    elif path.is_file():
        raise CallError(
            f"{what}: this is a file; give the folder of a study or of a run, or the name of a plug-in."
        )
    else:
        _show_plugins(what)


def _show_run(path: Path) -> None:
    """Print the record of a run, missing files of its saved model, and its traceback at the end."""
    from evenhand.store import saved  # noqa: PLC0415
    from evenhand.store.runs import SAVED  # noqa: PLC0415

    try:
        record = json.loads(path.read_bytes())
    except OSError as error:
        raise CallError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except ValueError as error:
        raise CallError(f"{path}: cannot be read ({error}).") from None
    if not isinstance(record, dict):
        raise CallError(f"{path}: not the record of a run.")
    traceback = record.pop("error", None)
    _print_facts(record)
    if lost := saved.find_missing(path.parent, record.get(SAVED)):
        click.echo(f"Files of its saved model are missing: {lost}", err=True)
    if fault := saved.find_damage(path.parent, record.get(SAVED)):
        click.echo(f"This run is corrupt: {fault}", err=True)
    if traceback:
        click.echo(f"\n{traceback.rstrip()}")


def _show_study(folder: StudyFolder) -> None:
    """Print the study, its rows, its verdict if it has one, and damaged runs."""
    from evenhand.study.data import sizes  # noqa: PLC0415
    from evenhand.study.results.status import read_status  # noqa: PLC0415

    study, data = folder.read_study(), folder.read_data()
    parts = sizes(data)
    facts = {key: value for key, value in data.items() if key not in {"parts", "splits"}}
    _print_facts({"study": study, "rows": {**facts, "parts": parts}})
    if folder.result.is_file():
        verdict = json.loads(folder.result.read_bytes())["verdict"]
        click.echo(f"\n{verdict['sentence']}")
    try:
        print_faults(read_status(folder))
    except InputError:  # a plug-in that the study names is not installed: show the stored facts anyway
        return


def _show_plugins(name: str) -> None:
    from evenhand.cli.lib.plugins import every_name, find  # noqa: PLC0415

    plugins = find(name)
    if not plugins:
        raise CallError(f"{name}: neither a folder nor a plug-in; {nearest(name, every_name())}")
    for kind, module in plugins:
        click.echo(f"{name} (one of the {kind})")
        click.echo(f"  {(inspect.getdoc(module) or '').splitlines()[0]}")
        info = dataclasses.asdict(module.INFO)
        _print_facts({k: v for k, v in info.items() if v not in ("", (), None)}, indent=2)
        _print_options(module)


def _print_options(module: ModuleType) -> None:
    """Print the fields of a plug-in's `Config` with their defaults."""
    config = getattr(module, "Config", None)
    if config is None:
        return
    click.echo("  options:")
    for name, field in config.model_fields.items():
        default = "required" if field.is_required() else repr(field.get_default(call_default_factory=True))
        click.echo(f"    {name}: {default}")


def _print_facts(facts: Mapping[str, Any], indent: int = 0) -> None:
    """Print nested facts, one per line."""
    for key, value in facts.items():
        if isinstance(value, Mapping) and value:
            click.echo(f"{' ' * indent}{key}:")
            _print_facts(value, indent + 2)
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            click.echo(f"{' ' * indent}{key}: {text}")
