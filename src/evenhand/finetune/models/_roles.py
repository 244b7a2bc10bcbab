"""The layers of one model by role, found from the model itself.

The blocks are the modules that transformers keeps on one device or recomputes as a whole; a layer's role
follows from the end of its name within its block, as the families of transformers spell it; the head is what
lies beside the backbone. A layer whose name says nothing has no role of its own; `all-linear` includes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evenhand.errors import InputError, nearest
from evenhand.finetune.models import ALL_LINEAR, DEFAULT_TARGETS, ROLES

#: Ends of the names of layers within a block, by role; the first that fits counts. Each pattern follows
#: the beginning of the name, or a dot.
_NAMES: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("attention.query", "attention.key", "attention.value"),
        r"query_key_value|qkv_proj|qkv|Wqkv|c_attn|in_proj_qkvz?|W_pack|self\.in_proj",
    ),
    (("attention.query",), r"q_proj|q_b_proj|query_proj|query|q_lin|q|wq|Wq|q_head"),
    # Multi-head latent attention expands both from one.
    (("attention.key", "attention.value"), r"kv_b_proj|kv_proj"),
    (("attention.key",), r"k_proj|key_proj|key|k_lin|k|wk|Wk|k_head"),
    (("attention.value",), r"v_proj|value_proj|value|v_lin|v|wv|Wv|v_head"),
    (("mlp.gate", "mlp.up"), r"gate_up_proj|mlp\.Wi|feed_forward\.Wi"),
    (("mlp.gate",), r"gate_proj|wi_0|w1"),
    (
        ("mlp.up",),
        r"up_proj|fc1|lin1|c_fc|dense_h_to_4h|intermediate\.dense|wi_1|wi|pwconv1|w3|fc_in|linear_?1|ffn|"
        r"ff\.layer_1|weights_in|up_gated_layer",
    ),
    (
        ("mlp.down",),
        r"down_proj|fc2|lin2|mlp\.c_proj|mlp\.proj|dense_4h_to_h|wo|mlp\.Wo|pwconv2|w2|fc_out|linear_?2|"
        r"ff\.layer_2|ffn_output|weights_out|mlp\.dense|ffn\.down_layer",
    ),
    (
        ("attention.output",),
        r"o_proj|out_proj|out_lin|resid_proj|(?:attn|attention|self_attention|self_attn|SelfAttention|"
        r"EncDecAttention)\.(?:dense|c_proj|Wo|o|proj|out|output|output\.dense|to_out|post_proj|wo)",
    ),
    (("mlp.down",), r"output\.dense"),
)
_PATTERNS = tuple((roles, re.compile(rf"(?:^|\.)(?:{ends})$")) for roles, ends in _NAMES)


@dataclass(frozen=True)
class Roles:
    """The layers of one model by role.

    Attributes:
        layers: names of the modules of each role, in the order of the model; `all-linear` are all linear
            layers besides the head's.
        widths: the smaller dimension of each of these modules' matrices.
        head: names of the modules of the classification head; empty for models that generate.
        blocks: names of the numbered modules that the model repeats, in its order.
        backbone: name of the module that holds what is pretrained; empty where it is not one module.
    """

    layers: Mapping[str, tuple[str, ...]]
    widths: Mapping[str, int]
    head: tuple[str, ...]
    blocks: tuple[str, ...] = ()
    backbone: str = ""

    def of(self, roles: Sequence[str]) -> list[str]:
        """Return the names of the modules with any of several roles.

        The default targets, `attention.query` and `attention.value`, stand for all linear layers in a model
        without one of them (convolutions, state spaces).

        Raises:
            InputError: the model lacks one of the roles.
        """
        roles = self.resolve(roles)
        unknown = [role for role in roles if role not in self.layers]
        if unknown:
            raise InputError(
                [
                    f"targets: the model has no role '{role}'; {nearest(role, list(self.layers))}"
                    for role in unknown
                ]
            )
        chosen = {name for role in roles for name in self.layers[role]}
        # A matrix with several roles, as in GPT-2, is one module.
        return list(dict.fromkeys(name for names in self.layers.values() for name in names if name in chosen))

    def resolve(self, roles: Sequence[str]) -> tuple[str, ...]:
        """Return the target roles: `all-linear` for the default ones if the model lacks one of them."""
        if tuple(roles) == DEFAULT_TARGETS and not all(role in self.layers for role in roles):
            return (ALL_LINEAR,)
        return tuple(roles)


def find_roles(
    model: Any,
    *,
    classifies: bool,
    patterns: Mapping[str, str] | None = None,
    missing: Iterable[str] = (),
) -> Roles:
    """Find a model's layers.

    Args:
        model: a transformers model, with weights or on the meta device.
        classifies: True if it has a classification head; False if it generates.
        patterns: regular expression for the end of the layers' names by role, for a family with other than
            the usual names.
        missing: names of the weights that the checkpoint lacks; such a module outside of the blocks and the
            embeddings, as a pooler that no pretraining has trained, is part of the head.
    """
    backbone = find_backbone(model)
    blocks = _find_blocks(model, backbone)
    head = find_head(model, backbone) if classifies else ()
    if classifies:
        head = (*_untrained_outside(model, blocks, head, missing), *head)
    layers: dict[str, list[str]] = {}
    widths: dict[str, int] = {}

    def add(role: str, name: str) -> None:
        layers.setdefault(role, []).append(name)
        weight = model.get_submodule(name).weight
        widths[name] = min(weight.shape[0], weight[0].numel())

    if embedding := _find_embedding(model):
        add("embedding", embedding)
    block_names = set(blocks)
    everything = list(_matrices(model, backbone, head))
    for name in everything:
        block = _block_of(name, block_names)
        for role in roles_of_name(name[len(block) + 1 :], patterns) if block else ():
            add(role, name)
    for name in everything:
        if name != embedding:
            add(ALL_LINEAR, name)
    return Roles(
        {role: tuple(layers[role]) for role in ROLES if role in layers}, widths, head, blocks, backbone
    )


def roles_of_name(name: str, patterns: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the roles that the name of a layer within its block states; empty if it states none."""
    if patterns:
        return tuple(role for role, ends in patterns.items() if re.search(rf"(?:^|\.)(?:{ends})$", name))
    return next((roles for roles, pattern in _PATTERNS if pattern.search(name)), ())


