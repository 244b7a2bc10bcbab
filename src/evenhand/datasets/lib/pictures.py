"""Pictures in files: what they show, as three channels of 8 bits, and which of them can be used.

A picture is read as a viewer shows it. It is turned as its orientation tag says; transparent pixels are laid
on white; values of more than 8 bits are scaled by the range that their type can hold (0 to 65,535, or 0 to 1
of floats), never by the values that happen to be in one picture, so that brightness stays comparable.
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

#: A larger share of pictures that cannot be used is no accident.
MOST_UNREADABLE = 0.01
#: The most pixels that a picture may have: beyond, Pillow takes a small file for an attack on the memory.
MOST_PIXELS = 89_478_485
#: What transparent pixels show: the ground on which most viewers and web pages lay them.
GROUND = (255, 255, 255, 255)

_BROKEN = "are missing or cannot be decoded"
_TOO_LARGE = f"are too large: they have more than {MOST_PIXELS:,} pixels; shrink them"
_ORIENTATION = 0x0112
#: Tags of TIFF files: bits of a sample, and whether 0 is white (0) or black (1).
_BITS, _PHOTOMETRIC = 258, 262
_DEEPEST = 2**16 - 1
_TURNED = "carry an orientation tag (EXIF); they are turned as it says"
_TRANSPARENT = "have transparent pixels; they are laid on white"
_FRAMES = "have several frames or pages; the first one is read"
_DEEP = "have more than 8 bits a channel; 0 to 65,535 (of floats 0 to 1) is scaled to 0 to 255"
#: Rounding of floats that were meant to lie within 0 and 1.
_SLACK = 1e-6


class UnusableError(Exception):
    """A picture whose content cannot be used; it says what is true of such pictures."""


@dataclass(frozen=True)
class _Looked:
    """What a look at one picture showed.

    Attributes:
        wrong: why it cannot be used; None if it can.
        changes: what is done to it that not every reader of pictures does.
    """

    wrong: str | None = None
    changes: tuple[str, ...] = ()


def readable(
    pictures: Sequence[bytes | None], names: Sequence[str], title: str
) -> tuple[BoolArray, list[str]]:
    """Find the pictures that can be used.

    Args:
        pictures: [n] bytes of files; None where there is no such file.
        names: [n] what complaints call them.
        title: what complaints call all of them.

    Returns:
        [n] which ones can, and remarks: that some cannot, and what is done to others.

    Raises:
        InputError: more than one in a hundred cannot.
    """
    looked = [_look(picture) for picture in pictures]
    good = np.array([one.wrong is None for one in looked], bool)
    wrong: dict[str, list[str]] = {}
    changed: dict[str, list[str]] = {}
    for name, one in zip(names, looked, strict=True):
        if one.wrong is not None:
            wrong.setdefault(one.wrong, []).append(name)
        for change in one.changes:
            changed.setdefault(change, []).append(name)
    remarks = [f"{_counted(some, len(good), change)}." for change, some in sorted(changed.items())]
    if not wrong:
        return good, remarks
    what = "; ".join(_counted(some, len(good), why) for why, some in wrong.items())
    if int((~good).sum()) > MOST_UNREADABLE * len(good):
        raise InputError(
            f"{title}: {what}; at most {MOST_UNREADABLE:.0%} are skipped: repair them or take their rows out."
        )
    return good, [f"{what}; they were skipped.", *remarks]


def content(path: Path) -> bytes | None:
    """A file's bytes; None when it cannot be read."""
    try:
        return path.read_bytes()
    except (OSError, ValueError):  # no such file; a name that no file can have
        return None


def rgb(picture: Picture) -> Image.Image:
    """Read what a picture shows, in colours of 8 bits, upright.

    Raises:
        UnusableError: its values have no meaning that is known here, or it is too large.
    """
    return _read(picture, thumbnail=False)[0]


def _counted(some: Sequence[str], n: int, what: str) -> str:
    """How many of the images something is true of, and of which ones."""
    return f"{len(some):,} of {n:,} images {what} ({shown(list(some), 5)})"


