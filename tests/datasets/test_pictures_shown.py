"""A picture is read as a viewer shows it: upright, on one ground, of any mode; or it is refused by name."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from evenhand.datasets import table, to_rgb, utkface
from evenhand.datasets.lib.pictures import MAX_PIXELS, find_readable
from evenhand.errors import InputError
from tests.datasets import sample

RNG = np.random.default_rng(11)
HEIGHT, WIDTH = 24, 40
#: Plain areas, which lossy formats keep: no turn but the right one shows the same.
SHOWN = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
SHOWN[:8, :8] = (250, 10, 10)
SHOWN[16:, :8] = (10, 240, 10)
SHOWN[:8, 32:] = (10, 10, 245)
#: What undoes each orientation, so that a file can be stored with it.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def encoded(image, kind="PNG", **options):
    out = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(out, kind, **options)
    return out.getvalue()


def turned(orientation, kind):
    image = Image.fromarray(SHOWN)
    if STORED[orientation] is not None:
        image = image.transpose(STORED[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    more = {"MPO": {"append_images": [image], "save_all": True}, "WEBP": {"lossless": True}}
    return encoded(image, kind, exif=exif, **more.get(kind, {}))


def array(picture):
    return np.asarray(to_rgb(picture)).astype(int)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "MPO"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_upright(orientation, kind):
    picture = turned(orientation, kind)
    found = array(picture)
    assert found.shape == SHOWN.shape
    assert np.abs(found[2:6, 2:6] - (250, 10, 10)).max() < 40
    assert np.abs(found[18:22, 2:6] - (10, 240, 10)).max() < 40
    assert np.abs(found[2:6, 34:38] - (10, 10, 245)).max() < 40
    good, remarks = find_readable([picture] * 3, ["a", "b", "c"], "t")
    assert good.all()
    assert len(remarks) == (orientation != 1)
    assert all("3 of 3 images carry an orientation tag (EXIF)" in remark for remark in remarks)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientations_that_mean_nothing(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = encoded(SHOWN, exif=exif)
    assert (array(picture) == SHOWN).all()
    assert find_readable([picture], ["a"], "t")[1] == []


@pytest.mark.parametrize(
    "block",
    [
        b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01\x12",  # ends within its first entry
        b"Exif\0\0II*\0\xff\xff\xff\x7f",  # points far behind its end
        b"Exif\0\0nothing of the kind",
    ],
)
def test_a_broken_exif_block_spoils_no_picture(block):
    picture = encoded(SHOWN, "JPEG", quality=95, exif=block)
    plain = encoded(SHOWN, "JPEG", quality=95)
    good, (remark,) = find_readable([picture] * 5, list("abcde"), "t")
    assert good.all()
    assert "5 of 5 images have metadata (EXIF) that cannot be read; they are taken as upright" in remark
    assert (array(picture) == array(plain)).all()


def test_an_orientation_before_the_break_counts():
    entry = b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"
    block = b"Exif\0\0MM\0*\0\0\0\x08\0\x05" + entry + b"\x01\x0f"
    stored = Image.fromarray(SHOWN).transpose(Image.Transpose.ROTATE_90)
    assert array(encoded(stored, "JPEG", exif=block)).shape == SHOWN.shape


LEVELS = np.linspace(0, 255, HEIGHT * WIDTH).round().reshape(HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("PNG", (LEVELS * 257).astype(np.uint16)),
        ("TIFF", (LEVELS * 257).astype(np.uint16)),
        ("PPM", (LEVELS * 257).astype(np.uint16)),
        ("TIFF", (LEVELS * 257).astype(">u2")),
        ("TIFF", (LEVELS / 255).astype(np.float32)),
    ],
)
def test_more_than_8_bits_are_scaled(kind, values):
    picture = encoded(values, kind)
    assert np.abs(array(picture) - LEVELS[..., None]).max() == 0
    good, (remark,) = find_readable([picture], ["scan"], "t")
    assert good.all()
    assert "1 of 1 images have more than 8 bits per channel" in remark


def test_brightness_stays_comparable():
    dark, light = (encoded(np.full((4, 4), v, np.uint16)) for v in (12_000, 50_000))
    assert array(dark).max() == 47
    assert array(light).min() == 195


def test_16_bits_with_a_transparent_value():
    values = np.full((4, 4), 20_000, np.uint16)
    values[0] = 7
    picture = encoded(Image.fromarray(values), transparency=7)
    assert (array(picture)[0] == 255).all()
    assert (array(picture)[1:] == 78).all()


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.full((4, 4), 200.0, np.float32), "have floats outside of 0 to 1"),
        (np.full((4, 4), -1.0, np.float32), "have floats outside of 0 to 1"),
        (np.full((4, 4), np.nan, np.float32), "have floats outside of 0 to 1"),
        (np.full((4, 4), 200, np.int32), "have integers of 32 bits"),
    ],
)
def test_values_without_a_meaning_are_refused(values, why):
    with pytest.raises(InputError, match=f"1 of 1 images {why}.*'odd.tiff'"):
        find_readable([encoded(values, "TIFF")], ["odd.tiff"], "t")


def hidden(colour):
    """The same disc for everybody, and a colour below transparent pixels."""
    pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    pixels[...] = (*colour, 0)
    pixels[4:12, 4:12] = (9, 99, 199, 255)
    return Image.fromarray(pixels)


def test_nothing_hidden_comes_out():
    one, two = (encoded(hidden(c)) for c in ((255, 0, 0), (0, 0, 255)))
    assert (array(one) == array(two)).all()
    assert (array(one)[0] == 255).all()
    assert (array(one)[5, 5] == (9, 99, 199)).all()
    _, (remark,) = find_readable([one, two, encoded(SHOWN)], ["a", "b", "c"], "t")
    assert "2 of 3 images have transparent pixels; they are composited on white ('a', 'b')" in remark


@pytest.mark.parametrize("kind", ["WEBP", "TIFF", "GIF", "PNG"])
def test_transparency_of_other_containers(kind):
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    image = hidden((200, 0, 0))
    if kind in ("GIF", "PNG"):
        image = Image.new("P", (WIDTH, HEIGHT), 0)
        image.putpalette([200, 0, 0, 9, 99, 199])
        image.paste(1, (4, 4, 12, 12))
        options = {"transparency": 0}
    found = array(encoded(image, kind, **options))
    assert (found[0] == 255).all()
    assert (found[5, 5] == (9, 99, 199)).all()


def test_grey_with_alpha_and_a_grey_that_is_transparent():
    pixels = np.full((4, 4, 2), 60, np.uint8)
    pixels[..., 1] = 255
    pixels[0, :, 1] = 0
    pixels[1, :, 1] = 51
    found = array(encoded(pixels))
    assert (found[0] == 255).all()
    assert (np.abs(found[1] - (0.8 * 255 + 0.2 * 60)) <= 1).all()
    assert (found[2] == 60).all()
    keyed = array(encoded(np.array([[10, 20]], np.uint8), transparency=10))
    assert keyed[0, :, 0].tolist() == [255, 20]


def test_opaque_alpha_is_no_news():
    picture = encoded(np.dstack([SHOWN, np.full((HEIGHT, WIDTH), 255, np.uint8)]))
    assert (array(picture) == SHOWN).all()
    assert find_readable([picture], ["a"], "t")[1] == []


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK"])
def test_other_modes_show_the_same(mode):
    image = Image.fromarray(SHOWN).convert(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    assert np.abs(array(encoded(image, kind)) - np.asarray(image.convert("RGB")).astype(int)).max() == 0


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP"])
def test_the_first_of_several_frames(kind):
    more = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = encoded(Image.fromarray(SHOWN), kind, save_all=True, append_images=more, **options)
    assert np.abs(array(picture) - SHOWN).max() < 12
    _, (remark,) = find_readable([picture], ["a"], "t")
    assert "1 of 1 images have several frames or pages; the first one is read ('a')" in remark


def test_too_large_is_not_broken():
    side = int(MAX_PIXELS**0.5) + 1
    large = encoded(Image.new("1", (side, side)))
    enormous = encoded(Image.new("1", (2 * side, side)))
    with pytest.raises(InputError) as raised:
        find_readable([large, enormous, b"no picture", None], ["scan.png", "map.png", "c", "d"], "t")
    said = str(raised.value)
    assert f"2 of 4 images are too large: they have more than {MAX_PIXELS:,} pixels" in said
    assert "('scan.png', 'map.png')" in said
    assert "2 of 4 images are missing or cannot be decoded ('c', 'd')" in said


def test_a_table_and_utkface_say_it(tmp_path):
    (tmp_path / "faces").mkdir()
    names = []
    for i in range(12):
        name = f"{20 + i}_{i % 2}_{i % 5}_2017{i:04d}.jpg"
        (tmp_path / "faces" / name).write_bytes(turned(6 if i < 3 else 1, "JPEG"))
        names.append(f"faces/{name}")
    made = utkface.load(utkface.Config(path=str(tmp_path / "faces")))
    assert any("3 of 12 images carry an orientation tag" in problem for problem in made.problems)
    rows = "".join(f"{name},{i % 2}\n" for i, name in enumerate(names))
    (tmp_path / "t.csv").write_text("file,label\n" + rows)
    made = table.load(table.Config(path=str(tmp_path / "t.csv"), image="file"))
    assert any("3 of 12 images carry an orientation tag" in problem for problem in made.problems)
    assert {array(picture).shape for picture in made.inputs} == {SHOWN.shape}
    assert sample.jpeg(1)  # the same bytes as ever are read as ever
    plain = Image.open(io.BytesIO(sample.jpeg(1)))
    assert (array(sample.jpeg(1)) == np.asarray(ImageOps.exif_transpose(plain).convert("RGB"))).all()
