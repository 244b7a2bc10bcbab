"""Likelihoods of answers beside whole padded sequences; generation beside batches that are not sorted.

    python -m benchmarks.likelihoods [MODEL]

The peer scores each answer as a transformers user would: prompt and answer as one sequence, padded on the
right, in batches of the given order. Log-likelihoods must be equal. What can be gained at most is the
ratio of the tokens that both compute.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import describe

OUT = Path(__file__).parent / "results" / "likelihoods.json"
BATCH = 32
QUESTIONS, NEW_TOKENS, REPEATS = 200, 32, 3


def main(folder: str | None) -> None:
    """Measure both, print a line each, and write the figures with the machine's description."""
    import torch

    from evenhand.finetune import Model
    from evenhand.finetune.estimate.standin import stand_in
    from evenhand.finetune.hardware.devices import accelerator_of
    from evenhand.finetune.inputs.encoder import encoder_of
    from evenhand.finetune.modeling.pretrained import load_base
    from evenhand.finetune.outputs.generate import generate
    from evenhand.finetune.outputs.likelihoods import score_answers

    torch.set_num_threads(1)
    base = load_base(Model(folder or str(stand_in("llama", "language"))), "language", (), "float32")
    encoder, accelerator = encoder_of(base), accelerator_of("float32")
    choices = questions(int(base.model.config.vocab_size))
    ours, seconds = best(lambda: score_answers(base.model, choices, encoder.pad, accelerator))
    theirs, peer_seconds = best(lambda: whole(base.model, choices, encoder.pad))
    worst = max(
        abs(float(values.sum()) - other)
        for answers, others in zip(ours, theirs, strict=True)
        for values, other in zip(answers, others, strict=True)
    )
    options = sum(len(choice.answers) for choice in choices)
    computed = sum(len(c.prompt) + sum(len(a) - 1 for a in c.answers) for c in choices)
    ratio = padded(choices) / computed
    prompts = [list(choice.prompt) for choice in choices[:96]]
    new, taken = best(lambda: generate(base.model, encoder, prompts, NEW_TOKENS, accelerator))
    other, peer_taken = best(lambda: unsorted(base.model, encoder, prompts))
    told = {
        "model": Path(folder).name if folder else "stand-in of Llama",
        "likelihoods": {
            "options per second": round(options / seconds, 1),
            "options per second, whole sequences": round(options / peer_seconds, 1),
            "gain": round(peer_seconds / seconds, 2),
            "ratio of tokens computed": round(ratio, 2),
            "gain of the ratio": round(peer_seconds / seconds / ratio, 2),
            "largest difference of a log-likelihood": worst,
        },
        "generation": {
            "seconds": round(taken, 3),
            "seconds, unsorted batches": round(peer_taken, 3),
            "gain": round(peer_taken / taken, 2),
            "prompts that differ": sum(a != b for a, b in zip(new, other, strict=True)),
        },
        "machine": describe("torch", "transformers"),
    }
    print(json.dumps(told, indent=1))
    OUT.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def questions(vocabulary: int) -> list[Any]:
    """Prompts of 20 to 200 tokens, each with three answers of one to three."""
    import numpy as np

    from evenhand.finetune.outputs.likelihoods import Choice

    rng = np.random.default_rng(0)

    def tokens(n: int) -> tuple[int, ...]:
        return tuple(rng.integers(3, vocabulary, size=n).tolist())

    return [
        Choice(tokens(int(rng.integers(20, 200))), tuple(tokens(int(rng.integers(1, 4))) for _ in range(3)))
        for _ in range(QUESTIONS)
    ]


def sequences(choices: Sequence[Any]) -> list[tuple[int, tuple[int, ...]]]:
    """Every answer as a whole sequence, and where it begins."""
    return [(len(c.prompt), (*c.prompt, *answer)) for c in choices for answer in c.answers]


def padded(choices: Sequence[Any]) -> int:
    """Tokens that the peer computes, padding included."""
    lengths = [len(ids) for _, ids in sequences(choices)]
    return sum(
        max(lengths[i : i + BATCH]) * len(lengths[i : i + BATCH]) for i in range(0, len(lengths), BATCH)
    )


def whole(model: Any, choices: Sequence[Any], pad: int) -> list[list[float]]:
    """The peer: log-likelihoods out of whole sequences."""
    import torch

    every, found = sequences(choices), []
    with torch.no_grad():
        for i in range(0, len(every), BATCH):
            batch = every[i : i + BATCH]
            most = max(len(ids) for _, ids in batch)
            ids = torch.tensor([[*one, *[pad] * (most - len(one))] for _, one in batch])
            mask = torch.tensor([[1] * len(one) + [0] * (most - len(one)) for _, one in batch])
            told = torch.log_softmax(model(input_ids=ids, attention_mask=mask).logits.float(), -1)
            for row, (start, one) in enumerate(batch):
                at = torch.arange(start, len(one))
                found.append(float(told[row, at - 1, ids[row, at]].sum()))
    sizes = iter(found)
    return [[next(sizes) for _ in choice.answers] for choice in choices]


def unsorted(model: Any, encoder: Any, prompts: Sequence[list[int]]) -> list[list[int]]:
    """The peer: `generate` on batches in the given order."""
    import torch

    from evenhand.finetune.inputs.padding import pad

    found = []
    for i in range(0, len(prompts), BATCH):
        ids, mask = pad(prompts[i : i + BATCH], encoder.pad, left=True).values()
        with torch.no_grad():
            out = model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=NEW_TOKENS, do_sample=False,
                eos_token_id=encoder.end, pad_token_id=encoder.pad,
            )  # fmt: skip
        for line in out[:, ids.shape[1] :].tolist():
            found.append(line[: line.index(encoder.end)] if encoder.end in line else line)
    return found


def best(work: Any) -> tuple[Any, float]:
    """A result, and the shortest of several times."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
    return result, min(times)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