def _look(picture: bytes | None) -> _Looked:
    """Whether bytes are a whole picture that can be used; a jpeg is decoded at an eighth of its size."""
    if picture is None:
        return _Looked(_BROKEN)
    try:
        return _Looked(changes=_read(picture, thumbnail=True)[1])
    except MissingExtraError:
        raise
    except UnusableError as error:
        return _Looked(str(error))
    except Exception:
        # Broken bytes make readers of pictures raise nearly anything: OSError, SyntaxError, struct.error,
        # IndexError.
        return _Looked(_BROKEN)


def _read(picture: Picture, *, thumbnail: bool) -> tuple[Image.Image, tuple[str, ...]]:
    """What a picture shows, and what had to be done for it."""
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
            if image.width * image.height > MOST_PIXELS:
                raise UnusableError(_TOO_LARGE)
            if thumbnail:
                image.draft("RGB", (max(1, image.width // 8), max(1, image.height // 8)))
            tagged = _orientation(image)  # Pillow turns a TIFF by itself as it loads it, and drops the tag
            image.load()
            changes = [_TURNED] if tagged != 1 else []
            colours, own = _colours(image)
            turn = _turns().get(_orientation(image))
            own += [_FRAMES] if _has_frames(image) else []  # last: it may go to another one
            return (colours if turn is None else colours.transpose(turn)), (*changes, *own)


def _orientation(image: Image.Image) -> int:
    """How a picture is to be turned, 1 to 8; 1, which is upright, where nothing readable says otherwise."""
    try:
        said: Any = image.getexif().get(_ORIENTATION, 1)
        return int(said) if int(said) in _turns() else 1
    except Exception:
        # A broken block of metadata raises as many errors as a broken picture does; the picture is whole.
        return 1


def _has_frames(image: Image.Image) -> bool:
    """Whether a file holds several pictures; what a camera puts beside its own (MPO) does not count."""
    try:
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except Exception:
        # A further frame that is broken does not spoil the first one.
        return True


def _turns() -> dict[int, Image.Transpose]:
    """What makes a picture upright, by its orientation tag."""
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


def _colours(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """A loaded picture in colours of 8 bits, without transparency, and what had to be done for it."""
    from PIL import Image  # noqa: PLC0415

    changes = []
    if image.mode == "F" or image.mode.startswith("I"):
        changes.append(_DEEP)
        grey = Image.fromarray(_scaled(image))
        key = image.info.get("transparency")
        if isinstance(key, int):
            # Of a 16-bit picture one grey value may stand for "nothing here".
            grey.putalpha(Image.fromarray(np.where(np.asarray(image) == key, 0, 255).astype(np.uint8)))
        image = grey
    if image.has_transparency_data:
        layer = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
        if int(np.asarray(layer.getchannel("A")).min()) < GROUND[3]:
            changes.append(_TRANSPARENT)
            layer = Image.alpha_composite(Image.new("RGBA", layer.size, GROUND), layer)
        return layer.convert("RGB"), changes
    try:
        return image.convert("RGB"), changes
    except ValueError:
        raise UnusableError(
            f"have colours of the kind {image.mode}, which cannot be turned into RGB; save them as RGB"
        ) from None


def _scaled(image: Image.Image) -> npt.NDArray[np.uint8]:
    """[height, width] grey values of 16 bits or of floats, scaled to 0 to 255.

    Raises:
        UnusableError: nothing says which value is white.
    """
    values = np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    if image.mode == "F":
        if not (np.isfinite(values).all() and values.min() >= -_SLACK and values.max() <= 1 + _SLACK):
            raise UnusableError(
                "have floats outside of 0 to 1, of which nothing says what is white; scale them to 0 to 1, "
                "or save them with 8 or 16 bits"
            )
        levels: npt.NDArray[np.uint8] = np.rint(values.clip(0, 1) * 255).astype(np.uint8)
        return levels
    if image.mode == "I" and image.format not in ("PNG", "PPM"):
        raise UnusableError(
            "have integers of 32 bits or with a sign, of which nothing says what is white; save them with 8 "
            "or 16 bits"
        )
    most = 2**12 - 1 if tuple(tags.get(_BITS, ())) == (12,) else _DEEPEST
    scaled = (values.astype(np.uint32) * 255 + most // 2) // most
    if tags.get(_PHOTOMETRIC) == 0:
        scaled = 255 - scaled
    whole: npt.NDArray[np.uint8] = scaled.clip(0, 255).astype(np.uint8)
    return whole
