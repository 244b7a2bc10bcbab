"""Pictures in files: decoded to RGB with 8 bits per channel, and checked for being usable.

A picture is read as a viewer shows it. It is rotated by its orientation tag; transparent pixels are
composited on white; values of more than 8 bits are scaled by the range that their type can hold (0 to 65,535,
or 0 to 1 for floats), never by the values that happen to be in one picture, so that brightness stays
comparable.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evenhand.datasets.lib.schema import Picture
from evenhand.errors import InputError, MissingExtraError
from evenhand.tables.schema import BoolArray
from evenhand.tables.values import shown

if TYPE_CHECKING:
    from PIL import Image

#: The largest share of unusable pictures that is skipped: more of them are not an accident.
MAX_UNREADABLE_SHARE = 0.01
#: The most pixels that a picture may have: beyond, Pillow suspects a decompression bomb.
MAX_PIXELS = 89_478_485
#: The background behind transparent pixels: white, as in most viewers and web pages.
BACKGROUND = (255, 255, 255, 255)

_BROKEN = "are missing or cannot be decoded"
_TOO_LARGE = f"are too large: they have more than {MAX_PIXELS:,} pixels; shrink them"
_ORIENTATION = 0x0112
#: Tags of TIFF files: bits of a sample, and whether 0 is white (0) or black (1).
_BITS, _PHOTOMETRIC = 258, 262
_MAX_16_BIT = 2**16 - 1
_TURNED = "carry an orientation tag (EXIF); they are rotated accordingly"
_NO_ORIENTATION = "have metadata (EXIF) that cannot be read; they are taken as upright"
_TRANSPARENT = "have transparent pixels; they are composited on white"
_FRAMES = "have several frames or pages; the first one is read"
_DEEP = "have more than 8 bits per channel; 0 to 65,535 (floats: 0 to 1) is scaled to 0 to 255"
#: Tolerance for rounding in floats that are meant to be between 0 and 1.
_ROUNDING_TOLERANCE = 1e-6


class UnusableError(Exception):
    """A picture cannot be used; the message is a predicate, as in `12 images are too large`."""


@dataclass(frozen=True)
class _Inspection:
    """Result of decoding one picture.

    Attributes:
        wrong: reason why it cannot be used; None if it can.
        changes: changes in reading that other readers of pictures may not make.
    """

    wrong: str | None = None
    changes: tuple[str, ...] = ()


def find_readable(
    pictures: Sequence[bytes | None], names: Sequence[str], title: str
) -> tuple[BoolArray, list[str]]:
    """Find the pictures that can be used.

    Args:
        pictures: [n] bytes of files; None where a file was not found.
        names: [n] names of the pictures in complaints.
        title: name of all of them together in complaints.

    Returns:
        [n] True where a picture can be used, and remarks on those that cannot and on changes in reading.

    Raises:
        InputError: more than 1 % cannot be used.
    """
    inspections = [_inspect(picture) for picture in pictures]
    usable = np.array([inspection.wrong is None for inspection in inspections], bool)
    wrong: dict[str, list[str]] = {}
    changed: dict[str, list[str]] = {}
    for name, inspection in zip(names, inspections, strict=True):
        if inspection.wrong is not None:
            wrong.setdefault(inspection.wrong, []).append(name)
        for change in inspection.changes:
            changed.setdefault(change, []).append(name)
    remarks = [
        f"{_describe_images(group, len(usable), change)}." for change, group in sorted(changed.items())
    ]
    if not wrong:
        return usable, remarks
    problems = "; ".join(_describe_images(group, len(usable), why) for why, group in wrong.items())
    if int((~usable).sum()) > MAX_UNREADABLE_SHARE * len(usable):
        raise InputError(
            f"{title}: {problems}; at most {MAX_UNREADABLE_SHARE:.0%} are skipped: repair them or remove "
            "their rows."
        )
    return usable, [f"{problems}; they were skipped.", *remarks]


def read_bytes(path: Path) -> bytes | None:
    """Read a file's bytes; None when it cannot be read."""
    try:
        return path.read_bytes()
    except (OSError, ValueError):  # no such file; a name that no file can have
        return None


def to_rgb(picture: Picture) -> Image.Image:
    """Decode a picture to upright RGB with 8 bits per channel.

    Raises:
        UnusableError: the range of its values is unknown, or it is too large.
    """
    return _read(picture, thumbnail=False)[0]


def _describe_images(names: Sequence[str], n: int, predicate: str) -> str:
    """Count and name the images that a predicate is true of."""
    return f"{len(names):,} of {n:,} images {predicate} ({shown(list(names), 5)})"


def _inspect(picture: bytes | None) -> _Inspection:
    """Check that bytes are a complete, usable picture; a JPEG is decoded at an eighth of its size."""
    if picture is None:
        return _Inspection(_BROKEN)
    try:
        return _Inspection(changes=_read(picture, thumbnail=True)[1])
    except MissingExtraError:
        raise
    except UnusableError as error:
        return _Inspection(str(error))
    except Exception:
        # Broken bytes make readers of pictures raise nearly anything: OSError, SyntaxError, struct.error,
        # IndexError.
        return _Inspection(_BROKEN)


