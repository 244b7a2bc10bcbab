"""A document `evenhand.study/1` of models that write, really judged: translations, answers to templates."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import Any

import numpy as np
import study_sample
from tests.judge.answers import generations, likelihoods

import evenhand
from evenhand.datasets.lib.prompts.templates import expand_templates, read_templates

ARMS = ("none", "full", "lora[rank=8]")
TEMPLATES = ("YN1", "MC2")
VARIANTS = ("letters", "letters_inverted", "letters_inverted_symbol", "words")
ANSWERS, TRANSLATIONS = "meta-llama/Llama-2-7b-hf", "mistralai/Mistral-7B-v0.1"
TEXTS = {
    "male": "The cook called the guard because he was late.",
    "female": "The cook called the guard because she was late.",
    "neutral": "The cook called the guard because they were late.",
    "unknown": "The cook called the guard for being late.",
}


@cache
def answered(
    templates: tuple[str, ...] = TEMPLATES, variants: tuple[str, ...] | None = VARIANTS, contexts: int = 12
) -> str:
    """Forms of some templates: half a preference for a meaning, half one for the first token."""
    forms = expand_templates(read_templates(None), templates, variants, permutations=False)
    arms = {}
    for a, arm in enumerate(ARMS):
        draw = np.random.default_rng((a, len(templates)))
        rows = []
        for context in range(contexts):
            for form in forms:
                odds = draw.normal(0, 1, len(form.tokens)) + 0.4 * a * (np.arange(len(form.tokens)) == 0)
                odds += [0.8 * (m == "male") for m in form.meanings]
                logs = odds - np.log(np.exp(odds).sum()) - 1
                for token, meaning, log in zip(form.tokens, form.meanings, logs, strict=True):
                    rows.append((f"e{context:03d}", form.template, form.variant, token, meaning, float(log)))
        arms[arm] = likelihoods(rows)
    return json.dumps(evenhand.audit(arms).to_dict())


@cache
def translated(sentences: int = 180) -> str:
    """Translations of sentences about occupations of either predisposition, or of none."""
    lean = ["male", "female", "none"] * (sentences // 3)
    gold = ["male" if i % 2 else "female" for i in range(sentences)]
    agrees = {True: "pro", False: "anti"}
    stereotype = ["none" if x == "none" else agrees[x == g] for x, g in zip(lean, gold, strict=True)]
    arms = {}
    for a, arm in enumerate(ARMS):
        draw = np.random.default_rng(a)
        genders = [
            x if x != "none" and draw.random() < 0.4 + 0.2 * a else draw.choice([*TEXTS]) for x in lean
        ]
        table = generations(
            [TEXTS[t] for t in genders], [TEXTS[g] for g in gold],
            gold_gender=gold, predisposition=lean, stereotype=stereotype,
        )  # fmt: skip
        arms[arm] = table | {"template": [f"t{i // 3}" for i in range(sentences)]}
    return json.dumps(evenhand.audit(arms).to_dict())


def document(*, also_classifies: bool = False) -> dict[str, Any]:
    """A study's document of two models; with `also_classifies` the first one has an audit as well."""
    result = copy.deepcopy(study_sample.one_model())
    audit = result["models"][0]["audit"]
    result["models"] = [
        {"model": ANSWERS, "audit": audit if also_classifies else None, "generative": json.loads(answered())},
        {"model": TRANSLATIONS, "audit": None, "generative": json.loads(translated())},
    ]
    result["dataset"] |= {"name": "text_snippets", "task": "language"}
    return result
