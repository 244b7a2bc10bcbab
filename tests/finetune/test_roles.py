"""The layers of a model by role: found from the model, for families with and without a file."""

import re

import peft
import pytest
import torch
import transformers

from evenhand.errors import InputError
from evenhand.finetune import Model
from evenhand.finetune.modeling.pretrained import load_base
from evenhand.finetune.models import ALL_LINEAR
from evenhand.finetune.models._roles import Roles, find_roles, roles_of_name
from tests.finetune import worlds, zoo

#: The names of the layers in families that were looked at one by one: an independent statement of the rule.
_BERT = {
    "embedding": r"embeddings\.word_embeddings",
    "attention.query": r"attention\.self\.query",
    "attention.key": r"attention\.self\.key",
    "attention.value": r"attention\.self\.value",
    "attention.output": r"attention\.output\.dense",
    "mlp.up": r"layer\.\d+\.intermediate\.dense",
    "mlp.down": r"layer\.\d+\.output\.dense",
}
_LLAMA = {
    "embedding": r"embed_tokens",
    "attention.query": r"self_attn\.q_proj",
    "attention.key": r"self_attn\.k_proj",
    "attention.value": r"self_attn\.v_proj",
    "attention.output": r"self_attn\.o_proj",
    "mlp.gate": r"mlp\.gate_proj",
    "mlp.up": r"mlp\.up_proj",
    "mlp.down": r"mlp\.down_proj",
}
NAMES = {
    "bert": _BERT,
    "roberta": _BERT,
    "distilbert": {
        "embedding": r"embeddings\.word_embeddings",
        "attention.query": r"attention\.q_lin",
        "attention.key": r"attention\.k_lin",
        "attention.value": r"attention\.v_lin",
        "attention.output": r"attention\.out_lin",
        "mlp.up": r"ffn\.lin1",
        "mlp.down": r"ffn\.lin2",
    },
    "llama": _LLAMA,
    "mistral": _LLAMA,
    # One matrix holds query, key and value: a method that targets any of them adapts all three.
    "gpt2": {
        "embedding": r"wte",
        "attention.query": r"attn\.c_attn",
        "attention.key": r"attn\.c_attn",
        "attention.value": r"attn\.c_attn",
        "attention.output": r"attn\.c_proj",
        "mlp.up": r"mlp\.c_fc",
        "mlp.down": r"mlp\.c_proj",
    },
    "vit": {
        "embedding": r"patch_embeddings\.projection",
        "attention.query": r"attention\.q_proj",
        "attention.key": r"attention\.k_proj",
        "attention.value": r"attention\.v_proj",
        "attention.output": r"attention\.o_proj",
        "mlp.up": r"mlp\.fc1",
        "mlp.down": r"mlp\.fc2",
    },
    "swinv2": {
        **_BERT,
        "embedding": r"patch_embeddings\.projection",
        "mlp.up": r"blocks\.\d+\.intermediate\.dense",
        "mlp.down": r"blocks\.\d+\.output\.dense",
    },
}
HEADS = {"distilbert": ("pre_classifier", "classifier"), "llama": ("score",), "mistral": ("score",)}
HEADS["gpt2"] = ("score",)


