"""The shape of a model before anything is loaded: its configuration, from wherever it can be had."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenhand import registry
from evenhand.datasets import hub_is_silent, hub_reason
from evenhand.errors import InputError, nearest
from evenhand.finetune import Model
from evenhand.finetune.modeling import folder
from evenhand.finetune.modeling.families import FAMILIES
from evenhand.finetune.modeling.pretrained import check_hub_files

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class UnknownShapeError(InputError):
    """The shape of a model cannot be had here."""


class RefusedError(InputError):
    """The hub does not give a model, and says why; `silent` if it may give it later."""

    silent = False


def shape_of(model: Model) -> PretrainedConfig:
    """The configuration of a model: of its folder, of the hub, or of the shapes that its family knows.

    Raises:
        InputError: its folder cannot be read, it is no base, or it cannot be had.
    """
    return find_config(model)[0]


def find_config(model: Model) -> tuple[PretrainedConfig, str, Path | None]:
    """The configuration of a model, why its weights cannot be had where that is known, and its folder."""
    from transformers import AutoConfig  # noqa: PLC0415

    path = Path(model.name).expanduser()
    if model.name in registry.names(FAMILIES):
        plugin = registry.load(FAMILIES, model.name)
        options = {**model.options, "pretraining": "none"}  # which has the same shape, and takes no time
        path = Path(plugin.build(plugin.Config(**options)))
    if path.is_dir():
        folder.check_folder(model.name, path)
        try:
            return AutoConfig.from_pretrained(path, trust_remote_code=False), "", path
        except Exception as error:
            raise InputError(f"model '{model.name}': its config.json cannot be read ({error}).") from None
    why, final = "", False
    try:
        if (file := _config_file(model)) is not None:
            return AutoConfig.from_pretrained(file, trust_remote_code=False), "", Path(file).parent
    except RefusedError as error:
        why, final = error.complaints[0], not error.silent
    try:
        return _known_shape(model, why), why, None
    except UnknownShapeError as error:
        raise (InputError(error.complaints) if final else error) from None


def _config_file(model: Model) -> str | None:
    """The config.json of a hub model: downloaded earlier, or now; None when the hub does not answer.

    Raises:
        InputError: its files are no base model.
        RefusedError: the hub says why it does not give it.
    """
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415

    revision = model.options.get("revision")
    try:
        cached = try_to_load_from_cache(model.name, "config.json", revision=revision)
        if isinstance(cached, str):
            folder.check_folder(model.name, Path(cached).parent, complete=False)
            return cached
        return check_hub_files(model.name, revision)
    except InputError:
        raise
    except Exception as error:  # no network, no such model, or none that may be read without a key
        if why := hub_reason(error, model.name):
            refused = RefusedError(why)
            refused.silent = hub_is_silent(error)
            raise refused from None
        return None


def _known_shape(model: Model, why: str) -> PretrainedConfig:
    """A shape out of a family's table."""
    from transformers import AutoConfig  # noqa: PLC0415

    known: dict[str, tuple[str, dict[str, Any]]] = {}
    for name in registry.names(FAMILIES):
        family = registry.load(FAMILIES, name)
        for hub_id, fields in getattr(family, "SHAPES", {}).items():
            known[hub_id] = (family.INFO.model_types[0], dict(fields))
    if model.name not in known:
        raise UnknownShapeError(
            f"model '{model.name}': its config.json cannot be had from the hub{f' ({why})' if why else ''}, "
            f"and its shape is not among those that are known here; {nearest(model.name, sorted(known))}"
        )
    kind, fields = known[model.name]
    return AutoConfig.for_model(fields.pop("model_type", kind), **fields)


def local_folder(model: Model) -> Path | None:
    """Where the files of a model are that is a folder, or was downloaded earlier; else None."""
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415
    from huggingface_hub.errors import HFValidationError  # noqa: PLC0415

    path = Path(model.name).expanduser()
    if path.is_dir():
        return path
    try:
        config = try_to_load_from_cache(model.name, "config.json", revision=model.options.get("revision"))
    except HFValidationError:
        return None
    return Path(config).parent if isinstance(config, str) else None
