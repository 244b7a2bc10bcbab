"""Greedy generation of translations, in batches of prompts of similar length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from evenhand.finetune import Data, Job
from evenhand.finetune.hardware.parallel import register_generate
from evenhand.finetune.inputs.encoder import Encoder, Ids, encoder_of
from evenhand.finetune.inputs.padding import pad
from evenhand.finetune.inputs.passes import rows_of_a_pass
from evenhand.finetune.inputs.sequences import encode_prompts
from evenhand.finetune.modeling.pretrained import PretrainedModel
from evenhand.finetune.outputs import write as output
from evenhand.finetune.outputs.predict import answer_batches

#: Prompts in a batch, on a CPU and on a GPU.
BATCH_PROMPTS, BATCH_PROMPTS_ON_GPU = 32, 128


def translate(
    base: PretrainedModel, job: Job, data: Data, model: Any, accelerator: Accelerator
) -> tuple[Callable[[Path], None], tuple[str, ...]]:
    """Translate the test rows with a model.

    Returns:
        A function that writes the table into a folder; and remarks.
    """
    translations, rows = data.examples.translations, data.parts.test
    assert translations is not None
    encoder = encoder_of(base)
    prompts, cut = encode_prompts(encoder, data, rows, job.training.max_length)
    written = generate(model, encoder, prompts, translations.new_tokens, accelerator)
    completions = [encoder.decode(ids).removeprefix(translations.blank) for ids in written]
    remarks = []
    if cut:
        remarks.append(f"{cut:,} texts were cut at their end before they were translated.")
    if endless := sum(len(ids) == translations.new_tokens for ids in written):
        remarks.append(
            f"{endless:,} of {len(written):,} translations had no end after {translations.new_tokens} tokens "
            "(dataset.new_tokens) and were cut there."
        )

    def write(folder: Path) -> None:
        output.write_translations(folder / output.GENERATIONS, job, data, completions)

    return write, tuple(remarks)


def generate(
    model: Any, encoder: Encoder, prompts: Sequence[Ids], new_tokens: int, accelerator: Accelerator
) -> list[Ids]:
    """Continue prompts with the most likely token at each step, up to the end token.

    Equal prompts are continued once. The prompts of a batch are padded on the left; the composition of a
    batch affects only rounding errors.

    Args:
        model: a transformers model, or a PEFT model around one.
        encoder: its tokenizer.
        prompts: [n] tokens of each prompt; with the new tokens they have to fit the model's context.
        new_tokens: maximum number of new tokens.
        accelerator: device and precision.

    Returns:
        [n] the new tokens of each prompt, without the end token.
    """
    model.eval()
    distinct = sorted({tuple(ids) for ids in prompts}, key=lambda ids: (len(ids), ids))
    size = rows_of_a_pass(BATCH_PROMPTS_ON_GPU if accelerator.device.type == "cuda" else BATCH_PROMPTS)
    batches = [distinct[start : start + size] for start in range(0, len(distinct), size)]
    register_generate(model, "generate")

    def continue_batch(batch: Sequence[tuple[int, ...]]) -> list[Ids]:
        inputs = {k: v.to(accelerator.device) for k, v in pad(batch, encoder.pad, left=True).items()}
        new = model.generate(**inputs)[:, inputs["input_ids"].shape[1] :].cpu().tolist()
        return [_before_end(line, encoder.end) for line in new]

    with _greedy(model, encoder, new_tokens):
        continuations = answer_batches(batches, continue_batch, model, accelerator)
    return [continuations[tuple(ids)] for ids in prompts]


@contextmanager
def _greedy(model: Any, encoder: Encoder, new_tokens: int) -> Iterator[None]:
    """Set a model to greedy generation while the block runs, instead of its checkpoint's settings."""
    from transformers import GenerationConfig  # noqa: PLC0415

    owner = model.get_base_model() if hasattr(model, "get_base_model") else model
    generation_config, cached = owner.generation_config, owner.config.use_cache
    owner.config.use_cache = True
    owner.generation_config = GenerationConfig(
        max_new_tokens=new_tokens, do_sample=False, num_beams=1, eos_token_id=encoder.end,
        pad_token_id=encoder.pad, bos_token_id=encoder.first[0] if encoder.first else None,
    )  # fmt: skip
    try:
        yield
    finally:
        owner.generation_config, owner.config.use_cache = generation_config, cached


def _before_end(ids: Ids, end: int) -> Ids:
    """Return the tokens before the end token."""
    return ids[: ids.index(end)] if end in ids else ids
