"""The defects of the paper's released code that are about training and about whole studies.

That a study goes on where it was stopped is in `tests/study/test_kill.py` and
`tests/store/test_kill_at_every_line.py`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter, deque

import numpy as np
import pytest
import torch

from evenhand.errors import InputError
from evenhand.finetune import Model, run
from evenhand.finetune.hardware.devices import accelerator_of
from evenhand.finetune.inputs.encoded_rows import encode_rows
from evenhand.finetune.inputs.targets import ClassTargets
from evenhand.finetune.loop import TrainingBatches, _accumulate_gradients
from evenhand.finetune.modeling import adapt
from evenhand.finetune.modeling.pretrained import load_base
from evenhand.finetune.outputs.predict import probabilities
from evenhand.finetune.prepare import load_job_base
from evenhand.spec.read import read_studies
from evenhand.spec.recipes import recipe_names
from evenhand.store.folder import StudyFolder
from evenhand.study import data
from evenhand.study.plan import plan
from evenhand.study.run import rebuild, run_study
from evenhand.study.workers.schedule import Schedule
from tests.finetune import worlds
from tests.study.studies import ARMS, TRAINER, study

LAYERS = 5


@pytest.fixture(scope="module", autouse=True)
def _alone():
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def texts():
    return worlds.data_of(worlds.texts())


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model of five layers of every family."""
    place = tmp_path_factory.mktemp("models")
    counts = {"distilbert": "n_layers", "gpt2": "n_layer"}
    made = {}
    for family in (*worlds.TEXT, *worlds.IMAGE):
        change = {counts.get(family, "num_hidden_layers"): LAYERS}
        if family == "swinv2":
            change = {"depths": [2, 3]}
        made[family] = worlds.folder_of(place, family, change=change)
    return made


# ---- Membership labels were derived again instead of recorded.


def test_recorded_training_ids_are_those_that_were_trained_on(texts, folders, tmp_path, monkeypatch):
    [spec] = read_studies(
        {
            "name": "x", "dataset": {"name": "synthetic_posts", "rows": 120}, "model": folders["bert"],
            "methods": {"full": {"epochs": 2}}, "seeds": [3], "resplit": True,
        }
    )  # fmt: skip
    loaded = data.load(spec.dataset, spec.split_seeds)
    seen, epoch = Counter(), TrainingBatches.epoch

    def noted(self, number, training):
        for cuts in epoch(self, number, training):
            seen.update(loaded.examples.ids[row] for rows, _ in cuts for row in rows.tolist())
            yield cuts

    monkeypatch.setattr(TrainingBatches, "epoch", noted)
    [planned] = plan(spec)
    run.train(planned.job, loaded.of(3), tmp_path)
    recorded = data.split_of_seed(loaded.facts, 3)["parts"]["train"]
    assert seen == Counter(dict.fromkeys(recorded, 2))
    digest = planned.about(spec.name, loaded.facts)["data"]["train_ids_sha256"]
    assert digest == data._digest(name.encode() for name in recorded)
    assert digest != data._digest(name.encode() for name in recorded[1:])


# ---- Pad tokens were trained on.


@pytest.mark.parametrize("family", worlds.TEXT)
def test_padding_changes_neither_predictions_nor_losses_nor_gradients(family, folders, texts):
    """A short row beside a long one against the short row alone."""
    job = worlds.job_of(folders[family], "full", flip=False)
    base = load_job_base(job, texts)
    accelerator = accelerator_of("float32")
    feed = encode_rows(base, texts.examples, 256)
    order = np.argsort(feed.lengths, kind="stable")
    short, long = order[:4], order[-4:]
    assert feed.lengths[short].max() < feed.lengths[long].min()
    both = np.concatenate([short, long])
    model = adapt.build_adapted_model(base, job).eval()
    alone = [probabilities(model, feed, row[None], accelerator)[0] for row in both]
    np.testing.assert_allclose(probabilities(model, feed, both, accelerator), alone, atol=1e-6)

    lesson = TrainingBatches(feed, ClassTargets(texts.examples.labels), texts.parts.train, 13)
    found = []
    for cuts in ([both], [row[None] for row in both]):
        model.zero_grad()
        loss = _accumulate_gradients(
            model, [(rows, np.zeros(len(rows), bool)) for rows in cuts], lesson, accelerator
        )
        found.append((loss, [p.grad.clone() for p in model.parameters() if p.grad is not None]))
    (padded, gradients), (plain, expected) = found
    assert padded == pytest.approx(plain, abs=1e-6)
    for one, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


# ---- fp16 in one evaluation and bf16 in another.


def test_a_study_has_one_precision(texts, folders, tmp_path):
    spec = {
        "name": "x", "dataset": "synthetic_posts", "model": "tiny_text", "seeds": [1],
        "methods": {"full": {}, "lora": {"precision": "bfloat16"}},
    }  # fmt: skip
    with pytest.raises(InputError, match=r"methods.lora.precision: unknown key"):
        read_studies(spec)
    ids = {}
    for precision in ("float32", "bfloat16"):
        plain = spec | {"methods": {"full": {}, "lora": {}}, "training": {"precision": precision}}
        [read] = read_studies(plain)
        ids[precision] = {planned.run_id for planned in plan(read)}
        assert {planned.job.training.precision for planned in plan(read)} == {precision}
        (tmp_path / precision).mkdir()
        job = worlds.job_of(folders["bert"], "head_only", precision=precision)
        assert run.train(job, texts, tmp_path / precision)["precision"] == precision
    assert not ids["float32"] & ids["bfloat16"]


