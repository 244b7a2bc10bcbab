"""From a file to studies: what is resolved how, and all that can be wrong."""

from __future__ import annotations

import pytest

from evenhand.spec.read import read_studies
from tests.spec.sample import GOOD, complaints, study, written, wrong


def arms(**methods):
    return [arm.name for arm in study(methods=methods).arms]


def test_a_study_has_every_default_written_out(tmp_path):
    (one,) = read_studies(written(tmp_path, GOOD))
    assert one == study()
    assert [arm.name for arm in one.arms] == ["full", "lora[rank=1]", "lora[rank=8]"]
    full, low, _ = one.arms
    assert (full.learning_rate, full.epochs) == (1e-5, 2)
    assert (low.config.rank, low.config.alpha, low.config.targets) == (
        1, 16.0, ("attention.query", "attention.value"),
    )  # fmt: skip
    assert low.learning_rate == 1e-3
    assert one.dataset.config.rows == 100
    assert one.dataset.split.train == 0.7
    assert one.training.batch_size == 32
    assert one.audit.reference == "full"
    assert one.models[0].label == one.models[0].name == "owner/checkpoint"


def test_the_example_of_the_documents_but_for_the_keys_of_later_versions(tmp_path):
    text = """
    name: dlab-religion
    dataset: {name: dlab_hate_speech, attribute: religion,
              split: {train: 0.7, validation: 0.1, test: 0.2, seed: 13}}
    model: mistralai/Mistral-7B-v0.1
    methods:
      full: {learning_rate: 1.0e-5, epochs: 2}
      lora: {rank: [1, 8, 64], alpha: 16, epochs: 4}
      none: {}
    seeds: [13, 1337, 42, 666, 888]
    audit: {reference: full, primary: [accuracy, true_positive_rate, false_positive_rate],
            margin: 0.02, alpha: 0.05}
    """
    (one,) = read_studies(written(tmp_path, text))
    assert [a.name for a in one.arms] == ["full", "lora[rank=1]", "lora[rank=8]", "lora[rank=64]", "none"]
    assert one.dataset.config.attribute == "religion"


def test_twenty_mistakes_are_told_at_once_with_their_lines_in_order(tmp_path):
    path = written(
        tmp_path,
        """\
        name: my study!
        dataset:
          name: synthetic_posts
          rows: -5
          shares: {velmm: 0.5}
          split: {train: 1.5, seed: yes}
          leaks: refuze
        model: ../no/such/folder
        methods:
          full: {learning_rate: -1e-5, epochs: 0}
          lora:
            rank: [1, -1, 8]
            alfa: 16
            dropout: "0.1"
          loraa: {}
          again: {method: ful}
        seeds: [13, 13, x]
        trainning: {}
        training: {batch_size: true, precision: float16}
        audit: {reference: fulll, primary: [acuracy], margin: {f2: 0.1, f1: -2}, by: [groop], alpha: 2}
        privcy: {}
        """,
    )
    told = [line.removeprefix(f"{path}:") for line in complaints(path)]
    expected = [
        "1, name: got 'my study!'; must be a text of letters, digits",
        "4, dataset.rows: got -5; must be an integer from 8 to 1,000,000.",
        "5, dataset.shares: 'velmm' is not one of the groups; did you mean 'velm'?",
        "6, dataset.split.train: got 1.5; must be a number above 0 and below 1.",
        "6, dataset.split.seed: got 'yes'; must be an integer of at least 0.",
        "7, dataset.leaks: got 'refuze'; did you mean 'refuse'? It must be 'refuse' or 'tell'.",
        "8, model: folder '../no/such/folder' not found",
        "10, methods.full.learning_rate: got -1e-05; must be a number above 0.",
        "10, methods.full.epochs: got 0; must be an integer of at least 1.",
        "12, methods.lora.rank.1: got -1; must be an integer of at least 1.",
        "13, methods.lora.alfa: unknown key. Did you mean 'alpha'? Known: rank, alpha,",
        "14, methods.lora.dropout: got '0.1'; must be a number of at least 0 and below 1.",
        "15, methods.loraa: 'loraa' is none of the methods: did you mean 'lora'?",
        "16, methods.again.method: 'ful' is none of the methods: did you mean 'full'?",
        "17, seeds.2: got 'x'; must be an integer of at least 0.",
        "17, seeds.1: the seed 13 is given twice.",
        "18, trainning: unknown key. Did you mean 'training'?",
        "19, training.batch_size: got true; must be an integer of at least 1.",
        "19, training.precision: got 'float16'; did you mean 'bfloat16'?",
        "20, audit.margin.f1: got -2; must be a number above 0.",
        "20, audit.alpha: got 2; must be a number above 0 and below 1.",
        "20, audit.primary.0: 'acuracy' is not a metric or disparity. Did you mean 'accuracy'?",
        "20, audit.margin.f2: 'f2' is not a metric or disparity. Known: accuracy,",
        "20, audit.by.0: 'groop' is not an attribute of this dataset. Did you mean 'group'?",
        "21, privcy: unknown key. Did you mean 'privacy'?",
    ]
    assert len(told) == len(expected)
    for line, begin in zip(told, expected, strict=True):
        assert line.startswith(begin)


