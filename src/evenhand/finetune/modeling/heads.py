"""The head of a checkpoint: used if it has the classes of the data, else initialised at random."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch

_MAX_LISTED = 6


def class_names(config: Any) -> tuple[str, ...]:
    """Return the class names of a checkpoint's head, by position; empty if its file contradicts itself.

    Args:
        config: configuration of the checkpoint.
    """
    labels = config.id2label or {}
    names = [str(labels[i]) for i in sorted(labels)]
    by_name = {str(name): int(i) for name, i in (config.label2id or {}).items()}
    contradicted = any(by_name.get(name, i) != i for i, name in enumerate(names))
    return () if contradicted else tuple(names)


def match_head(
    model: Any,
    head: Sequence[str],
    missing: Collection[str],
    head_classes: Sequence[str],
    classes: Sequence[str],
) -> tuple[tuple[str, ...], str]:
    """Match a checkpoint's head with the classes by their names, never by position.

    Args:
        model: loaded, with one output per class of the data; the rows of a matching head are reordered.
        head: names of the head's modules.
        missing: names of the weights that the checkpoint lacks, or has in another shape.
        head_classes: names of the classes of the checkpoint's head, by position.
        classes: names of the classes of the data, by position.

    Returns:
        Names of the modules to initialise at random; and a remark.
    """
    new_modules = {key.rpartition(".")[0] for key in missing}
    head_weights = [name for name, _ in model.named_parameters() if _in_head(name, head)]
    order = match_classes(head_classes, classes)
    output = _output_layer(model, head, len(classes))
    if (
        head_weights
        and output is not None
        and order is not None
        and not any(name in missing for name in head_weights)
    ):
        with torch.no_grad():
            for parameter in output.parameters():
                parameter.copy_(parameter[order].clone())
        remark = f"has a trained head for the classes of the data ({join_names(classes)})"
        more = "" if order == sorted(order) else ", in another order, which is matched by name"
        remark = f"{remark}{more}: it is used, and all seeds start from the same head"
        return tuple(sorted(new_modules)), remark
    for name, parameter in model.named_parameters():
        if _in_head(name, head):
            # transformers marks loaded weights with this flag, and would not initialise them again.
            parameter._is_hf_initialized = False  # type: ignore[attr-defined]
    new_modules = {name for name in new_modules if not _in_head(f"{name}.", head)} | set(head)
    return tuple(sorted(new_modules)), (
        f"has a head for other classes ({join_names(head_classes) or 'named inconsistently'}) than the data "
        f"({join_names(classes)}): it is not used, and every seed draws a new one"
    )


def has_output_weights(model: Any, head: Sequence[str], n: int, absent: Collection[str]) -> bool:
    """Return True if a checkpoint has weights, of any shape, for the layer with one output per class.

    Other layers of a head may have been pretrained for another purpose (ModernBERT's): these are used.

    Args:
        model: loaded, with `n` outputs.
        head: names of the head's modules.
        n: number of classes.
        absent: names of the weights that the checkpoint lacks entirely.
    """
    output = _output_layer(model, head, n)
    of_output = {id(p) for p in output.parameters()} if output is not None else None
    return any(
        _in_head(name, head) and name not in absent and (of_output is None or id(p) in of_output)
        for name, p in model.named_parameters()
    )


def namesakes(model: Any, head: Sequence[str]) -> dict[str, str]:
    """Return the modules of a head whose names others end with, each with one of these.

    PEFT finds the modules that it trains and saves in full by the ends of their names.
    """
    twins: dict[str, str] = {}
    for name, _ in model.named_modules():
        if not _in_head(f"{name}.", head):
            twins |= {part: name for part in head if name.endswith(part) and part not in twins}
    return twins


def match_classes(head_classes: Sequence[str], classes: Sequence[str]) -> list[int] | None:
    """Return the position of every class in the checkpoint's head; None unless both have the same names."""
    exact: Mapping[str, int] = {name: i for i, name in enumerate(head_classes)}
    plain: Mapping[str, int] = {_normalise_name(name): i for i, name in enumerate(head_classes)}
    for positions, names in ((exact, list(classes)), (plain, [_normalise_name(name) for name in classes])):
        if len(positions) == len(head_classes) == len(set(names)) and set(positions) == set(names):
            return [positions[name] for name in names]
    return None


def _normalise_name(name: str) -> str:
    """Return a name without letter case; LABEL_1, transformers' default name of class 1, becomes 1."""
    plain = name.strip().casefold()
    number = plain.removeprefix("label_")
    return number if number.isdecimal() else plain


def _output_layer(model: Any, head: Sequence[str], n: int) -> torch.nn.Linear | None:
    """Return the layer of the head with one output per class; None if the head has none."""
    candidates = [
        module
        for name, module in model.named_modules()
        if _in_head(f"{name}.", head) and isinstance(module, torch.nn.Linear) and module.out_features == n
    ]
    return candidates[-1] if candidates else None


def _in_head(name: str, head: Sequence[str]) -> bool:
    return any(name.startswith(f"{part}.") for part in head)


def join_names(names: Sequence[str]) -> str:
    """Join names for a sentence."""
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return ", ".join(names[:_MAX_LISTED]) + more
