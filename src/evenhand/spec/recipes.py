"""Study files that come with the package."""

from __future__ import annotations

from pathlib import Path

from evenhand.errors import SpecError
from evenhand.spec.wording import guessed

FOLDER = Path(__file__).resolve().parents[1] / "recipes"


def recipe_names() -> tuple[str, ...]:
    """Names of all recipes, sorted; those in folders as `folder/name`."""
    return tuple(sorted(p.relative_to(FOLDER).with_suffix("").as_posix() for p in FOLDER.rglob("*.yaml")))


def recipe_path(name: str) -> Path:
    """The file of a recipe.

    Raises:
        SpecError: there is none of this name.
    """
    names = recipe_names()
    if name not in names:
        raise SpecError(f"there is no recipe {name!r}. {guessed(name, names)}")
    return FOLDER / f"{name}.yaml"


def describe(name: str) -> str:
    """What a recipe shows: the first line of its opening comment."""
    first = recipe_path(name).read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def find(source: str | Path) -> Path:
    """The file that is meant: the file itself, or else the recipe of this name.

    Raises:
        SpecError: there is neither.
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
    missing = f"{source or 'study'}: there is no such file, and no recipe of this name."
    raise SpecError(f"{missing} {guessed(str(source), names)}")