def misplaced(kind, folder, other):
    """Spoil a run: give it another precision or the folder of another run."""
    if kind == "precision":
        record = json.loads((folder / "run.json").read_text())
        record["facts"]["precision"] = "bfloat16"
        (folder / "run.json").write_text(json.dumps(record))
        return "was trained in bfloat16, but its job requires float32"
    shutil.rmtree(folder)
    shutil.copytree(other, folder)
    return f"it is the record of the run {other.name}" if kind == "run" else "it was trained on other rows"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A study, and the same on another split."""
    spec = study(arms=ARMS[:1], seeds=(1, 2))
    drawn = spec.dataset.model_copy(update={"split": spec.dataset.split.model_copy(update={"seed": 99})})
    place = tmp_path_factory.mktemp("studies")
    run_study(spec, place / "one", trainer=TRAINER, workers=2)
    run_study(spec.model_copy(update={"dataset": drawn}), place / "two", trainer=TRAINER, workers=2)
    return spec, place


@pytest.mark.parametrize("kind", ["precision", "run", "split"])
def test_a_run_that_is_not_what_its_record_says_is_found(kind, whole, tmp_path):
    """It is told and not judged, and would be done again."""
    spec, place = whole
    shutil.copytree(place / "one" / spec.name, tmp_path / spec.name)
    folder = StudyFolder(tmp_path / spec.name)
    assert rebuild(spec, folder).failed == []
    first, second = (folder.path / "runs" / planned.run_id for planned in plan(spec))
    foreign = next((place / "two" / spec.name / "runs").glob("*-*"))
    why = misplaced(kind, first, foreign if kind == "split" else second)
    made = rebuild(spec, folder)
    [failed] = made.failed
    assert failed["run_id"] == first.name
    assert why in failed["error"]
    assert [given["path"] for given in made.result["models"][0]["audit"]["inputs"]] == [
        f"runs/{second.name}/predictions.parquet"
    ]
    assert Schedule.of(folder.runs(), plan(spec), 1).queue == deque([first.name])


# ---- A fractional rank was ignored by one family and empty for another.


def test_a_fractional_rank_is_refused():
    spec = {
        "name": "x", "dataset": "synthetic_posts", "model": "tiny_text", "seeds": [1],
        "methods": {"lora": {"rank": 0.5}, "none": {"method": "lora", "rank": 0}},
    }  # fmt: skip
    with pytest.raises(InputError) as caught:
        read_studies(spec)
    said = "\n".join(caught.value.complaints)
    assert "methods.lora.rank: got 0.5; must be an integer of at least 1." in said
    assert "rank: got 0, which adapts nothing; rank 0 is the method head_only." in said


@pytest.mark.parametrize("family", [*worlds.TEXT, *worlds.IMAGE])
def test_a_fraction_of_the_layers_is_that_fraction_in_every_family(family, folders):
    task = "image" if family in worlds.IMAGE else "text"
    base = load_base(Model(folders[family]), task, ("no", "yes"), "float32")
    each = 1 if family == "gpt2" else 2  # one matrix holds query and value there
    for fraction, layers, order in (
        (0.01, 1, "front"), (0.2, 1, "back"), (0.4, 2, "random"), (0.5, 3, "front"), (0.8, 4, "back"),
        (1.0, LAYERS, "random"),
    ):  # fmt: skip
        options = {**worlds.LOW_RANK, "layer_fraction": fraction, "layer_order": order}
        method = "dora" if fraction == 0.4 else "lora"
        model = adapt.build_adapted_model(base, worlds.job_of(folders[family], method, options=options))
        names = [name for name, module in model.named_modules() if hasattr(module, "lora_A")]
        assert len(names) == each * layers
        assert all(any(p.requires_grad for p in model.get_submodule(name).parameters()) for name in names)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layer_fraction": 0}, "got 0; must be a number above 0 and at most 1"),
        ({"targets": []}, r"must be a list of at least one"),
        ({"targets": ["embedding"], "layer_fraction": 0.5}, "'embedding' is outside of them"),
    ],
)
def test_a_selection_of_no_layers_is_refused(options, said):
    spec = {"name": "x", "dataset": "synthetic_posts", "model": "tiny_text", "seeds": [1]}
    with pytest.raises(InputError, match=said):
        read_studies(spec | {"methods": {"lora": options}})


# ---- 106 shell scripts.

HATE = [f"{a}_{m}" for a in ("religion", "race", "gender", "sexuality") for m in ("llama2", "mistral")]
FACES = [f"{a}_face_{m}" for a in ("gender", "age") for m in ("vit", "swinv2")]
ATTACKED = ["religion_llama2", "religion_mistral", "gender_vit", "gender_swinv2"]
HALVES = ("general", "pro", "anti", "ranks")
WANTED = {
    "e1": [*HATE, "age_llama2", "age_mistral", "all_llama2", "all_mistral"],
    "e2": ["gender_vit", "gender_swinv2"],
    "e3": ["age_vit", "age_swinv2"],
    "e4": [*HATE, "gender_vit", "gender_swinv2"],
    "e5": ATTACKED,
    "e6": ATTACKED,
    "e7": [*HATE, *FACES],
    "e8": ["religion_llama2", "religion_mistral", "age_face_vit", "age_face_swinv2"],
    "e9": [f"{what}_{m}" for what in (*HALVES, "ranks_pro") for m in ("llama2", "mistral")],
    "e10": ["llama2", "llama2_chat", "mistral", "mistral_instruct"],
}


@pytest.mark.parametrize("experiment", WANTED)
def test_every_cell_of_an_experiment_is_a_recipe(experiment):
    there = {n.removeprefix("paper/") for n in recipe_names() if n.startswith(f"paper/{experiment}_")}
    assert there == {f"{experiment}_{cell}" for cell in WANTED[experiment]}
