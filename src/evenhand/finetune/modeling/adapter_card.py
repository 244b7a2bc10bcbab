"""The README of a saved adapter: its classes, and how transformers and PEFT load it without evenhand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from evenhand.finetune.modeling.pretrained import PretrainedModel


def write(folder: Path, config: PretrainedConfig, base: PretrainedModel, classes: Mapping[int, str]) -> None:
    """Write `README.md` into an adapter's folder.

    Args:
        folder: the folder.
        config: of the trained model.
        base: that the adapter belongs to.
        classes: their names by position; none where nothing is classified.
    """
    names = ", ".join(f"{i} is `{name}`" for i, name in sorted(classes.items()))
    sentence = f"Its classes, in the order of the logits: {names}.\n\n" if classes else ""
    auto = _auto_class(base, classes)
    options = [f"    {base.model.name_or_path!r},"]
    options += [f"    {name}={value!r}," for name, value in _options(config, base, classes).items()]
    lines = "\n".join(options)
    text = f"""# Adapter

Weights that were trained on a base model, in PEFT's format. {sentence}To load it:

```python
from peft import PeftModel
from transformers import {auto}

base = {auto}.from_pretrained(
{lines}
)
model = PeftModel.from_pretrained(base, ADAPTER)  # the path of this folder
```
"""
    (folder / "README.md").write_text(text, encoding="utf-8")


def _auto_class(base: PretrainedModel, classes: Mapping[int, str]) -> str:
    """By which of its classes transformers loads the base."""
    from evenhand.finetune.modeling.families import AUTO_CLASSES  # noqa: PLC0415

    return AUTO_CLASSES[base.family.INFO.task if classes else "language"]


def _options(config: PretrainedConfig, base: PretrainedModel, classes: Mapping[int, str]) -> dict[str, Any]:
    """What the base's own files do not say, or say otherwise."""
    options: dict[str, Any] = {} if base.revision is None else {"revision": base.revision}
    if classes:
        options["id2label"] = dict(sorted(classes.items()))
        options["label2id"] = {name: i for i, name in sorted(classes.items())}
        # The base may bring a head for other classes.
        options["ignore_mismatched_sizes"] = True
        if getattr(config, "pad_token_id", None) is not None:
            # Heads that read the last token find it by this number.
            options["pad_token_id"] = config.pad_token_id
    return options
