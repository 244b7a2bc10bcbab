"""Models on the meta device: shapes without weights, adapted as a run adapts them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from evenhand import registry
from evenhand.errors import InputError
from evenhand.finetune import Job, Model
from evenhand.finetune.estimate.flops import trace_example
from evenhand.finetune.estimate.shape import UnknownShapeError, find_config
from evenhand.finetune.modeling import processor
from evenhand.finetune.modeling.adapt import METHODS, misfits
from evenhand.finetune.modeling.families import AUTO_CLASSES, family_of
from evenhand.finetune.modeling.pretrained import check_declared_family, drop_invalid_padding
from evenhand.finetune.modeling.weights import weights_in
from evenhand.finetune.models._roles import Roles, find_roles

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Places in random order beyond which their order is left out.
_MANY = 2**16


@dataclass(frozen=True, eq=False)
class MetaModel:
    """A model on the meta device.

    Attributes:
        model: with its head.
        roles: its layers by role.
        block_inputs: number of elements per row that enter each repeated block.
        uses: number of positions (tokens, patches) of a row at which each layer of weights is applied.
        why_no_weights: reason why its weights are not available, if known; else empty.
        path: folder with its files; None without local files.
        task: task of the dataset.
        row: size of a row: tokens of a text, or height and width of a picture.
    """

    model: PreTrainedModel
    roles: Roles
    block_inputs: Mapping[str, int]
    uses: Mapping[str, int]
    why_no_weights: str
    path: Path | None
    task: str
    row: int | tuple[int, int]

    def misfits(self, job: Job, *, weights: bool) -> list[str]:
        """Return the reasons why a job's method does not fit its layers, or their weights if local."""
        stored = weights_in(self.path, self.roles) if weights and self.path else None
        return misfits(self.model, self.roles, job, stored)

    def adapted(self, job: Job) -> Any:
        """Return a copy that is adapted by a job's method.

        Raises:
            InputError: the method's options do not fit this model.
        """
        method = registry.load(METHODS, job.method)
        try:
            with torch.device("meta"), _RealIndices():
                return method.apply(copy.deepcopy(self.model), self.roles, method.Config(**job.options))
        except InputError as error:
            raise InputError(f"{job.arm}: {what}" for what in error.complaints) from None


def build_meta_model(model: Model, task: str, classes: int, tokens: int, *, traced: bool = True) -> MetaModel:
    """Build a model of the right shape on the meta device.

    Args:
        model: the base model.
        task: task of the dataset.
        classes: number of classes; 0 for a model that generates.
        tokens: length of a text.
        traced: run one row, for the sizes of its activations.

    Raises:
        UnknownShapeError: the shape is not available, or no row can be run without weights.
        InputError: the model is not for the task, or not of its declared family.
    """
    import transformers  # noqa: PLC0415

    config, why, path = find_config(model)
    family = family_of(config, model.name, task)
    check_declared_family(model.name, model.options, family)
    drop_invalid_padding(config)
    if classes:
        config.num_labels = classes
    with torch.device("meta"):
        # As it is loaded: a batch norm in training refuses one row of one pixel.
        network = getattr(transformers, AUTO_CLASSES[task]).from_config(config).eval()
    roles = find_roles(network, classifies=bool(classes), patterns=family.patterns)
    size: int | tuple[int, int] = tokens
    if task == "image":
        size = processor.fit_to_model(
            processor.load_preparation(path, config, model.name), network, model.name
        ).size
    try:
        activations = trace_example(network, roles.blocks, size) if traced else ({}, {})
    except Exception as error:  # models read values, or mix precisions
        raise UnknownShapeError(
            f"model '{model.name}': no row can be run through it without its weights "
            f"({type(error).__name__}: {error}), so that its size and cost are not estimated"
        ) from None
    return MetaModel(network, roles, *activations, why, path, task, size)


class _RealIndices(TorchFunctionMode):
    """Makes indices on the CPU under the meta device: methods read their values.

    The random order of all entries of a large layer, which would take a second, is left out: only the number
    of those that are taken matters here.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch, `randperm` and `arange` on the CPU."""
        options = dict(kwargs or {})
        if func is torch.randperm and isinstance(args[0], int) and args[0] > _MANY:
            return torch.zeros((), dtype=torch.long, device="cpu").expand(args[0])
        if func in (torch.randperm, torch.arange):
            options.setdefault("device", "cpu")
        return func(*args, **options)