def _read(picture: Picture, *, thumbnail: bool) -> tuple[Image.Image, tuple[str, ...]]:
    """Decode a picture, and list the changes that were needed."""
    try:
        from PIL import Image  # noqa: PLC0415
    except ImportError:
        raise MissingExtraError("Images need the package pillow; install it.") from None
    if not isinstance(picture, bytes):
        return Image.fromarray(picture).convert("RGB"), ()
    with warnings.catch_warnings():
        # Pillow warns of metadata that it cannot read, in pictures that are whole.
        warnings.simplefilter("ignore")
        try:
            opened = Image.open(io.BytesIO(picture))
        except Image.DecompressionBombError:
            raise UnusableError(_TOO_LARGE) from None
        with opened as image:
            if image.width * image.height > MAX_PIXELS:
                raise UnusableError(_TOO_LARGE)
            if thumbnail:
                image.draft("RGB", (max(1, image.width // 8), max(1, image.height // 8)))
            orientation = _orientation(image)  # on loading, Pillow rotates a TIFF itself and drops the tag
            image.load()
            changes = {1: [], None: [_NO_ORIENTATION]}.get(orientation, [_TURNED])
            colours, further = _to_8_bit_rgb(image)
            turn = _transpositions().get(_orientation(image) or 1)
            further += [_FRAMES] if _has_frames(image) else []  # last: the test may move to another frame
            return (colours if turn is None else colours.transpose(turn)), (*changes, *further)


def _orientation(image: Image.Image) -> int | None:
    """Read the orientation tag, 1 to 8; 1 (upright) where it is missing, None where it cannot be read."""
    try:
        metadata = image.getexif()
        if not metadata and image.info.get("exif"):  # Pillow reads no entry of a broken block, and goes on
            return None
        tag: Any = metadata.get(_ORIENTATION, 1)
        return int(tag) if int(tag) in _transpositions() else 1
    except Exception:
        # Broken metadata raise as many kinds of errors as a broken picture does; the picture is intact.
        return None


def _has_frames(image: Image.Image) -> bool:
    """Return True for a file with several pictures; a camera's additional views (MPO) do not count."""
    try:
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except Exception:
        # A further frame that is broken does not spoil the first one.
        return True


def _transpositions() -> dict[int, Image.Transpose]:
    """Map each orientation tag to the transposition that makes a picture upright."""
    from PIL.Image import Transpose  # noqa: PLC0415

    return {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }


def _to_8_bit_rgb(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """Convert a loaded picture to 8-bit RGB without transparency, and list the changes that were needed."""
    from PIL import Image  # noqa: PLC0415

    changes = []
    if image.mode == "F" or image.mode.startswith("I"):
        changes.append(_DEEP)
        grey = Image.fromarray(_scale_grey_values(image))
        key = image.info.get("transparency")
        if isinstance(key, int):
            # In a 16-bit picture, one grey value may be declared transparent.
            grey.putalpha(Image.fromarray(np.where(np.asarray(image) == key, 0, 255).astype(np.uint8)))
        image = grey
    if image.has_transparency_data:
        layer = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
        if int(np.asarray(layer.getchannel("A")).min()) < BACKGROUND[3]:
            changes.append(_TRANSPARENT)
            layer = Image.alpha_composite(Image.new("RGBA", layer.size, BACKGROUND), layer)
        return layer.convert("RGB"), changes
    try:
        return image.convert("RGB"), changes
    except ValueError:
        raise UnusableError(
            f"have colours of the kind {image.mode}, which cannot be turned into RGB; save them as RGB"
        ) from None


def _scale_grey_values(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Scale grey values of 16 bits, or floats, to 0 to 255.

    Returns:
        [height, width] grey values.

    Raises:
        UnusableError: the value of white is unknown.
    """
    values = np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    if image.mode == "F":
        if not (
            np.isfinite(values).all()
            and values.min() >= -_ROUNDING_TOLERANCE
            and values.max() <= 1 + _ROUNDING_TOLERANCE
        ):
            raise UnusableError(
                "have floats outside of 0 to 1, so the value of white is unknown; scale them to 0 to 1, "
                "or save them with 8 or 16 bits"
            )
        levels: npt.NDArray[np.uint8] = np.rint(values.clip(0, 1) * 255).astype(np.uint8)
        return levels
    if image.mode == "I" and image.format not in ("PNG", "PPM"):
        raise UnusableError(
            "have integers of 32 bits or with a sign, so the value of white is unknown; save them with 8 "
            "or 16 bits"
        )
    most = 2**12 - 1 if tuple(tags.get(_BITS, ())) == (12,) else _MAX_16_BIT
    scaled = (values.astype(np.uint32) * 255 + most // 2) // most
    if tags.get(_PHOTOMETRIC) == 0:
        scaled = 255 - scaled
    grey: npt.NDArray[np.uint8] = scaled.clip(0, 255).astype(np.uint8)
    return grey