def test_roles_of_known_families(family, folders):
    task = "image" if family in worlds.IMAGE else "text"
    base = load_base(Model(folders[family]), task, ("a", "b"), "float32")
    names = [name for name, _ in base.model.named_modules()]
    expected = {
        role: tuple(name for name in names if re.search(rf"(?:^|\.)(?:{pattern})$", name))
        for role, pattern in NAMES[family].items()
    }
    assert {role: found for role, found in base.roles.layers.items() if role != ALL_LINEAR} == expected
    assert base.roles.head == HEADS.get(family, ("classifier",))
    assert len(base.roles.blocks) == worlds.LAYERS
    blocks = {re.match(r"(.*\.\d+)\.", name)[1] for name in expected["attention.query"]}
    assert blocks == set(base.roles.blocks)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    ("kind", "task"),
    [
        ("qwen3", "text"),
        ("qwen3", "language"),
        ("gemma2", "text"),
        ("modernbert", "text"),
        ("phi3", "text"),
        ("deberta-v2", "text"),
        ("dinov2", "image"),
        ("convnext", "image"),
    ],
)
def test_all_linear_layers_are_those_of_peft(kind, task, tmp_path):
    """PEFT's own `all-linear` names the same layers, besides the parts of the head."""
    config = zoo.config_of(kind, text=task != "image")
    auto = getattr(transformers, zoo.AUTO_CLASSES[task])
    model = auto.from_config(config)
    roles = find_roles(model, classifies=task != "language")
    task_type = "CAUSAL_LM" if task == "language" else None
    adapted = peft.get_peft_model(
        auto.from_config(config), peft.LoraConfig(target_modules="all-linear", task_type=task_type)
    )
    theirs = {name for name in adapted.targeted_module_names if not name.startswith(roles.head or "-")}
    assert set(roles.layers[ALL_LINEAR]) == theirs
    assert len(theirs) >= 4


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_layers_whose_weights_alone_are_used_are_not_adapted():
    """A block of Mamba multiplies with the weights of its other layers, and calls only this one."""
    model = transformers.AutoModelForCausalLM.from_config(zoo.config_of("mamba", text=True))
    roles = find_roles(model, classifies=False)
    assert {name.rpartition(".")[2] for name in roles.layers[ALL_LINEAR]} == {"in_proj"}
    layers = peft.LoraConfig(target_modules=list(roles.layers[ALL_LINEAR]), init_lora_weights=False)
    adapted = peft.get_peft_model(model, layers)
    adapted(input_ids=torch.arange(5, 15)[None]).logits.square().sum().backward()
    assert all(p.grad.abs().max() > 0 for name, p in adapted.named_parameters() if "lora_" in name)


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        # transformers 4's names of ViT, which older files have.
        ("vit.encoder.layer.0.attention.attention.query", ("attention.query",)),
        ("vit.encoder.layer.0.attention.output.dense", ("attention.output",)),
        ("vit.encoder.layer.0.intermediate.dense", ("mlp.up",)),
        ("vit.encoder.layer.0.output.dense", ("mlp.down",)),
        ("self_attention.query_key_value", ("attention.query", "attention.key", "attention.value")),
        ("self_attn.kv_b_proj", ("attention.key", "attention.value")),
        ("mlp.gate_up_proj", ("mlp.gate", "mlp.up")),
        ("mlp.router", ()),
        ("mlp.key_of_other_things", ()),
    ],
)
def test_roles_by_name(name, roles):
    assert roles_of_name(name) == roles


def test_default_targets_in_a_model_without_attention_are_all_linear_layers():
    model = transformers.AutoModelForImageClassification.from_config(zoo.config_of("convnext", text=False))
    roles = find_roles(model, classifies=True)
    assert roles.of(("attention.query", "attention.value")) == roles.of((ALL_LINEAR,))
    with pytest.raises(InputError, match=r"no role 'attention.query'"):
        roles.of(("attention.query",))


def test_convolutions_count_where_nothing_else_is_linear():
    model = transformers.AutoModelForImageClassification.from_config(zoo.config_of("resnet", text=False))
    roles = find_roles(model, classifies=True)
    assert roles.layers[ALL_LINEAR]
    assert all(isinstance(model.get_submodule(n), torch.nn.Conv2d) for n in roles.layers[ALL_LINEAR])
    assert roles.layers["embedding"][0] not in roles.layers[ALL_LINEAR]


def test_a_family_with_names_of_its_own():
    class Odd(torch.nn.Module):
        """A block with layers whose names state no role."""

        def __init__(self):
            super().__init__()
            self.ask, self.answer = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)

    class Model(torch.nn.Module):
        base_model_prefix = "base"

        def __init__(self):
            super().__init__()
            self.base = torch.nn.Module()
            self.base.layers = torch.nn.ModuleList([Odd(), Odd()])
            self.out = torch.nn.Linear(4, 2)

        base_model = property(lambda self: self.base)

        def get_input_embeddings(self):
            return None

        def get_output_embeddings(self):
            return None

    found = find_roles(Model(), classifies=True, patterns={"attention.query": "ask", "mlp.up": "answer"})
    assert found.layers["attention.query"] == ("base.layers.0.ask", "base.layers.1.ask")
    assert found.head == ("out",)
    assert found.blocks == ("base.layers.0", "base.layers.1")
    plain = find_roles(Model(), classifies=True)
    assert set(plain.layers) == {ALL_LINEAR}
    every = tuple(f"base.layers.{i}.{name}" for i in (0, 1) for name in ("ask", "answer"))
    assert plain.layers[ALL_LINEAR] == every


def test_missing_roles_name_the_nearest():
    roles = Roles({"attention.query": ("a",), ALL_LINEAR: ("a",)}, {"a": 4}, ())
    with pytest.raises(InputError, match=r"did you mean 'all-linear'"):
        roles.of(("all_linear",))
