"""The JSON schema of study files: valid, and of one mind with what reads them."""

from __future__ import annotations

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings

from evenhand import registry
from evenhand.spec.plugins import DATASETS, METHODS, config_of
from evenhand.spec.recipes import recipe_names, recipe_path
from evenhand.spec.schema import field_descriptions, json_schema
from evenhand.spec.yaml.check import schema_of
from evenhand.spec.yaml.document import from_text
from evenhand.spec.yaml.tree import Origin
from tests.spec.sample import GOOD, MANY, complaints, plain
from tests.spec.test_anything import RICH, VALUES


@pytest.fixture(scope="module")
def checker():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_it_accepts_recipes_and_good_studies(checker):
    texts = [recipe_path(name).read_text(encoding="utf-8") for name in recipe_names()]
    for text in [GOOD, MANY, *texts]:
        checker.validate(from_text(text, Origin("s")).plain)
    checker.validate(RICH)
    checker.validate(plain())


GOODS = [
    {"dataset": "synthetic_posts"},
    {"training": None, "audit": None},
    {"model": {"name": "a/b", "revision": ["v1", "v2"]}},
    {"model": ["tiny_text", {"name": "tiny_vision"}]},
    {"methods": {"none": None, "lora": {"targets": ["mlp.up"], "epochs": [1, 2]}, "x": {"method": "full"}}},
    {"methods": {"lora": {"method": "full", "epochs": 9}}},
    {"methods": {"full": {"tune": {"learning_rate_factor": [0.3, 1, 3]}}}},
    {"seeds": [1, 2], "methods": {"full": None, "theirs": {"existing": ["a/b@v1", "a/c"], "base": "b"}}},
    {"seeds": [1], "methods": {"full": None, "theirs": {"existing": "a/b"}}},
    {"seeds": [1], "methods": {"full": None, "theirs": {"method": "existing", "models": ["a/b"]}}},
    {"dataset": {"name": "table", "path": ["a", "b"], "image": "i", "where": {"x": [1, "y"]}, "split": None}},
    {"dataset": {"name": "synthetic_posts", "base_rates": {"velm": 0.1}}},
    {"audit": {"margin": {"f1": 0.1}, "metric": ["f1", "accuracy_difference"], "by": ["group"]}},
    {"privacy": None},
    {"privacy": {"attacks": ["loss", {"lira": {"variance": "global"}}, {"rmia": None}], "references": 3}},
    {"privacy": {"attacks": ["loss"], "protocol": "offline", "seed": 1}},
]
BADS = [
    {"name": "a b"},
    {"dataset": "nowhere"},
    {"dataset": {"name": "synthetic_posts", "rws": 100}},
    {"dataset": {"name": "synthetic_posts", "path": "x"}},
    {"dataset": {"name": "table", "path": "x", "rows": 5}},
    {"dataset": {"name": "synthetic_posts", "rows": True}},
    {"dataset": {"name": "synthetic_posts", "split": {"train": 2}}},
    {"model": {"name": "tiny_text", "pretraining": "string"}},
    {"model": {"name": "tiny_text", "revision": "v1"}},
    {"model": {"name": "a/b", "pretraining": "weak"}},
    {"model": []},
    {"methods": {}},
    {"methods": {"lara": {}}},
    {"methods": {"lora": {"rank": 0}}},
    {"methods": {"lora": {"rank": [1, -1]}}},
    {"methods": {"lora": {"rank": []}}},
    {"methods": {"full": {"rank": 8}}},
    {"methods": {"x": {"method": "full", "rank": 8}}},
    {"methods": {"x": {"existing": ["a/b"], "rank": 8}}, "seeds": [1]},
    {"methods": {"full": {"tune": {"learning_rate_factor": [-1, 1]}}}},
    {"methods": {"x": {"method": "lora", "learning_rate": 0}}},
    {"seeds": []},
    {"seeds": ["x"]},
    {"training": {"epochs": 3}},
    {"audit": {"metric": ["acuracy"]}},
    {"audit": {"margin": {"acuracy": 0.1}}},
    {"privacy": {}},
    {"privacy": {"attacks": []}},
    {"privacy": {"attacks": ["los"]}},
    {"privacy": {"attacks": [{"lira": {"mode": "both"}}]}},
    {"privacy": {"attacks": ["loss"], "references": 0}},
]


@pytest.mark.parametrize("changes", GOODS)
def test_what_reads_is_accepted(checker, changes):
    assert not complaints({**plain(), **changes})
    assert checker.is_valid({**plain(), **changes})


@pytest.mark.parametrize("changes", BADS)
def test_what_does_not_read_is_refused(checker, changes):
    assert complaints({**plain(), **changes})
    assert not checker.is_valid({**plain(), **changes})


@pytest.mark.parametrize("key", ["name", "dataset", "model", "methods", "seeds"])
def test_keys_that_must_be_there(checker, key):
    assert not checker.is_valid({k: v for k, v in plain().items() if k != key})


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(VALUES, VALUES)
def test_it_accepts_whatever_reads(checker, first, second):
    """An editor must not underline what is right."""
    for key in ("dataset", "model", "methods", "training", "seeds", "audit"):
        for value in (first, {"lora": first, "full": second}, {"name": "a/b", "revision": first}):
            changed = {**plain(), key: value}
            if not complaints(changed):
                checker.validate(changed)


def test_every_option_is_described_for_editors():
    for package in (DATASETS, METHODS):
        for name in registry.names(package):
            model = config_of(package, name)
            assert set(field_descriptions(model)) == set(schema_of(model).get("properties", {})), name
    definitions = json_schema()["$defs"]
    assert definitions["method.lora"]["properties"]["rank"]["description"].startswith(
        "rank of the added matrices"
    )
    assert definitions["method.lora"]["properties"]["learning_rate"]["default"] > 0
    assert definitions["dataset.synthetic_posts"]["properties"]["rows"]["default"] == 2000


def test_every_reference_leads_somewhere():
    schema = json_schema()

    def references(part):
        if isinstance(part, dict):
            yield from ([part["$ref"]] if isinstance(part.get("$ref"), str) else [])
            for inner in part.values():
                yield from references(inner)
        elif isinstance(part, list):
            for inner in part:
                yield from references(inner)

    found = list(references(schema))
    assert found
    for reference in found:
        here = schema
        for step in reference.removeprefix("#/").split("/"):
            here = here[step]
