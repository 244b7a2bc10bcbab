"""Likelihoods of answers given a prompt: only the answer's tokens are scored; the prompt is read once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from evenhand.datasets import Prompt, PromptTemplate, build_prompts
from evenhand.errors import InputError
from evenhand.finetune import Data, Job
from evenhand.finetune.inputs.cache import cache_results
from evenhand.finetune.inputs.choices import Choice, Choices
from evenhand.finetune.inputs.encoder import Encoder, boundary, encoder_of, shorten
from evenhand.finetune.inputs.padding import pad
from evenhand.finetune.inputs.passes import rows_of_a_pass
from evenhand.finetune.modeling.pretrained import PretrainedModel
from evenhand.finetune.outputs import write as output
from evenhand.finetune.outputs.predict import answer_batches, log_probs
from evenhand.tables.schema import FloatArray

#: Tokens of a prompt, and of each of its answers.
Tokens = tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]
#: Content-free texts, for calibration (Zhao et al. 2021, https://arxiv.org/abs/2102.09690, section 5).
CONTENT_FREE_TEXTS = ("N/A", "[MASK]", "")
#: Maximum number of tokens of a batch, padding included, on a CPU and on a GPU.
MAX_BATCH_TOKENS, MAX_BATCH_TOKENS_ON_GPU = 4096, 32768


def score_prompts(
    base: PretrainedModel, job: Job, data: Data, model: Any, accelerator: Accelerator
) -> tuple[Callable[[Path], None], tuple[str, ...]]:
    """Score the answers to all prompts of a study.

    Returns:
        A function that writes the table into a folder; and remarks.
    """
    encoded = encode_choices(base, data, job.training.max_length)
    choices = [*encoded.choices, *(choice for some in encoded.content_free.values() for choice in some)]
    scores = score_answers(model, choices, encoder_of(base).pad, accelerator)
    sums = [np.array([tokens.sum() for tokens in answers]) for answers in scores]
    content_free: dict[PromptTemplate, FloatArray] = {}
    start = len(encoded.choices)
    for form, some in encoded.content_free.items():
        # The mean probability over the content-free texts, computed with logarithms.
        content_free[form] = np.logaddexp.reduce(sums[start : start + len(some)]) - np.log(len(some))
        start += len(some)
    cut = sum(choice.cut for choice in encoded.choices)
    remarks = [f"{cut:,} of {len(encoded.choices):,} prompts had their text cut at its end."] if cut else []

    def write(folder: Path) -> None:
        output.write_choices(
            folder / output.LIKELIHOODS, job, data, encoded, sums[: len(encoded.choices)], content_free
        )

    return write, tuple(remarks)


@cache_results
def encode_choices(base: PretrainedModel, data: Data, max_length: int) -> Choices:
    """Encode all prompts of a study.

    Raises:
        InputError: an answer has no tokens, or a prompt is too long without its text; all complaints.
    """
    encoder = encoder_of(base)
    limit = min(max_length, encoder.context)
    questions = build_prompts(data.examples, data.parts)
    prompt_set = data.examples.prompts
    forms = prompt_set.forms if prompt_set is not None else ()
    content_free_prompts = [Prompt("", text, form) for form in forms for text in CONTENT_FREE_TEXTS]
    choices = _encode(encoder, [*questions, *content_free_prompts], limit)
    rest = choices[len(questions) :]
    content_free = {
        form: tuple(rest[i * len(CONTENT_FREE_TEXTS) : (i + 1) * len(CONTENT_FREE_TEXTS)])
        for i, form in enumerate(forms)
    }
    return Choices(tuple(questions), tuple(choices[: len(questions)]), content_free)


def _encode(encoder: Encoder, questions: Sequence[Prompt], limit: int) -> list[Choice]:
    """Encode prompts with their answers; texts that are too long are truncated at their end."""
    # Without a first token, an empty prompt is replaced by the end token, which needs room.
    max_tokens = limit - (not encoder.first)
    texts = dict.fromkeys(text for question in questions for text in _texts(question, question.text))
    ids_of = dict(zip(texts, encoder.encode(list(texts)), strict=True))
    choices: list[Choice] = []
    complaints: dict[str, None] = {}
    for question in questions:
        form = question.form
        prompt, *continued = (ids_of[text] for text in _texts(question, question.text))
        cut = max(map(len, continued)) > max_tokens
        if cut:
            answer = max(zip(map(len, continued), form.answers, strict=True))[1]
            shortened = shorten(encoder, question.text, partial(_fill, form, answer=answer), max_tokens)
            if shortened is None:
                complaints[
                    f"{_describe(question)}: has more than {limit} tokens even without a text; raise "
                    f"training.max_length, up to the model's {encoder.context}, or shorten the template."
                ] = None
                continue
            prompt, *continued = encoder.encode(_texts(question, shortened))
        without_tokens = [
            answer for answer, ids in zip(form.answers, continued, strict=True) if ids == prompt
        ]
        if without_tokens:
            complaints[
                f"{_describe(question)}: the answer {without_tokens[0]!r} has no tokens for this model; give "
                "another."
            ] = None
            continue
        start = boundary(prompt, continued)
        # No token predicts the first one of a text, so an empty prompt is replaced by the end token.
        context = prompt[:start] or [encoder.end]
        choices.append(Choice(tuple(context), tuple(tuple(ids[start:]) for ids in continued), cut))
    if complaints:
        raise InputError(list(complaints)[:20])
    return choices


def _texts(question: Prompt, text: str) -> list[str]:
    """Return the text of the prompt, and of the prompt with each answer."""
    return [_fill(question.form, text, answer) for answer in ("", *question.form.answers)]


def _fill(form: PromptTemplate, text: str, answer: str) -> str:
    return form.before + text + form.after + answer


def _describe(question: Prompt) -> str:
    """Describe a prompt for a complaint."""
    form = question.form
    has_id_only = bool(question.id) and not question.text
    return f"template {form.template} ({form.variant})" + (f", '{question.id}'" if has_id_only else "")


def score_answers(
    model: Any, choices: Sequence[Choice], pad: int, accelerator: Accelerator
) -> list[list[FloatArray]]:
    """Compute the log probabilities of the tokens of answers.

    A batch of prompts of similar length, padded on the left, is read once; its cached keys and values are
    reused for all answers. Equal prompts are scored once.

    Args:
        model: generates text.
        choices: [n] prompts with their answers.
        pad: id for padding, which is masked.
        accelerator: device and precision.

    Returns:
        [n] for each answer the natural logarithms [tokens] of the probabilities of its tokens, each
        conditional on all tokens before it.
    """
    model.eval()
    distinct = list(dict.fromkeys((c.prompt, c.answers) for c in choices))
    distinct.sort(key=lambda c: (len(c[0]), max(map(len, c[1]))))
    most = MAX_BATCH_TOKENS_ON_GPU if accelerator.device.type == "cuda" else MAX_BATCH_TOKENS
    batches, start = [], 0
    while start < len(distinct):
        size = 1
        while start + size < len(distinct) and _fits_a_pass(distinct[start : start + size + 1], most):
            size += 1
        batches.append(distinct[start : start + size])
        start += size
    score = partial(_score_batch, model, pad, accelerator.device)
    scores = answer_batches(batches, score, model, accelerator)
    return [scores[(c.prompt, c.answers)] for c in choices]


def _fits_a_pass(batch: Sequence[Tokens], most_tokens: int) -> bool:
    """Return True if prompts can be scored together; the answers of one prompt always are."""
    rows = sum(len(answers) for _, answers in batch)
    return rows_of_a_pass(rows) == rows and _count_tokens(batch) <= most_tokens


def _count_tokens(batch: Sequence[Tokens]) -> int:
    """Count the tokens of a batch, with one copy of the prompt per answer and padding."""
    wide = max(len(prompt) for prompt, _ in batch) + max(len(a) for _, answers in batch for a in answers)
    return wide * sum(len(answers) for _, answers in batch)


def _score_batch(
    model: Any, pad_id: int, device: torch.device, batch: Sequence[Tokens]
) -> list[list[FloatArray]]:
    """Score the answers of one batch of prompts."""
    inputs = {k: v.to(device) for k, v in pad([prompt for prompt, _ in batch], pad_id, left=True).items()}
    mask = inputs["attention_mask"]
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    out = model(**inputs, position_ids=positions, use_cache=True, logits_to_keep=1)
    owners = [i for i, (_, answers) in enumerate(batch) for _ in answers]
    lines = [answer for _, answers in batch for answer in answers]
    index = torch.tensor(owners, device=device)
    first = torch.tensor([line[0] for line in lines], device=device)
    heads = log_probs(out.logits[:, -1][index], first)
    pieces = [heads[i : i + 1] for i in range(len(lines))]
    longer = [i for i, line in enumerate(lines) if len(line) > 1]
    if longer:
        tails = _score_tails(model, out, [lines[i] for i in longer], index[longer], mask, pad_id)
        for i, tail in zip(longer, tails, strict=True):
            pieces[i] = np.concatenate([pieces[i], tail])
    scores: list[list[FloatArray]] = [[] for _ in batch]
    for owner, piece in zip(owners, pieces, strict=True):
        scores[owner].append(piece)
    return scores


def _score_tails(
    model: Any,
    out: Any,
    lines: Sequence[Sequence[int]],
    owners: torch.Tensor,
    mask: torch.Tensor,
    pad_id: int,
) -> list[FloatArray]:
    """Score the tokens of each answer after its first one, with the cached keys and values of its prompt."""
    device, before = mask.device, mask[owners]
    inputs = {k: v.to(device) for k, v in pad([line[:-1] for line in lines], pad_id).items()}
    targets = pad([line[1:] for line in lines], pad_id)["input_ids"].to(device)
    real = inputs["attention_mask"]
    cache = out.past_key_values
    cache.batch_select_indices(owners)
    logits = model(
        input_ids=inputs["input_ids"],
        attention_mask=torch.cat([before, real], dim=1),
        position_ids=before.sum(1, keepdim=True) + torch.arange(real.shape[1], device=device),
        past_key_values=cache,
        use_cache=True,
    ).logits
    values = log_probs(logits[real.bool()], targets[real.bool()])
    return np.split(values, np.cumsum([len(line) - 1 for line in lines])[:-1])
