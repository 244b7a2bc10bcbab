"""Ready models: checkpoints with a trained head, and adapters in PEFT's format, trained by someone else.

What is loaded has to be what was trained. A head that nobody trained, weights that do not fit, settings that
this version of PEFT does not know, or a base that is another one would give a model with plausible numbers;
each is refused, or said.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from evenhand.errors import InputError
from evenhand.finetune import Model
from evenhand.finetune.methods._peft import layer_of
from evenhand.finetune.modeling import heads, processor, tokens
from evenhand.finetune.modeling.checkpoint import ADAPTER_CONFIG, base_of, quantisation_in
from evenhand.finetune.modeling.pretrained import PretrainedModel, load_base, locate_ready_files
from evenhand.finetune.models import ALL_LINEAR
from evenhand.finetune.models._roles import roles_of_name

_ADAPTER_WEIGHTS = "adapter_model.safetensors"
_MAX_LISTED = 4
#: The beginning of the names of an adapter's weights.
_PREFIX = "base_model.model."


@dataclass(frozen=True)
class ReadySource:
    """A ready model as the user names it.

    Attributes:
        name: hub id or folder, of a model or an adapter.
        revision: branch, tag or commit on the hub.
        base: hub id or folder of an adapter's base; by default the one that the adapter names.
        base_revision: branch, tag or commit of that base.
        classes: names of the classes in the order of the outputs, for a model that does not name them.
        lenient: accept settings of an adapter that this version of PEFT does not know.
    """

    name: str
    revision: str | None = None
    base: str | None = None
    base_revision: str | None = None
    classes: tuple[str, ...] = ()
    lenient: bool = False


@dataclass(frozen=True, eq=False)
class ReadyModel:
    """A ready model in memory.

    Attributes:
        base: the checkpoint, or the base of the adapter; its path has the tokenizer or image processor.
        model: the model to predict with.
        order: position of each class of the data among the outputs.
        facts: what was loaded, for the record: names, commits, the kind of adapter.
        remarks: notes for the user.
    """

    base: PretrainedModel
    model: Any
    order: tuple[int, ...]
    facts: dict[str, Any]
    remarks: tuple[str, ...]


class Reordered(torch.nn.Module):
    """A classifier with its outputs in another order.

    Attributes:
        inner: the classifier.
        order: position of each new output among the old ones.
        config: of the classifier.
    """

    def __init__(self, inner: Any, order: Sequence[int]) -> None:
        super().__init__()
        self.inner, self.config = inner, inner.config
        self.register_buffer("order", torch.tensor(order), persistent=False)

    def forward(self, **inputs: Any) -> Any:
        """Return the classifier's output, its logits in the new order."""
        out = self.inner(**inputs)
        out.logits = out.logits[:, self.order]
        return out


def load_ready(source: ReadySource, task: str, classes: tuple[str, ...], precision: str) -> ReadyModel:
    """Load a ready model for the classes of some rows, which are matched by name.

    Args:
        source: the model.
        task: `text` or `image`.
        classes: names of the classes of the data, by position.
        precision: of the later arithmetic.

    Raises:
        InputError: the model is not available, is not complete, or has other classes.
    """
    path, commit, earlier = locate_ready_files(source.name, source.revision)
    remarks = [earlier] if earlier else []
    facts: dict[str, Any] = {"name": source.name, "commit": commit}
    if (path / ADAPTER_CONFIG).is_file():
        return _load_adapter(source, path, task, classes, precision, facts, remarks)
    if source.base is not None:
        raise InputError(f"'{source.name}': is a whole model, which needs no base; leave the base out.")
    options = {} if source.revision is None else {"revision": source.revision}
    outputs = _class_names(source.name, path)
    order = _match(source, outputs, classes)
    # Under its own names of the classes: a head for other names would be drawn anew.
    base = load_base(Model(source.name, options), task, outputs, precision)
    _refuse_fresh(source.name, base.new_modules, "no file of it")
    return ReadyModel(base, base.model, order, {**facts, "kind": "model"}, tuple(remarks))


