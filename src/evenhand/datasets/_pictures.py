"""Pictures in files: whether they can be decoded."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evenhand.errors import InputError, MissingExtraError
from evenhand.tables.schema import BoolArray
from evenhand.tables.values import shown

#: A larger share of pictures that cannot be decoded is no accident.
MOST_UNREADABLE = 0.01


def readable(
    pictures: Sequence[bytes | None], names: Sequence[str], title: str
) -> tuple[BoolArray, list[str]]:
    """Find the pictures that can be decoded.

    Args:
        pictures: [n] bytes of files; None where there is no such file.
        names: [n] what complaints call them.
        title: what complaints call all of them.

    Returns:
        [n] which ones can, and a remark if some cannot.

    Raises:
        InputError: more than one in a hundred cannot.
    """
    good = np.array([picture is not None and _decodes(picture) for picture in pictures], bool)
    bad = [name for name, fine in zip(names, good, strict=True) if not fine]
    if not bad:
        return good, []
    what = f"{len(bad):,} of {len(good):,} images are missing or cannot be decoded ({shown(bad, 5)})"
    if len(bad) > MOST_UNREADABLE * len(good):
        raise InputError(
            f"{title}: {what}; at most {MOST_UNREADABLE:.0%} are skipped: repair them or take their rows out."
        )
    return good, [f"{what}; they were skipped."]


def content(path: Path) -> bytes | None:
    """A file's bytes; None when it cannot be read."""
    try:
        return path.read_bytes()
    except (OSError, ValueError):  # no such file; a name that no file can have
        return None


def _decodes(picture: bytes) -> bool:
    """Whether bytes are a whole picture; a jpeg is decoded at an eighth of its size."""
    try:
        from PIL import Image  # noqa: PLC0415
    except ImportError:
        raise MissingExtraError("Images need the package pillow; install it.") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(picture)) as image:
                image.draft("RGB", (max(1, image.width // 8), max(1, image.height // 8)))
                image.load()
    except Exception:
        # Broken bytes make readers of pictures raise nearly anything: OSError, SyntaxError, struct.error,
        # IndexError, DecompressionBombError, and their warnings, which are errors here.
        return False
    return True
