"""Base models: located, loaded once per process, and copied for every run."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from evenhand import registry
from evenhand.datasets import hub_is_unavailable, hub_page, hub_reason
from evenhand.errors import InputError, nearest
from evenhand.finetune import Model
from evenhand.finetune.modeling import folder, heads, processor
from evenhand.finetune.modeling.families import AUTO_CLASSES, FAMILIES, Family, family_of
from evenhand.finetune.models._roles import Roles, find_roles

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Up to this size, two models stay in memory between the runs of a process; of larger models, one.
MAX_SHARED_BYTES = 2**30
_large_keys: list[object] = []
#: Files of a hub model to download: no pickles, no code.
_DOWNLOAD_PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.model"]
#: Exceptions: subfolders, and duplicates of the weights in another program's format.
_IGNORE_PATTERNS = ["*/*", "consolidated*.safetensors"]
#: Enough bytes to recognise the kind of a file; such short reads do not download it.
_POINTER_BYTES = 100
#: Timeout of requests to the hub.
_HUB_TIMEOUT_SECONDS = 10.0


_REQUIRED_FILES = "config.json, model.safetensors, and the tokenizer's or image processor's files"


@dataclass(frozen=True, eq=False)
class PretrainedModel:
    """A pretrained model with a head for the classes of a task, or one that generates.

    Attributes:
        model: never trained; every run receives a copy.
        family: its family.
        task: of the dataset.
        roles: its layers by role.
        new_modules: modules without weights in the checkpoint; usually the head.
        path: folder with its files, those of its tokenizer or processor included.
        revision: commit of a model from the hub.
        remark: a note on its head; usually empty.
        earlier: a note that files of an earlier download are used because the hub is not available; usually
            empty.
    """

    model: PreTrainedModel
    family: Family
    task: str
    roles: Roles
    new_modules: tuple[str, ...]
    path: str
    revision: str | None
    remark: str = ""
    earlier: str = ""

    @property
    def key(self) -> tuple[object, ...]:
        """Key for caches: equal whenever the same files are loaded for the same task."""
        files = sorted((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in Path(self.path).iterdir())
        return self.path, type(self.model).__name__, self.model.dtype, *files

    def copy(self, seed: int) -> PreTrainedModel:
        """Return a copy of the model whose new modules are initialised from the seed."""
        model = copy.deepcopy(self.model)
        torch.manual_seed(seed)
        for name in self.new_modules:
            for module in model.get_submodule(name).modules():
                model._init_weights(module)
        return model


def load_base(model: Model, task: str, classes: tuple[str, ...], precision: str) -> PretrainedModel:
    """Load a model, or return the one that this process has loaded before.

    Args:
        model: name and options of the model.
        task: task of the dataset.
        classes: names of the classes; empty if the task is not a classification.
        precision: precision of the later arithmetic; the weights are loaded in float32.

    Raises:
        InputError: the model was not found, its family is unknown, or it reads another kind of input.
    """
    options = tuple(sorted(model.options.items()))
    key = (model.name, options, task, classes, precision)
    if _large_keys and key not in _large_keys:
        _load_cached.cache_clear()  # before the next model is loaded, so that memory never holds both
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
    check_declared_family(name, dict(options), family)
    drop_invalid_padding(config)
    head_classes = heads.class_names(config)
    if classes:
        config.num_labels = len(classes)
        config.id2label = dict(enumerate(classes))
        config.label2id = {c: i for i, c in enumerate(classes)}
        config.problem_type = "single_label_classification"
    loaded, absent, misfits = _load_weights(path, name, config, task, attention_of(precision))
    if revision:
        loaded.name_or_path = loaded.config._name_or_path = (
            name  # saved in adapters as the name of their base
        )
    roles = find_roles(loaded, classifies=bool(classes), patterns=family.patterns, missing=absent)
    new_modules, remark = tuple(sorted({key.rpartition(".")[0] for key in absent | misfits})), ""
    if heads.has_output_weights(loaded, roles.head, len(classes), absent):
        new_modules, remark = heads.match_head(loaded, roles.head, absent | misfits, head_classes, classes)
    return PretrainedModel(loaded, family, task, roles, new_modules, path, revision, remark, earlier)


def check_declared_family(name: str, options: Mapping[str, Any], family: Family) -> None:
    """Check the family that a study declares for a model.

    Raises:
        InputError: it is another one.
    """
    declared = options.get("family")
    if declared not in (None, family.name):
        raise InputError(f"model '{name}': model.family is '{declared}', but its family is '{family.name}'.")


def drop_invalid_padding(config: Any) -> None:
    """Remove a padding token without a row in the embedding, with which no model can be built."""
    rows, pad = getattr(config, "vocab_size", None), getattr(config, "pad_token_id", None)
    if rows is not None and pad is not None and pad >= rows:
        config.pad_token_id = None


def attention_of(precision: str) -> str | None:
    """Return the attention implementation to request: on a CPU in bfloat16, eager is 5 times faster."""
    return "eager" if precision == "bfloat16" and not torch.cuda.is_available() else None


def locate_files(name: str, options: Mapping[str, Any]) -> tuple[str, str | None, str]:
    """Return a model's folder, its commit on the hub, and a remark if an earlier download is used.

    Models that evenhand makes itself are built if necessary, those of the hub are downloaded.

    Raises:
        InputError: the model was not found.
    """
    if name in registry.names(FAMILIES):
        plugin = registry.load(FAMILIES, name)
        if hasattr(plugin, "build"):
            return str(plugin.build(plugin.Config(**options))), None, ""
    path = Path(name).expanduser()
    return (str(path), None, "") if path.is_dir() else _download(name, options.get("revision"))


def locate_ready_files(name: str, revision: str | None) -> tuple[Path, str | None, str]:
    """Return the folder, commit and remark of a ready model or adapter, as `locate_files` does of a base.

    Raises:
        InputError: it was not found.
    """
    path = Path(name).expanduser()
    if path.is_dir() or name in registry.names(FAMILIES):
        return Path(locate_files(name, {})[0]), None, ""
    folder, commit, remark = _download(name, revision, check=False)
    return Path(folder), commit, remark


def _download(name: str, revision: str | None, *, check: bool = True) -> tuple[str, str, str]:
    """Download a hub model, or use an earlier download without a network; return folder, commit, remark.

    Args:
        name: hub id.
        revision: branch, tag or commit.
        check: refuse files that are not a base that can be trained.
    """
    from huggingface_hub import HfApi, snapshot_download  # noqa: PLC0415

    hub_error: Exception | None = None
    try:
        if check:
            check_hub_files(name, revision)
        else:
            HfApi().model_info(name, revision=revision, timeout=_HUB_TIMEOUT_SECONDS)
    except InputError:
        raise
    except Exception as error:
        # Errors of a missing network have no common base class: depending on the version of the hub's
        # package, requests, httpx or xet raises them.
        if not hub_is_unavailable(error):
            raise InputError(_hub_complaint(name, revision, error)) from None
        hub_error = error
    try:
        path = snapshot_download(
            name, revision=revision, local_files_only=hub_error is not None,
            allow_patterns=_DOWNLOAD_PATTERNS, ignore_patterns=_IGNORE_PATTERNS,
        )  # fmt: skip
    except Exception as error:
        raise InputError(_hub_complaint(name, revision, hub_error or error)) from None
    commit = Path(path).name
    # A commit given by its hash cannot be outdated.
    if hub_error is None or revision == commit:
        return path, commit, ""
    return path, commit, _earlier_download_remark(name, commit, hub_error)


def _earlier_download_remark(name: str, commit: str, error: Exception) -> str:
    """Return the remark that files of an earlier download are used because the hub is not available."""
    reason = hub_reason(error, name) or "the hub does not answer"
    if type(error).__name__ == "OfflineModeIsEnabled":
        reason = "HF_HUB_OFFLINE is set"
    return (
        f"model '{name}': {reason}, so the files of an earlier download are used (commit {commit[:12]}); the "
        "hub may have newer ones."
    )


def check_hub_files(name: str, revision: str | None) -> str:
    """Validate the list of a hub model's files before its weights are downloaded.

    Returns:
        Path of its config.json.

    Raises:
        InputError: the files are not a base model that can be trained.
        Exception: of huggingface_hub or its network library: the files are not available.
    """
    from huggingface_hub import HfApi, hf_hub_download  # noqa: PLC0415

    # A single request first: without a network, a download would retry for half a minute.
    info = HfApi().model_info(name, revision=revision, timeout=_HUB_TIMEOUT_SECONDS)
    names = [s.rfilename for s in info.siblings or () if "/" not in s.rfilename]

    def read(file: str, most: int) -> bytes:
        small = file.endswith("config.json") and most > _POINTER_BYTES
        return Path(hf_hub_download(name, file, revision=revision)).read_bytes() if small else b""

    if problem := folder.complaint(name, names, read):
        raise InputError(f"model '{name}': {problem}")
    if processor.FILE in names:  # with the size of pictures
        hf_hub_download(name, processor.FILE, revision=revision)
    return str(hf_hub_download(name, "config.json", revision=revision))


def _load_config(path: str, name: str) -> Any:
    from transformers import AutoConfig  # noqa: PLC0415

    try:
        return AutoConfig.from_pretrained(path, trust_remote_code=False)
    except Exception as error:
        # A faulty file raises OSError, ValueError, KeyError, TypeError, ...
        raise InputError(_unknown_type(path, name) or _load_complaint(path, name, error)) from None


def _load_weights(
    path: str, name: str, config: Any, task: str, attention: str | None
) -> tuple[PreTrainedModel, set[str], set[str]]:
    """Load the model; return it, and the names of weights that are missing, or have another shape."""
    import transformers  # noqa: PLC0415

    shown = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()  # every new head would cause a warning
    transformers.logging.disable_progress_bar()
    try:
        model, info = getattr(transformers, AUTO_CLASSES[task]).from_pretrained(
            path, config=config, ignore_mismatched_sizes=True, output_loading_info=True,
            use_safetensors=True, dtype=torch.float32, attn_implementation=attention, trust_remote_code=False,
        )  # fmt: skip
    except Exception as error:
        # As in `_load_config`; also errors of safetensors, and torch's RuntimeError for shapes.
        raise InputError(_load_complaint(path, name, error)) from None
    finally:
        transformers.logging.set_verbosity(shown)
    misfits = {m[0] if isinstance(m, tuple) else m for m in info["mismatched_keys"]}
    return model.eval(), set(info["missing_keys"]) - misfits, misfits


def _unknown_type(path: str, name: str) -> str:
    """Return the complaint about a model whose type transformers does not know; empty for other faults."""
    from transformers import CONFIG_MAPPING, __version__  # noqa: PLC0415

    try:
        config = json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))
        kind = config["model_type"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    if "auto_map" in config:
        return (
            f"model '{name}': needs code of its authors (auto_map in config.json), which evenhand does not "
            "run. Models whose code is part of transformers need none; look for a conversion of this one."
        )
    if kind in CONFIG_MAPPING:
        return ""
    return (
        f"model '{name}': transformers {__version__} does not know its model_type, '{kind}'; install a newer "
        f"version if it is newer than that. {nearest(str(kind), sorted(CONFIG_MAPPING))}"
    )


def _load_complaint(path: str, name: str, error: Exception) -> str:
    """Return the complaint about a folder that cannot be loaded, with the files that it must hold."""
    why = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
    files = ", ".join(sorted(p.name for p in Path(path).iterdir())[:8]) or "nothing"
    return (
        f"model '{name}': the folder cannot be loaded ({why}). It must hold {_REQUIRED_FILES}; it holds "
        f"{files}."
    )


def _hub_complaint(name: str, revision: str | None, error: Exception) -> str:
    """Return the complaint about a model that is not available from the hub, with a remedy."""
    why = hub_reason(error, name, revision)
    if why and type(error).__name__ != "RepositoryNotFoundError":
        return f"model '{name}': not found as a folder, and not available from the hub: {why}."
    if not why:
        hub = hub_page(name).removesuffix(f"/{name}")
        offline = "HF_HUB_OFFLINE is set, so the hub is not queried"
        reason = offline if type(error).__name__ == "OfflineModeIsEnabled" else f"{hub} does not answer"
        why = f"{reason}, and it was not downloaded earlier"
        if isinstance(error, ValueError):  # the name is not a valid hub id
            why = str(error).strip().splitlines()[0][:200]
    bundled = [n for n in registry.names(FAMILIES) if hasattr(registry.load(FAMILIES, n), "build")]
    return (
        f"model '{name}': not found as a folder, and not available from the hub ({why}). Without a network, "
        f"put {_REQUIRED_FILES} (from {hub_page(name)}/tree/main) in a folder and give its path. "
        f"Models that need no network: {nearest(name, bundled)}"
    )
