"""Tables of questions as they are published: all are asked, and answers are as likely as models say."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter

import pytest
import torch
from tests.datasets import sample
from transformers import AutoModelForCausalLM, AutoTokenizer

from evenhand.datasets import Examples, split, text_snippets
from evenhand.finetune import Data, Model
from evenhand.finetune.hardware.devices import accelerator_of
from evenhand.finetune.modeling.pretrained import load_base
from evenhand.finetune.outputs.likelihoods import encode_choices, score_answers

DATA = sample.SHARED / "data"
MODEL = sample.SHARED / "models" / "stories260k-llama"
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(
        not (DATA.is_dir() and MODEL.is_dir()),
        reason="the folder of real data and models is not beside this checkout",
    ),
]

BBQ = {
    "path": str(DATA / "bbq"),
    "name": "bbq",
    "prompt": "{context} {question}\nAnswer:",
    "answers": {f"ans{i}": f" {{ans{i}}}" for i in range(3)},
    "label": "label",
    "by": ("category", "context_condition", "question_polarity"),
}
CROWS = {
    "path": str(DATA / "crows_pairs" / "crows_pairs_anonymized.csv"),
    "name": "crows_pairs",
    "answers": {"more": "{sent_more}", "less": "{sent_less}"},
    "by": ("bias_type", "stereo_antistereo"),
}
WINOGENDER = {
    "path": str(DATA / "winogender" / "all_sentences.tsv"),
    "name": "winogender",
    "parse": {"sentid": "{occupation}.{participant}.{answer}.{gender}.txt"},
    "meaning": "gender",
    "together": ("occupation", "participant", "answer"),
    "answers": dict.fromkeys(("male", "female", "neutral"), "{sentence}"),
    "by": ("answer",),
}


def loaded(tmp_path, questions):
    texts = sample.write_csv(tmp_path / "texts.csv", sample.posts(20))
    return text_snippets.load(text_snippets.Config(path=texts, questions=questions))


def groups(asked, name):
    [attribute] = [a for a in asked.attributes if a.name == name]
    return Counter(attribute.groups[code] for code in attribute.codes)


def test_bbq_is_asked_whole(tmp_path):
    told = [
        json.loads(line)
        for path in sorted((DATA / "bbq").glob("*.jsonl.gz"))
        for line in gzip.decompress(path.read_bytes()).decode().splitlines()
    ]
    asked = loaded(tmp_path, BBQ).prompts
    assert len(asked.questions) == len(told) == 5744
    assert {len(q.form.answers) for q in asked.questions} == {3}
    for question, row in zip(asked.questions, told, strict=True):
        assert question.form.before == f"{row['context']} {row['question']}\nAnswer:"
        assert question.form.answers == tuple(f" {row[f'ans{i}']}" for i in range(3))
        assert question.label == f"ans{row['label']}"
    for name in ("category", "context_condition", "question_polarity"):
        assert groups(asked, name) == Counter(row[name] for row in told)


def test_crows_pairs_are_asked_whole(tmp_path):
    with (DATA / "crows_pairs" / "crows_pairs_anonymized.csv").open(encoding="utf-8", newline="") as file:
        told = list(csv.DictReader(file))
    asked = loaded(tmp_path, CROWS).prompts
    assert len(asked.questions) == len(told) == 1508
    assert [q.form.answers for q in asked.questions] == [(r["sent_more"], r["sent_less"]) for r in told]
    assert {q.form.before for q in asked.questions} == {""}
    for name in ("bias_type", "stereo_antistereo"):
        assert groups(asked, name) == Counter(row[name] for row in told)


def test_winogender_is_asked_whole(tmp_path):
    lines = (DATA / "winogender" / "all_sentences.tsv").read_text(encoding="utf-8").splitlines()[1:]
    told = {}
    for line in lines:
        name, sentence = line.split("\t")
        *which, gender, _ = name.split(".")
        told.setdefault(tuple(which), {})[gender] = sentence
    asked = loaded(tmp_path, WINOGENDER).prompts
    assert len(lines) == 720
    assert len(asked.questions) == len(told) == 240
    assert [q.form.answers for q in asked.questions] == [
        (one["male"], one["female"], one["neutral"]) for one in told.values()
    ]
    assert groups(asked, "answer") == Counter(which[2] for which in told)


def token_by_token(model, tokenizer, prompt, whole):
    """Log-probability of what a text says after a prompt, one token after another, by transformers alone."""
    given = tokenizer(prompt)["input_ids"]
    ids = tokenizer(whole)["input_ids"]
    start = next((i for i, (a, b) in enumerate(zip(given, ids, strict=False)) if a != b), len(given))
    total = []
    for end in range(max(start, 1), len(ids)):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids[:end]])).logits[0, -1]
        total.append(float(torch.log_softmax(logits, -1)[ids[end]]))
    return total


@pytest.mark.parametrize("questions", [BBQ, CROWS, WINOGENDER], ids=lambda q: q["name"])
def test_answers_are_as_likely_as_transformers_says(tmp_path, questions):
    examples = loaded(tmp_path, questions)
    few = Examples(
        examples.task, examples.ids, examples.inputs, examples.labels, (), (),
        prompts=type(examples.prompts)(questions=examples.prompts.questions[::200][:2]),
    )  # fmt: skip
    data = Data(few, split(few.ids, train=0.6, validation=0.2, test=0.2, seed=1))
    base = load_base(Model(str(MODEL)), "language", (), "float32")
    choices = encode_choices(base, data, 512).choices
    # In float64, so that nothing but the way of asking can differ; float32 rounds at the fifth decimal.
    found = score_answers(base.copy(0).double(), choices, 0, accelerator_of("float32"))
    model = AutoModelForCausalLM.from_pretrained(MODEL).eval().double()
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    for question, answers in zip(few.prompts.questions, found, strict=True):
        before = question.form.before
        for answer, values in zip(question.form.answers, answers, strict=True):
            wanted = token_by_token(model, tokenizer, before, before + answer)
            assert values == pytest.approx(wanted, abs=1e-5)
