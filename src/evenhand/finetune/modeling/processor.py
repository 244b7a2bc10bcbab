"""A checkpoint's own image processor in two steps: resizing and cropping once, values at every access.

transformers has two versions of most processors; here it is always the one based on Pillow and numpy, so that
pixels do not depend on whether torchvision is installed. After resizing and cropping, pictures are stored as
bytes. A table computed with the processor then maps each byte to an input value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from evenhand.datasets import Picture, to_rgb
from evenhand.errors import InputError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

FILE = "preprocessor_config.json"
#: Newer versions of transformers store the same settings in the second file, with those of other processors.
FILES = (FILE, "processor_config.json")
_SHAPE_ONLY = {"do_rescale": False, "do_normalize": False}
_VALUES_ONLY = {"do_resize": False, "do_center_crop": False, "do_pad": False}
#: Size of the picture on which processors are tested; neither side divides the other.
_TRIAL_SIZE = (61, 97)


@dataclass(frozen=True, eq=False)
class Preparation:
    """Preparation of pictures as inputs of a model.

    Attributes:
        processor: of transformers.
        channels: of a picture: 3 for colour, 1 for grey.
        values: [channels, 256] input value for every byte of a resized picture; None if the processor cannot
            be split into these two steps, and its results are stored as floats.
        size: height and width of its results.
        remarks: notes for the user.
    """

    processor: Any
    channels: int
    values: npt.NDArray[np.float32] | None
    size: tuple[int, int]
    remarks: tuple[str, ...] = ()

    def of(self, picture: Picture) -> npt.NDArray[Any]:
        """Return a picture [height, width, channels] in its final size; floats if `values` is None."""
        image = to_rgb(picture)
        shown = image if self.channels == 3 else image.convert("L")
        shaped = _run(self.processor, shown, {} if self.values is None else _SHAPE_ONLY)
        return shaped.transpose(1, 2, 0)


def load_preparation(path: Path | None, config: PretrainedConfig, name: str) -> Preparation:
    """Load the image processor in a model's folder, or build the default one if it has none.

    Args:
        path: the folder; None without local files.
        config: configuration of the model.
        name: of the model, for complaints.

    Raises:
        InputError: the processor cannot be loaded, or its results are not valid inputs.
    """
    from transformers.image_utils import SizeDict  # noqa: PLC0415

    channels = channels_of(config)
    if channels not in (1, 3):
        raise InputError(
            f"model '{name}': reads pictures with {channels} channels; only 3 and 1 are supported."
        )
    remarks: tuple[str, ...] = ()
    side = side_of(config)
    if path is None or not any((path / file).is_file() for file in FILES):
        if side is None:
            raise InputError(
                f"model '{name}': has neither {FILE} nor image_size in config.json, so the preparation of "
                f"its pictures is unknown; put its {FILE} beside its weights."
            )
        processor = default_processor(side, channels)
        remarks = (
            f"model '{name}': has no {FILE}: its pictures are resized to {_width_by_height(side)} pixels, "
            "with values from -1 to 1.",
        )
    else:
        processor = _load_processor(path, config, name)
        if side is not None and not (processor.do_resize or getattr(processor, "do_center_crop", None)):
            processor.do_resize, processor.size = True, SizeDict(height=side[0], width=side[1])
            remarks = (
                f"model '{name}': its {FILE} does not resize pictures, but the model reads only "
                f"{_width_by_height(side)} pixels (config.json); they are resized to that.",
            )
    try:
        return _build_preparation(processor, channels, name, remarks)
    except InputError:
        raise
    except Exception as error:
        # Contradictory settings raise ValueError, TypeError, KeyError, ...
        raise InputError(_unusable_message(name, error)) from None


def fit_to_model(preparation: Preparation, model: PreTrainedModel, name: str) -> Preparation:
    """Check that a model accepts the results of its processor, with a black picture.

    Args:
        preparation: of its pictures.
        model: with its weights, or on the meta device.
        name: of the model, for complaints.

    Returns:
        The same preparation; or one with the size that the model reads, if only the resizing has to change.

    Raises:
        InputError: the model reads another size.
    """
    expected = side_of(model.config)
    if preparation.size == expected or _reads(model, preparation):
        return preparation
    statement = f"model '{name}': its {FILE} produces pictures of {_width_by_height(preparation.size)} pixels"
    size = preparation.processor.size
    resizes = size is not None and size.height and not getattr(preparation.processor, "do_center_crop", False)
    if expected is None or not resizes:
        reads = (
            f"but the model reads {_width_by_height(expected)} (config.json)"
            if expected
            else "which the model does not read"
        )
        raise InputError(f"{statement}, {reads}; set size and crop_size in {FILE} to the model's size.")
    preparation.processor.size = type(size)(height=expected[0], width=expected[1])
    reads = f"the model reads {_width_by_height(expected)} (config.json)"
    remark = f"{statement}, but {reads}; they are resized to that."
    return replace(preparation, size=expected, remarks=(*preparation.remarks, remark))


def _build_preparation(processor: Any, channels: int, name: str, remarks: tuple[str, ...]) -> Preparation:
    """Test a processor on a picture of noise: size of its results, and separability of its two steps."""
    from PIL import Image  # noqa: PLC0415

    noise = np.random.default_rng(0).integers(0, 256, (*_TRIAL_SIZE, channels), np.uint8)
    trial = Image.fromarray(noise if channels == 3 else noise[..., 0])
    rotated, result = (
        _run(processor, image, {}) for image in (trial.transpose(Image.Transpose.TRANSPOSE), trial)
    )
    if result.ndim != 3 or result.shape[0] != channels:
        raise InputError(
            f"model '{name}': its {FILE} produces {result.shape[0]} channels, but config.json has "
            f"num_channels: {channels}; these files do not belong together."
        )
    if result.shape != rotated.shape:
        raise InputError(
            f"model '{name}': its {FILE} produces pictures of different sizes "
            f"({_width_by_height(result.shape[1:])} pixels from a wide one, "
            f"{_width_by_height(rotated.shape[1:])} from a high one), which do not form a batch; set "
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
            f"model '{name}': its {FILE} crops pictures: after resizing, only the central "
            f"{_width_by_height(result.shape[1:])} pixels are read.",
        )
    return Preparation(processor, channels, values, result.shape[1:], remarks)


def apply_byte_table(
    values: npt.NDArray[np.float32], pictures: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float32]:
    """Map bytes [n, height, width, channels] to input values [n, channels, height, width].

    Args:
        values: [channels, 256] input value for every byte.
        pictures: bytes.
    """
    return np.stack([table[pictures[..., c]] for c, table in enumerate(values)], 1)


def _byte_table(processor: Any, channels: int) -> npt.NDArray[np.float32] | None:
    """Compute a processor's value for every byte, [channels, 256]; None if it changes the size."""
    from PIL import Image  # noqa: PLC0415

    levels = np.arange(256, dtype=np.uint8)[None]
    ramp = Image.fromarray(np.stack([levels] * 3, -1) if channels == 3 else levels)
    values = _run(processor, ramp, _VALUES_ONLY)
    return values[:, 0].astype(np.float32) if values.shape == (channels, 1, 256) else None


