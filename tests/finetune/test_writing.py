"""Models that write: what they learn, generate, and find likely; against transformers' own."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from evenhand.datasets import (
    Examples,
    Prompt,
    PromptSet,
    PromptTemplate,
    split,
    synthetic_pairs,
    text_snippets,
)
from evenhand.datasets.lib.prompts.templates import expand_templates, read_templates
from evenhand.errors import InputError
from evenhand.finetune import Data, Job, Model, Training, run
from evenhand.finetune.estimate.standin import stand_in
from evenhand.finetune.hardware.devices import accelerator_of
from evenhand.finetune.inputs.encoder import boundary, encoder_of
from evenhand.finetune.inputs.sequences import blocks_in, encode_prompts, encode_sequences
from evenhand.finetune.inputs.targets import TokenTargets
from evenhand.finetune.loop import TrainingBatches, _accumulate_gradients
from evenhand.finetune.modeling.pretrained import load_base
from evenhand.finetune.outputs.generate import generate
from evenhand.finetune.outputs.likelihoods import Choice, encode_choices, score_answers
from evenhand.finetune.outputs.predict import token_log_probs
from tests.datasets import sample

FAMILIES = ("llama", "mistral", "gpt2")
SHARED = sample.SHARED / "models" / "stories260k-llama"
TRAINING = Training(learning_rate=3e-3, epochs=1, max_length=96)


@pytest.fixture(params=[*FAMILIES, pytest.param("stories260k", marks=pytest.mark.shared)])
def writer(request):
    """A model that writes, by transformers alone, with its folder."""
    if request.param == "stories260k":
        if not SHARED.is_dir():
            pytest.skip("no shared folder")
        folder = str(SHARED)
    else:
        folder = str(stand_in(request.param, "language"))
    return folder, AutoModelForCausalLM.from_pretrained(folder).eval()


def of_pairs(rows=64, **options):
    examples = synthetic_pairs.load(synthetic_pairs.Config(rows=rows, new_tokens=8, **options))
    parts = split(examples.ids, train=0.6, validation=0.15, test=0.25, seed=13, units=examples.units)
    return Data(examples, parts)


NOTHING = PromptSet()


def of_texts(texts, asked=NOTHING):
    ids = [f"t{i}" for i in range(len(texts))]
    examples = Examples("language", ids, texts, np.zeros(len(texts), np.int64), (), (), prompts=asked)
    return Data(examples, split(ids, train=0.6, validation=0.2, test=0.2, seed=1))


def of_questions():
    """Texts, with questions whose answers have one token and several."""
    forms = expand_templates(read_templates(None), ("YN1", "Cloze1"), ("words", "emojis"), permutations=True)
    return of_texts([f"the cook {i} met the guard" for i in range(40)], PromptSet(forms=forms, snippets=3))


def by_transformers(model, prompt, answer):
    """Log-probabilities of an answer's tokens, from one whole unpadded sequence."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*prompt, *answer]])).logits[0].double()
    told = torch.log_softmax(logits, -1)
    return [float(told[len(prompt) + i - 1, token]) for i, token in enumerate(answer)]


def test_log_likelihoods_are_those_of_transformers(writer):
    _, model = writer
    rng = np.random.default_rng(5)
    most = model.config.vocab_size

    def tokens(n):
        return tuple(int(t) for t in rng.integers(3, most, size=n))

    # Lengths that pad within a batch, batches of several prompts, answers of one and of many tokens.
    choices = [
        Choice(tokens(n), tuple(tokens(k) for k in lengths))
        for n in (1, 2, 7, 40, 41, 200)
        for lengths in ((1, 1), (1, 3, 2), (5, 1))
    ]
    found = score_answers(model, [*choices, choices[0]], 0, accelerator_of("float32"))
    assert [len(a) for a in found] == [len(c.answers) for c in (*choices, choices[0])]
    for choice, answers in zip(choices, found, strict=False):
        for answer, values in zip(choice.answers, answers, strict=True):
            assert values == pytest.approx(by_transformers(model, choice.prompt, answer), abs=1e-5)


def test_generation_is_that_of_one_prompt_at_a_time(writer):
    folder, model = writer
    encoder = encoder_of(load_base(Model(folder), "language", (), "float32"))
    rng = np.random.default_rng(1)
    prompts = [
        [int(t) for t in rng.integers(3, model.config.vocab_size, size=n)] for n in (9, 3, 30, 1, 17, 3)
    ]
    found = generate(model, encoder, [*prompts, prompts[1]], 12, accelerator_of("float32"))
    assert found[1] == found[-1]
    for prompt, new in zip(prompts, found, strict=False):
        with torch.no_grad():
            whole = model.generate(
                torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                max_new_tokens=12, do_sample=False, eos_token_id=encoder.end, pad_token_id=encoder.pad,
            )[0].tolist()  # fmt: skip
        new_ones = whole[len(prompt) :]
        assert new == (new_ones[: new_ones.index(encoder.end)] if encoder.end in new_ones else new_ones)


