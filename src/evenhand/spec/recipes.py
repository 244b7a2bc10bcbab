"""Recipes: study files in the package."""

from __future__ import annotations

from pathlib import Path

from evenhand.errors import SpecError
from evenhand.spec.wording import suggestion

FOLDER = Path(__file__).resolve().parents[1] / "recipes"


def recipe_names() -> tuple[str, ...]:
    """List the names of all recipes, sorted; those in folders as `folder/name`."""
    return tuple(sorted(p.relative_to(FOLDER).with_suffix("").as_posix() for p in FOLDER.rglob("*.yaml")))


def recipe_path(name: str) -> Path:
    """Return the file of a recipe.

    Raises:
        SpecError: no recipe has this name.
    """
    names = recipe_names()
    if name not in names:
        raise SpecError(f"unknown recipe {name!r}. {suggestion(name, names)}")
    return FOLDER / f"{name}.yaml"


def describe_recipe(name: str) -> str:
    """Return a recipe's description: the first line of its opening comment."""
    first = recipe_path(name).read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def locate_study_file(source: str | Path) -> Path:
    """Return the study file for a path or the name of a recipe; an existing file has priority.

    Raises:
        SpecError: neither a file nor a recipe was found.
    """
    names = recipe_names()
    try:
        path = Path(source)
        if path.is_file():
            return path
        if str(source) and path.is_dir():
            raise SpecError(f"{source}: this is a folder; give a study file or the name of a recipe.")
    except (OSError, ValueError):
        pass
    if str(source) in names:
        return recipe_path(str(source))
    missing = f"{source or 'study'}: no file and no recipe of this name was found."
    raise SpecError(f"{missing} {suggestion(str(source), names)}")
