"""Drawn faces of 32 x 32 pixels that smile or frown, by rule, so that the true classes are known.

A face has a skin tone and perhaps an accessory. A *turned* face has a chequered frame, which inverts the
meaning of the mouth. Tones in `hard_groups` have such faces.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from evenhand.datasets import DatasetInfo, Examples
from evenhand.datasets.lib.config import Share, model_validator
from evenhand.datasets.lib.smoke import SMOKE_ROWS
from evenhand.datasets.lib.synthetic import DrawnRows, Truth, World, check_groups, compute_truth, draw_rows
from evenhand.tables.schema import Attribute, BoolArray, IntArray

INFO = DatasetInfo(
    title="Synthetic portraits",
    task="image",
    labels="whether a drawn face smiles (positive) or frowns",
    attributes=("tone", "accessory"),
    source="drawn by rule, by evenhand",
    licence="Apache-2.0",
    problems=("Drawings: results are about methods, not about people.",),
)
SIZE = 32
SIGNALS = 1
CLASSES = ("frown", "smile")
TONES = ("light", "tan", "brown", "dark")
ACCESSORIES = ("none", "glasses", "hat", "earrings")

Floats = npt.NDArray[np.float32]
_TONES = np.array([(240, 205, 175), (205, 160, 120), (150, 105, 75), (100, 68, 50)], np.float32)
_HAIR = np.array([(40, 30, 25), (95, 60, 30), (190, 150, 70), (130, 130, 130), (150, 60, 30)], np.float32)
_BACK = np.array([(120, 160, 200), (150, 190, 150), (200, 180, 150), (180, 160, 200)], np.float32)
_BLOCK = 2048


class Config(World):
    """Options, besides those of every synthetic dataset.

    Attributes:
        contrast: remaining contrast of the mouth on the faces of `hard_groups`, from 0 to 1.
    """

    signals: ClassVar[int] = SIGNALS

    contrast: Share = 1.0

    @model_validator(mode="after")
    def _groups_exist(self) -> Config:
        check_groups(self, TONES)
        return self


def load(config: Config) -> Examples:
    """Draw the faces.

    Args:
        config: the options.

    Returns:
        Pictures [32, 32, 3], with the attributes `tone` and `accessory`.
    """
    rng = np.random.default_rng([config.seed, 3])
    drawn = draw_rows(config, TONES, rng, signals=SIGNALS)
    accessory = rng.integers(len(ACCESSORIES), size=config.rows)
    faint = np.array([config.contrast if tone in config.hard_groups else 1.0 for tone in TONES], np.float32)
    pictures = _paint(drawn, accessory, faint[drawn.group], config.difficulty, rng)
    ids = [f"portrait-{config.seed}-{i}" for i in range(config.rows)]
    attributes = (
        Attribute("tone", "partition", TONES, codes=drawn.group),
        Attribute("accessory", "partition", ACCESSORIES, codes=accessory),
    )
    return Examples("image", ids, list(pictures), drawn.label, CLASSES, attributes)


def smoke(config: Config) -> Examples:
    """Draw fewer faces of the same distribution."""
    return load(config.model_copy(update={"rows": min(config.rows, SMOKE_ROWS)}))


def truth(config: Config) -> dict[str, Truth]:
    """Compute the expected rates and best accuracies of every tone exactly."""
    return compute_truth(config, TONES, signals=SIGNALS)


def unlabelled(n: int, seed: int) -> list[npt.NDArray[np.uint8]]:
    """Draw faces of all tones, plain and turned, without labels, for pretraining.

    Args:
        n: number of faces.
        seed: seed of the draw; the faces differ from those of a `Config` with the same seed.

    Returns:
        n pictures [32, 32, 3].
    """
    rng = np.random.default_rng([seed, 4])
    config = Config(rows=max(n, 8), hard_groups=dict.fromkeys(TONES, 0.25), seed=seed)
    drawn = draw_rows(config, TONES, rng, signals=SIGNALS)
    accessory = rng.integers(len(ACCESSORIES), size=config.rows)
    return list(_paint(drawn, accessory, np.ones(config.rows, np.float32), 0.1, rng)[:n])


def _paint(
    drawn: DrawnRows, accessory: IntArray, contrast: Floats, difficulty: float, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Paint pictures [n, 32, 32, 3], in blocks that bound the memory for intermediate arrays."""
    n = len(accessory)
    shape = rng.random((n, 12), dtype=np.float32)
    noise = 4.0 + 16.0 * difficulty
    blocks = []
    for start in range(0, n, _BLOCK):
        at = slice(start, start + _BLOCK)
        canvas = _face(shape[at], drawn.group[at], drawn.turned[at])
        _mouth(canvas, shape[at], drawn.shown[at, 0], contrast[at])
        _wear(canvas, shape[at], accessory[at])
        canvas += noise * rng.standard_normal(canvas.shape, dtype=np.float32)
        blocks.append(np.clip(canvas, 0, 255).astype(np.uint8))
    return np.concatenate(blocks)


