"""Prefix tuning: trained keys and values before those of the text, in every layer of attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from evenhand.finetune.methods import MethodInfo, _peft
from evenhand.spec.base import Frozen

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from evenhand.finetune.models._roles import Roles

INFO = MethodInfo(
    title="prefix tuning",
    trained="keys and values of virtual tokens in every layer, and the classification head",
    paper="Li and Liang 2021, https://arxiv.org/abs/2101.00190",
    learning_rate=5.0e-3,
    epochs=3,
    size="tokens",
    identity_at_start=False,
    inputs=("text",),
    sharded=False,
    checkpoints=False,
)

#: More virtual tokens are not chosen for a model.
_MAX_TOKENS = 1024


class Config(Frozen):
    """Options.

    Attributes:
        tokens: number of virtual tokens; they take up as many positions of the model.
        projection: train a network of two layers that computes the keys and values, which is left out when
            they are saved.
        projection_width: width of its hidden layer.
        initialisation: `gaussian`, or `zero` keys and values, which draw attention but add nothing to it.
    """

    tokens: Annotated[int, Field(ge=1)] = 20
    projection: bool = False
    projection_width: Annotated[int, Field(ge=1)] = 128
    initialisation: Literal["gaussian", "zero"] = "gaussian"


def apply(model: PreTrainedModel, roles: Roles, config: Config) -> PeftModel:
    """Add the keys and values with PEFT; the head is trained and saved with them."""
    return _peft.add_to_modules(
        model, roles, None, "PrefixTuning", task_type="SEQ_CLS", num_virtual_tokens=config.tokens,
        prefix_projection=config.projection, encoder_hidden_size=config.projection_width,
        init_weights="zero" if config.initialisation == "zero" else None,
    )  # fmt: skip


def sizes(model: PreTrainedModel, roles: Roles, config: Config) -> Sequence[int]:
    """Return the numbers of tokens to choose among: up to the positions of the model."""
    positions: int = getattr(model.config.get_text_config(), "max_position_embeddings", _MAX_TOKENS)
    return range(1, min(positions, _MAX_TOKENS) + 1)


def complaints(model: PreTrainedModel, roles: Roles, config: Config) -> list[str]:
    """Return the reasons why the method does not fit this model; empty if none."""
    import inspect  # noqa: PLC0415

    settings: Any = model.config.get_text_config()
    heads = getattr(settings, "num_attention_heads", None)
    width = getattr(settings, "head_dim", None)
    kinds = set(getattr(settings, "layer_types", None) or ())
    if not roles.head:
        return [
            "the method is available for classification only: generation keeps keys and values of its own"
        ]
    if "past_key_values" not in inspect.signature(type(model.base_model).forward).parameters:
        return ["the model takes no keys and values from outside (past_key_values); use another method"]
    if settings.is_encoder_decoder:
        return ["the encoder of the model would get no keys and values; use another method"]
    if kinds - {"full_attention"} or getattr(settings, "sliding_window", None) is not None:
        return [
            "layers of the model attend to the nearest tokens only, so not to a prefix; use another method"
        ]
    if heads is None or width not in (None, settings.hidden_size // heads):
        return ["PEFT cannot shape keys and values for the heads of this model; use another method"]
    return []
