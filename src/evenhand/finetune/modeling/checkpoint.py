"""Saved models of a run: an adapter in PEFT's format, or the full model as safetensors."""

from __future__ import annotations

import gc
import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file, save_file

from evenhand.finetune.hardware import quantised
from evenhand.finetune.methods._peft import quiet
from evenhand.finetune.modeling import adapter_card, processor, tokens
from evenhand.finetune.modeling.pretrained import PretrainedModel

if TYPE_CHECKING:
    import torch

#: Starts of PEFT's LoRA that move a part of the base's weights into the adapter.
_SPLIT_STARTS = ("pissa", "olora")
#: PEFT's names of tasks; it has none for pictures.
_TASK_TYPES = {"text": "SEQ_CLS", "translation": "CAUSAL_LM", "language": "CAUSAL_LM"}
#: Files of tokenizers and image processors.
_PREPARATION_FILES = (
    *tokens.VOCABULARIES, *processor.FILES, "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "merges.txt", "chat_template.jinja",
)  # fmt: skip
#: A seed that no run uses: a head that was not saved then differs from the trained one when it is reloaded.
_RELOAD_SEED = 2**31 - 1
_START = "start"
ADAPTER_CONFIG = "adapter_config.json"
#: The settings of a quantised base, under the name that transformers gives them in a model's `config.json`.
_QUANTISATION = "quantization_config"


def save_initial_adapter(model: Any, folder: Path) -> None:
    """Save the initial state of an adapter that was split off the base (PiSSA, OLoRA).

    `save` subtracts it from the trained adapter, so that the result fits the original base.

    Args:
        model: a transformers model, or a PEFT model around one, before training.
        folder: of the run.
    """
    config: Any = model.peft_config["default"] if is_adapted(model) else None
    if getattr(config, "init_lora_weights", True) not in _SPLIT_STARTS:
        return
    initialisation, config.init_lora_weights = config.init_lora_weights, True
    model.save_pretrained(str(folder / _START), save_embedding_layers=False)
    config.init_lora_weights = initialisation


def save(model: Any, folder: Path, base: PretrainedModel) -> Path:
    """Save the trained weights.

    Args:
        model: a transformers model, or a PEFT model around one.
        folder: of the run.
        base: the base that the model was copied from.

    Returns:
        The folder `adapter` (with the head, or only the head), or `model`.
    """
    if trains_head_only(model, base.roles.head):
        path = folder / "adapter"
        _save_head(model, path, base.roles.head)
    else:
        path = _save_model(model, folder)
    if path.name == "adapter":
        classes = model.config.id2label if base.roles.head else {}
        settings = quantised.settings_of(model)
        _complete_config(path / ADAPTER_CONFIG, base, classes, settings)
        adapter_card.write(path, model.config, base, classes, settings)
    _copy_preparation(Path(base.path), path)
    return path


def _copy_preparation(source: Path, path: Path) -> None:
    """Copy the files of the tokenizer or image processor beside the weights."""
    for file in source.iterdir():
        if file.name in _PREPARATION_FILES and not (path / file.name).exists():
            shutil.copyfile(file, path / file.name)


def trains_head_only(model: Any, head: Sequence[str]) -> bool:
    """Return True if only a model's head is trained."""
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    return (
        bool(trained)
        and not is_adapted(model)
        and all(name.startswith(_head_prefixes(head)) for name in trained)
    )


def _save_head(model: Any, path: Path, head: Sequence[str]) -> None:
    """Save the trained head as an adapter without adapted layers."""
    from peft import LoraConfig  # noqa: PLC0415
    from peft.utils.constants import DUMMY_TARGET_MODULES  # noqa: PLC0415

    config = LoraConfig(
        target_modules=DUMMY_TARGET_MODULES, modules_to_save=list(head), inference_mode=True,
        base_model_name_or_path=model.name_or_path,
        auto_mapping={"base_model_class": type(model).__name__, "parent_library": type(model).__module__},
    )  # fmt: skip
    config.save_pretrained(str(path))
    weights = {
        f"base_model.model.{name}": value.detach().cpu().contiguous()
        for name, value in model.state_dict().items()
        if name.startswith(_head_prefixes(head))
    }
    save_file(weights, path / "adapter_model.safetensors", metadata={"format": "pt"})


def _head_prefixes(head: Sequence[str]) -> tuple[str, ...]:
    """Return the prefixes of the names of a head's weights."""
    return tuple(f"{part}." for part in head)


