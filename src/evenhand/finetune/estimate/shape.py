"""The configuration of a model before it is loaded: from its folder, the hub, or a table of known shapes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenhand import registry
from evenhand.datasets import hub_is_unavailable, hub_reason
from evenhand.errors import InputError, nearest
from evenhand.finetune import Model
from evenhand.finetune.modeling import folder
from evenhand.finetune.modeling.families import FAMILIES
from evenhand.finetune.modeling.pretrained import check_hub_files

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class UnknownShapeError(InputError):
    """The shape of a model is not available here."""


class RefusedError(InputError):
    """The hub refuses access to a model, with a reason; `silent` if a later request may succeed."""

    silent = False


def shape_of(model: Model) -> PretrainedConfig:
    """Return the configuration of a model: from its folder, the hub, or the known shapes of its family.

    Raises:
        InputError: its folder cannot be read, it is not a base model, or it is not available.
    """
    return find_config(model)[0]


def find_config(model: Model) -> tuple[PretrainedConfig, str, Path | None]:
    """Return a model's configuration, the reason why its weights are unavailable (or ""), and its folder."""
    from transformers import AutoConfig  # noqa: PLC0415

    path = Path(model.name).expanduser()
    if model.name in registry.names(FAMILIES):
        plugin = registry.load(FAMILIES, model.name)
        options = {**model.options, "pretraining": "none"}  # the same shape, without the time to train
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
    """Return the config.json of a hub model, cached or downloaded now; None if the hub does not answer.

    Raises:
        InputError: its files are not those of a base model.
        RefusedError: the hub refuses access and gives a reason.
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
    except Exception as error:  # no network, an unknown model, or one that needs a token
        if why := hub_reason(error, model.name):
            refused = RefusedError(why)
            refused.silent = hub_is_unavailable(error)
            raise refused from None
        return None


def _known_shape(model: Model, why: str) -> PretrainedConfig:
    """Return a configuration from the table of known shapes.

    Raises:
        UnknownShapeError: the table has no such model.
    """
    from transformers import AutoConfig  # noqa: PLC0415

    known: dict[str, tuple[str, dict[str, Any]]] = {}
    for name in registry.names(FAMILIES):
        family = registry.load(FAMILIES, name)
        for hub_id, fields in getattr(family, "SHAPES", {}).items():
            known[hub_id] = (family.INFO.model_types[0], dict(fields))
    if model.name not in known:
        raise UnknownShapeError(
            f"model '{model.name}': its config.json is not available from the hub"
            f"{f' ({why})' if why else ''}, and its shape is not in the table of known models; "
            f"{nearest(model.name, sorted(known))}"
        )
    kind, fields = known[model.name]
    return AutoConfig.for_model(fields.pop("model_type", kind), **fields)


def local_folder(model: Model) -> Path | None:
    """Return the folder with a model's files if it is local or was downloaded earlier; else None."""
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
