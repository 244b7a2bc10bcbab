"""The model before it is adapted: found, loaded once per process, copied for every run."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch

from evenhand import registry
from evenhand.datasets import hub_is_silent, hub_page, hub_reason
from evenhand.errors import InputError, nearest
from evenhand.finetune import Model
from evenhand.finetune.modeling import folder, heads, processor
from evenhand.finetune.modeling.families import FAMILIES, KINDS, family_of
from evenhand.finetune.models._roles import Roles, find_roles

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Of models up to this many bytes two stay in memory between the runs of a process, of larger ones one.
RESIDENT = 2**30
_large: list[object] = []
#: What is downloaded of a hub model: no pickles, no code.
_WANTED = ["*.json", "*.safetensors", "*.txt", "*.model"]
#: Of these, what is not: other folders, and the same weights once more in another program's form.
_UNWANTED = ["*/*", "consolidated*.safetensors"]
#: Of a file that only has to be recognised, no more than this is read.
_POINTER_BYTES = 100
#: Seconds to wait for the hub's answer.
_PATIENCE = 10.0


_FILES = "config.json, model.safetensors, and the tokenizer's or image processor's files"


@dataclass(frozen=True, eq=False)
class PretrainedModel:
    """A pretrained model with a head for the classes of a task, or one that writes.

    Attributes:
        model: never trained; runs get copies.
        family: the file of `finetune.models` that knows its layers.
        roles: where these are.
        fresh: modules that the checkpoint has no weights for: the head, as a rule.
        place: folder with its files, those of its tokenizer or its processor too.
        revision: commit of a model from the hub.
        remark: what is worth knowing of its head; empty as a rule.
        earlier: that files of an earlier download serve, because the hub cannot be asked; empty as a rule.
    """

    model: PreTrainedModel
    family: ModuleType
    roles: Roles
    new_modules: tuple[str, ...]
    place: str
    revision: str | None
    remark: str = ""
    earlier: str = ""

    @property
    def key(self) -> tuple[object, ...]:
        """The same for every loading of the same files for the same task: what is made of it can be kept."""
        files = sorted((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in Path(self.place).iterdir())
        return self.place, type(self.model).__name__, self.model.dtype, *files

    def copy(self, seed: int) -> PreTrainedModel:
        """A model of one's own, whose fresh modules are drawn from the seed."""
        model = copy.deepcopy(self.model)
        torch.manual_seed(seed)
        for name in self.new_modules:
            for module in model.get_submodule(name).modules():
                model._init_weights(module)
        return model


def load_base(model: Model, task: str, classes: tuple[str, ...], precision: str) -> PretrainedModel:
    """Load a model, or take the one that this process has loaded before.

    Args:
        model: which one.
        task: what it is to learn.
        classes: names of the classes; none where nothing is classified.
        precision: of the arithmetic it is for.

    Raises:
        InputError: there is no such model, it is of no known family, or it reads something else.
    """
    options = tuple(sorted(model.options.items()))
    key = (model.name, options, task, classes, precision)
    if _large and key not in _large:
        _load_cached.cache_clear()  # before another model is read, so that there are never two
        _large.clear()
    base = _load_cached(*key)
    if sum(p.numel() * p.element_size() for p in base.model.parameters()) > RESIDENT:
        _large[:] = [key]
    return base


@lru_cache(maxsize=2)
def _load_cached(
    name: str, options: tuple[tuple[str, Any], ...], task: str, classes: tuple[str, ...], precision: str
) -> PretrainedModel:
    place, revision, earlier = place_of(name, dict(options))
    folder.refuse(name, Path(place))
    config = _config(place, name)
    family = family_of(config, name, task)
    said, is_one = dict(options).get("family"), family.__name__.rpartition(".")[2]
    if said not in (None, is_one):
        raise InputError(f"model '{name}': model.family says '{said}', but it is of the family '{is_one}'.")
    without_lost_padding(config)
    own = heads.names_in(config)
    if classes:
        config.num_labels = len(classes)
        config.id2label = dict(enumerate(classes))
        config.label2id = {c: i for i, c in enumerate(classes)}
        config.problem_type = "single_label_classification"
    loaded, absent, misfits = _weights(place, name, config, task, attention_of(precision))
    if revision:
        loaded.name_or_path = loaded.config._name_or_path = name  # what an adapter says it belongs to
    roles = find_roles(loaded, family.ROLES, family.HEAD if classes else ())
    fresh, remark = tuple(sorted({key.rpartition(".")[0] for key in absent | misfits})), ""
    if heads.brings_one(loaded, roles.head, absent):
        fresh, remark = heads.settle(loaded, roles.head, absent | misfits, own, classes)
    return PretrainedModel(loaded, family, roles, fresh, place, revision, remark, earlier)


def without_lost_padding(config: Any) -> None:  # noqa: ANN401
    """Forget a padding token that was added to a tokenizer and not to the embedding: it builds no model."""
    rows, pad = getattr(config, "vocab_size", None), getattr(config, "pad_token_id", None)
    if rows is not None and pad is not None and pad >= rows:
        config.pad_token_id = None


def attention_of(precision: str) -> str | None:
    """Which attention to ask for: on a CPU in bfloat16 the plain one is five times faster."""
    return "eager" if precision == "bfloat16" and not torch.cuda.is_available() else None


def place_of(name: str, options: Mapping[str, Any]) -> tuple[str, str | None, str]:
    """Folder of a model, its commit if it comes from the hub, and a remark where an earlier download serves.

    Models that evenhand makes itself are made first, those of the hub are downloaded.

    Raises:
        InputError: there is no such model.
    """
    if name in registry.names(FAMILIES):
        plugin = registry.load(FAMILIES, name)
        if hasattr(plugin, "build"):
            return str(plugin.build(plugin.Config(**options))), None, ""
    place = Path(name).expanduser()
    return (str(place), None, "") if place.is_dir() else _downloaded(name, options.get("revision"))


