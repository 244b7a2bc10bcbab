"""What a model learns and reads where a prompt says how a text and its translation stand together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evenhand.datasets import split, synthetic_pairs, winomt
from evenhand.finetune import Data, Model
from evenhand.finetune.estimate.standin import stand_in
from evenhand.finetune.inputs.encoder import encoder_of
from evenhand.finetune.inputs.sequences import encode_prompts, encode_sequences
from evenhand.finetune.modeling.pretrained import load_base

PROMPT = "Turkish: {text} English: {translation}"


def data_of(prompt):
    examples = synthetic_pairs.load(synthetic_pairs.Config(rows=40, new_tokens=8))
    worded = winomt.Config(path="-", prompt=prompt)
    made = replace(examples, translations=winomt._with_prompt(examples.translations, worded))
    parts = split(made.ids, train=0.6, validation=0.15, test=0.25, seed=13, units=made.units)
    return Data(made, parts)


@pytest.mark.parametrize("writer", ["llama", "mistral", "gpt2"])
@pytest.mark.parametrize("prompt", [PROMPT, "<{text}>\n{translation}"])
def test_what_is_learnt_follows_what_is_read(writer, prompt):
    base = load_base(Model(str(stand_in(writer, "language"))), "translation", (), "float32")
    encoder, data = encoder_of(base), data_of(prompt)
    material = encode_sequences(base, data, 128)
    rows = data.parts.test
    prompts, cut = encode_prompts(encoder, data, rows, 128)
    assert cut == 0
    assert not material.remarks
    for row, read in zip(rows.tolist(), prompts, strict=True):
        ids, start = material.encoded.ids[row].tolist(), int(material.targets.starts[row])
        text, translation = data.examples.inputs[row], data.examples.translations.references[row][0]
        whole = prompt.format(text=text, translation=translation)
        assert ids == [*encoder.encode([whole])[0], encoder.end]
        assert ids[:start] == read  # what is generated from is what stood before, token by token
        assert encoder.decode(ids[start:]).strip() == translation


@pytest.mark.parametrize("limit", [40, 48])
def test_a_long_text_loses_its_end_and_neither_prefix_nor_separator(limit):
    base = load_base(Model(str(stand_in("gpt2", "language"))), "translation", (), "float32")
    encoder, data = encoder_of(base), data_of("T: {text} E: {translation}")
    long = [f"{text} {text} {text} {text}" for text in data.examples.inputs]
    data = Data(replace(data.examples, inputs=long), data.parts)
    prompts, cut = encode_prompts(encoder, data, data.parts.test, limit)
    assert cut == len(prompts)
    for row, read in zip(data.parts.test.tolist(), prompts, strict=True):
        said = encoder.decode(read)
        assert len(read) <= limit
        assert said.startswith("T: ")
        assert said.endswith(" E:")
        assert long[row].startswith(said.removeprefix("T: ").removesuffix(" E:"))