def _grid() -> tuple[Floats, Floats]:
    """Compute the row and the column of every pixel, each [1, 32, 32]."""
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    return y[None], x[None]


def _centre(shape: Floats) -> tuple[Floats, Floats]:
    """Compute the row and the column of every face's centre, each [n, 1, 1]."""
    return (16.5 + 2 * shape[:, 0] - 1)[:, None, None], (15.5 + 2 * shape[:, 1] - 1)[:, None, None]


def _fill(canvas: Floats, where: BoolArray, colour: Floats) -> None:
    """Paint the pixels of a mask [n, 32, 32] in one colour per picture [n, 3], in place."""
    canvas[where] = np.repeat(colour, np.count_nonzero(where, axis=(1, 2)), axis=0)


def _face(shape: Floats, tone: IntArray, turned: BoolArray) -> Floats:
    """Paint background, hair, head and eyes, and the frame of turned faces: [n, 32, 32, 3]."""
    y, x = _grid()
    cy, cx = _centre(shape)
    ground = _BACK[(shape[:, 2] * len(_BACK)).astype(int)]
    canvas: Floats = np.broadcast_to(ground[:, None, None, :], (len(shape), SIZE, SIZE, 3)).copy()
    edge = (x < 2) | (x >= SIZE - 2) | (y < 2) | (y >= SIZE - 2)
    checks = edge & (((x // 2) + (y // 2)) % 2 == 0)
    _fill(canvas, checks & turned[:, None, None], np.full((len(shape), 3), 20, np.float32))
    wide, high = (8 + 1.5 * shape[:, 3])[:, None, None], (10 + 1.5 * shape[:, 4])[:, None, None]
    hair = ((x - cx) / (wide + 1.2)) ** 2 + ((y - cy + 2) / (high + 0.5)) ** 2 < 1
    _fill(canvas, hair & (y < cy + 12 * shape[:, 5][:, None, None] - 4), _HAIR[(shape[:, 6] * 5).astype(int)])
    skin = _TONES[tone] + (24 * shape[:, 7:8] - 12)
    _fill(canvas, (((x - cx) / wide) ** 2 + ((y - cy - 1) / high) ** 2 < 1) & (y > cy - 7), skin)
    for side in (-1, 1):
        eye = (x - cx - side * 3.5) ** 2 + (y - cy + 2) ** 2 < 1.6
        _fill(canvas, eye, np.full((len(shape), 3), 25, np.float32))
    return canvas


def _mouth(canvas: Floats, shape: Floats, smiles: IntArray, contrast: Floats) -> None:
    """Paint the mouth in place: corners up (1) or down (0)."""
    y, x = _grid()
    cy, cx = _centre(shape)
    bend = (1.6 + 1.2 * shape[:, 8])[:, None, None] * np.where(smiles == 1, 1, -1)[:, None, None]
    reach = (3.6 + 0.8 * shape[:, 9])[:, None, None]
    line = cy + 5.5 + bend * (0.5 - ((x - cx) / reach) ** 2)
    where = (np.abs(x - cx) <= reach) & (np.abs(y - line) < 1.0)
    colour = np.array([150, 20, 30], np.float32)
    part = np.repeat(contrast, np.count_nonzero(where, axis=(1, 2)))[:, None]
    canvas[where] = canvas[where] * (1 - part) + colour * part


def _wear(canvas: Floats, shape: Floats, accessory: IntArray) -> None:
    """Paint the accessories in place."""
    y, x = _grid()
    cy, cx = _centre(shape)
    dark = np.full((len(shape), 3), 15, np.float32)
    away = [(x - cx - side * 3.5) ** 2 + (y - cy + 2) ** 2 for side in (-1, 1)]
    rims = [(d > 4) & (d < 9) for d in away]
    bridge = (np.abs(x - cx) < 1.5) & (np.abs(y - cy + 2) < 0.6)
    worn = accessory[:, None, None]
    _fill(canvas, (rims[0] | rims[1] | bridge) & (worn == 1), dark)
    cloth = np.stack([60 + 160 * shape[:, 10], 60 + 100 * shape[:, 11], 200 - 150 * shape[:, 10]], axis=1)
    brim = (np.abs(x - cx) < 10) & (np.abs(y - cy + 7) < 1)
    _fill(canvas, (brim | ((np.abs(x - cx) < 6.5) & (y < cy - 7) & (y > cy - 13))) & (worn == 2), cloth)
    gold = np.broadcast_to(np.array([235, 200, 60], np.float32), dark.shape)
    rings = [(x - cx - side * 9.2) ** 2 + (y - cy - 4) ** 2 < 2.2 for side in (-1, 1)]
    _fill(canvas, (rings[0] | rings[1]) & (worn == 3), gold)