def _load_adapter(
    source: ReadySource,
    path: Path,
    task: str,
    classes: tuple[str, ...],
    precision: str,
    facts: dict[str, Any],
    remarks: list[str],
) -> ReadyModel:
    """Load an adapter onto its base."""
    from safetensors.torch import load_file  # noqa: PLC0415

    settings = _read_settings(source, path, remarks)
    if not (path / _ADAPTER_WEIGHTS).is_file():
        raise InputError(
            f"'{source.name}': has no {_ADAPTER_WEIGHTS}; weights in other formats (pickles) can run code "
            "when they are loaded, and are not read. Save the adapter again with PEFT's save_pretrained."
        )
    name, revision = _base_of(source, settings, remarks)
    weights = load_file(path / _ADAPTER_WEIGHTS)
    outputs = _adapter_classes(source.name, settings, path, name, revision)
    if (n := _saved_outputs(settings, weights)) not in (None, len(outputs)):
        outputs = tuple(f"LABEL_{i}" for i in range(n))  # the base's own head is for other classes
    order = _match(source, outputs, classes)
    options = {} if revision is None else {"revision": revision}
    base = load_base(Model(name, options), task, outputs, precision)
    _refuse_fresh(source.name, _without_weights(base, weights), f"neither the adapter nor its base '{name}'")
    if renamed := _renamed(base, settings, weights):
        remarks.append(
            f"'{source.name}': its layers have the names of another version of transformers; they are "
            f"matched by what they do ({next(iter(renamed))} is {next(iter(renamed.values()))})."
        )
    with _under_new_names(path, settings, weights, renamed) as folder:
        model = _attach(source.name, folder, base, settings, weights)
    facts |= {"kind": settings["peft_type"], "base": name, "base_commit": base.revision}
    facts["peft_version"] = settings.get("peft_version")
    if quantisation := quantisation_in(path):
        facts["quantisation"] = quantisation
    if tokens.has_tokenizer(path) or any((path / file).is_file() for file in processor.FILES):
        base = replace(base, path=str(path))
    return ReadyModel(base, model, order, facts, tuple(remarks))


