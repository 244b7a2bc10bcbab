"""Memory: passes are as small as asked everywhere, a peak is a run's own, and one base is alive."""

from __future__ import annotations

import gc
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from evenhand.finetune.inputs import encoded_rows, passes
from evenhand.finetune.modeling import adapt
from evenhand.finetune.modeling import pretrained as base
from evenhand.finetune.modeling.pretrained import PretrainedModel
from evenhand.finetune.outputs import predict
from evenhand.finetune.outputs.generate import generate
from evenhand.finetune.outputs.likelihoods import _fits_a_pass
from evenhand.finetune.run import train
from tests.finetune import worlds


def done(tmp_path, job, data, name="run"):
    folder = tmp_path / name
    folder.mkdir()
    return train(job, data, folder)


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
@pytest.mark.parametrize("most", [1, 3, None])
def test_no_pass_has_more_rows_than_the_study_says(tmp_path, folders, data, monkeypatch, kind, most):
    seen = {True: 0, False: 0}
    made = adapt.build_adapted_model

    def hooked(*args):
        model = made(*args)

        def note(module, _, given):
            seen[module.training] = max(seen[module.training], len(given["input_ids"]))

        model.register_forward_pre_hook(note, with_kwargs=True)
        return model

    monkeypatch.setattr(adapt, "build_adapted_model", hooked)
    done(tmp_path, worlds.job_of(folders[kind], "lora", micro_batch=most, epochs=1), data(kind))
    assert seen == ({True: most, False: most} if most else {True: 16, False: 36})


def test_texts_are_written_and_answers_scored_in_passes_that_are_not_larger():
    sizes = []

    def write_one(input_ids, attention_mask):
        sizes.append(len(input_ids))
        return torch.cat([input_ids, torch.ones(len(input_ids), 1, dtype=torch.long)], dim=1)

    owner = SimpleNamespace(generation_config=None, config=SimpleNamespace(use_cache=False))
    model = torch.nn.Identity()
    model.generate, model.generation_config, model.config = write_one, None, owner.config
    encoder = SimpleNamespace(pad=0, end=1, first=())
    prompts = [[5, i] for i in range(7)]
    with passes.limit_rows_of_a_pass(2):
        assert generate(model, encoder, prompts, 1, Accelerator(cpu=True)) == [[]] * 7
    assert sizes == [2, 2, 2, 1]
    question = ((1, 2), ((3,), (4,)))
    with passes.limit_rows_of_a_pass(4):
        assert _fits_a_pass([question] * 2, 1000)
        assert not _fits_a_pass([question] * 3, 1000)
    assert _fits_a_pass([question] * 3, 1000)


def test_pieces_of_logits_give_the_same_numbers(monkeypatch):
    torch.manual_seed(1)
    logits, tokens = torch.randn(50, 31), torch.randint(31, (50,))
    whole = predict.log_probs(logits, tokens)
    monkeypatch.setattr(predict, "_MAX_CHUNK_ELEMENTS", 100)
    np.testing.assert_array_equal(predict.log_probs(logits, tokens), whole)
    expected = torch.log_softmax(logits.double(), -1)[torch.arange(50), tokens].numpy()
    np.testing.assert_allclose(whole, expected, rtol=1e-12)
    assert predict.log_probs(logits[:0], tokens[:0]).shape == (0,)


def test_a_peak_does_not_depend_on_what_ran_before(tmp_path, folders, data):
    done(tmp_path, worlds.job_of(folders["bert"], "lora", epochs=1), data("bert"), "imports")
    larger = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 8}
    folder = worlds.folder_of(tmp_path, "bert", change=larger)
    peaks = [
        done(tmp_path, worlds.job_of(folder, method, epochs=1), data("bert"), str(i))["peak_memory_bytes"]
        for i, method in enumerate(("lora", "full", "lora", "full"))
    ]
    lora, full = peaks[::2], peaks[1::2]
    assert max(lora) < 1.2 * min(lora), peaks
    assert max(full) < 1.2 * min(full), peaks
    assert max(lora) < min(full), peaks


def bases():
    """How many models are alive that are not adapted."""
    gc.collect()
    return sum(type(o) is PretrainedModel for o in gc.get_objects())


def test_one_large_base_is_alive_and_its_tokens_are_kept(tmp_path, folders, data, monkeypatch):
    monkeypatch.setattr(base, "MAX_SHARED_BYTES", 0)
    base._load_cached.cache_clear()
    read = []
    monkeypatch.setattr(
        encoded_rows,
        "load_tokenizer",
        lambda place, old=encoded_rows.load_tokenizer: read.append(place) or old(place),
    )
    other = worlds.folder_of(tmp_path, "bert")
    rows = worlds.data_of(worlds.texts())
    before = bases()
    for number, folder in enumerate((other, other, folders["roberta"], other)):
        done(tmp_path, worlds.job_of(folder, "lora", seed=number, epochs=1), rows, str(number))
        assert bases() - before <= 1
    assert read == [other, folders["roberta"]]
