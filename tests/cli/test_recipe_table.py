"""docs/recipes.md sets the authors' settings beside the recipes': table and recipes say the same.

A section has two tables. In the first a row is a setting, of all recipes of the section or of those that
match the names after `of`; in the second a row is a recipe with the rates and epochs of its methods.
"""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from evenhand.spec.read import read_studies
from evenhand.spec.recipes import recipe_names

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"
PAPER = [name.removeprefix("paper/") for name in recipe_names() if name.startswith("paper/")]
ADAPTERS = ("lora", "head_only")


def study_of(recipe):
    [study] = read_studies(f"paper/{recipe}")
    return study


def loras(study):
    return [arm for arm in study.arms if arm.method == "lora"]


def one_of(values):
    """The values that differ, in their order."""
    return " ".join(
        dict.fromkeys(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
    )


def split(study):
    parts = study.dataset.split
    shares = "/".join(f"{100 * share:g}" for share in (parts.train, parts.validation, parts.test))
    return f"{shares}, {'one per seed' if study.resplit else f'seed {parts.seed}'}"


def alpha(study):
    kinds = [
        "2 x rank" if arm.config.alpha_per_rank == 2 else f"{arm.config.alpha:g}" for arm in loras(study)
    ]
    return " and ".join(dict.fromkeys(kinds))


def fractions(study):
    orders = ", ".join(dict.fromkeys(arm.config.layer_order for arm in loras(study)))
    return f"{one_of(arm.config.layer_fraction for arm in loras(study))}: {orders}"


def rows(study):
    config = study.dataset.config
    return f"targets {config.targets}, duplicates {config.duplicates}"


def margins(study):
    given = study.audit.margin
    return ", ".join(f"{k} {v:g}" for k, v in given.items()) if isinstance(given, dict) else f"{given:g}"


#: What a setting is in a study.
EVERY = {
    "seeds": lambda s: one_of(s.seeds),
    "split": split,
    "batch size": lambda s: str(s.training.batch_size),
    "weight decay": lambda s: f"{s.training.weight_decay:g}",
    "schedule": lambda s: f"cosine, warm-up {s.training.warmup:g}",
    "gradient norm": lambda s: f"{s.training.clip:g}",
    "autocast": lambda s: s.training.precision,
    "LoRA's rank": lambda s: one_of(arm.config.rank for arm in loras(s)),
    "LoRA's alpha": alpha,
    "LoRA's dropout": lambda s: one_of(arm.config.dropout for arm in loras(s)),
    "LoRA's layers": lambda s: one_of("+".join(arm.config.targets) for arm in loras(s)),
}
TEXT = {"max length": lambda s: str(s.training.max_length)}
OF_DATASET = {
    "dlab_hate_speech": {**TEXT, "rows": rows},
    "utkface": {"flip": lambda s: str(s.training.flip).lower()},
    "winomt": {
        **TEXT,
        "prompt": lambda s: s.dataset.config.prompt,
        "new tokens": lambda s: str(s.dataset.config.new_tokens),
    },
    "text_snippets": {
        **TEXT,
        "prompts": lambda s: str(s.dataset.config.bias.templates),
        "snippets": lambda s: str(s.dataset.config.bias.snippets),
        "texts learnt": lambda s: str(round(s.dataset.config.limit * s.dataset.split.train)),
    },
}
OF_PRIVACY = {
    "protocol": lambda s: s.privacy.protocol,
    "attacks": lambda s: one_of(attack.name for attack in s.privacy.attacks),
    "references": lambda s: str(s.privacy.references),
}
OF_EXPERIMENT = {"e4": {"margins": margins}, "e6": OF_PRIVACY, "e8": {"fractions": fractions}}
OF_EXPERIMENT["e5"] = {key: OF_PRIVACY[key] for key in ("protocol", "attacks")}


def cells(line):
    return [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]


def tables():
    """Rows of the settings [(section, setting, patterns, theirs, ours, why)], and rows of the recipes."""
    section, settings, recipes = "", [], {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line.split()[1].rstrip(":").lower()
        if not line.startswith("|") or line.startswith(("| setting", "| recipe", "|---")):
            continue
        found = cells(line)
        if len(found) == 6:
            assert found[0] not in recipes, f"{found[0]} stands in two rows"
            recipes[found[0]] = (section, *found[1:])
        else:
            names = re.search(r" of (`?e\d.*)", found[0])
            setting = found[0].removesuffix(names[0]) if names else found[0]
            patterns = tuple(re.findall(r"[a-z0-9_*]+", names[1] if names else ""))
            settings.append((section, setting, patterns, *found[1:]))
    return settings, recipes


SETTINGS, RECIPES = tables()


def row_of(section, recipe, setting):
    """The row of a setting for a recipe: one that names it goes before one for all."""
    found = [row for row in SETTINGS if row[:2] == (section, setting)]
    named = [row for row in found if any(fnmatch(recipe, pattern) for pattern in row[2])]
    general = [row for row in found if not row[2]]
    chosen = named or general
    assert len(chosen) == 1, f"{recipe}: '{setting}' stands in {len(chosen)} rows of {section}"
    return chosen[0]


def rates(study, methods):
    """Epochs and rate of arms, and what is tried of them; each once."""
    told = []
    for arm in study.arms:
        if arm.method in methods:
            tried = [trial.values["learning_rate"] for trial in arm.trials]
            rate = f"best of {' '.join(map(shown, tried))}" if tried else shown(arm.learning_rate)
            told.append(f"{arm.epochs}, {rate}")
    return " and ".join(dict.fromkeys(told))


def shown(rate):
    digits, _, power = f"{rate:.0e}".partition("e")
    return f"{digits}e{int(power)}"


def test_every_recipe_stands_in_the_table_of_its_experiment():
    assert list(RECIPES) == sorted(PAPER, key=lambda name: (int(name[1:].split("_")[0]), name))
    assert all(name.startswith(f"{row[0]}_") for name, row in RECIPES.items())


@pytest.mark.parametrize("recipe", PAPER)
def test_a_recipe_is_what_its_row_says(recipe):
    study = study_of(recipe)
    section, _, full, _, lora, _ = RECIPES[recipe]
    assert rates(study, ("full",)) == full
    assert rates(study, ADAPTERS) == lora
    wanted = {**EVERY, **OF_DATASET[study.dataset.name], **OF_EXPERIMENT.get(section, {})}
    for setting, value in wanted.items():
        assert value(study) == row_of(section, recipe, setting)[4], f"{recipe}: {setting}"


def test_each_difference_has_its_reason_and_nothing_else_has_one():
    for section, setting, patterns, theirs, ours, why in SETTINGS:
        assert bool(why) == (theirs != ours), f"{section}, {setting} {patterns}: {theirs} | {ours} | {why}"
    for name, (_, full, own_full, lora, own_lora, why) in RECIPES.items():
        assert bool(why) == ((full, lora) != (own_full, own_lora)), name


def test_names_of_recipes_in_the_settings_match_one():
    for section, setting, patterns, *_ in SETTINGS:
        for pattern in patterns:
            assert any(fnmatch(name, pattern) for name in PAPER), f"{section}, {setting}: {pattern}"
            assert pattern.startswith(section)


def test_what_differs_is_said_in_the_file_too():
    from evenhand.spec.recipes import recipe_path

    for name in PAPER:
        head = recipe_path(f"paper/{name}").read_text(encoding="utf-8").partition("\nname:")[0]
        assert "# Where it differs from the authors' settings" in head, name
        assert head.count("\n# - ") >= 1, name
