"""Every adapter of PEFT against PEFT used by hand: the same losses over ten steps."""

import copy
import math

import numpy as np
import peft
import pytest
import torch
from accelerate import Accelerator
from transformers import (
    AutoModelForSequenceClassification,
    BitsAndBytesConfig,
    get_cosine_schedule_with_warmup,
)

from evenhand import registry
from evenhand.finetune import Model
from evenhand.finetune.log import Log
from evenhand.finetune.loop import BETAS, Hooks, TrainingBatches, fit
from evenhand.finetune.modeling import adapt
from evenhand.finetune.modeling.adapt import METHODS
from evenhand.finetune.modeling.pretrained import load_base
from evenhand.finetune.tasks import build_task
from tests.finetune import worlds

QV, STEPS, SEED, DECAY = ["query", "value"], 10, 13, 0.3
#: Names of PEFT's configuration and its options, `SEED` where it draws by itself; None: BitFit is no adapter.
BY_HAND = {
    "adalora": (
        "AdaLora",
        {"target_r": 2, "init_r": 4, "lora_alpha": 16, "tinit": 1, "tfinal": 2, "total_step": STEPS},
    ),
    "bitfit": None,
    "boft": ("BOFT", {"boft_block_size": 4}),
    "c3a": ("C3A", {"block_size": 32, "init_weights": True}),
    "delora": ("Delora", {}),
    "dora": ("Lora", {"r": 2, "lora_alpha": 4, "use_dora": True}),
    "fourierft": ("FourierFT", {"n_frequency": 50, "init_weights": True, "random_loc_seed": SEED}),
    "gralora": ("Gralora", {"r": 8, "alpha": 16, "gralora_k": 2}),
    "hira": ("Hira", {"r": 8}),
    "hra": ("HRA", {"r": 8}),
    "ia3": ("IA3", {}),
    "ln_tuning": ("LNTuning", {}),
    "loha": ("LoHa", {"r": 8, "alpha": 8}),
    "lokr": ("LoKr", {"r": 8, "alpha": 8}),
    "lora": ("Lora", {"r": 2, "lora_alpha": 4}),
    "miss": ("Miss", {"r": 4}),
    "oft": ("OFT", {"oft_block_size": 8}),
    "qlora": ("Lora", {"r": 2, "lora_alpha": 4}),
    "prefix_tuning": ("PrefixTuning", {"num_virtual_tokens": 4, "task_type": "SEQ_CLS"}),
    "randlora": ("RandLora", {"r": 8, "randlora_alpha": 640, "projection_prng_key": SEED}),
    "road": ("Road", {"group_size": 32}),
    "shira": ("Shira", {"r": 4, "random_seed": SEED}),
    "vera": ("Vera", {"r": 16, "projection_prng_key": SEED}),
    "waveft": ("WaveFT", {"n_frequency": 50, "random_loc_seed": SEED}),
}
#: Methods whose weights keep still where no gradient moves them, by their own papers.
NO_DECAY = {"boft", "c3a", "fourierft", "ia3", "ln_tuning", "randlora", "vera", "waveft"}


def test_all_adapters_are_here():
    others = {"none", "head_only", "full", "existing"}
    assert set(BY_HAND) | others == set(registry.names(METHODS))
    for name in BY_HAND:
        assert registry.load(METHODS, name).INFO.weight_decay == (name not in NO_DECAY)


