"""Pixels are what a checkpoint's own image processor makes of a picture, whatever kind of processor it is."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from evenhand.datasets import to_rgb
from evenhand.errors import InputError
from evenhand.finetune import Model
from evenhand.finetune.estimate import standin
from evenhand.finetune.estimate.size import estimate_sizes
from evenhand.finetune.inputs.encoded_rows import encode_rows
from evenhand.finetune.modeling import processor
from evenhand.finetune.modeling.pretrained import load_base
from tests.finetune import worlds

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
SQUARE = {"image_processor_type": "ViTImageProcessor", "size": {"height": 16, "width": 16}}
#: What the processor's file says, and the family whose model reads it.
KINDS = {
    "vit": ("vit", {**SQUARE, "resample": 2}),
    "vit, older file": ("vit", {"feature_extractor_type": "ViTFeatureExtractor", "size": 16, "resample": 3}),
    "swinv2": ("swinv2", {**SQUARE, **IMAGENET, "resample": 3}),
    "convnext": (
        "vit",
        {
            "image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 16},
            "crop_pct": 0.8, "resample": 3, **IMAGENET,
        },
    ),
    "dinov2": (
        "vit",
        {
            "image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 20},
            "do_center_crop": True, "crop_size": {"height": 16, "width": 16}, "resample": 3, **IMAGENET,
        },
    ),
    "crop without resizing": (
        "vit",
        {
            "image_processor_type": "BitImageProcessor", "do_resize": False, "do_center_crop": True,
            "crop_size": {"height": 16, "width": 16},
        },
    ),
    "channels turned": (
        "vit",
        {
            "image_processor_type": "MobileViTImageProcessor", "size": {"shortest_edge": 20},
            "crop_size": {"height": 16, "width": 16},
        },
    ),
    "normalised twice": (
        "vit",
        {
            "image_processor_type": "EfficientNetImageProcessor", "size": {"height": 16, "width": 16},
            "include_top": True, **IMAGENET,
        },
    ),
    "not rescaled": ("vit", {**SQUARE, "do_rescale": False, "do_normalize": False}),
}  # fmt: skip


def encoded(array, mode=None):
    out = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(out, "PNG")
    return out.getvalue()


def pictures():
    """High and wide ones, small and large, one of the model's size, in colour, grey, 16-bit, transparent."""
    rng = np.random.default_rng(11)
    shapes = [(37, 50), (64, 21), (16, 16), (9, 30), (120, 90)]
    plain = [rng.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]
    odd = [
        encoded(plain[0], "L"),
        encoded(rng.integers(0, 2**16, (40, 25)).astype(np.uint16)),
        encoded(rng.integers(0, 256, (25, 40, 4), np.uint8)),
    ]
    return [*plain, *map(encoded, plain), *odd]


def folder_with(tmp_path, family, said, **change):
    folder = worlds.folder_of(tmp_path, family, change=change)
    text = said if isinstance(said, str) else json.dumps(said)
    (Path(folder) / "preprocessor_config.json").write_text(text)
    return folder


def encode(folder, shown):
    data = worlds.data_of(worlds.examples("image", shown, np.arange(len(shown)) % 2, 2))
    return encode_rows(load_base(Model(folder), "image", ("no", "yes"), "float32"), data.examples, 256)


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_those_of_the_processor(kind, tmp_path):
    family, said = KINDS[kind]
    folder, shown = folder_with(tmp_path, family, said), pictures()
    own = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    expected = np.stack([np.asarray(own(to_rgb(picture))["pixel_values"][0]) for picture in shown])
    found = encode(folder, shown)
    took = found.take(np.arange(len(shown)))["pixel_values"].numpy()
    np.testing.assert_allclose(took, expected, rtol=1e-6, atol=1e-6)
    assert took.dtype == np.float32
    assert found.pictures.dtype == (np.float32 if kind == "normalised twice" else np.uint8)
    cut = kind in ("convnext", "dinov2", "crop without resizing", "channels turned")
    assert any("only the central" in remark for remark in found.remarks) == cut