def test_keys_that_are_missing_are_named(tmp_path):
    path = written(tmp_path, "description: nothing else\n")
    told = complaints(path)
    assert [line.removeprefix(f"{path}, ").partition(":")[0] for line in told] == [
        "name", "seeds", "dataset", "model", "methods",
    ]  # fmt: skip
    assert all("is missing" in line for line in told)


@pytest.mark.parametrize("text", ["", "# nothing\n", "[]", "name", "{}", "studies: []", "studies: {a: 1}"])
def test_files_without_a_study(tmp_path, text):
    (told,) = complaints(written(tmp_path, text))
    assert "must be" in told


# ---- arms


def test_lists_make_every_combination_named_in_the_order_of_the_file():
    assert arms(lora={"rank": [1, 8], "alpha": [8, 16.0]}) == [
        "lora[rank=1,alpha=8]", "lora[rank=1,alpha=16]", "lora[rank=8,alpha=8]", "lora[rank=8,alpha=16]",
    ]  # fmt: skip
    assert arms(lora={"alpha": [8], "rank": [1, 2]}) == ["lora[alpha=8,rank=1]", "lora[alpha=8,rank=2]"]
    assert arms(full={"learning_rate": [1e-5, 1e-4], "epochs": [1]}) == [
        "full[learning_rate=1e-05,epochs=1]", "full[learning_rate=0.0001,epochs=1]",
    ]  # fmt: skip


def test_a_list_for_an_option_that_is_a_list_is_one_value():
    assert arms(lora={"targets": ["attention.query", "mlp.up"]}) == ["lora"]
    assert arms(lora={"targets": [["attention.query"], ["attention.query", "mlp.up"]]}) == [
        "lora[targets=attention.query]", "lora[targets=attention.query+mlp.up]",
    ]  # fmt: skip
    (told,) = wrong(methods={"lora": {"targets": []}})
    assert "methods.lora.targets: got []; must be a list of at least one" in told


def test_a_method_may_appear_twice_under_names_of_its_own():
    one = study(methods={"full": None, "slow": {"method": "full", "learning_rate": 1e-6}})
    assert [(a.name, a.method) for a in one.arms] == [("full", "full"), ("slow", "full")]
    assert one.arms[0].epochs == one.arms[1].epochs


def test_arms_that_would_be_the_same_runs_are_refused():
    (told,) = wrong(methods={"full": {}, "again": {"method": "full"}})
    assert "methods.again: the arm 'again' repeats 'full'" in told
    (told,) = wrong(methods={"lora": {"rank": [8, 8]}})
    assert "makes the arm 'lora[rank=8]' twice" in told
    (told,) = wrong(methods={"lora": {"alpha": [8, 8.0]}})
    assert "makes the arm 'lora[alpha=8]' twice" in told


