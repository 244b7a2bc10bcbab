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
from evenhand.finetune.modeling.families import AUTO_CLASSES, FAMILIES, family_of
from evenhand.finetune.models._roles import Roles, find_roles

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Of models up to this many bytes two stay in memory between the runs of a process, of larger ones one.
MAX_SHARED_BYTES = 2**30
_large_keys: list[object] = []
#: What is downloaded of a hub model: no pickles, no code.
_DOWNLOAD_PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.model"]
#: Of these, what is not: other folders, and the same weights once more in another program's form.
_IGNORE_PATTERNS = ["*/*", "consolidated*.safetensors"]
#: Of a file that only has to be recognised, no more than this is read.
_POINTER_BYTES = 100
#: Seconds to wait for the hub's answer.
_HUB_TIMEOUT_SECONDS = 10.0


_REQUIRED_FILES = "config.json, model.safetensors, and the tokenizer's or image processor's files"


@dataclass(frozen=True, eq=False)
class PretrainedModel:
    """A pretrained model with a head for the classes of a task, or one that writes.

    Attributes:
        model: never trained; runs get copies.
        family: the file of `finetune.models` that knows its layers.
        roles: where these are.
        new_modules: modules that the checkpoint has no weights for: the head, as a rule.
        path: folder with its files, those of its tokenizer or its processor too.
        revision: commit of a model from the hub.
        remark: what is worth knowing of its head; empty as a rule.
        earlier: that files of an earlier download serve, because the hub cannot be asked; empty as a rule.
    """

    model: PreTrainedModel
    family: ModuleType
    roles: Roles
    new_modules: tuple[str, ...]
    path: str
    revision: str | None
    remark: str = ""
    earlier: str = ""

    @property
    def key(self) -> tuple[object, ...]:
        """The same for every loading of the same files for the same task: what is made of it can be kept."""
        files = sorted((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in Path(self.path).iterdir())
        return self.path, type(self.model).__name__, self.model.dtype, *files

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
    if _large_keys and key not in _large_keys:
        _load_cached.cache_clear()  # before another model is read, so that there are never two
        _large_keys.clear()
    base = _load_cached(*key)
    if sum(p.numel() * p.element_size() for p in base.model.parameters()) > MAX_SHARED_BYTES:
        _large_keys[:] = [key]
    return base


@lru_cache(maxsize=2)
def _load_cached(
    name: str, options: tuple[tuple[str, Any], ...], task: str, classes: tuple[str, ...], precision: str
) -> PretrainedModel:
    path, revision, earlier = locate_files(name, dict(options))
    folder.check_folder(name, Path(path))
    config = _load_config(path, name)
    family = family_of(config, name, task)
    declared, detected = dict(options).get("family"), family.__name__.rpartition(".")[2]
    if declared not in (None, detected):
        raise InputError(
            f"model '{name}': model.family says '{declared}', but it is of the family '{detected}'."
        )
    drop_invalid_padding(config)
    head_classes = heads.class_names(config)
    if classes:
        config.num_labels = len(classes)
        config.id2label = dict(enumerate(classes))
        config.label2id = {c: i for i, c in enumerate(classes)}
        config.problem_type = "single_label_classification"
    loaded, absent, misfits = _load_weights(path, name, config, task, attention_of(precision))
    if revision:
        loaded.name_or_path = loaded.config._name_or_path = name  # what an adapter says it belongs to
    roles = find_roles(loaded, family.ROLES, family.HEAD if classes else ())
    new_modules, remark = tuple(sorted({key.rpartition(".")[0] for key in absent | misfits})), ""
    if heads.has_head_weights(loaded, roles.head, absent):
        new_modules, remark = heads.match_head(loaded, roles.head, absent | misfits, head_classes, classes)
    return PretrainedModel(loaded, family, roles, new_modules, path, revision, remark, earlier)


def drop_invalid_padding(config: Any) -> None:  # noqa: ANN401
    """Forget a padding token that was added to a tokenizer and not to the embedding: it builds no model."""
    rows, pad = getattr(config, "vocab_size", None), getattr(config, "pad_token_id", None)
    if rows is not None and pad is not None and pad >= rows:
        config.pad_token_id = None


def attention_of(precision: str) -> str | None:
    """Which attention to ask for: on a CPU in bfloat16 the plain one is five times faster."""
    return "eager" if precision == "bfloat16" and not torch.cuda.is_available() else None


def locate_files(name: str, options: Mapping[str, Any]) -> tuple[str, str | None, str]:
    """Folder of a model, its commit if it comes from the hub, and a remark where an earlier download serves.

    Models that evenhand makes itself are made first, those of the hub are downloaded.

    Raises:
        InputError: there is no such model.
    """
    if name in registry.names(FAMILIES):
        plugin = registry.load(FAMILIES, name)
        if hasattr(plugin, "build"):
            return str(plugin.build(plugin.Config(**options))), None, ""
    path = Path(name).expanduser()
    return (str(path), None, "") if path.is_dir() else _download(name, options.get("revision"))


def _download(name: str, revision: str | None) -> tuple[str, str, str]:
    """Folder and commit of a hub model's files; without a network, those of an earlier download, and that."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415

    hub_error: Exception | None = None
    try:
        check_hub_files(name, revision)
    except InputError:
        raise
    except Exception as error:
        # What says that there is no network has no base in common: it depends on the version of the hub's
        # package which of requests, httpx and xet raises it.
        if not hub_is_silent(error):
            raise InputError(_hub_complaint(name, error)) from None
        hub_error = error
    try:
        path = snapshot_download(
            name, revision=revision, local_files_only=hub_error is not None, allow_patterns=_DOWNLOAD_PATTERNS,
            ignore_patterns=_IGNORE_PATTERNS,
        )  # fmt: skip
    except Exception as error:
        raise InputError(_hub_complaint(name, hub_error or error)) from None
    commit = Path(path).name
    return (
        path,
        commit,
        _earlier_download_remark(name, commit, hub_error) if hub_error and revision != commit else "",
    )


def _earlier_download_remark(name: str, commit: str, error: Exception) -> str:
    """Say that files of an earlier download serve, because the hub cannot be asked."""
    reason = hub_reason(error, name) or "the hub does not answer"
    if type(error).__name__ == "OfflineModeIsEnabled":
        reason = "HF_HUB_OFFLINE is set"
    return (
        f"model '{name}': {reason}, so its files of an earlier download serve (commit {commit[:12]}); whether "
        "the hub has newer ones is not known."
    )


def check_hub_files(name: str, revision: str | None) -> str:
    """Look at a hub model's files before its weights are downloaded.

    Returns:
        Where its config.json is.

    Raises:
        InputError: they are no base model that can be trained.
        Exception: of huggingface_hub, or of what it reads the network with: they cannot be had.
    """
    from huggingface_hub import HfApi, hf_hub_download  # noqa: PLC0415

    # One question, asked once: a download that finds no network tries for half a minute.
    info = HfApi().model_info(name, revision=revision, timeout=_HUB_TIMEOUT_SECONDS)
    names = [s.rfilename for s in info.siblings or () if "/" not in s.rfilename]

    def read(file: str, most: int) -> bytes:
        small = file.endswith("config.json") and most > _POINTER_BYTES
        return Path(hf_hub_download(name, file, revision=revision)).read_bytes() if small else b""

    if problem := folder.complaint(name, names, read):
        raise InputError(f"model '{name}': {problem}")
    if processor.FILE in names:  # which says how large pictures are
        hf_hub_download(name, processor.FILE, revision=revision)
    return str(hf_hub_download(name, "config.json", revision=revision))


def _load_config(path: str, name: str) -> Any:  # noqa: ANN401
    from transformers import AutoConfig  # noqa: PLC0415

    try:
        return AutoConfig.from_pretrained(path, trust_remote_code=False)
    except Exception as error:
        # What is wrong with a user's file comes out as OSError, ValueError, KeyError, TypeError, ...
        raise InputError(_load_complaint(path, name, error)) from None


def _load_weights(
    path: str,
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
        model, info = getattr(transformers, AUTO_CLASSES[task]).from_pretrained(
            path, config=config, ignore_mismatched_sizes=True, output_loading_info=True,
            use_safetensors=True, dtype=torch.float32, attn_implementation=attention, trust_remote_code=False,
        )  # fmt: skip
    except Exception as error:
        # As in `_load_config`; safetensors has errors of its own, torch a RuntimeError where shapes do not fit.
        raise InputError(_load_complaint(path, name, error)) from None
    finally:
        transformers.logging.set_verbosity(shown)
    misfits = {m[0] if isinstance(m, tuple) else m for m in info["mismatched_keys"]}
    return model.eval(), set(info["missing_keys"]) - misfits, misfits


def _load_complaint(path: str, name: str, error: Exception) -> str:
    """Say why a model's folder cannot be loaded, and which files it must hold."""
    why = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
    files = ", ".join(sorted(p.name for p in Path(path).iterdir())[:8]) or "nothing"
    return f"model '{name}': the folder cannot be loaded ({why}). It must hold {_REQUIRED_FILES}; it holds {files}."


def _hub_complaint(name: str, error: Exception) -> str:
    """Say why a model cannot be had from the hub, and what to do."""
    why = hub_reason(error, name)
    if why and not {"RepositoryNotFoundError", "RevisionNotFoundError"} & {type(error).__name__}:
        return f"model '{name}': there is no such folder, and as a hub id it cannot be had: {why}."
    if not why:
        hub = hub_page(name).removesuffix(f"/{name}")
        offline = "HF_HUB_OFFLINE is set, so the hub is not asked"
        reason = offline if type(error).__name__ == "OfflineModeIsEnabled" else f"{hub} does not answer"
        why = f"{reason}, and nothing of it was downloaded earlier"
        if isinstance(error, ValueError):  # the name can be no hub id
            why = str(error).strip().splitlines()[0][:200]
    bundled = [n for n in registry.names(FAMILIES) if hasattr(registry.load(FAMILIES, n), "build")]
    return (
        f"model '{name}': there is no such folder, and as a hub id it cannot be had ({why}). Without a "
        f"network, place {_REQUIRED_FILES} (from {hub_page(name)}/tree/main) in a folder and give its path. "
        f"Models that need no network: {nearest(name, bundled)}"
    )
