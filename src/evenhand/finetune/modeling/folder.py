"""Validation of a model's files before any weight is read: they have to be a base that can be trained."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from evenhand.errors import InputError

#: Reads at most some bytes from the beginning of a file; empty if the file is not available.
Read = Callable[[str, int], bytes]

_CONFIG, _ADAPTER = "config.json", "adapter_config.json"
_WEIGHTS = "model.safetensors"
_INDEX = f"{_WEIGHTS}.index.json"
#: Settings of quantisers, which older checkpoints store beside the configuration.
_QUANTISATION_FILES = ("quantize_config.json", "quant_config.json", "hf_quant_config.json")
_LFS_HEADER = b"version https://git-lfs"
#: Files that are read of a model's folder; all others may be Git LFS pointers.
_FILES_READ = (
    _CONFIG, _ADAPTER, _WEIGHTS, _INDEX, "tokenizer.json", "tokenizer_config.json", "tokenizer.model",
    "vocab.txt", "vocab.json", "merges.txt", "sentencepiece.bpe.model", "preprocessor_config.json",
)  # fmt: skip
_HTML_STARTS = (b"<!doctype", b"<html")
_PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt")
#: Weights of other programs, by suffix.
_FOREIGN_SUFFIXES = {".gguf": "llama.cpp", ".h5": "TensorFlow", ".msgpack": "Flax", ".onnx": "ONNX"}
_MAX_JSON_BYTES = 2**24
_MAX_LISTED = 5


def check_folder(name: str, folder: Path, *, complete: bool = True) -> None:
    """Check that a folder holds a base model.

    Args:
        name: of the model, as in the study.
        folder: with its files.
        complete: True if the folder has all files of the model; otherwise missing files are accepted.

    Raises:
        InputError: it holds an adapter, quantised weights, or no readable weights.
    """
    names = sorted(p.name for p in folder.iterdir() if p.is_file())

    def read(file: str, most: int) -> bytes:
        try:
            with (folder / file).open("rb") as opened:
                return opened.read(most)
        except OSError:
            return b""  # loading the model reports a file that cannot be opened

    if problem := complaint(name, names, read, complete=complete):
        raise InputError(f"model '{name}': {problem}")


def complaint(name: str, names: Sequence[str], read: Read, *, complete: bool = True) -> str:
    """Return the reason why files are not a base model that can be trained; empty if they may be one.

    Args:
        name: of the model, as in the study.
        names: of the files.
        read: reads their beginnings.
        complete: True if these are all files of the model.
    """
    index = _read_json(read, _INDEX, names)
    needed = {*_FILES_READ, *_weight_files(index)}
    if problem := _placeholder_complaint([n for n in names if n in needed], read):
        return problem
    config, adapter = _read_json(read, _CONFIG, names), _read_json(read, _ADAPTER, names)
    weights = [n for n in names if n in (_WEIGHTS, _INDEX)]
    alone = not weights and any(n.startswith("adapter_model.") for n in names)
    if complete and (_ADAPTER in names or alone):
        return _adapter_complaint(
            name, adapter, alone=_CONFIG not in names or not (weights or _pickle_files(names))
        )
    if problem := _quantisation_complaint(config, names):
        return problem
    if _CONFIG not in names or not complete:
        return ""  # loading the model reports missing files
    if weights:
        return "" if _WEIGHTS in names else _index_complaint(index, names)
    return _weights_complaint(name, config, names)


def _placeholder_complaint(names: Sequence[str], read: Read) -> str:
    """Detect Git LFS pointers and web pages in place of files, left by incomplete downloads."""
    begins = {n: read(n, len(_LFS_HEADER)) for n in names}
    if pointers := [n for n, begin in begins.items() if begin == _LFS_HEADER]:
        what = "is a Git LFS pointer" if len(pointers) == 1 else "are Git LFS pointers"
        return (
            f"{_join_names(pointers)} {what}: a few lines of text in place of the file; fetch it with "
            "`git lfs pull` in the folder, or download it again."
        )
    if page := [n for n, begin in begins.items() if begin.lstrip().lower().startswith(_HTML_STARTS)]:
        return (
            f"{_join_names(page)} holds a web page, not the file itself, as after a download from the "
            "address of its page; use the address with /resolve/ in place of /blob/."
        )
    return ""


def _adapter_complaint(name: str, adapter: dict[str, Any], *, alone: bool) -> str:
    """Return the complaint about an adapter, alone or beside the weights of a base."""
    base = adapter.get("base_model_name_or_path")
    of = f" for '{base}'" if base else ""
    if alone:
        give = f"give that base as model: {base}" if base else "give its base as model"
        return f"is an adapter{of} ({_ADAPTER}), not a model; {give}."
    files = f"{_ADAPTER} and adapter_model.safetensors"
    remedy = f"remove {files} from the folder"
    if not Path(name).expanduser().is_dir():
        remedy = f"download its other files into a folder without {files}, and give its path"
    return (
        f"has an adapter{of} ({_ADAPTER}) beside its weights, which transformers would load into the base "
        f"that methods start from; {remedy}."
    )


def _quantisation_complaint(config: dict[str, Any], names: Sequence[str]) -> str:
    """Return the complaint about quantised weights: training and comparisons need full precision."""
    settings = config.get("quantization_config") or config.get("compression_config")
    files = [n for n in names if n in _QUANTISATION_FILES]
    if not settings and not files:
        return ""
    method = settings.get("quant_method") if isinstance(settings, dict) else None
    where = f"{_CONFIG} has quantization_config{f': {method}' if method else ''}" if settings else files[0]
    remedy = "remove quantization_config from the file" if settings else f"remove {files[0]} from the folder"
    return (
        f"its weights are quantised ({where}), which evenhand does not train: all methods start from the "
        "same full weights. Give the model that it was quantised from; if its weights are full nevertheless, "
        f"{remedy}."
    )


def _index_complaint(index: dict[str, Any], names: Sequence[str]) -> str:
    """Return the complaint about files of weights that the index names but the folder lacks."""
    parts = _weight_files(index)
    if not parts:
        return f"{_INDEX} has no 'weight_map', which lists the files with the weights; download it again."
    missing = [part for part in parts if part not in names]
    if not missing:
        return ""
    return (
        f"{len(missing):,} of the {len(parts):,} files with its weights that {_INDEX} names "
        f"{'is' if len(missing) == 1 else 'are'} not in the folder ({_join_names(missing)}); download "
        "them too."
    )


def _weight_files(index: dict[str, Any]) -> list[str]:
    """Return the files that an index of weights names."""
    parts = index.get("weight_map")
    return sorted({str(part) for part in parts.values()}) if isinstance(parts, dict) else []


def _weights_complaint(name: str, config: dict[str, Any], names: Sequence[str]) -> str:
    """Return the complaint about weights in a format that cannot be read."""
    if pickles := _pickle_files(names):
        kinds = config.get("architectures")
        kind = kinds[0] if isinstance(kinds, list) and kinds else "AutoModel"
        what = "is a pickle" if len(pickles) == 1 else "are pickles"
        return (
            f"has only {_join_names(pickles)}, which {what}: such a file can run code when it is loaded, so "
            "evenhand does not read it. If you trust it, convert it with "
            f"two lines of Python: `from transformers import {kind}` and `{kind}.from_pretrained({name!r})"
            ".save_pretrained(FOLDER)`, copy the tokenizer's files into FOLDER too, and "
            "give FOLDER as model; or give another revision that has model.safetensors."
        )
    for ending, whose in _FOREIGN_SUFFIXES.items():
        if other := [n for n in names if n.lower().endswith(ending)]:
            return (
                f"has only weights of {whose} ({_join_names(other)}), which evenhand does not read; it reads "
                f"{_WEIGHTS}, as transformers' save_pretrained writes it."
            )
    if safe := [n for n in names if n.endswith(".safetensors")]:
        return (
            f"has its weights in {_join_names(safe)}, but transformers looks for {_WEIGHTS}, or for the "
            f"parts that {_INDEX} names; give a folder with one of these."
        )
    return ""


def _pickle_files(names: Sequence[str]) -> list[str]:
    """Return the files with pickled weights, without other files that training writes."""
    aside = ("training_args", "optimizer", "scheduler", "rng_state", "scaler")
    return [n for n in names if n.lower().endswith(_PICKLE_SUFFIXES) and not n.startswith(aside)]


def _read_json(read: Read, file: str, names: Sequence[str]) -> dict[str, Any]:
    """Read the JSON object in a file; empty if it is missing or cannot be read."""
    if file not in names:
        return {}
    try:
        value = json.loads(read(file, _MAX_JSON_BYTES).decode("utf-8"))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _join_names(names: Sequence[str]) -> str:
    """Join the names of files for a sentence."""
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return ", ".join(names[:_MAX_LISTED]) + more
