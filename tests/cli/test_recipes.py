"""`evenhand recipes`, and the recipes themselves."""

from __future__ import annotations

import re

import numpy as np
import pytest

import evenhand
from evenhand.cli import main
from evenhand.spec.plugins import METHODS
from evenhand.spec.read import read_studies
from evenhand.spec.recipes import describe_recipe, recipe_names, recipe_path
from evenhand.study.plan import plan


def test_they_are_listed_with_what_they_show(capsys):
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(recipe_names())
    assert "quickstart" in recipe_names()
    assert all(describe_recipe(line.split()[0]) in line for line in lines)


def test_one_is_printed_as_it_is(capsys, tmp_path):
    assert main(["recipes", "quickstart"]) == 0
    text = capsys.readouterr().out
    assert text == recipe_path("quickstart").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(text)
    assert read_studies(tmp_path / "mine.yaml") == read_studies("quickstart")


def test_one_that_is_not_there(capsys):
    for name in ("quickstat", "../recipes/quickstart", "/etc/passwd"):
        assert main(["recipes", name]) == 2
        assert f"unknown recipe '{name}'" in capsys.readouterr().err


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_right_and_says_what_it_shows(name):
    assert len(describe_recipe(name)) > 20
    assert read_studies(name)


@pytest.mark.parametrize("name", [name for name in recipe_names() if name.startswith("paper/")])
def test_a_recipe_of_the_paper_says_what_it_reproduces_the_command_and_the_hours(name):
    """What it reproduces comes first; hours are an estimate until they are measured."""
    head = recipe_path(name).read_text(encoding="utf-8").partition("\nname:")[0]
    lines = [line.removeprefix("#").strip() for line in head.splitlines() if line.startswith("#")]
    assert lines[0].startswith(name.removeprefix("paper/").partition("_")[0].upper() + ": ")
    assert f"evenhand run {name}" in lines
    assert re.search(r"Estimate, not measured: .* hours? on one GPU of \d+ GB", " ".join(lines))


@pytest.mark.parametrize("name", [name for name in recipe_names() if name.startswith("paper/e4_")])
def test_calibration_is_judged_on_the_runs_of_another_recipe(name):
    [study] = read_studies(name)
    [twin] = read_studies("paper/" + study.name.replace("-", "_"))
    assert name != "paper/" + twin.name.replace("-", "_")
    assert [p.run_id for p in plan(study)] == [p.run_id for p in plan(twin)]
    assert study.name == twin.name
    assert "expected_calibration_error" in study.audit.primary
    assert set(study.audit.primary) == set(study.audit.margin)  # without one, nothing would be harmless


@pytest.mark.parametrize("name", [name for name in recipe_names() if name.startswith("paper/e6_")])
def test_likelihood_ratios_are_taken_of_the_runs_of_another_recipe(name):
    [study] = read_studies(name)
    [twin] = read_studies(name.replace("e6_", "e5_"))
    assert study.name == twin.name
    own = {p.run_id for p in plan(twin)}
    assert len(own) == 10
    assert own < {p.run_id for p in plan(study)}
    assert len(plan(study)) == 10 + 2 * 16


#: Of the paper: rates and passes of full fine-tuning, of LoRA, and LoRA's rank.
CHOSEN = {
    "e9_general_llama2": ((1e-5, 2), (3e-3, 6), 8),
    "e9_general_mistral": ((3e-6, 1), (1e-3, 2), 8),
    "e9_pro_llama2": ((1e-5, 4), (3e-3, 12), 8),
    "e9_pro_mistral": ((3e-6, 2), (1e-3, 3), 8),
    "e10_llama2": ((3e-5, 4), (1e-3, 12), 8),
    "e10_llama2_chat": ((3e-6, 3), (1e-3, 4), 8),
    "e10_mistral": ((3e-5, 4), (1e-3, 12), 256),
    "e10_mistral_instruct": ((3e-5, 4), (1e-3, 12), 64),
}
MODELS = {
    "llama2": "meta-llama/Llama-2-7b-hf",
    "llama2_chat": "meta-llama/Llama-2-7b-chat-hf",
    "mistral": "mistralai/Mistral-7B-v0.1",
    "mistral_instruct": "mistralai/Mistral-7B-Instruct-v0.2",
}


@pytest.mark.parametrize("name", CHOSEN)
def test_models_that_write_are_trained_as_in_the_paper(name):
    [study] = read_studies(f"paper/{name}")
    arms = {arm.method: arm for arm in study.arms}
    full, lora, rank = CHOSEN[name]
    assert (arms["full"].learning_rate, arms["full"].epochs) == full
    assert (arms["lora"].learning_rate, arms["lora"].epochs) == lora
    assert arms["lora"].config.rank == rank
    assert study.models[0].name == next(m for n, m in reversed(MODELS.items()) if name.endswith(n))
    assert study.training.max_length == (128 if name.startswith("e9") else 256)
    assert len(study.seeds) == 5


@pytest.mark.parametrize("model", ["llama2", "mistral", "pro_llama2", "pro_mistral"])
def test_translation_is_learnt_at_every_rank_of_the_paper(model):
    [study] = read_studies(f"paper/e9_ranks_{model}")
    assert study.seeds == (13, 1337, 42)
    assert study.dataset.config.path.endswith("pro.txt") == model.startswith("pro")
    ranks = [arm.config.rank for arm in study.arms if arm.method == "lora"]
    assert ranks == [2**k for k in range(13)]
    assert {arm.method for arm in study.arms} == {"none", "full", "lora"}  # rank 0 of a model without a head