@pytest.mark.parametrize(
    ("methods", "word"),
    [
        ({}, "must be a mapping such as"),
        (None, "must be a mapping such as"),
        (["full", "lora"], "must be a mapping such as"),
        ({"full": 3}, "methods.full: got 3; must be a mapping of options"),
        ({"full": {"method": 3}}, "methods.full.method: got 3; must be a method's name"),
        ({"lora": {"rank": []}}, "methods.lora.rank: got an empty list"),
        ({"lora": {"rank": [[1]]}}, "methods.lora.rank.0: got [1]; must be an integer of at least 1."),
        ({"lora": {"rank": None}}, "methods.lora.rank: got nothing; must be an integer of at least 1."),
        ({"lora": {"rank": 1.5}}, "got 1.5; must be an integer"),
        ({"lora": {"rank": True}}, "got true; must be an integer"),
        ({"lora": {"alpha": float("nan")}}, "got nan; must be a number above 0."),
        ({"lora": {"alpha": float("inf")}}, "got inf; must be a number above 0."),
        ({"lora": {"alpha": 10**400}}, "must be a number above 0."),
        ({"lora": {"rank": list(range(1, 99)), "epochs": list(range(1, 99))}}, "9,604 combinations"),
        ({"a b": {"method": "full"}}, "got the name 'a b'"),
        ({"x[y=1]": {"method": "full"}}, "got the name 'x[y=1]'"),
        ({"_roles": {}}, "is none of the methods"),
        ({"../lora": {}}, "got the name '../lora'"),
        ({"full": {"learning_rate": 0}}, "methods.full.learning_rate: got 0; must be a number above 0."),
        (
            {"full": {"rank": 8}},
            "methods.full.rank: unknown key. Known: learning_rate, epochs, method, tune, match.",
        ),
        ({"full": {"learning_rat": 1}}, "Did you mean 'learning_rate'?"),
    ],
)
def test_methods_that_are_wrong(methods, word):
    told = wrong(methods=methods)
    assert len(told) == 1
    assert word in told[0]


# ---- models


def test_models_of_the_hub():
    assert [m.label for m in study(model=["a/b", "c"]).models] == ["a/b", "c"]
    two = study(model={"name": "a/b", "revision": ["main", "v1"]}).models
    assert [(m.label, m.options) for m in two] == [
        ("a/b[revision=main]", {"revision": "main"}), ("a/b[revision=v1]", {"revision": "v1"}),
    ]  # fmt: skip
    two = study(model=["a/b", {"name": "a/b", "revision": "v1"}]).models
    assert [m.label for m in two] == ["a/b", "a/b[revision=v1]"]


def test_a_folder_is_a_model(tmp_path, monkeypatch):
    (tmp_path / "some" / "deep" / "checkpoint").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for name in (str(tmp_path), "some/deep/checkpoint", "./some"):
        assert study(model=name).models[0].name == name


def test_models_that_evenhand_makes():
    (one,) = study(model="tiny_text").models
    assert one.label == "tiny_text"
    assert one.options["pretraining"] in {"none", "weak", "strong"}
    weak, strong = study(model={"name": "tiny_text", "pretraining": ["weak", "strong"]}).models
    assert (weak.label, strong.label) == ("tiny_text[pretraining=weak]", "tiny_text[pretraining=strong]")
    assert weak.options == {**strong.options, "pretraining": "weak"}
    models = study(model=[{"name": "tiny_text", "pretraining": p} for p in ("none", "strong")]).models
    assert [m.label for m in models] == ["tiny_text[pretraining=none]", "tiny_text[pretraining=strong]"]


