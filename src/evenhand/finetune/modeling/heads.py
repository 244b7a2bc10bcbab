"""The head that a checkpoint brings along: kept where it is for the classes of the data, else drawn anew."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch

_SHOWN = 6


def names_in(config: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Names of the classes of a checkpoint's own head, by position; none where its file contradicts itself.

    Args:
        config: of transformers, as the checkpoint has it.
    """
    names = [str(config.id2label[i]) for i in sorted(config.id2label)]
    by_name = {str(name): int(i) for name, i in (config.label2id or {}).items()}
    contradicted = any(by_name.get(name, i) != i for i, name in enumerate(names))
    return () if contradicted else tuple(names)


def settle(
    model: Any,  # noqa: ANN401
    head: Sequence[str],
    missing: Collection[str],
    own: Sequence[str],
    classes: Sequence[str],
) -> tuple[tuple[str, ...], str]:
    """Match a checkpoint's head with the classes by their names, never by position.

    Args:
        model: loaded, with a head of as many classes as there are; a head that is kept is put in their order.
        head: names of the head's modules.
        missing: names of the weights that the checkpoint lacks, or has in another shape.
        own: names of the classes of the checkpoint's head, by position.
        classes: names of the classes of the data, by position.

    Returns:
        Names of the modules that have to be drawn anew, and what is to be remarked; empty if nothing is.
    """
    fresh = {key.rpartition(".")[0] for key in missing}
    inside = [name for name, _ in model.named_parameters() if _within(name, head)]
    order = _order(own, classes)
    last = _last(model, head, len(classes))
    if inside and last is not None and order is not None and not any(name in missing for name in inside):
        with torch.no_grad():
            for parameter in last.parameters():
                parameter.copy_(parameter[order].clone())
        remark = f"has a trained head for the classes of the data ({_listed(classes)})"
        more = "" if order == sorted(order) else ", in another order, and it is matched by name"
        return tuple(sorted(fresh)), f"{remark}{more}: it is kept, and all seeds begin with the same head"
    for name, parameter in model.named_parameters():
        if _within(name, head):
            # By this transformers knows weights that were loaded, which it would not draw anew.
            parameter._is_hf_initialized = False  # type: ignore[attr-defined]
    fresh = {name for name in fresh if not _within(f"{name}.", head)} | set(head)
    return tuple(sorted(fresh)), (
        f"has a head for other classes ({_listed(own) or 'named in contradictory ways'}) than the data "
        f"({_listed(classes)}): it is not used, and every seed draws a new one"
    )


def brings_one(model: Any, head: Sequence[str], absent: Collection[str]) -> bool:  # noqa: ANN401
    """Whether a checkpoint has weights for a head, of whatever shape.

    Args:
        model: loaded.
        head: names of the head's modules.
        absent: names of the weights that the checkpoint does not have at all.
    """
    return any(_within(name, head) and name not in absent for name, _ in model.named_parameters())


def _order(own: Sequence[str], classes: Sequence[str]) -> list[int] | None:
    """Position of every class in the checkpoint's head; None unless both have the same names."""
    exact: Mapping[str, int] = {name: i for i, name in enumerate(own)}
    plain: Mapping[str, int] = {_plain(name): i for i, name in enumerate(own)}
    for known, wanted in ((exact, list(classes)), (plain, [_plain(name) for name in classes])):
        if len(known) == len(own) == len(set(wanted)) and set(known) == set(wanted):
            return [known[name] for name in wanted]
    return None


def _plain(name: str) -> str:
    """A name without letter case; LABEL_1, by which transformers means the class 1, is 1."""
    plain = name.strip().casefold()
    number = plain.removeprefix("label_")
    return number if number.isdecimal() else plain


def _last(model: Any, head: Sequence[str], n: int) -> torch.nn.Linear | None:  # noqa: ANN401
    """The layer of the head that gives one number per class."""
    found = [
        module
        for name, module in model.named_modules()
        if _within(f"{name}.", head) and isinstance(module, torch.nn.Linear) and module.out_features == n
    ]
    return found[-1] if found else None


def _within(name: str, head: Sequence[str]) -> bool:
    return any(name.startswith(f"{part}.") for part in head)


def _listed(names: Sequence[str]) -> str:
    """Names for a sentence."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