def test_a_large_convnext_is_not_cropped(tmp_path):
    said = {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 384}, "crop_pct": 0.8}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    found = processor.load_preparation(tmp_path, transformers.ConvNextConfig(), "m")
    picture = pictures()[0]
    own = transformers.ConvNextImageProcessorPil(size={"shortest_edge": 384}, crop_pct=0.8)
    expected = np.asarray(own(Image.fromarray(picture))["pixel_values"][0])
    assert found.size == (384, 384)
    assert found.remarks == ()
    took = processor.apply_byte_table(found.values, found.of(picture)[None])[0]
    np.testing.assert_allclose(took, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("said", [{}, IMAGENET, {"do_normalize": False}, {"resample": 3}])
def test_studies_of_square_pictures_repeat_to_the_bit(said, tmp_path):
    """One product and one sum in float32, after Pillow's resizing: the numbers of studies to date."""
    shown = pictures()
    took = encode(folder_with(tmp_path, "vit", {**SQUARE, **said}), shown).take(np.arange(len(shown)))
    mean = np.array(said.get("image_mean", [0.5] * 3), np.float32)
    deviation = np.array(said.get("image_std", [0.5] * 3), np.float32)
    if said == {"do_normalize": False}:
        mean, deviation = np.zeros(3, np.float32), np.ones(3, np.float32)
    resized = [to_rgb(p).resize((16, 16), Image.Resampling(said.get("resample", 2))) for p in shown]
    bytes_ = np.stack([np.asarray(image) for image in resized]).astype(np.float32)
    values = bytes_ * (np.float32(1 / 255) / deviation) + -mean / deviation
    assert torch.equal(took["pixel_values"], torch.from_numpy(values).permute(0, 3, 1, 2))


def test_mirrored_crops_are_the_crops_of_mirrored_pictures(tmp_path):
    folder = folder_with(tmp_path, "vit", KINDS["dinov2"][1])
    shown = [np.random.default_rng(2).integers(0, 256, (44, 60, 3), np.uint8)]
    rows, turned = np.arange(1), np.array([True])
    one = encode(folder, shown).take(rows, turned)["pixel_values"]
    assert torch.equal(one, encode(folder, shown).take(rows)["pixel_values"].flip(-1))


def test_a_model_of_grey_pictures(tmp_path):
    said = {**SQUARE, "image_mean": [0.4], "image_std": [0.2]}
    folder, shown = folder_with(tmp_path, "vit", said, num_channels=1), pictures()
    took = encode(folder, shown).take(np.arange(len(shown)))["pixel_values"]
    own = transformers.ViTImageProcessorPil(
        size={"height": 16, "width": 16}, image_mean=[0.4], image_std=[0.2]
    )
    expected = np.stack([np.asarray(own(to_rgb(p).convert("L"))["pixel_values"][0]) for p in shown])
    assert took.shape[1] == 1
    np.testing.assert_allclose(took.numpy(), expected, rtol=1e-6, atol=1e-6)


def test_no_file_is_said(tmp_path):
    found = encode(worlds.folder_of(tmp_path, "vit"), pictures())
    (remark,) = found.remarks
    assert "has no preprocessor_config.json: its pictures are resized to 16 x 16 pixels" in remark
    assert float(found.take(np.arange(3))["pixel_values"].min()) == -1


def test_another_size_than_the_model_reads(tmp_path):
    folder = folder_with(tmp_path, "vit", {**SQUARE, "size": {"height": 24, "width": 32}})
    found = encode(folder, pictures())
    assert found.pictures.shape[1:3] == (16, 16)
    (remark,) = found.remarks
    assert "produces pictures of 32 x 24 pixels, but the model reads 16 x 16 (config.json)" in remark


def test_pictures_that_are_not_resized(tmp_path):
    found = encode(folder_with(tmp_path, "vit", {**SQUARE, "do_resize": False}), pictures())
    assert found.pictures.shape[1:3] == (16, 16)
    assert (found.pictures[2] == pictures()[2]).all()
    assert "the model reads only 16 x 16 pixels" in found.remarks[0]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            {**KINDS["dinov2"][1], "crop_size": {"height": 18, "width": 20}},
            "produces pictures of 20 x 18 pixels, but the model reads 16 x 16",
        ),
        (
            {**KINDS["dinov2"][1], "do_center_crop": False},
            "produces pictures of different sizes",
        ),
        ("{", "preprocessor_config.json cannot be used"),
        ({**SQUARE, "image_mean": [0.5, 0.5]}, "cannot be used (mean must have 3 elements"),
    ],
)  # fmt: skip
def test_files_that_no_model_can_use(said, why, tmp_path):
    folder = folder_with(tmp_path, "vit", said)
    with pytest.raises(InputError) as caught:
        encode(folder, pictures())
    assert why in str(caught.value)
    job = worlds.job_of(folder, "full")
    with pytest.raises(InputError) as caught:
        estimate_sizes([job], "image", ("no", "yes"), 0)
    assert why in str(caught.value)


def test_sizes_are_of_the_pictures_that_are_read(tmp_path):
    small, large = (
        folder_with(tmp_path / str(side), "swinv2", {**SQUARE, "size": {"height": side, "width": side}})
        for side in (16, 32)
    )
    one, four = estimate_sizes(
        [worlds.job_of(f, "full") for f in (small, large)], "image", ("no", "yes"), 0
    ).estimates
    # The bias of a window costs the same however many windows there are.
    assert 2 < four.forward / one.forward <= 4
    assert 1.5 < four.row_bytes / one.row_bytes <= 4


def test_stand_ins_bring_a_processor():
    for family in ("vit", "swinv2"):
        folder = standin.stand_in(family, "image")
        found = encode(str(folder), pictures())
        assert found.remarks == ()
        assert found.pictures.shape[1:] == (32, 32, 3)
