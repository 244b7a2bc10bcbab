"""The README of a saved adapter: its classes, and code to load it without evenhand."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenhand.finetune.modeling.families import AUTO_CLASSES

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from evenhand.finetune.modeling.pretrained import PretrainedModel


def write(
    folder: Path,
    config: PretrainedConfig,
    base: PretrainedModel,
    classes: Mapping[int, str],
    quantisation: Mapping[str, Any],
) -> None:
    """Write `README.md` into an adapter's folder.

    Args:
        folder: the folder.
        config: configuration of the trained model.
        base: the base model of the adapter.
        classes: names of the classes by position; empty if the model is not a classifier.
        quantisation: settings with which the base was quantised; empty if it was not.
    """
    names = ", ".join(f"{i} is `{name}`" for i, name in sorted(classes.items()))
    sentence = f"Its classes, in the order of the logits: {names}.\n\n" if classes else ""
    auto = AUTO_CLASSES[base.task]
    options = [f"    {base.model.name_or_path!r},"]
    options += [f"    {name}={value!r}," for name, value in _options(config, base, classes).items()]
    imports, precision = auto, ""
    if quantisation:
        imports, precision = f"{auto}, BitsAndBytesConfig", _describe(quantisation)
        arguments = ", ".join(f"{name}={value!r}" for name, value in _arguments(quantisation).items())
        options.append(f"    quantization_config=BitsAndBytesConfig({arguments}),")
    lines = "\n".join(options)
    text = f"""# Adapter

Weights that were trained on a base model, in PEFT's format. {precision}{sentence}To load it:

```python
from peft import PeftModel
from transformers import {imports}

base = {auto}.from_pretrained(
{lines}
)
model = PeftModel.from_pretrained(base, ADAPTER)  # the path of this folder
```
"""
    (folder / "README.md").write_text(text, encoding="utf-8")


def _describe(quantisation: Mapping[str, Any]) -> str:
    """Describe a quantised base in two sentences."""
    library = quantisation["quant_method"]
    bits = 4 if quantisation.get("load_in_4bit") else 8
    return (
        f"The linear layers of the base were quantised to {bits} bits "
        f"({library} {version(library)}): on the base in full precision, these "
        "weights are another model. To predict, bitsandbytes may round inputs that were not rounded in "
        "training.\n\n"
    )


def _arguments(quantisation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `BitsAndBytesConfig`, which states the library itself."""
    return {name: value for name, value in quantisation.items() if name != "quant_method"}


def _options(config: PretrainedConfig, base: PretrainedModel, classes: Mapping[int, str]) -> dict[str, Any]:
    """Return the arguments of `from_pretrained` that differ from the base's own files."""
    options: dict[str, Any] = {} if base.revision is None else {"revision": base.revision}
    if classes:
        options["id2label"] = dict(sorted(classes.items()))
        options["label2id"] = {name: i for i, name in sorted(classes.items())}
        # The base may have a head for other classes.
        options["ignore_mismatched_sizes"] = True
        if getattr(config, "pad_token_id", None) is not None:
            # Heads that read the last token locate it as the last id other than this one.
            options["pad_token_id"] = config.pad_token_id
    return options
