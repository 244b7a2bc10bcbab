"""A quantised base: what is packed, what stays, what is checked, saved, estimated and refused."""

import copy
import json
import re
import warnings

import bitsandbytes
import numpy as np
import peft
import pyarrow.parquet as pq
import pytest
import torch
import transformers
from pydantic import ValidationError

from evenhand.errors import InputError
from evenhand.finetune import Model, checks, run
from evenhand.finetune.estimate import size
from evenhand.finetune.hardware import quantised
from evenhand.finetune.methods import qlora
from evenhand.finetune.modeling import adapt
from evenhand.finetune.modeling.pretrained import load_base
from evenhand.finetune.modeling.ready import ReadySource, load_ready
from tests.finetune import worlds

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
LINEAR = 6 * worlds.LAYERS  # BERT: query, key, value, output, and two of the feed-forward part
BITS = pytest.mark.parametrize("bits", [4, 8])


WIDE = {"hidden_size": 64, "intermediate_size": 128}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of models that are wide enough for 4 bits."""
    place = tmp_path_factory.mktemp("wide")
    return {
        "bert": worlds.folder_of(place, "bert", change=WIDE),
        "gpt2": worlds.folder_of(place, "gpt2", change={"n_embd": 64, "n_inner": 128}),
    }


@pytest.fixture
def base(folders):
    return load_base(Model(folders["bert"]), "text", ("no", "yes"), "float32")


def adapted(base, **options):
    options = {**worlds.OPTIONS["qlora"], **options}
    return qlora.apply(base.copy(1), base.roles, qlora.Config(**options)).eval()


def inputs():
    torch.manual_seed(3)
    return {"input_ids": torch.randint(4, 30, (8, 12)), "attention_mask": torch.ones(8, 12)}


def logits(model):
    with torch.no_grad():
        return model(**inputs()).logits


def expanded(layer):
    """The weights of a quantised layer in float32, by the library's own function."""
    if isinstance(layer, bitsandbytes.nn.Linear4bit):
        return bitsandbytes.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    return bitsandbytes.functional.int8_vectorwise_dequant(layer.weight.data, layer.scales)