def _downloaded(name: str, revision: str | None) -> tuple[str, str, str]:
    """Folder and commit of a hub model's files; without a network, those of an earlier download, and that."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415

    silent: Exception | None = None
    try:
        refuse_listed(name, revision)
    except InputError:
        raise
    except Exception as error:
        # What says that there is no network has no base in common: it depends on the version of the hub's
        # package which of requests, httpx and xet raises it.
        if not hub_is_silent(error):
            raise InputError(_unhad(name, error)) from None
        silent = error
    try:
        place = snapshot_download(
            name, revision=revision, local_files_only=silent is not None, allow_patterns=_WANTED,
            ignore_patterns=_UNWANTED,
        )  # fmt: skip
    except Exception as error:
        raise InputError(_unhad(name, silent or error)) from None
    commit = Path(place).name
    return place, commit, _earlier(name, commit, silent) if silent and revision != commit else ""


def _earlier(name: str, commit: str, error: Exception) -> str:
    """Say that files of an earlier download serve, because the hub cannot be asked."""
    asked = hub_reason(error, name) or "the hub does not answer"
    if type(error).__name__ == "OfflineModeIsEnabled":
        asked = "HF_HUB_OFFLINE is set"
    return (
        f"model '{name}': {asked}, so its files of an earlier download serve (commit {commit[:12]}); whether "
        "the hub has newer ones is not known."
    )


def refuse_listed(name: str, revision: str | None) -> str:
    """Look at a hub model's files before its weights are downloaded.

    Returns:
        Where its config.json is.

    Raises:
        InputError: they are no base model that can be trained.
        Exception: of huggingface_hub, or of what it reads the network with: they cannot be had.
    """
    from huggingface_hub import HfApi, hf_hub_download  # noqa: PLC0415

    # One question, asked once: a download that finds no network tries for half a minute.
    told = HfApi().model_info(name, revision=revision, timeout=_PATIENCE)
    names = [s.rfilename for s in told.siblings or () if "/" not in s.rfilename]

    def read(file: str, most: int) -> bytes:
        small = file.endswith("config.json") and most > _POINTER_BYTES
        return Path(hf_hub_download(name, file, revision=revision)).read_bytes() if small else b""

    if wrong := folder.complaint(name, names, read):
        raise InputError(f"model '{name}': {wrong}")
    if processor.FILE in names:  # which says how large pictures are
        hf_hub_download(name, processor.FILE, revision=revision)
    return str(hf_hub_download(name, "config.json", revision=revision))


def _config(place: str, name: str) -> Any:  # noqa: ANN401
    from transformers import AutoConfig  # noqa: PLC0415

    try:
        return AutoConfig.from_pretrained(place, trust_remote_code=False)
    except Exception as error:
        # What is wrong with a user's file comes out as OSError, ValueError, KeyError, TypeError, ...
        raise InputError(_unreadable(place, name, error)) from None


def _weights(
    place: str,
    name: str,
    config: Any,  # noqa: ANN401
    task: str,
    attention: str | None,
) -> tuple[PreTrainedModel, set[str], set[str]]:
    """The model, and the names of the weights that its checkpoint lacks, or has in another shape."""
    import transformers  # noqa: PLC0415

    shown = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()  # that a new head is new is no news
    transformers.logging.disable_progress_bar()
    try:
        model, info = getattr(transformers, KINDS[task]).from_pretrained(
            place, config=config, ignore_mismatched_sizes=True, output_loading_info=True,
            use_safetensors=True, dtype=torch.float32, attn_implementation=attention, trust_remote_code=False,
        )  # fmt: skip
    except Exception as error:
        # As in `_config`; safetensors has errors of its own, torch a RuntimeError where shapes do not fit.
        raise InputError(_unreadable(place, name, error)) from None
    finally:
        transformers.logging.set_verbosity(shown)
    misfits = {m[0] if isinstance(m, tuple) else m for m in info["mismatched_keys"]}
    return model.eval(), set(info["missing_keys"]) - misfits, misfits


def _unreadable(place: str, name: str, error: Exception) -> str:
    """Say why a model's folder cannot be loaded, and which files it must hold."""
    why = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
    there = ", ".join(sorted(p.name for p in Path(place).iterdir())[:8]) or "nothing"
    return f"model '{name}': the folder cannot be loaded ({why}). It must hold {_FILES}; it holds {there}."


def _unhad(name: str, error: Exception) -> str:
    """Say why a model cannot be had from the hub, and what to do."""
    why = hub_reason(error, name)
    if why and not {"RepositoryNotFoundError", "RevisionNotFoundError"} & {type(error).__name__}:
        return f"model '{name}': there is no such folder, and as a hub id it cannot be had: {why}."
    if not why:
        hub = hub_page(name).removesuffix(f"/{name}")
        offline = "HF_HUB_OFFLINE is set, so the hub is not asked"
        asked = offline if type(error).__name__ == "OfflineModeIsEnabled" else f"{hub} does not answer"
        why = f"{asked}, and nothing of it was downloaded earlier"
        if isinstance(error, ValueError):  # the name can be no hub id
            why = str(error).strip().splitlines()[0][:200]
    made = [n for n in registry.names(FAMILIES) if hasattr(registry.load(FAMILIES, n), "build")]
    return (
        f"model '{name}': there is no such folder, and as a hub id it cannot be had ({why}). Without a "
        f"network, place {_FILES} (from {hub_page(name)}/tree/main) in a folder and give its path. "
        f"Models that need no network: {nearest(name, made)}"
    )
