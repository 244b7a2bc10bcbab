"""A checkpoint's own image processor, in two steps: the shape of a picture once, its values when it is read.

transformers has two of most processors; here it is always the one that needs Pillow and numpy alone, so
that pixels do not depend on whether torchvision is installed. What it gives after resizing and cropping is
bytes, which are kept. What becomes of each byte afterwards is looked up in a table, made by the processor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from evenhand.datasets import Picture, rgb
from evenhand.errors import InputError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

FILE = "preprocessor_config.json"
#: Where newer versions of transformers keep the same settings, with those of other processors.
_FILES = (FILE, "processor_config.json")
_SHAPE_ONLY = {"do_rescale": False, "do_normalize": False}
_VALUES_ONLY = {"do_resize": False, "do_center_crop": False, "do_pad": False}
#: Of the picture that processors are tried on: neither side divides the other.
_TRIAL_SIZE = (61, 97)


@dataclass(frozen=True, eq=False)
class Preparation:
    """How pictures become what a model reads.

    Attributes:
        processor: of transformers.
        channels: of a picture: 3 for colours, 1 for grey.
        values: [channels, 256] what becomes of every byte once a picture has its shape; None where the
            processor does not work in these two steps, and its results are kept as they are.
        size: height and width of what it gives.
        remarks: what is worth knowing of it.
    """

    processor: Any
    channels: int
    values: npt.NDArray[np.float32] | None
    size: tuple[int, int]
    remarks: tuple[str, ...] = ()

    def of(self, picture: Picture) -> npt.NDArray[Any]:
        """[height, width, channels] a picture in its final shape: bytes, or floats where `values` is None."""
        image = rgb(picture)
        shown = image if self.channels == 3 else image.convert("L")
        shaped = _run(self.processor, shown, {} if self.values is None else _SHAPE_ONLY)
        return shaped.transpose(1, 2, 0)


def load_preparation(path: Path | None, config: PretrainedConfig, name: str) -> Preparation:
    """Load the image processor in a model's folder, or make the default one where there is none.

    Args:
        path: the folder; None where it is not at hand.
        config: of the model.
        name: of the model, for complaints.

    Raises:
        InputError: the processor cannot be loaded, or gives what no model reads.
    """
    from transformers.image_utils import SizeDict  # noqa: PLC0415

    channels = int(getattr(config, "num_channels", 3))
    if channels not in (1, 3):
        raise InputError(f"model '{name}': reads pictures of {channels} channels; pictures have 3, or 1.")
    remarks: tuple[str, ...] = ()
    side = _side(config)
    if path is None or not any((path / file).is_file() for file in _FILES):
        if side is None:
            raise InputError(
                f"model '{name}': has no {FILE}, and its config.json says no image_size: how its pictures "
                f"are prepared is not known; place its {FILE} beside its weights."
            )
        processor = default_processor(side, channels)
        remarks = (
            f"model '{name}': has no {FILE}: its pictures are resized to {_width_by_height(side)} pixels, with "
            "values from -1 to 1.",
        )
    else:
        processor = _load_processor(path, config, name)
        if side is not None and not (processor.do_resize or getattr(processor, "do_center_crop", None)):
            processor.do_resize, processor.size = True, SizeDict(height=side[0], width=side[1])
            remarks = (
                f"model '{name}': as its {FILE} says, pictures are not resized; those of another size than "
                f"{_width_by_height(side)} pixels (config.json) are, since the model reads no others.",
            )
    try:
        return _build_preparation(processor, channels, name, remarks)
    except InputError:
        raise
    except Exception as error:
        # Settings that contradict each other come out as ValueError, TypeError, KeyError, ...
        raise InputError(_unusable_message(name, error)) from None


def fit_to_model(preparation: Preparation, model: PreTrainedModel, name: str) -> Preparation:
    """Make sure that a model reads what its processor gives, by letting it read a black picture.

    Args:
        preparation: of its pictures.
        model: with its weights, or on the meta device.
        name: of the model, for complaints.

    Returns:
        The same; or with the size that the model reads, where nothing but a resizing has to change.

    Raises:
        InputError: the model reads another size.
    """
    expected = _side(model.config)
    if preparation.size == expected or _reads(model, preparation):
        return preparation
    statement = f"model '{name}': its {FILE} makes pictures of {_width_by_height(preparation.size)} pixels"
    size = preparation.processor.size
    resizes = size is not None and size.height and not getattr(preparation.processor, "do_center_crop", False)
    if expected is None or not resizes:
        reads = (
            f"but the model reads {_width_by_height(expected)} (config.json)"
            if expected
            else "which the model does not read"
        )
        raise InputError(f"{statement}, {reads}; set size and crop_size in {FILE} to what the model reads.")
    preparation.processor.size = type(size)(height=expected[0], width=expected[1])
    remark = f"{statement}, but the model reads {_width_by_height(expected)} (config.json); they are resized to that."
    return replace(preparation, size=expected, remarks=(*preparation.remarks, remark))


def _build_preparation(processor: Any, channels: int, name: str, remarks: tuple[str, ...]) -> Preparation:  # noqa: ANN401
    """Try a processor on a picture of noise, and see whether shape and values are separate steps."""
    from PIL import Image  # noqa: PLC0415

    noise = np.random.default_rng(0).integers(0, 256, (*_TRIAL_SIZE, channels), np.uint8)
    trial = Image.fromarray(noise if channels == 3 else noise[..., 0])
    rotated, result = (
        _run(processor, image, {}) for image in (trial.transpose(Image.Transpose.TRANSPOSE), trial)
    )
    if result.ndim != 3 or result.shape[0] != channels:
        raise InputError(
            f"model '{name}': its {FILE} makes {result.shape[0]} channels of a picture, but config.json says "
            f"num_channels: {channels}; these files do not belong together."
        )
    if result.shape != rotated.shape:
        raise InputError(
            f"model '{name}': its {FILE} makes pictures of different sizes ({_width_by_height(result.shape[1:])} pixels "
            f"of a wide one, {_width_by_height(rotated.shape[1:])} of a high one), which cannot be read together; set "
            "do_center_crop and crop_size there, or size with height and width."
        )
    values = _byte_table(processor, channels)
    if values is not None:
        shaped = _run(processor, trial, _SHAPE_ONLY)
        separable = shaped.dtype == np.uint8 and shaped.shape == result.shape
        if not separable or not np.array_equal(
            apply_byte_table(values, shaped.transpose(1, 2, 0)[None])[0], result
        ):
            values = None
    if values is not None:
        values = _fuse_scale_and_shift(processor, values)
    if _crops(processor, trial, result):
        remarks = (
            *remarks,
            f"model '{name}': as its {FILE} says, only the middle of a picture is read: after resizing, "
            f"{_width_by_height(result.shape[1:])} pixels of it.",
        )
    return Preparation(processor, channels, values, result.shape[1:], remarks)


def apply_byte_table(
    values: npt.NDArray[np.float32], pictures: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float32]:
    """[n, channels, height, width] what becomes of bytes [n, height, width, channels]."""
    return np.stack([table[pictures[..., c]] for c, table in enumerate(values)], 1)


def _byte_table(processor: Any, channels: int) -> npt.NDArray[np.float32] | None:  # noqa: ANN401
    """[channels, 256] what a processor makes of every byte; None where it changes the shape nonetheless."""
    from PIL import Image  # noqa: PLC0415

    levels = np.arange(256, dtype=np.uint8)[None]
    ramp = Image.fromarray(np.stack([levels] * 3, -1) if channels == 3 else levels)
    values = _run(processor, ramp, _VALUES_ONLY)
    return values[:, 0].astype(np.float32) if values.shape == (channels, 1, 256) else None


def _fuse_scale_and_shift(processor: Any, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:  # noqa: ANN401
    """Scale and shift at once, where that is what a processor does, up to the last bit of float32.

    Studies of earlier versions were trained on these bits, and are to be repeated to the bit.
    """
    scale = processor.rescale_factor if getattr(processor, "do_rescale", None) else 1
    mean, deviation = np.zeros(len(values), np.float32), np.ones(len(values), np.float32)
    if getattr(processor, "do_normalize", None):
        mean = np.broadcast_to(np.array(processor.image_mean, np.float32), mean.shape)
        deviation = np.broadcast_to(np.array(processor.image_std, np.float32), mean.shape)
    factor, shift = np.float32(scale) / deviation, -mean / deviation
    fused = np.arange(256, dtype=np.float32) * factor[:, None] + shift[:, None]
    return fused if np.allclose(fused, values, rtol=1e-6, atol=1e-6) else values


def _crops(processor: Any, trial: Any, result: npt.NDArray[Any]) -> bool:  # noqa: ANN401
    """Whether a picture loses its borders: what stands at the very left changes nothing."""
    from PIL import Image  # noqa: PLC0415

    levels = np.array(trial)
    levels[:, 0] = 255 - levels[:, 0]
    return np.array_equal(_run(processor, Image.fromarray(levels), {}), result)


def _run(processor: Any, image: Any, options: Mapping[str, bool]) -> npt.NDArray[Any]:  # noqa: ANN401
    """[channels, height, width] what a processor makes of one picture."""
    return np.asarray(processor(image, **options)["pixel_values"][0])


def _load_processor(path: Path, config: PretrainedConfig, name: str) -> Any:  # noqa: ANN401
    """The processor in a folder."""
    from transformers import AutoImageProcessor, logging  # noqa: PLC0415

    shown = logging.get_verbosity()
    logging.set_verbosity_error()  # that torchvision is not there is no news
    try:
        processor = AutoImageProcessor.from_pretrained(
            str(path), config=config, backend="pil", trust_remote_code=False, local_files_only=True
        )
        if getattr(processor, "backend", "pil") != "pil":
            raise ValueError(f"{type(processor).__name__} needs torchvision, which evenhand does not use")
        return processor
    except Exception as error:
        raise InputError(_unusable_message(name, error)) from None
    finally:
        logging.set_verbosity(shown)


def default_processor(side: tuple[int, int], channels: int = 3) -> Any:  # noqa: ANN401
    """The processor of models that bring none: it resizes to a height and width; values from -1 to 1."""
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil  # noqa: PLC0415

    high, wide = side
    half = [0.5] * channels
    return ViTImageProcessorPil(size={"height": high, "width": wide}, image_mean=half, image_std=half)


def _reads(model: PreTrainedModel, preparation: Preparation) -> bool:
    """Whether a model can read pictures of the size that its processor gives."""
    picture = torch.zeros(
        (1, preparation.channels, *preparation.size), device=model.device, dtype=model.dtype
    )
    try:
        with torch.no_grad():
            model(pixel_values=picture)
    except (ValueError, RuntimeError):
        return False
    return True


def _side(config: PretrainedConfig) -> tuple[int, int] | None:
    """Height and width of what a model says it reads; None where it does not say."""
    side = getattr(config, "image_size", None)
    if side is None:
        return None
    high, wide = (side, side) if isinstance(side, int) else side
    return int(high), int(wide)


def _width_by_height(size: Sequence[int]) -> str:
    """Height and width for a sentence, the width first."""
    return f"{size[1]} x {size[0]}"


def _unusable_message(name: str, error: Exception) -> str:
    why = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return (
        f"model '{name}': its {FILE} cannot be used ({why}); correct it, or place the one that the model's "
        "makers give beside its weights."
    )