@pytest.mark.parametrize(
    ("model", "word"),
    [
        (None, "model: got nothing; must be a hub id"),
        (3, "model: got 3; must be a hub id"),
        ("", "model: got ''; must be a hub id"),
        ([], "empty list"),
        ({"pretraining": "weak"}, "got a mapping without a name"),
        ({"name": ["a", "b"]}, "model.name: got ['a', 'b']; must be a hub id"),
        ("./nowhere", "folder './nowhere' not found"),
        ("~/no/where", "not found"),
        ("a/b/c", "folder 'a/b/c' not found"),
        ("a b", "'a b' is neither a folder nor a valid hub id"),
        ("a/../b", "not found"),
        ("bert", "'bert' is a family of models"),
        ("tiny_txt", "did you mean 'tiny_text'?"),
        ("tiny-text", "did you mean 'tiny_text'?"),
        (
            {"name": "tiny_text", "pretraining": "string"},
            "model.pretraining: got 'string'; did you mean 'strong'?",
        ),
        (
            {"name": "tiny_text", "pretrainning": "weak"},
            "model.pretrainning: unknown key. Did you mean",
        ),
        (
            {"name": "a/b", "pretraining": "weak"},
            "model.pretraining: unknown key. Known: revision, family.",
        ),
        (["a/b", "a/b"], "the model 'a/b' is given twice"),
        ({"name": "a/b", "revision": ""}, "model.revision: got ''"),
        (
            {"name": "a/b", "family": "lama"},
            "model.family: unknown family of models 'lama'. Did you mean 'llama'?",
        ),
        ({"name": "a/b", "family": "tiny_text"}, "model.family: unknown family of models 'tiny_text'."),
        ({"name": "a/b", "family": ["bert", "llama"]}, "the model 'a/b' is given twice"),
        ({"name": "tiny_text", "family": "llama"}, "model.family: unknown key."),
    ],
)
def test_models_that_are_wrong(model, word):
    (told,) = wrong(model=model)
    assert word in told


# ---- the dataset


def test_a_dataset_by_its_name_only():
    assert study(dataset="synthetic_posts").dataset.config.rows == 2000
    assert study(dataset={"name": "synthetic_posts", "split": None}).dataset.split.seed == 13


@pytest.mark.parametrize(
    ("dataset", "word"),
    [
        (None, "dataset: got nothing; must be a dataset's name"),
        ([1], "dataset: got [1]; must be"),
        ({"rows": 5}, "must be a dataset's name, or a mapping with a 'name'"),
        ({"name": 5}, "dataset.name: got 5"),
        ("synthetic_post", "did you mean 'synthetic_posts'?"),
        ({"name": "synthetic_posts", "splitt": {}}, "Did you mean 'split'?"),
        ({"name": "table", "text": "t"}, "dataset.path: is missing; must be a text or a list, each a text."),
        ({"name": "table", "path": "x.csv"}, "give exactly one of text"),
        (
            {"name": "table", "path": "x.csv", "text": "t", "memberships": ["a"]},
            "a pattern has exactly one star",
        ),
        ({"name": "table", "path": [1], "text": "t"}, "dataset.path.0: got 1; must be a text"),
        ({"name": "utkface", "path": "x", "target": "race"}, "must be 'gender' or 'age'"),
        (
            {"name": "synthetic_posts", "split": {"train": 0.5}},
            "dataset.split: train 0.5 + validation 0.1 + test",
        ),
        (
            {"name": "synthetic_posts", "base_rates": {"velm": 2}},
            "dataset.base_rates.velm: got 2; must be a number",
        ),
        (
            {"name": "synthetic_posts", "base_rates": "x"},
            "dataset.base_rates: got 'x'; must be a number from 0 to 1 or",
        ),
        ({"name": "synthetic_posts", "groups": ["a", "a"]}, "different names"),
    ],
)
def test_datasets_that_are_wrong(dataset, word):
    told = wrong(dataset=dataset)
    assert len(told) == 1
    assert word in told[0]


# ---- training, seeds, audit


def test_an_audit_compares_with_full_or_else_with_the_first():
    assert study(methods={"lora": {"rank": [1, 2]}, "full": {}}).audit.reference == "full"
    assert study(methods={"lora": {"rank": [1, 2]}}).audit.reference == "lora[rank=1]"
    assert study(audit={"reference": "lora[rank=8]"}).audit.reference == "lora[rank=8]"
    assert study(methods={"none": None}).audit.reference == "none"


