"""Small models of every family, and rows to train them on, made by the tests."""

import copy
from dataclasses import replace

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from evenhand import registry
from evenhand.datasets import Examples, Parts
from evenhand.finetune import Data, Job, Model, Training
from evenhand.tables.schema import Attribute

WORDS = [f"w{i}" for i in range(30)]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WIDTH, LAYERS, POSITIONS, VOCABULARY = 32, 2, 24, 40
#: Families that evenhand makes itself bring their own models.
TEXT, IMAGE = ("bert", "roberta", "distilbert", "llama", "mistral", "gpt2"), ("vit", "swinv2")
#: Decoders: their tokenizers close nothing and pad nothing.
DECODERS = ("llama", "mistral", "gpt2")
CALM = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def tokenizer(folder, *, ends=True, pad="[PAD]"):
    """A tokenizer of whole words; `ends`: whether it puts [CLS] and [SEP] around a text."""
    made = Tokenizer(models.WordLevel({w: i for i, w in enumerate(SPECIAL + WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    if ends:
        made.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="[UNK]", pad_token=pad, eos_token="[SEP]", padding_side="right",
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip
    fast.save_pretrained(str(folder))


def config_of(family):
    """A small configuration without dropout."""
    sizes = {
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "intermediate_size": 48,
    }
    words = {"vocab_size": VOCABULARY, "max_position_embeddings": POSITIONS, "pad_token_id": 0}
    if family == "bert":
        return transformers.BertConfig(**sizes, **words, **CALM)
    if family == "roberta":
        return transformers.RobertaConfig(**sizes, **words, **CALM, bos_token_id=2, eos_token_id=3)
    if family == "distilbert":
        return transformers.DistilBertConfig(
            **words, dim=WIDTH, n_layers=LAYERS, n_heads=2, hidden_dim=48, dropout=0.0, attention_dropout=0.0,
            seq_classif_dropout=0.0,
        )  # fmt: skip
    if family == "llama":
        return transformers.LlamaConfig(
            **sizes, **words, num_key_value_heads=1, bos_token_id=2, eos_token_id=3
        )
    if family == "mistral":
        return transformers.MistralConfig(
            **sizes,
            **words,
            num_key_value_heads=1,
            head_dim=16,
            sliding_window=8,
            bos_token_id=2,
            eos_token_id=3,
        )
    if family == "gpt2":
        return transformers.GPT2Config(
            n_embd=WIDTH, n_layer=LAYERS, n_head=2, n_inner=48, vocab_size=VOCABULARY, n_positions=POSITIONS,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=2, eos_token_id=3, pad_token_id=0,
        )  # fmt: skip
    if family == "swinv2":
        return transformers.Swinv2Config(
            image_size=16, patch_size=2, embed_dim=16, depths=[1, 1], num_heads=[2, 2], window_size=4,
            mlp_ratio=2.0, drop_path_rate=0.0, **CALM,
        )  # fmt: skip
    return transformers.ViTConfig(**sizes, **CALM, image_size=16, patch_size=8)


def folder_of(place, family, *, change=None):
    """Save a random model of a family as transformers would; returns its folder."""
    folder = place / family
    config = config_of(family)
    for name, value in (change or {}).items():
        setattr(config, name, value)
    torch.manual_seed(5)
    kind = dict.fromkeys(IMAGE, transformers.AutoModelForImageClassification)
    kind |= dict.fromkeys(DECODERS, transformers.AutoModelForCausalLM)
    # BERT's classifier is kept for its pooler; the three classes of its head fit no dataset here.
    config.num_labels = 5
    kind.get(family, transformers.AutoModelForSequenceClassification).from_config(config).save_pretrained(
        folder
    )
    if family in TEXT:
        tokenizer(folder, ends=family not in DECODERS, pad=None if family in DECODERS else "[PAD]")
    return str(folder)


def texts(n=96, classes=2):
    """Posts whose class shows in their words, in two attributes."""
    rng = np.random.default_rng(3)
    labels = np.arange(n) % classes
    inputs = [
        " ".join(rng.choice([f"w{int(y)}", *WORDS[classes:]], size=rng.integers(2, 9))) + f" w{int(y)}"
        for y in labels
    ]
    return examples("text", inputs, labels, classes)


def pictures(n=64, classes=2, size=16):
    """Pictures that are bright on one side, by class; noise elsewhere."""
    rng = np.random.default_rng(4)
    labels = np.arange(n) % classes
    made = rng.integers(0, 200, (n, size, size, 3), dtype=np.uint8)
    for picture, label in zip(made, labels, strict=True):
        picture[int(label) :: classes + 1] = 255
    return examples("image", list(made), labels, classes)


def examples(task, inputs, labels, classes):
    n = len(labels)
    rng = np.random.default_rng(9)
    names = ("no", "yes") if classes == 2 else tuple(f"c{i}" for i in range(classes))
    group = Attribute("group", "partition", ("a", "b"), codes=rng.integers(0, 2, n))
    target = Attribute("target", "memberships", ("x", "y"), flags=rng.random((2, n)) < 0.5)
    return Examples(
        task, [f"r{i}" for i in range(n)], inputs, labels.astype(np.int64), names, (group, target)
    )


def data_of(found):
    """The first rows to train on, then validation, then test."""
    n = len(found.ids)
    cut, last = n * 5 // 8, n * 6 // 8
    return Data(found, Parts(np.arange(cut), np.arange(cut, last), np.arange(last, n)))


LOW_RANK = {"rank": 2, "alpha": 4.0, "dropout": 0.0, "targets": ("attention.query", "attention.value")}
#: Options that fit models of this width.
OPTIONS = {
    "lora": LOW_RANK,
    "dora": LOW_RANK,
    "adalora": {"rank": 2, "initial_rank": 4},
    "fourierft": {"n_frequency": 50},
    "miss": {"rank": 4},
    "oft": {"block_size": 8},
    "prefix_tuning": {"tokens": 4},
    "qlora": {**LOW_RANK, "bits": 8},  # 4 bits need wider models
    "randlora": {"rank": 8},
    "shira": {"rank": 4},
    "vera": {"rank": 16},
    "waveft": {"n_frequency": 50},
}
#: Methods that are tested on every family; the others on a picture's and a text's, which they can adapt.
COMMON = ("none", "head_only", "full", "lora", "dora")


def families_of(method):
    """The families that a method is tested on."""
    if method in COMMON:
        return (*TEXT, *IMAGE)
    info = registry.load("evenhand.finetune.methods", method).INFO
    return ("gpt2" if "Conv1D" in info.layers else "llama", "vit" if "image" in info.inputs else "bert")


def job_of(folder, method, *, seed=13, **changes):
    """A short run; `changes` are of its training, or `options`, `label`."""
    options = changes.pop("options", OPTIONS.get(method, {}))
    training = replace(Training(0.01, 2, batch_size=16, warmup=0.1), **changes)
    return Job(method, Model(folder, label="tiny"), method, copy.deepcopy(options), training, seed)


def exact(model):
    """Keep bitsandbytes from rounding the inputs of its layers when it predicts; returns the model."""
    for layer in model.modules():
        if type(layer).__module__ == "bitsandbytes.nn.modules":
            # To bfloat16, on processors that multiply it; to 8 bits, outside of training.
            layer.support_avx512bf16_for_cpu = False
            layer.train(type(layer).__name__ == "Linear8bitLt")
    return model