@pytest.mark.parametrize("kin", FAMILIES)
def test_only_translation_and_end_are_learnt(kin):
    base = load_base(Model(str(stand_in(kin, "translation"))), "translation", (), "float32")
    data = of_pairs(24)
    found = encode_sequences(base, data, 96)
    encoder, accelerator = encoder_of(base), accelerator_of("float32")
    rows = found.train[:6]
    # The reference: each pair by itself, unpadded, its loss by transformers.
    total, tokens = 0.0, 0
    for row in rows.tolist():
        source, target = data.examples.inputs[row], data.examples.translations.references[row][0]
        ids = encoder.tokenizer(f"{source}\n{target}")["input_ids"] + [encoder.end]
        prompt = encoder.tokenizer(f"{source}\n")["input_ids"]
        labels = [-100] * len(prompt) + ids[len(prompt) :]
        with torch.no_grad():
            loss = base.model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss
        n = len(ids) - len(prompt)
        total, tokens = total + float(loss) * n, tokens + n
    batches = TrainingBatches(found.encoded, found.targets, rows, 13)
    cut = [(part, np.zeros(len(part), bool)) for part in (rows[:4], rows[4:])]  # two micro-batches, padded
    model = base.copy(0)
    assert _accumulate_gradients(model, cut, batches, accelerator) == pytest.approx(total / tokens, rel=1e-5)
    values = np.concatenate(token_log_probs(base.model, found.encoded, found.targets, rows, accelerator))
    assert (len(values), -values.mean()) == (tokens, pytest.approx(total / tokens, rel=1e-5))


def test_what_is_given_and_padding_have_no_label():
    answers = TokenTargets([np.arange(5), np.arange(3)], np.array([2, 1]))
    assert answers.labels(np.array([0, 1]), 6).tolist() == [
        [-100, -100, 2, 3, 4, -100], [-100, 1, 2, -100, -100, -100],
    ]  # fmt: skip
    assert answers.count(np.array([0, 1])) == 5


def test_texts_are_packed_part_by_part():
    base = load_base(Model(str(stand_in("llama", "language"))), "language", (), "float32")
    texts = [f"text number {i} " * (1 + i % 5) for i in range(30)]
    data = of_texts(texts)
    encoder, found = encoder_of(base), encode_sequences(base, data, 32)
    for rows, blocks in ((data.parts.train, found.train), (data.parts.validation, found.validation)):
        stream = [t for r in rows for t in (*encoder.tokenizer(texts[r])["input_ids"], encoder.end)]
        made = [found.encoded.ids[b].tolist() for b in blocks]
        assert [t for block in made for t in block] == stream[: sum(map(len, made))]
        assert len(stream) - sum(map(len, made)) <= 1  # a single token is dropped
        assert {len(block) for block in made[:-1]} == {32}
    assert (found.targets.starts == 1).all()


@pytest.mark.parametrize(
    ("tokens", "blocks"), [(0, 0), (1, 0), (2, 1), (7, 1), (8, 1), (9, 1), (10, 2), (16, 2), (17, 2), (18, 3)]
)
def test_a_last_block_of_one_token_is_none(tokens, blocks):
    made = [list(range(tokens))[i : i + 8] for i in range(0, tokens, 8)]
    assert blocks_in(tokens, 8) == blocks == sum(len(block) > 1 for block in made)


def test_where_an_answer_begins():
    assert boundary([1, 2, 3], [[1, 2, 3, 4], [1, 2, 3, 5, 6]]) == 3
    # One answer melts into the prompt's last token: all begin before that.
    assert boundary([1, 2, 3], [[1, 2, 9], [1, 2, 3, 5]]) == 2
    assert boundary([1], [[1]]) == 1


def test_answers_are_scored_where_the_tokens_differ():
    base = load_base(Model(str(stand_in("llama", "language"))), "language", (), "float32")
    encoder = encoder_of(base)
    # A word of the vocabulary, cut in its middle: with the answer it is one token.
    word = next(t for t in encoder.tokenizer.get_vocab() if t.isalpha() and len(t) > 4)
    form = PromptTemplate("x", "words", word[:3], "", (word[3:], "zzz"), ("a", "b"), ("a", "b"))
    data = of_texts([f"text {i}" for i in range(20)], PromptSet(questions=(Prompt("q", "", form),)))
    [choice] = encode_choices(base, data, 64).choices
    whole = encoder.encode([word])[0]
    assert (*choice.prompt, *choice.answers[0]) in {tuple(whole), (encoder.end, *whole)}
    assert {encoder.decode([*choice.prompt, *a]) for a in choice.answers} == {word, word[:3] + "zzz"}