def _save_model(model: Any, folder: Path) -> Path:
    """Save an adapter, or a full model."""
    path = folder / ("adapter" if is_adapted(model) else "model")
    # By default PEFT queries the hub for the size of the embeddings, which no method changes.
    options: dict[str, object] = {"save_embedding_layers": False} if is_adapted(model) else {}
    start, head = folder / _START, {}
    if start.is_dir():
        options["path_initial_model_for_weight_conversion"] = str(start)
        head = _head_weights(model)
    with warnings.catch_warnings():
        # PEFT warns about the second adapter, which it loads itself to subtract the initial one.
        warnings.filterwarnings("ignore", "(PiSSA|OLoRA) changes the base weights", UserWarning)
        warnings.simplefilter("ignore", FutureWarning)
        model.save_pretrained(str(path), **options)
    shutil.rmtree(start, ignore_errors=True)
    file = path / "adapter_model.safetensors"
    weights = load_file(file) if is_adapted(model) else {}
    # The subtraction of the initial adapter omits the fully trained modules: the head is added again. Where
    # biases are trained (BitFit), PEFT saves those of the head twice more.
    complete = {**head, **{name: value for name, value in weights.items() if not _is_duplicate(name)}}
    if complete.keys() != weights.keys():
        save_file(complete, file, metadata={"format": "pt"})
    # PEFT adds a card with the local path of the base, which differs between machines.
    (path / "README.md").unlink(missing_ok=True)
    return path


def _head_weights(model: Any) -> dict[str, torch.Tensor]:
    """Return the fully trained weights that PEFT saves with an adapter."""
    added, weights = model.base_model.prefix, saved_weights(model)
    return {name: value.detach().clone() for name, value in weights.items() if added not in name}


def saved_weights(model: Any) -> Mapping[str, torch.Tensor]:
    """Return the weights that PEFT saves of an adapted model: those of the adapter and of the head."""
    from peft import get_peft_model_state_dict  # noqa: PLC0415

    weights = get_peft_model_state_dict(model, save_embedding_layers=False)
    return {name: value for name, value in weights.items() if not _is_duplicate(name)}


def _is_duplicate(name: str) -> bool:
    """Return True for a weight that PEFT saves under the name of a module in its own wrapper."""
    return is_copied_module(name) or ".original_module." in name


def _complete_config(
    path: Path, base: PretrainedModel, classes: Mapping[int, str], settings: Mapping[str, Any]
) -> None:
    """Sort the sets in PEFT's file, so that its bytes are reproducible; add what PEFT does not state.

    These are the task, the revision of the base, the names of the classes, and the settings with which the
    base was quantised.

    The base's own file may list the classes of its head in another order. A `config.json` beside the adapter
    would state the order, but transformers treats a folder with such a file as a full model. The folder's
    README shows code that loads both together.
    """
    config = json.loads(path.read_text(encoding="utf-8"))
    config["task_type"] = _TASK_TYPES.get(base.task)
    config["revision"] = base.revision
    if classes:
        config["auto_mapping"] = {**(config.get("auto_mapping") or {}), "id2label": dict(classes)}
    if settings:
        config["auto_mapping"] = {**(config.get("auto_mapping") or {}), _QUANTISATION: dict(settings)}
    for name in ("target_modules", "modules_to_save", "feedforward_modules"):
        if isinstance(config.get(name), list):
            config[name].sort()
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def reload(base: PretrainedModel, path: Path) -> torch.nn.Module:
    """Load a saved model or adapter as a user would: onto a base whose head was drawn with another seed."""
    gc.collect()  # the modules of a released model refer to each other
    if path.name == "adapter":
        from peft import PeftModel  # noqa: PLC0415

        with quiet():
            model = base_of(base, path, _RELOAD_SEED)
            adapted: torch.nn.Module = PeftModel.from_pretrained(model, str(path))
        return adapted
    full: torch.nn.Module = type(base.model).from_pretrained(
        str(path), use_safetensors=True, attn_implementation=base.model.config._attn_implementation
    )
    return full


def base_of(base: PretrainedModel, path: Path, seed: int) -> Any:
    """Copy the base for an adapter in a folder, quantised if it was trained on a quantised one.

    Raises:
        InputError: the library that quantises is not installed.
    """
    model = base.copy(seed)
    if settings := quantisation_in(path):
        quantised.quantise(model, settings)
    return model


def quantisation_in(path: Path) -> dict[str, Any]:
    """Return the settings of the quantised base of a saved adapter; empty if its base is not quantised."""
    config = json.loads((path / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    return dict((config.get("auto_mapping") or {}).get(_QUANTISATION) or {})


def is_copied_module(name: str) -> bool:
    """Return True for a weight of a module that PEFT copies and trains fully: that of a head."""
    return ".modules_to_save." in name


def is_adapted(model: Any) -> bool:
    """Return True if a model has PEFT adapters."""
    return hasattr(model, "peft_config")
