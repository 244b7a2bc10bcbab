"""A tiny BERT for the synthetic posts, made by evenhand: pretrained at first use, on unlabelled posts.

Pretraining has two objectives on posts with masked words: to predict these words, as BERT does; and to
predict the words of the full post from the input of the classifier (the pooled first token).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from evenhand.datasets import synthetic_posts
from evenhand.finetune.models import ModelInfo
from evenhand.finetune.models import _cache as cache
from evenhand.finetune.models._pretrain import Pretraining, fit, repeatable, save

if TYPE_CHECKING:
    import torch
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

INFO = ModelInfo(
    title="tiny BERT",
    task="text",
    model_types=(),
    source="made by evenhand, from no data of people",
)
#: Increase this number whenever a change here changes the weights.
RECIPE = 2
POSTS = 20_000
STEPS = 1500
BATCH = 64
LEARNING_RATE = 2e-3
MASKED_SHARE = 0.2
MAX_TOKENS = 64
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class Config(Pretraining):
    """Options: those of every model that evenhand makes itself."""


def build(config: Config) -> Path:
    """Build the model, or return the cached one.

    Args:
        config: the options.

    Returns:
        A folder in the format of transformers.
    """
    recipe = {"recipe": RECIPE, **config.model_dump()}
    return cache.get_or_make("tiny_text", recipe, partial(_make, config))


def _make(config: Config, folder: Path) -> None:
    """Write weights and tokenizer into a folder."""
    from transformers import BertModel  # noqa: PLC0415

    tokenizer = _build_tokenizer()
    with repeatable(config.seed):
        model = BertModel(_model_config(len(tokenizer)), add_pooling_layer=True)
        if steps := config.steps(STEPS):
            _pretrain(model, tokenizer, steps, config.seed)
    save(model, folder)
    tokenizer.save_pretrained(str(folder))


def _model_config(words: int) -> BertConfig:
    from transformers import BertConfig  # noqa: PLC0415

    return BertConfig(
        vocab_size=words, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        max_position_embeddings=MAX_TOKENS, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        initializer_range=0.05, pad_token_id=0,
    )  # fmt: skip


def _build_tokenizer() -> PreTrainedTokenizerFast:
    """Build a tokenizer of words, with all that a post can have."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors  # noqa: PLC0415
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    ids = {word: i for i, word in enumerate((*_SPECIAL, *synthetic_posts.vocabulary()))}
    words = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words, model_max_length=MAX_TOKENS, pad_token="[PAD]", unk_token="[UNK]",
        cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
    )  # fmt: skip


def _pretrain(model: BertModel, tokenizer: PreTrainedTokenizerFast, steps: int, seed: int) -> None:
    """Mask words; predict each from its token, and all words of the post from the pooled first token."""
    import torch  # noqa: PLC0415

    posts = synthetic_posts.unlabelled(POSTS, seed)
    ids = tokenizer(posts, padding=True, return_tensors="pt")["input_ids"]
    bags = torch.zeros(len(posts), len(tokenizer)).scatter_(1, ids, 1.0)
    bags[:, : len(_SPECIAL)] = 0
    bags /= bags.sum(1, keepdim=True)
    token_head = torch.nn.Linear(model.config.hidden_size, len(tokenizer))
    bag_head = torch.nn.Linear(model.config.hidden_size, len(tokenizer))

    def loss() -> torch.Tensor:
        rows = torch.randint(len(ids), (BATCH,))
        complete = ids[rows]
        hidden = (torch.rand(complete.shape) < MASKED_SHARE) & (complete >= len(_SPECIAL))
        masked = complete.masked_fill(hidden, tokenizer.mask_token_id)
        out = model(input_ids=masked, attention_mask=(complete != tokenizer.pad_token_id).long())
        mlm_loss = torch.nn.functional.cross_entropy(
            token_head(out.last_hidden_state[hidden]), complete[hidden]
        )
        return mlm_loss + torch.nn.functional.cross_entropy(bag_head(out.pooler_output), bags[rows])

    fit(torch.nn.ModuleList([model, token_head, bag_head]), loss, steps, LEARNING_RATE)