@BITS
def test_the_linear_layers_of_the_base_are_packed(base, bits):
    model = adapted(base, bits=bits)
    layers = dict(quantised.quantised_layers(model.get_base_model()))
    pooled = {"bert.pooler.dense"} & set(base.roles.layers["all-linear"])
    assert len(layers) == LINEAR + len(pooled)
    for name, layer in layers.items():
        plain = base.model.get_submodule(name.replace(".base_layer", ""))
        n = plain.weight.numel()
        assert layer.weight.dtype == (torch.uint8 if bits == 4 else torch.int8)
        assert layer.weight.numel() == (n // 2 if bits == 4 else n)
        assert layer.bias is not None
        assert torch.equal(layer.bias, plain.bias)
        error = (expanded(layer) - plain.weight).abs().max() / plain.weight.abs().max()
        # Half of the widest gap between the 16 values of NF4, and half a step of 127.
        assert 0 < error < (0.16 if bits == 4 else 0.5 / 127 + 1e-3)
    kinds = {type(m) for n, m in model.named_modules() if "classifier" in n or "embeddings" in n}
    assert kinds.isdisjoint({type(layer) for layer in layers.values()})


@BITS
def test_it_starts_at_the_quantised_base(base, bits):
    """Until the first step: what transformers' own quantised model computes, near the full model."""
    settings = transformers.BitsAndBytesConfig(
        **{f"load_in_{bits}bit": True}, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        llm_int8_skip_modules=["classifier"],
    )  # fmt: skip
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(
        base.path, num_labels=2, ignore_mismatched_sizes=True, quantization_config=settings
    ).eval()
    full = base.copy(1).eval()
    theirs.classifier.load_state_dict(full.classifier.state_dict())
    found = logits(adapted(base, bits=bits))
    torch.testing.assert_close(found, logits(worlds.exact(theirs)), atol=1e-6, rtol=0)
    distance = float((found - logits(full)).abs().max())
    assert 1e-6 < distance < (0.1 if bits == 4 else 0.02)


def test_data_types_and_double_quantisation_differ(base):
    ways = [{}, {"data_type": "fp4"}, {"double_quantisation": False}]
    models = [adapted(base, bits=4, **way) for way in ways]
    outputs = [logits(model) for model in models]
    assert not torch.allclose(outputs[0], outputs[1], atol=1e-6)
    assert not torch.equal(outputs[0], outputs[2])
    layers = [next(layer for _, layer in quantised.quantised_layers(m)) for m in models]
    assert [layer.weight.quant_type for layer in layers] == ["nf4", "fp4", "nf4"]
    assert [layer.weight.quant_state.nested for layer in layers] == [True, True, False]


@BITS
@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_sizes_count_packed_weights(folders, data, bits, kind):
    """A dry run counts the bytes of what training holds: packed weights, scales, and the rest in float32."""
    rows, options = data(kind), {**worlds.LOW_RANK, "bits": bits}
    job = worlds.job_of(folders[kind], "qlora", options=options)
    (found,) = size.estimate_sizes([job], "text", ("no", "yes"), 8).estimates
    model = adapt.build_adapted_model(run.load_job_base(job, rows), job)
    layers = dict(quantised.quantised_layers(model))
    tables = 4 * (16 + 256) + 4 if bits == 4 else 0  # what stands for a number is the same for all layers
    packed = sum(layer.packed().numel() - tables for layer in layers.values())
    inside = {id(layer.weight) for layer in layers.values()}
    rest = sum(4 * p.numel() for p in model.parameters() if id(p) not in inside)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert found.trainable == trained
    assert found.check_bytes == packed + rest
    assert found.fixed_bytes == packed + rest + 12 * trained
    plain = worlds.job_of(folders[kind], "lora", options=worlds.LOW_RANK)
    (full,) = size.estimate_sizes([plain], "text", ("no", "yes"), 8).estimates
    n = sum(layer.in_features * layer.out_features for layer in layers.values())
    assert full.fixed_bytes - found.fixed_bytes == 4 * n - packed
    assert packed / n == pytest.approx(bits / 8, rel=0.07)
    assert (found.forward, found.training, found.row_bytes) == (full.forward, full.training, full.row_bytes)


@BITS
@pytest.mark.parametrize("part", ["weights", "scales"])
def test_a_packed_weight_that_changes_is_found(folders, data, tmp_path, monkeypatch, bits, part):
    fit = run.fit

    def careless(model, *args, **kwargs):
        steps = fit(model, *args, **kwargs)
        _, layer = next(quantised.quantised_layers(model))
        scales = layer.scales if bits == 8 else layer.weight.quant_state.absmax
        changed = layer.weight.data if part == "weights" else scales
        changed.view(torch.uint8).reshape(-1)[0] ^= 1
        return steps

    monkeypatch.setattr(run, "fit", careless)
    job = worlds.job_of(folders["bert"], "qlora", epochs=1, options={**worlds.LOW_RANK, "bits": bits})
    with pytest.raises(checks.CheckError, match=r"the frozen weight '.*' changed"):
        run.train(job, data("bert"), tmp_path)


@pytest.fixture(scope="module", params=[4, 8])
def trained(request, tmp_path_factory):
    """Base, rows, folder and facts of a run."""
    place = tmp_path_factory.mktemp("trained")
    # Larger weights than usual: at random ones of the usual size, every row is predicted alike.
    base = worlds.folder_of(place, "roberta", change=WIDE | {"initializer_range": 0.3})
    rows = worlds.data_of(worlds.texts())
    job = worlds.job_of(base, "qlora", options={**worlds.LOW_RANK, "bits": request.param})
    return base, rows, place, run.train(job, rows, place), request.param


def of_test(folder, rows):
    table = pq.read_table(folder / "predictions.parquet").to_pydict()
    scores = [s for s, part in zip(table["score"], table["split"], strict=True) if part == "test"]
    return [rows.examples.inputs[i] for i in rows.parts.test], np.array(scores)


def test_the_record_says_what_was_quantised(trained):
    _, _, place, facts, bits = trained
    settings = facts["quantisation"]
    assert settings[f"load_in_{bits}bit"] is True
    assert settings["llm_int8_skip_modules"] == ["classifier.dense", "classifier.out_proj"]
    assert facts["versions"]["bitsandbytes"] == bitsandbytes.__version__
    stated = json.loads((place / "adapter" / "adapter_config.json").read_text())
    assert stated["auto_mapping"]["quantization_config"] == settings
    assert "merged" not in facts["checks"]
    card = " ".join((place / "adapter" / "README.md").read_text().split())
    assert f"The linear layers of the base were quantised to {bits} bits (bitsandbytes " in card


def test_the_code_of_the_readme_gives_the_predictions_of_the_run(trained):
    base, rows, place, *_ = trained
    text = (place / "adapter" / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)

    def loaded():
        names = {"ADAPTER": str(place / "adapter")}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(code, names)
        return names["model"].eval()

    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    texts, scores = of_test(place, rows)

    def scores_by(model):
        with torch.no_grad():
            rows = [model(**tokenizer(text, return_tensors="pt")).logits[0].double() for text in texts]
        return np.array([row.softmax(-1).numpy() for row in rows])

    np.testing.assert_allclose(scores_by(worlds.exact(loaded())), scores, atol=1e-5)
    np.testing.assert_allclose(scores_by(loaded()), scores, atol=0.05)
    # On the full base it is another model.
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(
        base, num_labels=2, ignore_mismatched_sizes=True
    )
    other = peft.PeftModel.from_pretrained(plain, str(place / "adapter")).eval()
    assert np.abs(scores_by(other) - scores).max() > 1e-3


def test_a_ready_adapter_gets_its_quantised_base(trained):
    base, rows, place, facts, _ = trained
    ready = load_ready(ReadySource(str(place / "adapter")), "text", ("no", "yes"), "float32")
    assert ready.facts["quantisation"] == facts["quantisation"]
    again = copy.deepcopy(ready.model)  # as arms of existing models are
    assert len(dict(quantised.quantised_layers(again))) == len(dict(quantised.quantised_layers(ready.model)))
    assert torch.equal(logits(again), logits(ready.model))
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    texts, scores = of_test(place, rows)
    with torch.no_grad():
        found = [again(**tokenizer(text, return_tensors="pt")).logits[0].double() for text in texts]
    np.testing.assert_allclose([row.softmax(-1).numpy() for row in found], scores, atol=1e-5)


@BITS
def test_bfloat16_is_the_precision_of_the_products(base, bits, folders, data, tmp_path, monkeypatch):
    model = adapted(base, bits=bits)
    _, layer = next(quantised.quantised_layers(model))
    precisions, multiply, expand = [], bitsandbytes.matmul_4bit, type(layer).expanded
    if bits == 4:
        monkeypatch.setattr(
            bitsandbytes, "matmul_4bit", lambda x, *a, **k: precisions.append(x.dtype) or multiply(x, *a, **k)
        )
    else:
        monkeypatch.setattr(
            type(layer), "expanded", lambda self, dtype: precisions.append(dtype) or expand(self, dtype)
        )
    bias = layer.bias.detach().clone()
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(torch.randn(2, 3, layer.in_features))
    assert out.dtype == torch.bfloat16
    assert layer(torch.randn(2, 3, layer.in_features)).dtype == torch.float32
    assert precisions == [torch.bfloat16, torch.float32]
    assert torch.equal(layer.bias, bias)
    options = {**worlds.LOW_RANK, "bits": bits}
    job = worlds.job_of(folders["bert"], "qlora", options=options, precision="bfloat16")
    facts = run.train(job, data("bert"), tmp_path)
    assert facts["precision"] == "bfloat16"
    assert facts["checks"]["reload"] < 0.05


def test_gradient_checkpointing_gives_the_same_losses(folders, data, tmp_path):
    losses = []
    for on in (False, True):
        place = tmp_path / str(on)
        place.mkdir()
        job = worlds.job_of(folders["bert"], "qlora", gradient_checkpointing=on)
        run.train(job, data("bert"), place)
        lines = [json.loads(line) for line in (place / "train.jsonl").read_text().splitlines()]
        losses.append([line["loss"] for line in lines if "loss" in line])
    np.testing.assert_allclose(losses[0], losses[1], atol=1e-6)
    assert losses[0][0] != losses[0][-1]


def test_a_missing_library_is_reported_before_anything_runs(folders, data, monkeypatch, trained):
    monkeypatch.setattr(quantised, "find_spec", lambda name: None)
    remedy = r"needs bitsandbytes, which is not installed; .* pip install 'evenhand\[quantised\]'"
    job = worlds.job_of(folders["bert"], "qlora")
    (complaint,) = run.prepare([job], data("bert")).complaints
    assert re.search(remedy, complaint)
    with pytest.raises(InputError, match=remedy):
        size.estimate_sizes([job], "text", ("no", "yes"), 8)
    with pytest.raises(InputError, match=remedy):
        load_ready(ReadySource(str(trained[2] / "adapter")), "text", ("no", "yes"), "float32")


def test_sharding_is_refused(folders, data):
    job = worlds.job_of(folders["bert"], "qlora", parallel="fsdp")
    (complaint,) = run.prepare([job], data("bert")).complaints
    assert "QLoRA is not available with fsdp" in complaint


@pytest.mark.parametrize(
    ("task", "kind"), [("text", "deepseek_v3"), ("image", "convnext"), ("language", "mamba"), ("text", "t5")]
)
def test_unusual_families_train_and_are_quantised_as_transformers_does(task, kind, tmp_path):
    """Inputs of four dimensions, weights that are used without a call, parts that stay in float32."""
    from transformers.quantizers.quantizers_utils import should_convert_module

    from tests.finetune import test_zoo, zoo

    job = worlds.job_of(zoo.folder_of(tmp_path, kind, task), "qlora", epochs=1, options={"bits": 8})
    facts = run.train(job, test_zoo.rows_of(task), tmp_path)
    assert facts["checks"]["reload"] < 1e-5
    base = run.load_job_base(job, test_zoo.rows_of(task))
    left_out = [*facts["quantisation"]["llm_int8_skip_modules"], *base.model._keep_in_fp32_modules]
    converted = [
        name
        for name, module in base.model.named_modules()
        if quantised.is_linear(module) and should_convert_module(name, left_out)
    ]
    model = adapt.build_adapted_model(base, job).get_base_model()
    found = [name.replace(".base_layer", "") for name, _ in quantised.quantised_layers(model)]
    assert found == converted


def test_a_model_without_linear_layers_is_refused(tmp_path, datasets):
    from tests.finetune import zoo

    job = worlds.job_of(zoo.folder_of(tmp_path, "resnet", "image"), "qlora")
    (complaint,) = run.prepare([job], datasets["image"]).complaints
    assert "no linear layers that can be quantised" in complaint


def test_layers_that_4_bits_cannot_hold_stay(tmp_path, datasets):
    """Where a block of weights crosses the end of a row, the library's CPU code mixes up the scales."""
    odd = worlds.folder_of(tmp_path, "bert", change={"hidden_size": 64, "intermediate_size": 48})
    job = worlds.job_of(odd, "qlora", options={**worlds.LOW_RANK, "bits": 4})
    prepared = run.prepare([job], datasets["text"])
    assert not prepared.complaints
    (remark,) = (r for r in prepared.remarks if "full precision" in r)
    assert f"qlora: {worlds.LAYERS} of the " in remark
    base = load_base(Model(odd), "text", ("no", "yes"), "float32")
    model = adapt.build_adapted_model(base, job)
    skipped = quantised.settings_of(model)["llm_int8_skip_modules"]
    down = [f"bert.encoder.layer.{i}.output.dense" for i in range(worlds.LAYERS)]
    assert skipped == [*down, "classifier"]
    narrow = worlds.job_of(worlds.folder_of(tmp_path, "roberta"), "qlora", options={"bits": 4})
    (complaint,) = run.prepare([narrow], datasets["text"]).complaints
    assert "a multiple of 64, of which the model has none; give 8" in complaint


@pytest.mark.parametrize("options", [{"data_type": "fp4"}, {"double_quantisation": False}])
def test_an_option_of_other_bits_is_refused(options):
    with pytest.raises(ValidationError, match="has an effect only with bits: 4"):
        qlora.Config(bits=8, **options)


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
@pytest.mark.parametrize("stabilised", [False, True])
def test_loftq_starts_nearest_to_the_original_weights(folders, kind, stabilised):
    """The error that remains is that of the singular values beyond the rank (Eckart and Young)."""
    base = load_base(Model(folders[kind]), "text", ("no", "yes"), "float32")
    way = {"bits": 4, "rank": 6, "alpha": 18.0, "rank_stabilised": stabilised}
    model = adapted(base, initialisation="loftq", **way)
    for name in base.roles.of(("attention.query", "attention.value")):
        layer, plain = model.get_base_model().get_submodule(name), base.model.get_submodule(name)
        original = plain.weight.detach() if kind == "bert" else plain.weight.detach().T
        packed = bitsandbytes.functional.dequantize_4bit(
            layer.base_layer.weight.data, layer.base_layer.weight.quant_state
        )
        a, b = layer.lora_A["default"].weight.detach(), layer.lora_B["default"].weight.detach()
        factor = 18 / (6**0.5 if stabilised else 6)
        before = torch.linalg.norm(original - packed)
        after = torch.linalg.norm(original - packed - factor * b @ a)
        values = torch.linalg.svdvals((original - packed).double())
        assert float(after) == pytest.approx(float(values[6:].square().sum().sqrt()), rel=1e-4)
        assert after < 0.95 * before
    # With all layers and a high rank, most of what 4 bits changed in the outputs is undone.
    way |= {"targets": ("all-linear",), "rank": 48, "alpha": 48.0}
    full = logits(base.copy(1).eval())
    plain, near = (
        float((logits(adapted(base, initialisation=start, **way)) - full).norm())
        for start in ("kaiming", "loftq")
    )
    assert near < 0.5 * plain


def test_loftq_is_saved_and_counted_as_any_start(folders, data, tmp_path):
    options = {**worlds.LOW_RANK, "bits": 4, "initialisation": "loftq"}
    job = worlds.job_of(folders["bert"], "qlora", options=options)
    facts = run.train(job, data("bert"), tmp_path)
    assert facts["checks"]["reload"] < 1e-5
    (found,) = size.estimate_sizes([job], "text", ("no", "yes"), 8).estimates
    assert found.trainable == facts["trainable_parameters"]
    ready = load_ready(ReadySource(str(tmp_path / "adapter")), "text", ("no", "yes"), "float32")
    assert ready.remarks == ()
    high = worlds.job_of(folders["bert"], "qlora", options={"rank": 65, "initialisation": "loftq"})
    complaints = run.prepare([high], data("bert")).complaints
    assert all("loftq starts from singular vectors, of which 'attention." in c for c in complaints)
    assert len(complaints) == 2