def test_attributes_of_a_table_are_those_that_it_names():
    table = {"name": "table", "path": "x.csv", "text": "t", "by": ["sex"], "memberships": ["target_race_*"]}
    assert study(dataset=table, audit={"by": ["target_race", "sex"]}).audit.by == ("target_race", "sex")
    (told,) = wrong(dataset=table, audit={"by": ["target_race_"]})
    assert "did you mean 'target_race'" in told.lower()
    assert study(dataset={**table, "name": "table"}, audit=None).audit.by is None


def test_averages_are_methods_with_several_arms():
    assert study(audit={"average": ["lora"]}).audit.average == ("lora",)
    assert study().audit.average == ()
    (told,) = wrong(dataset={"name": "synthetic_pairs"}, audit={"average": ["lora"]})
    assert "audit.average: the arms of the task translation are not averaged; leave it out." in told


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"seeds": []}, "seeds: got []; must be a list of at least one, each an integer of at least 0."),
        ({"seeds": 5}, "seeds: got 5; must be a list"),
        ({"seeds": None}, "seeds: got nothing; must be a list"),
        ({"seeds": [-1]}, "seeds.0: got -1"),
        ({"seeds": [2**32]}, "must be at most 4294967295"),
        ({"seeds": [1.5]}, "seeds.0: got 1.5; must be an integer"),
        ({"name": 5}, "name: got 5; must be a text"),
        ({"name": "../up"}, "name: got '../up'; must be a text of letters"),
        ({"name": "x" * 101}, "100 characters at most"),
        ({"description": ["x"]}, "description: got ['x']; must be a text."),
        ({"training": 3}, "training: got 3; must be a mapping"),
        ({"training": {"warmup": 1}}, "training.warmup: got 1; must be a number of at least 0 and below 1."),
        (
            {"training": {"micro_batch": 0}},
            "training.micro_batch: got 0; must be an integer of at least 1 or null.",
        ),
        ({"training": {"learning_rate": 1e-3}}, "training.learning_rate: unknown key"),
        ({"audit": [1]}, "audit: got [1]; must be a mapping"),
        (
            {"audit": {"reference": "lora[rank=9]"}},
            "unknown arm 'lora[rank=9]'. Did you mean 'lora[rank=8]'?",
        ),
        ({"audit": {"reference": 3}}, "audit.reference: got 3"),
        ({"audit": {"by": []}}, "leave it out"),
        ({"audit": {"by": ["group", "group"]}}, "audit.by.1: 'group' is given twice"),
        ({"audit": {"by": "group"}}, "audit.by: got 'group'; must be a list"),
        ({"audit": {"intersect": [["group"]]}}, "two attributes or more"),
        ({"audit": {"metric": ["f1", "f1"]}}, "given twice"),
        (
            {"audit": {"average": ["lorra"]}},
            "audit.average.0: 'lorra' is not a method of this study. Did you mean 'lora'?",
        ),
        ({"audit": {"average": ["lora", "lora"]}}, "audit.average.1: 'lora' is given twice"),
        ({"audit": {"average": ["full"]}}, "'full' has 0 arms beside the reference; an average takes two"),
        ({"audit": {"average": "lora"}}, "audit.average: got 'lora'; must be a list"),
        ({"audit": {"margin": 0}}, "audit.margin: got 0; must be a number above 0 or a mapping"),
        ({"audit": {"min_group_size": 0}}, "audit.min_group_size: got 0; must be an integer of at least 1."),
        ({"resplit": 3}, "resplit: got 3; must be true or false."),
        (
            {"resplit": True, "dataset": {"name": "synthetic_posts", "split": {"seed": 3}}},
            "resplit: every seed draws its own split; take dataset.split.seed out.",
        ),
        (
            {
                "resplit": True,
                "dataset": {"name": "table", "path": "x.csv", "text": "t", "split_column": "part"},
            },
            "resplit: the column 'part' says each row's part, so no seed can draw its own split.",
        ),
        ({"models": "a/b"}, "models: unknown key. Did you mean 'model'?"),
    ],
)
def test_the_rest_that_can_be_wrong(changes, word):
    told = wrong(**changes)
    assert len(told) == 1
    assert word in told[0]