def _fuse_scale_and_shift(processor: Any, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Replace a table by one fused scale and shift, if both agree up to rounding in float32.

    Studies of earlier versions were trained on these bits and have to be reproducible bit for bit.
    """
    scale = processor.rescale_factor if getattr(processor, "do_rescale", None) else 1
    mean, deviation = np.zeros(len(values), np.float32), np.ones(len(values), np.float32)
    if getattr(processor, "do_normalize", None):
        mean = np.broadcast_to(np.array(processor.image_mean, np.float32), mean.shape)
        deviation = np.broadcast_to(np.array(processor.image_std, np.float32), mean.shape)
    factor, shift = np.float32(scale) / deviation, -mean / deviation
    fused = np.arange(256, dtype=np.float32) * factor[:, None] + shift[:, None]
    return fused if np.allclose(fused, values, rtol=1e-6, atol=1e-6) else values


def _crops(processor: Any, trial: Any, result: npt.NDArray[Any]) -> bool:
    """Return True if a processor crops the borders: inverting the left column does not change its result."""
    from PIL import Image  # noqa: PLC0415

    levels = np.array(trial)
    levels[:, 0] = 255 - levels[:, 0]
    return np.array_equal(_run(processor, Image.fromarray(levels), {}), result)


def _run(processor: Any, image: Any, options: Mapping[str, bool]) -> npt.NDArray[Any]:
    """Return a processor's result for one picture, [channels, height, width]."""
    return np.asarray(processor(image, **options)["pixel_values"][0])


def _load_processor(path: Path, config: PretrainedConfig, name: str) -> Any:
    """Load the processor in a folder."""
    from transformers import AutoImageProcessor, logging  # noqa: PLC0415

    shown = logging.get_verbosity()
    logging.set_verbosity_error()  # it would warn about a missing torchvision
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


def default_processor(side: tuple[int, int], channels: int = 3) -> Any:
    """Build the processor of models without one: it resizes to a height and width; values from -1 to 1."""
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil  # noqa: PLC0415

    high, wide = side
    half = [0.5] * channels
    return ViTImageProcessorPil(size={"height": high, "width": wide}, image_mean=half, image_std=half)


def _reads(model: PreTrainedModel, preparation: Preparation) -> bool:
    """Return True if a model accepts pictures of the size that its processor produces."""
    picture = torch.zeros(
        (1, preparation.channels, *preparation.size), device=model.device, dtype=model.dtype
    )
    try:
        with torch.no_grad():
            model(pixel_values=picture)
    except (ValueError, RuntimeError):
        return False
    return True


def side_of(config: PretrainedConfig) -> tuple[int, int] | None:
    """Return the height and width in a model's configuration; None if it has none."""
    side = getattr(config, "image_size", None) or getattr(vision_config(config), "image_size", None)
    if side is None:
        return None
    if isinstance(side, Mapping):
        side = (side["height"], side["width"])
    high, wide = (side, side) if isinstance(side, int) else side
    return int(high), int(wide)


def channels_of(config: PretrainedConfig) -> int:
    """Return the number of channels of a model's pictures."""
    return int(getattr(vision_config(config), "num_channels", 3))


def vision_config(config: PretrainedConfig) -> PretrainedConfig:
    """Return the part of a configuration that is about pictures; all of it if it has no parts."""
    return getattr(config, "vision_config", None) or config


def _width_by_height(size: Sequence[int]) -> str:
    """Format height and width for a sentence, the width first."""
    return f"{size[1]} x {size[0]}"


def _unusable_message(name: str, error: Exception) -> str:
    why = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return (
        f"model '{name}': its {FILE} cannot be used ({why}); correct it, or put the model's original one "
        "beside its weights."
    )