@pytest.mark.parametrize("name", [name for name in recipe_names() if name.startswith("paper/e10_")])
def test_language_models_are_asked_about_all_templates_and_texts_that_were_not_learnt(name):
    [study] = read_studies(name)
    config, split = study.dataset.config, study.dataset.split
    assert config.questions is None
    assert (config.bias.families, config.bias.variants, config.bias.templates) == (None, None, "paper")
    assert round(config.limit * split.train) == 50_000
    assert config.limit * split.test > config.bias.snippets
    assert study.audit.reference == "none"


@pytest.mark.parametrize("name", [n for n in recipe_names() if n.startswith(("paper/e5_", "paper/e6_"))])
def test_membership_is_attacked_in_the_papers_protocol(name):
    [study] = read_studies(name)
    assert study.privacy.protocol == "offline"
    attacks = [attack.name for attack in study.privacy.attacks]
    assert attacks == (["loss", "loss"] if "e5_" in name else ["lira", "rmia"])
    assert {arm.method for arm in study.arms} == {"full", "lora"}


def test_recipes_in_folders_have_nearest_names(capsys):
    assert main(["run", "paper/e1_religon_llama2"]) == 2
    assert "did you mean 'paper/e1_religion_llama2'?" in capsys.readouterr().err.lower()


def test_the_quickstart_compares_what_the_documents_promise():
    text, images = read_studies("quickstart")
    for study in (text, images):
        methods = [arm.method for arm in study.arms]
        assert methods == ["full", "head_only", "lora", "lora", "lora"]
        assert len(study.seeds) == 5
        assert study.audit.reference == "full"
        assert study.dataset.config.hard_groups
    assert (text.models[0].name, images.models[0].name) == ("tiny_text", "tiny_vision")


def two_arms(shift, rows=600, runs=5):
    """Answers of two arms with the same calibration, or of a second one that is surer than it is right."""
    rng = np.random.default_rng(8)
    chance = rng.uniform(0.05, 0.95, rows)
    label = (rng.random(rows) < chance).astype(int)
    parts = []
    for run in range(runs):
        for arm in ("full", "lora"):
            score = np.clip(chance + rng.normal(0, 0.01, rows), 0.001, 0.999)
            if arm == "lora":
                score = np.clip(score + shift * np.sign(score - 0.5), 0.001, 0.999)
            parts.append({"id": np.arange(rows), "arm": [arm] * rows, "run": [run] * rows, "label": label,
                          "score": score, "race": np.where(np.arange(rows) % 2, "a", "b")})  # fmt: skip
    return {key: np.concatenate([np.asarray(part[key]) for part in parts]) for key in parts[0]}


@pytest.mark.parametrize(("shift", "verdict"), [(0.0, "harmless"), (0.4, "harm")])
def test_equal_calibration_is_harmless_by_the_recipes_margins(shift, verdict):
    [study] = read_studies("paper/e4_race_mistral")
    audit = study.audit
    told = evenhand.audit(
        two_arms(shift), by=["race"], id="id", arm="arm", run="run", score="score",
        reference=audit.reference, primary=audit.primary, margin=audit.margin, alpha=audit.alpha,
    ).to_dict()  # fmt: skip
    brier = [r for r in told["comparisons"] if r["metric"] == "brier_score" and r["attribute"] == "race"]
    groups = [row for row in brier if row["group"] is not None]
    assert {row["verdict"] for row in groups} == {verdict}
    assert {row["margin"] for row in groups} == {0.02}


@pytest.mark.parametrize("name", ["e1_religion_mistral", "e3_age_vit", "e9_general_llama2"])
def test_the_memory_in_a_header_is_that_of_the_dry_run(name, tmp_path, monkeypatch, capsys):
    """Without the data a dry run knows no steps, but it knows the memory of every arm."""
    monkeypatch.chdir(tmp_path)
    main(["run", f"paper/{name}", "--dry-run", "-o", "dataset.path=nowhere.csv"])
    told, _, _ = capsys.readouterr().out.partition("Models to be stored")
    most = max(float(gb) for gb in re.findall(r"([\d.]+) GB", told))
    head = " ".join(recipe_path(f"paper/{name}").read_text(encoding="utf-8").split())
    said = re.search(r"(takes about|less than) (\d+) GB", head.replace("# ", ""))
    assert said
    assert float(said[2]) == pytest.approx(most, abs=1 if said[1] == "takes about" else 2)


@pytest.mark.parametrize("reads", ["text", "image"])
def test_a_panel_has_every_method_with_the_same_budget(reads):
    from evenhand import registry

    [study] = read_studies(f"peft_panel_{reads}")
    cards = {name: registry.load(METHODS, name).INFO for name in registry.names(METHODS)}
    fitting = {
        name
        for name, info in cards.items()
        # Quantised bases need an extra.
        if name != "none" and not info.ready and not info.quantised and reads in info.inputs
    }
    assert {arm.method for arm in study.arms} == fitting
    for arm in study.arms:
        rates = [trial.learning_rate for trial in arm.trials]
        assert rates == [pytest.approx(f * cards[arm.method].learning_rate) for f in (0.3, 1, 3)]
    assert study.arms[0].method == study.audit.reference == "full"