def _read_settings(source: ReadySource, path: Path, remarks: list[str]) -> dict[str, Any]:
    """Read an adapter's settings; refuse those that this version of PEFT would ignore."""
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING  # noqa: PLC0415
    from peft import __version__ as version  # noqa: PLC0415

    try:
        settings: dict[str, Any] = json.loads((path / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        kind = PEFT_TYPE_TO_CONFIG_MAPPING[settings["peft_type"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"'{source.name}': its {ADAPTER_CONFIG} names no kind of adapter that PEFT {version} knows "
            f"({type(error).__name__}: {error})."
        ) from None
    known = {*kind.__dataclass_fields__, "peft_version"}
    unknown = sorted(key for key in settings if key not in known)
    if not unknown:
        return settings
    what = f"'{source.name}': PEFT {version} does not know its settings {', '.join(unknown[:_MAX_LISTED])}"
    if by := settings.get("peft_version"):
        what += f" (it was saved by PEFT {by})"
    if not source.lenient:
        raise InputError(
            f"{what}: without them it would be another model. Install the version that saved it, or accept "
            "that with --lenient."
        )
    remarks.append(f"{what}; they are ignored (--lenient), so it may be another model.")
    return settings


def _base_of(source: ReadySource, settings: Mapping[str, Any], remarks: list[str]) -> tuple[str, str | None]:
    """Return name and revision of an adapter's base: the ones that the user gives, else its own."""
    stated, revision = settings.get("base_model_name_or_path"), settings.get("revision")
    if source.base is None:
        if not stated:
            raise InputError(f"'{source.name}': does not name its base; give it with --base.")
        if Path(stated).is_absolute() and not Path(stated).is_dir():
            raise InputError(
                f"'{source.name}': names as its base the folder {stated}, which does not exist on this "
                "machine; give its base with --base."
            )
        return str(stated), revision
    if stated and (source.base, source.base_revision) not in ((stated, revision), (stated, None)):
        was, now = (
            f"{name}@{commit}" if commit else name
            for name, commit in ((stated, revision), (source.base, source.base_revision))
        )
        remarks.append(f"'{source.name}': was trained on {was}, and is loaded onto {now}.")
    same = source.base == stated and source.base_revision is None
    return source.base, revision if same else source.base_revision


def _adapter_classes(
    name: str, settings: Mapping[str, Any], path: Path, base: str, revision: str | None
) -> tuple[str, ...]:
    """Return the names of an adapter's outputs: its own, or those of its base."""
    stated = (settings.get("auto_mapping") or {}).get("id2label")
    if stated:
        return tuple(str(stated[key]) for key in sorted(stated, key=int))
    if (path / "config.json").is_file():
        return _class_names(name, path)
    return _class_names(name, locate_ready_files(base, revision)[0])


def _saved_outputs(settings: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> int | None:
    """Return the number of outputs of the head that an adapter brings; None if it brings none."""
    names = [*(settings.get("modules_to_save") or ())]
    names += ["classifier", "score"] if settings.get("task_type") == "SEQ_CLS" else []
    sizes = [
        len(weight)
        for key, weight in weights.items()
        if weight.ndim > 1 and any(f".{name}." in key for name in names)
    ]
    return min(sizes, default=None)


def _class_names(name: str, path: Path) -> tuple[str, ...]:
    """Return the names of the outputs in a configuration, by position."""
    from transformers import AutoConfig  # noqa: PLC0415

    try:
        config = AutoConfig.from_pretrained(str(path), trust_remote_code=False)
    except Exception as error:  # loading the model reports a faulty file in full
        raise InputError(f"'{name}': its config.json cannot be read ({error}).") from None
    names = heads.class_names(config)
    if not names:
        raise InputError(
            f"'{name}': id2label and label2id in its config.json contradict each other, so that its outputs "
            "may mean either; correct the file."
        )
    return names


def _match(source: ReadySource, outputs: Sequence[str], classes: Sequence[str]) -> tuple[int, ...]:
    """Match the classes of the data with the outputs of a model, by its own names or those of the user."""
    if source.classes and len(source.classes) != len(outputs):
        raise InputError(
            f"'{source.name}': --classes has {len(source.classes)} names, and the model {len(outputs)} "
            f"outputs ({heads.join_names(outputs)})."
        )
    named = source.classes or outputs
    order = heads.match_classes(named, classes)
    if order is None:
        raise InputError(
            f"'{source.name}': its classes ({heads.join_names(named)}) are not those of the data "
            f"({heads.join_names(classes)}). If these are the same under other names, give --classes: the "
            "names in the data, in the order of the model's outputs."
        )
    return tuple(order)


def _refuse_fresh(name: str, modules: Sequence[str], holder: str) -> None:
    """Refuse a model with modules that nobody has trained."""
    if modules:
        more = f" and {len(modules) - _MAX_LISTED} more" if len(modules) > _MAX_LISTED else ""
        raise InputError(
            f"'{name}': {holder} has weights for {', '.join(modules[:_MAX_LISTED])}{more}. They would be "
            "drawn at random, and its predictions would mean nothing; it needs a trained head."
        )


def _without_weights(base: PretrainedModel, weights: Mapping[str, torch.Tensor]) -> list[str]:
    """Return the modules that neither the base's files nor the adapter's have."""
    return [module for module in base.new_modules if not any(f".{module}." in f".{key}" for key in weights)]


def _renamed(
    base: PretrainedModel, settings: Mapping[str, Any], weights: Mapping[str, torch.Tensor]
) -> dict[str, str]:
    """Match the layers of an adapter that the base lacks with its layers of the same role and numbers.

    transformers 5 has renamed the layers of some families: ViT's `attention.attention.query` is
    `attention.q_proj`. PEFT converts the names of some families only.

    Returns:
        New names by old names; empty unless every unknown layer has exactly one counterpart.
    """
    from peft.mapping import PEFT_TYPE_TO_PREFIX_MAPPING  # noqa: PLC0415

    added = PEFT_TYPE_TO_PREFIX_MAPPING.get(settings["peft_type"], "")
    known = {name for name, _ in base.model.named_modules()}
    keys = [key.removeprefix(_PREFIX) for key in weights if added and f".{added}" in key]
    unknown = dict.fromkeys(name for key in keys if (name := key.split(f".{added}")[0]) not in known)
    by_role: dict[tuple[object, ...], list[str]] = {}
    for name in base.roles.layers.get(ALL_LINEAR, ()):
        by_role.setdefault((roles_of_name(name), layer_of(f".{name}")), []).append(name)
    renamed = {}
    for name in unknown:
        roles = roles_of_name(name)
        fitting = by_role.get((roles, layer_of(f".{name}")), []) if roles else []
        if len(fitting) != 1:
            return {}
        renamed[name] = fitting[0]
    return renamed


@contextmanager
def _under_new_names(
    path: Path, settings: Mapping[str, Any], weights: Mapping[str, torch.Tensor], renamed: Mapping[str, str]
) -> Iterator[Path]:
    """Provide the folder of an adapter: its own, or a temporary copy whose layers have new names."""
    if not renamed:
        yield path
        return
    from safetensors.torch import save_file  # noqa: PLC0415

    def rename(key: str) -> str:
        for old, new in renamed.items():
            if key.startswith(f"{_PREFIX}{old}."):
                return f"{_PREFIX}{new}{key.removeprefix(_PREFIX + old)}"
        return key

    with tempfile.TemporaryDirectory() as folder:
        changed = {**settings, "target_modules": sorted(set(renamed.values()))}
        (Path(folder) / ADAPTER_CONFIG).write_text(json.dumps(changed), encoding="utf-8")
        renamed_weights = {rename(key): weight for key, weight in weights.items()}
        save_file(renamed_weights, Path(folder) / _ADAPTER_WEIGHTS, metadata={"format": "pt"})
        yield Path(folder)


def _attach(
    name: str,
    path: Path,
    base: PretrainedModel,
    settings: Mapping[str, Any],
    weights: Mapping[str, torch.Tensor],
) -> Any:
    """Put the adapter onto a copy of its base; every weight of its file has to find its place."""
    from peft import MODEL_TYPE_TO_PEFT_MODEL_MAPPING, PeftConfig, PeftModel  # noqa: PLC0415

    model = base_of(base, path, 0)
    rows = _embedding_rows(base, weights)
    if rows is not None:
        model.resize_token_embeddings(rows, mean_resizing=False)
    kind = MODEL_TYPE_TO_PEFT_MODEL_MAPPING.get(settings.get("task_type") or "", PeftModel)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they say about weights is checked below
            adapted = kind(model, PeftConfig.from_pretrained(str(path)))
            loaded = adapted.load_adapter(str(path), "default", torch_device="cpu")
    except Exception as error:
        # Layers that the base lacks, weights of other shapes, impossible settings: many types.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise InputError(f"'{name}': does not fit the base '{base.path}' ({reason}).") from None
    # PEFT has put the keys and values of a prefix into their place before it compares names.
    odd = [name for name in (*loaded.unexpected_keys, *loaded.missing_keys) if name != "prompt_embeddings"]
    if odd:
        more = f" and {len(odd) - _MAX_LISTED} more" if len(odd) > _MAX_LISTED else ""
        raise InputError(
            f"'{name}': does not fit the base '{base.path}': {len(odd):,} of its weights have no counterpart "
            f"({', '.join(odd[:_MAX_LISTED])}{more})."
        )
    return adapted.eval()


def _embedding_rows(base: PretrainedModel, weights: Mapping[str, torch.Tensor]) -> int | None:
    """Return the number of rows of the embedding that an adapter brings, if the base has another one."""
    names = base.roles.layers.get("embedding", ())
    if base.task == "image" or not names:
        return None
    table: Any = base.model.get_submodule(names[0])
    rows = table.weight.shape[0]
    saved = {w.shape[0] for key, w in weights.items() if key.endswith(f"{names[0]}.weight")}
    return next((n for n in saved if n != rows), None)