def question(text="", before="Q ", after=" A:", answers=(" yes", " no")):
    return Prompt("q", text, PromptTemplate("x", "words", before, after, answers, ("y", "n"), ("y", "n")))


def test_only_the_text_is_cut():
    base = load_base(Model(str(stand_in("llama", "language"))), "language", (), "float32")
    encoder = encoder_of(base)
    long = "word " * 400
    data = of_texts(
        [f"text {i}" for i in range(20)], PromptSet(questions=(question(long), question("short")))
    )
    cut, kept = encode_choices(base, data, 64).choices
    assert (cut.cut, kept.cut) == (True, False)
    assert 60 <= len(cut.prompt) + max(map(len, cut.answers)) <= 64
    said = encoder.decode(cut.prompt)
    assert said.startswith("Q word")
    assert said.endswith(" A:")
    assert [encoder.decode(a) for a in cut.answers] == [" yes", " no"]


@pytest.mark.parametrize("sign", ["🔴", "◐", "A", "1"])
def test_signs_that_fall_into_bytes_are_summed(sign):
    base = load_base(Model(str(stand_in("gpt2", "language"))), "language", (), "float32")
    data = of_texts(
        [f"text {i}" for i in range(20)], PromptSet(questions=(question(answers=(f" {sign}", " no")),))
    )
    [choice] = encode_choices(base, data, 64).choices
    assert bytes(encoder_of(base).decode(choice.answers[0]), "utf-8") == f" {sign}".encode()
    assert len(choice.answers[0]) == len(encoder_of(base).tokenizer(f" {sign}")["input_ids"])


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (question(answers=("", " no")), r"template x \(words\), 'q': the answer '' has no tokens"),
        (question(before="long " * 200), r"has more than 64 tokens even without a text"),
        (
            question(text="t", answers=(" no", " very" * 90)),
            r"even without a text; raise training.max_length",
        ),
    ],
)
def test_questions_that_cannot_be_asked(asked, says):
    base = load_base(Model(str(stand_in("llama", "language"))), "language", (), "float32")
    data = of_texts([f"text {i}" for i in range(20)], PromptSet(questions=(asked,)))
    with pytest.raises(InputError, match=says):
        encode_choices(base, data, 64)
    # It is told before anything is trained.
    short = replace(job("full", stand_in("llama", "language")), training=replace(TRAINING, max_length=64))
    [complaint] = run.prepare([short], data).complaints
    assert re.search(says, complaint)


def test_pairs_that_are_too_long():
    base = load_base(Model(str(stand_in("llama", "translation"))), "translation", (), "float32")
    data = of_pairs(24)
    whole = encode_sequences(base, data, 96)
    limit = int(whole.encoded.lengths.max()) - 3
    cut = encode_sequences(base, data, limit)
    assert "were cut at their end" in cut.remarks[0]
    for row in range(24):  # the translation is never touched
        a, b = (m.encoded.ids[row][m.targets.starts[row] :] for m in (whole, cut))
        assert a.tolist() == b.tolist()
    with pytest.raises(InputError, match=r"translations exceed 5 tokens"):
        encode_sequences(base, data, 5)
    prompts, shortened = encode_prompts(encoder_of(base), data, data.parts.test, 12)
    assert max(map(len, prompts)) <= 12
    assert shortened > 0
    newline = encoder_of(base).tokenizer("\n")["input_ids"]
    assert all(prompt[-len(newline) :] == newline for prompt in prompts)
    long = replace(data.examples, translations=replace(data.examples.translations, new_tokens=511))
    with pytest.raises(InputError, match=r"new_tokens: got 511; the model's context of 512 tokens"):
        encode_prompts(encoder_of(base), Data(long, data.parts), data.parts.test, 96)


def job(method, folder, **options):
    return Job(method, Model(str(folder), {}, "m"), method, options, TRAINING, 13)


@pytest.mark.parametrize("task", ["translation", "language"])
def test_head_only_has_no_head(task):
    data = of_pairs(24) if task == "translation" else of_texts([f"text {i}" for i in range(20)])
    told = run.prepare([job("head_only", stand_in("llama", task))], data)
    assert "not a classification" in told.complaints[0]


def test_families_that_only_read(folders):
    told = run.prepare([job("full", folders["bert"])], of_pairs(24))
    assert "the dataset needs text generation" in told.complaints[0]
    assert "offers for text classification" in told.complaints[0]


def test_a_tokenizer_without_an_end(tmp_path):
    folder = stand_in("llama", "translation")
    for path in Path(folder).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    tokenizer.eos_token = None
    tokenizer.save_pretrained(str(tmp_path))
    told = run.prepare([job("full", tmp_path)], of_pairs(24))
    assert "has no eos token" in told.complaints[0]