def by_hand(base, name, encoded, labels, rows, rate, bits=0):
    """Ten steps of PEFT in plain torch; returns the loss of each."""
    model = quantised_by_hand(base, bits) if bits else base.copy(SEED)
    if BY_HAND[name] is None:
        for n, p in model.named_parameters():
            p.requires_grad_(n.endswith(".bias") or n.startswith("classifier"))
    else:
        kind, options = BY_HAND[name]
        options = dict(options)
        for key, value in options.items():
            if value is SEED and ("seed" in key or "key" in key):
                options[key] = int(torch.randint(2**31 - 1, (1,)))
        if name == "ia3":
            options["feedforward_modules"] = [n for n in targets(name, model) if n.endswith(".output.dense")]
        if name != "prefix_tuning":
            options["target_modules"] = targets(name, model)
        config = getattr(peft, f"{kind}Config")(modules_to_save=["classifier"], **options)
        model = peft.get_peft_model(model, config)
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    decayed = [p for n, p in trained if p.ndim > 1 and ("classifier" in n or name not in NO_DECAY)]
    rest = [p for n, p in trained if not any(p is q for q in decayed)]
    groups = [{"params": decayed, "weight_decay": DECAY}, {"params": rest, "weight_decay": 0.0}]
    if name == "c3a":  # a rate of 0.3 is for its kernels
        head = [{"params": [p], "lr": rate / 100} for n, p in trained if "classifier" in n]
        head[0]["weight_decay"], head[1]["weight_decay"] = DECAY, 0.0
        kernels = [p for n, p in trained if "classifier" not in n]
        groups = [{"params": kernels, "weight_decay": 0.0}, *head]
    optimizer = torch.optim.AdamW(groups, rate, BETAS)
    schedule = get_cosine_schedule_with_warmup(optimizer, 1, STEPS)
    losses, step = [], 0
    model.train()
    for epoch in range(2):
        order = np.random.default_rng([SEED, epoch, 1]).permutation(rows)
        for start in range(0, len(order), 12):
            some = order[start : start + 12]
            answers = torch.from_numpy(labels[some])
            # Without a task type, PEFT's outermost model passes by the penalty of its AdaLoRA.
            whole = model.base_model if name == "adalora" else model
            out = whole(**encoded.take(some), labels=answers)
            losses.append(float(torch.nn.functional.cross_entropy(out.logits, answers)))
            out.loss.backward()  # with the loss that PEFT adds
            torch.nn.utils.clip_grad_norm_([p for _, p in trained], 1.0)
            optimizer.step()
            schedule.step()
            step += 1
            if name == "adalora":
                model.base_model.update_and_allocate(step)
            optimizer.zero_grad()
    return losses


def quantised_by_hand(base, bits):
    """The base as transformers quantises it, with the head of the base's copy."""
    settings = BitsAndBytesConfig(
        **{f"load_in_{bits}bit": True}, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        llm_int8_skip_modules=["classifier"],
    )  # fmt: skip
    model = AutoModelForSequenceClassification.from_pretrained(
        base.path, num_labels=2, ignore_mismatched_sizes=True, quantization_config=settings
    )
    model.classifier.load_state_dict(base.copy(SEED).classifier.state_dict())
    return model


def targets(name, model):
    if name == "ia3":
        return [
            n
            for n, _ in model.named_modules()
            if n.endswith((".key", ".value")) or (n.endswith(".output.dense") and "attention" not in n)
        ]
    return ["LayerNorm"] if name == "ln_tuning" else QV


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_losses_of_ten_steps(name, folders, datasets, tmp_path):
    compare(name, folders["bert"], worlds.OPTIONS.get(name, {}), datasets["text"], tmp_path)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_losses_of_ten_steps_on_4_bits(datasets, tmp_path):
    wide = {"hidden_size": 64, "intermediate_size": 128}
    folder = worlds.folder_of(tmp_path, "bert", change=wide)
    compare("qlora", folder, {**worlds.LOW_RANK, "bits": 4}, datasets["text"], tmp_path)


def compare(name, folder, options, data, place):
    """The losses of a run's steps are those of PEFT used by hand."""
    base = load_base(Model(folder), "text", ("no", "yes"), "float32")
    options = copy.deepcopy(options)
    rate = 100 * registry.load(METHODS, name).INFO.learning_rate / (100 if name == "c3a" else 10)
    job = worlds.job_of(
        folder,
        name,
        options=options,
        learning_rate=rate,
        batch_size=12,
        weight_decay=DECAY,
        micro_batch=12,
    )
    rows = build_task(base, job, data).rows
    model = adapt.build_adapted_model(base, job)
    log = Log(place / "train.jsonl")
    seen = []
    log.step = lambda step, epoch, loss, rate: seen.append(loss)
    batches = TrainingBatches(rows.encoded, rows.targets, rows.train, SEED)
    hooks = Hooks(**adapt.method_hooks(job, model))
    steps = fit(model, batches, job.training, Accelerator(cpu=True), log, hooks)
    log.close()
    labels = data.examples.labels
    expected = by_hand(base, name, rows.encoded, labels, rows.train, rate, options.get("bits", 0))
    assert steps == STEPS == len(expected)
    assert math.dist(seen[:1], seen[-1:]) > 1e-5  # the steps do something
    np.testing.assert_allclose(seen, expected, atol=1e-6)