def find_backbone(model: Any) -> str:
    """Return the name of the child that holds what is pretrained, or of the largest child."""
    if model.base_model is not model:
        return str(model.base_model_prefix)
    sizes = {name: _count_weights(child) for name, child in model.named_children()}
    return max(sizes, key=lambda name: sizes[name], default="")


def find_head(model: Any, backbone: str) -> tuple[str, ...]:
    """Return the names of the children beside the backbone that have weights."""
    children = dict(model.named_children())
    return tuple(name for name, child in children.items() if name != backbone and _count_weights(child))


def _untrained_outside(
    model: Any, blocks: Sequence[str], head: Sequence[str], missing: Iterable[str]
) -> tuple[str, ...]:
    """Return the modules outside of blocks, embeddings and head with weights that a checkpoint lacks."""
    untrained = {weight.rpartition(".")[0] for weight in missing}
    return tuple(
        name
        for name, _ in model.named_modules()
        if name in untrained and not _in(name, (*blocks, *head)) and "embed" not in name
    )


def _find_blocks(model: Any, backbone: str) -> tuple[str, ...]:
    """Return the names of the modules that the model repeats, with at least two matrices each.

    These are the innermost numbered modules that transformers keeps on one device (`_no_split_modules`) or
    recomputes as a whole (`GradientCheckpointingLayer`); in models without either, the innermost items of
    lists. A stage is not a block: its blocks are the equal items of the list that holds most of its weights.
    """
    from transformers.modeling_layers import GradientCheckpointingLayer  # noqa: PLC0415  (torch)

    undivided = {name for m in model.modules() for name in getattr(type(m), "_no_split_modules", None) or ()}
    items = {
        name: module
        for name, module in model.named_modules()
        if _in(name, [backbone]) and re.search(r"\.\d+$", name) and _has_two_matrices(module)
    }
    units = [
        n
        for n, m in items.items()
        if isinstance(m, GradientCheckpointingLayer) or type(m).__name__ in undivided
    ]
    names = units or list(items)
    innermost = [n for n in names if not any(other.startswith(f"{n}.") for other in names)]
    return tuple(block for name in innermost for block in _stage_blocks(name, items[name]) or [name])


def _stage_blocks(name: str, module: Any) -> list[str]:
    """Return the names of the blocks of a stage; empty for a module that is no stage."""
    import torch  # noqa: PLC0415

    for child, layers in module.named_children():
        if isinstance(layers, torch.nn.ModuleList | torch.nn.Sequential) and len(layers):
            equal = len({type(layer) for layer in layers}) == 1 and _has_two_matrices(layers[0])
            if equal and 2 * _count_weights(layers) > _count_weights(module):
                return [f"{name}.{child}.{i}" for i in range(len(layers))]
    return []


def _has_two_matrices(module: Any) -> bool:
    return sum(map(_is_matrix, module.modules())) > 1


def _count_weights(module: Any) -> int:
    return sum(p.numel() for p in module.parameters())


def _find_embedding(model: Any) -> str | None:
    """Return the name of the table of tokens, or of the layer that reads patches of pictures."""
    try:
        table = model.get_input_embeddings()
    except (AttributeError, NotImplementedError):
        table = None
    for name, module in model.named_modules():
        if module is table and getattr(getattr(table, "weight", None), "ndim", 0) > 1:
            return str(name)
    return next((name for name, module in model.named_modules() if _is_convolution(module)), None)


def _matrices(model: Any, backbone: str, head: Sequence[str]) -> Iterator[str]:
    """Yield the names of the linear layers of the backbone; of its convolutions if it has no other.

    A state space block of Mamba uses the weights of three layers without calling the layers (of `x_proj` on
    GPUs only), so that adapters there would have no effect.
    """
    output = model.get_output_embeddings()
    uncalled = {
        f"{name}.{part}"
        for name, module in model.named_modules()
        if "Mamba" in type(module).__name__
        for part in ("x_proj", "dt_proj", "out_proj")
    }
    layers = {
        name: module
        for name, module in model.named_modules()
        if _is_matrix(module) and module is not output and name not in uncalled and not _in(name, head)
    }
    linear = [name for name, module in layers.items() if not _is_convolution(module)]
    return iter(linear or layers)


def _block_of(name: str, blocks: set[str]) -> str:
    """Return the block that contains a layer; empty outside of blocks."""
    while name and name not in blocks:
        name = name.rpartition(".")[0]
    return name


def _in(name: str, parents: Sequence[str]) -> bool:
    """Return True if a module is one of others, or inside of one."""
    return any(f"{name}.".startswith(f"{parent}.") for parent in parents)


def _is_matrix(module: Any) -> bool:
    """Return True for a layer that multiplies by one matrix, which methods can adapt."""
    import torch  # noqa: PLC0415

    return isinstance(module, torch.nn.Linear) or type(module).__name__ == "Conv1D" or _is_convolution(module)


def _is_convolution(module: Any) -> bool:
    """Return True for a convolution of pictures that mixes all channels."""
    import torch  # noqa: PLC0415

    return isinstance(module, torch.nn.Conv2d) and module.groups == 1
