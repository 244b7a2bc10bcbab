"""A tokenizer with more tokens than the embedding has rows is noticed before training, where it matters."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from evenhand.errors import InputError
from evenhand.finetune import Model, run
from evenhand.finetune.inputs import block_counts
from evenhand.finetune.inputs.encoded_rows import encode_rows
from evenhand.finetune.modeling.pretrained import load_base
from tests.finetune import worlds

ROWS = len(worlds.SPECIAL) + len(worlds.WORDS)


def grown(place, kind, *tokens, pad=None, auto=transformers.AutoModel, **config):
    """A model whose tokenizer got tokens that its embedding has no rows for."""
    folder = place / kind
    made = worlds.config_of(kind)
    for name, value in {"vocab_size": ROWS, **config}.items():
        setattr(made, name, value)
    torch.manual_seed(5)
    auto.from_config(made).save_pretrained(folder)
    worlds.tokenizer(folder, ends=kind not in worlds.DECODERS, pad=None if pad else "[PAD]")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(list(tokens))
    if pad:
        tokenizer.add_special_tokens({"pad_token": pad})
    tokenizer.save_pretrained(str(folder))
    return str(folder)


def with_word(data, word, every):
    """The same texts, some with another word at their end."""
    texts = [f"{t} {word}" if i % every == 0 else t for i, t in enumerate(data.examples.inputs)]
    return dataclasses.replace(data, examples=dataclasses.replace(data.examples, inputs=texts))


@pytest.mark.parametrize("kind", ["bert", "distilbert", "llama", "gpt2"])
def test_a_word_without_a_row(kind, tmp_path, datasets):
    folder = grown(tmp_path, kind, "zebra", "yak")
    data = with_word(datasets["text"], "zebra", 12)
    (told,) = run.prepare([worlds.job_of(folder, m) for m in ("full", "lora")], data).complaints
    assert f"The tokenizer has {ROWS + 2} tokens, the embedding {ROWS} rows" in told
    assert f"8 of 96 texts have a token without a row ('zebra' ({ROWS}))" in told
    assert "resize_token_embeddings" in told
    assert folder in told


def test_a_spare_token_that_no_text_has(tmp_path, datasets):
    folder = grown(tmp_path, "bert", "zebra")
    found = run.prepare([worlds.job_of(folder, "full")], datasets["text"])
    assert found.complaints == ()
    assert not any("zebra" in remark for remark in found.remarks)


@pytest.mark.parametrize("kind", ["bert", "llama", "gpt2"])
@pytest.mark.parametrize("in_config", [False, True])
def test_a_pad_token_without_a_row_is_replaced(kind, in_config, tmp_path, datasets):
    plain = grown(tmp_path / "plain", kind)
    folder = grown(tmp_path / "grown", kind, pad="[FILL]")
    said = json.loads((Path(folder) / "config.json").read_text())
    if in_config and kind != "bert":
        (Path(folder) / "config.json").write_text(json.dumps(said | {"pad_token_id": ROWS}))
    data = datasets["text"]
    found = run.prepare([worlds.job_of(folder, "full")], data)
    assert found.complaints == ()
    assert any(f"pads with '[FILL]' ({ROWS})" in remark for remark in found.remarks)
    scores = []
    for place in (plain, folder):
        base = load_base(Model(place), "text", ("no", "yes"), "float32")
        encoded = encode_rows(base, data.examples, 64)
        with torch.no_grad():
            scores.append(base.copy(1)(**encoded.take(np.arange(20))).logits)
    torch.testing.assert_close(scores[0], scores[1], atol=1e-5, rtol=1e-5)


def test_the_token_that_replaces_it_ends_no_text(tmp_path):
    folder = grown(tmp_path, "gpt2", pad="[FILL]")
    texts = ["w1 w2 [SEP]", "w3", "w4 w5 [UNK]", "w6 [PAD]"]
    examples = worlds.examples("text", texts, np.array([0, 1] * 2), 2)
    base = load_base(Model(folder), "text", ("no", "yes"), "float32")
    encoded = encode_rows(base, examples, 64)
    ends = {encoded.ids[i][-1] for i in range(4)}
    assert encoded.pad not in ends
    model = base.copy(1)
    with torch.no_grad():
        together = model(**encoded.take(np.arange(4))).logits
        alone = torch.cat([model(**encoded.take(np.array([i]))).logits for i in range(4)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@pytest.fixture
def language(datasets):
    """Plain text."""

    def made(word="w1", every=12):
        data = with_word(datasets["text"], word, every)
        none = np.zeros(len(data.examples.ids), np.int64)
        examples = dataclasses.replace(data.examples, task="language", classes=(), labels=none)
        return dataclasses.replace(data, examples=examples)

    return made


def test_models_that_write(tmp_path, language):
    folder = grown(tmp_path, "llama", "zebra", pad="[FILL]", auto=transformers.AutoModelForCausalLM)
    job = worlds.job_of(folder, "lora")
    assert run.prepare([job], language()).complaints == ()
    (told,) = run.prepare([job], language("zebra")).complaints
    assert f"have a token without a row ('zebra' ({ROWS}))" in told
    with pytest.raises(InputError, match="zebra"):
        block_counts.count_blocks(job.model, language("zebra"), 16)


def test_an_end_without_a_row(tmp_path, language):
    folder = grown(tmp_path, "llama", auto=transformers.AutoModelForCausalLM)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"eos_token": "[STOP]"})
    tokenizer.save_pretrained(folder)
    (told,) = run.prepare([worlds.job_of(folder, "lora")], language()).complaints
    assert f"none for its eos token '[STOP]' ({ROWS})" in told


def test_a_dry_run_says_it(tmp_path):
    folder = grown(tmp_path, "bert", "zebra")
    for word, code in (("zebra", 2), ("w3", 0)):
        rows = [
            f"w{i % 2} w{2 + i % 28} w{2 + i // 28} {word if i % 10 == 0 else ''},{i % 2},{'ab'[i // 2 % 2]}"
            for i in range(80)
        ]
        (tmp_path / "t.csv").write_text("\n".join(["text,label,group", *rows]) + "\n")
        (tmp_path / "study.yaml").write_text(
            f"name: {word}\ndataset: {{name: table, path: t.csv, text: text, by: [group]}}\n"
            f"model: {folder}\nmethods: {{full: {{}}}}\nseeds: [1]\n"
        )
        done = subprocess.run(
            [sys.executable, "-m", "evenhand", "run", "study.yaml", "--dry-run"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert ("have a token without a row ('zebra'" in done.stderr) == (code == 2)