def test_a_tokenizer_without_padding(tmp_path):
    folder = stand_in("gpt2", "translation")
    for path in Path(folder).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    tokenizer.pad_token = None
    tokenizer.save_pretrained(str(tmp_path))
    encoder = encoder_of(load_base(Model(str(tmp_path)), "translation", (), "float32"))
    assert encoder.pad == encoder.end
    assert run.prepare([job("full", tmp_path)], of_pairs(24)).complaints == ()


@pytest.mark.parametrize("kin", FAMILIES)
@pytest.mark.parametrize(("way", "options"), [("full", {}), ("lora", {"rank": 2}), ("none", {})])
def test_translations(kin, way, options, tmp_path):
    data = of_pairs()
    facts = run.train(job(way, stand_in(kin, "translation"), **options), data, tmp_path)
    table = pq.read_table(tmp_path / "generations.parquet").to_pylist()
    test = data.parts.test.tolist()
    assert [row["example_id"] for row in table] == [data.examples.ids[r] for r in test]
    assert [row["template"] for row in table] == [data.examples.units[r] for r in test]
    assert table[0]["prompt"] == data.examples.inputs[test[0]] + "\n"
    assert tuple(table[0]["references"]) == data.examples.translations.references[test[0]]
    assert {row["arm"] for row in table} == {way}
    trained = way != "none"
    assert (facts["validation"] is not None) == trained
    assert set(facts["checks"]) == {"full": {"reload"}, "none": {"base_frozen"}}.get(
        way, {"base_frozen", "reload", "merged"}
    )
    if trained:
        assert facts["validation"]["accuracy"] is None
        assert facts["validation"]["loss"] > 0
        assert facts["steps"] == -(-len(data.parts.train) // 32)


@pytest.mark.parametrize(("way", "options"), [("full", {}), ("dora", {"rank": 2}), ("none", {})])
def test_choices(way, options, tmp_path):
    data = of_questions()
    forms = data.examples.prompts.forms
    facts = run.train(job(way, stand_in("llama", "language"), **options), data, tmp_path)
    table = pq.read_table(tmp_path / "likelihoods.parquet").to_pylist()
    assert len(table) == sum(3 * len(form.answers) for form in forms)
    assert {row["example_id"] for row in table} == {data.examples.ids[r] for r in data.parts.test[:3]}
    assert {(r["variant"], r["permutation"]) for r in table if r["template"] == "Cloze1"} == {
        ("words", "0"), ("emojis", "0"), ("emojis", "1"), ("emojis", "2"),
    }  # fmt: skip
    assert all(row["log_prob"] < 0 and row["log_prob_free"] < 0 and row["n_tokens"] > 0 for row in table)
    assert facts["checks"]
    free = {}
    for row in table:  # what a text without content says is the same whatever text there is
        key = row["template"], row["variant"], row["permutation"], row["option_token"]
        assert free.setdefault(key, row["log_prob_free"]) == row["log_prob_free"]


def test_a_written_table_says_what_transformers_says(tmp_path):
    """One number of the table, by hand: the snippet in its template, the answer's tokens, summed."""
    form = next(f for f in expand_templates(read_templates(None), ("MC1",), ("words",), permutations=False))
    data = of_texts([f"the cook {i}" for i in range(40)], PromptSet(forms=(form,), snippets=2))
    folder = stand_in("llama", "language")
    run.train(job("none", folder), data, tmp_path)
    [row, *_] = pq.read_table(tmp_path / "likelihoods.parquet").to_pylist()
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    model = AutoModelForCausalLM.from_pretrained(str(folder)).eval()
    text = data.examples.inputs[data.parts.test[0]]
    prompt = tokenizer(form.before + text + form.after)["input_ids"]
    answer = tokenizer(" male")["input_ids"]
    assert tokenizer(form.before + text + form.after + " male")["input_ids"] == prompt + answer
    assert row["log_prob"] == pytest.approx(sum(by_transformers(model, prompt, answer)), abs=1e-5)
    assert (row["n_tokens"], row["option_meaning"]) == (len(answer), "male")
    empty = [sum(by_transformers(model, tokenizer(form.before + t + form.after)["input_ids"], answer))
             for t in ("N/A", "[MASK]", "")]  # fmt: skip
    assert row["log_prob_free"] == pytest.approx(np.log(np.mean(np.exp(empty))), abs=1e-5)


def test_all_methods_see_the_same_order_and_seeds(tmp_path):
    data = of_pairs()
    folder = stand_in("llama", "translation")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        run.train(job("lora", folder, rank=2), data, tmp_path / name)
    for file in ("generations.parquet", "adapter/adapter_model.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_snippets_of_the_world_are_tried_out():
    found = text_snippets.smoke(text_snippets.Config(path="nowhere"))
    assert (found.task, found.prompts.snippets) == ("language", 4)
