"""What models read equals what transformers' own tokenizers and processors give."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import transformers
from PIL import Image

from evenhand.finetune import Data, Model
from evenhand.finetune.inputs.encoded_rows import encode_rows
from evenhand.finetune.modeling.pretrained import load_base
from tests.finetune import worlds

SHARED = Path(__file__).resolve().parents[3] / "shared"


def encode(folder, data, max_length=256):
    return encode_rows(
        load_base(Model(folder), data.examples.task, data.examples.classes, "float32"),
        data.examples,
        max_length,
    )


def test_texts_equal_the_tokenizer(folders, datasets):
    data = datasets["text"]
    rows = np.array([5, 0, 17])
    took = encode(folders["bert"], data).take(rows)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders["bert"])
    told = tokenizer([data.examples.inputs[i] for i in rows], padding=True, return_tensors="pt")
    for name in ("input_ids", "attention_mask"):
        assert (took[name] == told[name]).all()


@pytest.mark.parametrize("kind", worlds.TEXT)
def test_long_texts_are_cut(kind, folders):
    data = Data(worlds.examples("text", [" ".join(["w3"] * 90), "w1", ""] * 2, np.array([0, 1] * 3), 2), None)
    assert encode(folders[kind], data, 7).lengths.max() == 7
    base = load_base(Model(folders[kind]), "text", ("no", "yes"), "float32")
    whole = encode(folders[kind], data, 10_000)
    assert whole.lengths.max() == worlds.POSITIONS - (1 if kind == "roberta" else 0)
    assert whole.lengths.min() >= 1
    assert base.model(**whole.take(np.arange(6))).logits.isfinite().all()


def test_no_pad_token(folders, datasets):
    found = encode(folders["llama"], datasets["text"])
    assert found.pad == 3  # its end-of-text token


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], "resample": 3},
        {"do_normalize": False},
    ],
)
def test_pixels_equal_the_processor(said, tmp_path):
    folder = worlds.folder_of(tmp_path, "vit")
    processor = transformers.ViTImageProcessor(size={"height": 16, "width": 16}, **said)
    (Path(folder) / "preprocessor_config.json").write_text(json.dumps(processor.to_dict(), default=str))
    data = worlds.data_of(worlds.pictures(n=8, size=37))
    took = encode(folder, data).take(np.arange(8))["pixel_values"].numpy()
    pil = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    told = np.stack([np.asarray(pil(Image.fromarray(p))["pixel_values"][0]) for p in data.examples.inputs])
    np.testing.assert_allclose(took, told, atol=1e-5)


def test_mirrored_pictures(folders, datasets):
    found, rows = encode(folders["vit"], datasets["image"]), np.arange(3)
    plain = found.take(rows)["pixel_values"]
    turned = found.take(rows, np.array([True, False, True]))["pixel_values"]
    assert (turned[0] == plain[0].flip(-1)).all()
    assert (turned[1] == plain[1]).all()
    assert not (turned[2] == plain[2]).all()


@pytest.mark.shared
def test_pixels_of_the_shared_model():
    folder = SHARED / "models" / "vit-tiny-cifar10"
    if not folder.is_dir():
        pytest.skip("no shared folder")
    data = worlds.data_of(worlds.pictures(n=8, size=64))
    took = encode(str(folder), data).take(np.arange(8))["pixel_values"].numpy()
    pil = transformers.AutoImageProcessor.from_pretrained(str(folder), backend="pil")
    told = np.stack([np.asarray(pil(Image.fromarray(p))["pixel_values"][0]) for p in data.examples.inputs])
    np.testing.assert_allclose(took, told, atol=1e-5)


def test_encoded_and_decoded_pictures_agree(folders):
    plain = worlds.pictures(n=4)
    encoded = []
    for picture in plain.inputs:
        out = io.BytesIO()
        Image.fromarray(picture).save(out, "PNG")
        encoded.append(out.getvalue())
    other = worlds.examples("image", encoded, plain.labels, 2)
    one, two = (encode(folders["vit"], worlds.data_of(e)) for e in (plain, other))
    assert (one.pictures == two.pictures).all()
