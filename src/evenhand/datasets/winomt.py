"""WinoMT with translations: sentences about a person of some occupation, from a language without genders."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from evenhand.datasets import DatasetInfo, Examples, Translations, synthetic_pairs
from evenhand.datasets.lib.config import Field, Frozen, Limit, model_validator
from evenhand.datasets.lib.leaks import normal
from evenhand.datasets.lib.placeholder import SMOKE
from evenhand.datasets.lib.reading.files import locate, place_of
from evenhand.datasets.lib.reading.lines import text_lines
from evenhand.datasets.lib.reading.read import Wanted, read
from evenhand.datasets.lib.translations import examples_of
from evenhand.datasets.lib.wording import SEPARATOR, wording_of
from evenhand.errors import InputError
from evenhand.tables.answers.pronouns import GENDERS, genders
from evenhand.tables.answers.vocabulary import GOLD_GENDER, word_of
from evenhand.tables.values import tidy

INFO = DatasetInfo(
    title="WinoMT",
    task="translation",
    labels="the English sentence",
    attributes=("gold_gender", "predisposition", "stereotype"),
    source="https://github.com/gabrielStanovsky/mt_gender (Stanovsky et al. 2019); Turkish: "
    "https://github.com/kenziyuliu/lora-fairness (Ding et al. 2024)",
    licence="MIT",
    problems=(
        "The translations were made by machine.",
        "Gender is that of a pronoun: male, female, or neutral (they).",
    ),
)
_BAR = "|||"


class Config(Frozen):
    """Which pairs.

    Attributes:
        path: a file of lines `sentence ||| translation`, or a table with `columns`; a glob, or several.
        columns: columns of the English sentence and of its translation, in a table; None: lines of text.
        english: on which side of `|||` the English sentence is.
        annotations: folder with WinoMT's `en.txt`, `en_pro.txt` and `en_anti.txt`, or these files: who is
            meant in a sentence, and whether that agrees with the stereotype. Without them, the gender is that
            of the sentence's pronoun, and no sentence counts as pro or anti.
        separator: what stands between a text and its translation, for the model.
        prompt: in place of `separator`: all that a model reads and writes, such as
            `Turkish: {text} English: {translation}`. Blanks before the translation belong to it.
        new_tokens: most tokens of a translation that a model writes.
        limit: keep this many pairs, drawn by the hashes of their ids.
    """

    path: str | tuple[str, ...]
    columns: tuple[str, str] | None = None
    english: Literal["left", "right"] = "left"
    annotations: str | tuple[str, ...] | None = None
    separator: str = Field(default=SEPARATOR, min_length=1)
    prompt: str | None = None
    new_tokens: int = Field(default=100, ge=1)
    limit: Limit | None = None

    @model_validator(mode="after")
    def _can_be_meant(self) -> Config:
        if self.columns is not None and self.english != "left":
            raise ValueError("english: is for lines; give columns in the order [English, translation]")
        if self.prompt is not None:
            if self.separator != SEPARATOR:
                raise ValueError(
                    "prompt: says what stands between a text and its translation too; give either prompt or "
                    "separator"
                )
            wording_of(self.prompt)
        return self


@dataclass(frozen=True)
class _Meant:
    """What WinoMT says of a sentence."""

    gender: str
    stereotype: str


@dataclass(frozen=True)
class _Note:
    """What one line of WinoMT's files says of a sentence."""

    gender: str
    kind: str
    path: Path
    line: int


def load(config: Config) -> Examples:
    """Read the pairs: the translation is what a model reads, the English sentence what it is to write.

    Raises:
        InputError: files are missing or broken, a sentence has no pronoun or is not annotated.
    """
    pairs = _table(config) if config.columns else _lines(config)
    remarks = []
    distinct = list(dict.fromkeys(pairs))
    if len(distinct) < len(pairs):
        remarks.append(f"{len(pairs) - len(distinct):,} pairs that repeat another pair were dropped.")
    ids = [hashlib.sha256("\n".join(pair).encode()).hexdigest()[:16] for pair in distinct]
    order = list(range(len(distinct)))
    if config.limit is not None and config.limit < len(order):
        order.sort(key=lambda i: hashlib.sha256(f"limit:{ids[i]}".encode()).digest())
        remarks.append(f"{config.limit:,} of {len(order):,} pairs were drawn (limit).")
        order = sorted(order[: config.limit])
    every = [distinct[i] for i in order]
    told, more = _meant(config, [english for english, _ in every])
    remarks += more
    clear = [(i, pair, m) for i, pair, m in zip(order, every, told, strict=True) if m is not None]
    chosen, meant = [pair for _, pair, _ in clear], [m for *_, m in clear]
    examples = examples_of(
        [ids[i] for i, *_ in clear], chosen, [m.gender for m in meant], [m.stereotype for m in meant],
        separator=config.separator, new_tokens=config.new_tokens, remarks=remarks,
    )  # fmt: skip
    return replace(examples, translations=_worded(examples.translations, config))


def smoke(config: Config) -> Examples:
    """Made-up pairs in the same form."""
    few = min(config.new_tokens, synthetic_pairs.SMOKE_TOKENS)
    made = synthetic_pairs.smoke(synthetic_pairs.Config(separator=config.separator, new_tokens=few))
    return Examples(
        made.task, made.ids, made.inputs, made.labels, (), made.attributes, (SMOKE,), units=made.units,
        translations=_worded(made.translations, config),
    )  # fmt: skip


def _worded(translations: Translations | None, config: Config) -> Translations | None:
    """Translations with the wording of the prompt, where one is given."""
    if translations is None or config.prompt is None:
        return translations
    return replace(translations, **asdict(wording_of(config.prompt)))


def _lines(config: Config) -> list[tuple[str, str]]:
    """Pairs (English, translation) of lines of text."""
    pairs, complaints = [], []
    for path in [p for one in _several(config.path) for p in _files(one)]:
        lacking: list[int] = []
        for number, line in enumerate(text_lines(path), 1):
            sides = [side.strip() for side in line.split(_BAR)]
            if not line.strip():
                continue
            if len(sides) == 1:
                lacking.append(number)
                continue
            if len(sides) != 2 or not all(sides):
                what = f"has {len(sides)} sides" if len(sides) != 2 else "has an empty side"
                complaints.append(f"{path}, line {number}: {what}; must be 'sentence {_BAR} translation'.")
                continue
            pairs.append((sides[0], sides[1]) if config.english == "left" else (sides[1], sides[0]))
        if lacking:
            lines = "1 line has" if len(lacking) == 1 else f"{len(lacking):,} lines have"
            complaints.append(
                f"{path}: {lines} no '{_BAR}' (first: line {lacking[0]}); give 'sentence {_BAR} translation'."
                " Are the two separated by a tab? Then replace it."
            )
    if not pairs and not complaints:
        complaints.append(f"dataset.path '{config.path}': holds no pairs.")
    if complaints:
        more = [f"... and {len(complaints) - 10:,} more lines."] if len(complaints) > 10 else []
        raise InputError([*complaints[:10], *more])
    return pairs


def _table(config: Config) -> list[tuple[str, str]]:
    """Pairs of two columns."""
    assert config.columns is not None
    english, other = config.columns
    rows = read(locate(config.path), Wanted((("columns", english), ("columns", other)), (), (english, other)))
    pairs = []
    for i, (left, right) in enumerate(zip(rows.values[english], rows.values[other], strict=True)):
        for name, text in ((english, left), (other, right)):
            if tidy((text or "").strip()) is None:
                told = f" but '{text}'" if text else ""
                raise InputError(rows.complain("columns", name, f"has no text in row {i + 1}{told}."))
        pairs.append((str(left).strip(), str(right).strip()))
    return pairs


def _several(path: str | Sequence[str]) -> Sequence[str]:
    return (path,) if isinstance(path, str) else path


def _files(path: str) -> list[Path]:
    """The files of a path or glob."""
    place = place_of("dataset.path", path)
    found = [place] if place.is_file() else sorted(place.parent.glob(place.name)) if place.name else []
    found = [p for p in found if p.is_file()]
    if not found:
        raise InputError(
            f"dataset.path '{path}': there is no such file; give lines 'sentence {_BAR} translation', as in "
            "en_tr_general.txt of https://github.com/kenziyuliu/lora-fairness (data/mt_gender), or a table "
            "with 'columns'."
        )
    return found


def _meant(config: Config, sentences: Sequence[str]) -> tuple[list[_Meant | None], list[str]]:
    """Who is meant in each sentence, and remarks; of at most 1 % that is not known."""
    known: dict[str, _Meant | None] = {}
    remarks: list[str] = []
    if config.annotations is not None:
        known, remarks = _agreed(_annotated(config.annotations), sentences)
    found: list[_Meant | None] = []
    unknown: list[str] = []
    for sentence in sentences:
        said = genders(sentence)
        if config.annotations is None and len(said) == 1:
            found.append(_Meant(next(iter(said)), "none"))
        else:
            found.append(known.get(normal(sentence)))
        if found[-1] is None:
            unknown.append(sentence)
    if len(unknown) > 0.01 * len(sentences):
        annotated = config.annotations is not None
        why = "are not among the annotations" if annotated else "have no pronoun, or several genders'"
        if remarks:
            why += " or contradict themselves there"
        raise InputError(
            [
                f"{len(unknown):,} of {len(sentences):,} English sentences {why} (first: "
                f"'{unknown[0]}'); take "
                f"them out, or give {'others' if annotated else 'annotations'} (dataset.annotations).",
                *remarks,
            ]
        )
    if unknown:
        remarks.append(f"{len(unknown):,} pairs whose sentence does not say who is meant were skipped.")
    return found, remarks


def _agreed(
    known: Mapping[str, Sequence[_Note]], sentences: Sequence[str]
) -> tuple[dict[str, _Meant | None], list[str]]:
    """What all annotations of a sentence agree on, and remarks on contradictions.

    A sentence with two genders has none; one that is both pro and anti is neither.
    """
    agreed: dict[str, _Meant | None] = {}
    two_genders, two_sides, pronouns = [], [], []
    for sentence in dict.fromkeys(sentences):
        notes = known.get(normal(sentence))
        if not notes:
            continue
        genders_of = list(dict.fromkeys(note.gender for note in notes))
        sides = [kind for kind in dict.fromkeys(note.kind for note in notes) if kind != "none"]
        gender = genders_of[0] if len(genders_of) == 1 else None
        if gender is None:
            two_genders.append((sentence, notes))
        elif genders(sentence) - {"neutral"} and gender not in genders(sentence):
            pronouns.append((sentence, notes))
        if len(sides) > 1:
            two_sides.append((sentence, notes))
        kind = sides[0] if len(sides) == 1 else "none"
        agreed[normal(sentence)] = None if gender is None else _Meant(gender, kind)
    remarks = [
        f"{len(odd):,} sentences {what} (first: '{odd[0][0]}', {_places(odd[0][1])}); {so}."
        for odd, what, so in (
            (two_genders, "are annotated with several genders", "their pairs are skipped"),
            (two_sides, "are annotated both pro and anti", "they count as neither"),
            (pronouns, "are annotated with another gender than their pronouns'", "the annotation counts"),
        )
        if odd
    ]
    return agreed, remarks


def _places(notes: Sequence[_Note]) -> str:
    """Where a sentence is annotated, and how."""
    return " and ".join(f"{note.gender} in {note.path.name} line {note.line}" for note in notes[:4])


def _annotated(given: str | Sequence[str]) -> Mapping[str, Sequence[_Note]]:
    """All that WinoMT's files say of each sentence: gender, and by the file's name pro or anti."""
    paths: list[Path] = []
    for one in _several(given):
        place = place_of("dataset.annotations", one)
        paths += sorted(place.glob("en*.txt")) if place.is_dir() else [place]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing or not paths:
        raise InputError(
            f"dataset.annotations: there is no file {', '.join(missing) or f'en*.txt in {given}'}; give the "
            "folder with en.txt, en_pro.txt and en_anti.txt of "
            "https://github.com/gabrielStanovsky/mt_gender (data/aggregates)."
        )
    found: dict[str, list[_Note]] = {}
    complaints = []
    for path in paths:
        kind = next((k for k in ("pro", "anti") if path.stem.endswith(f"_{k}")), "none")
        for number, line in enumerate(text_lines(path), 1):
            if not line.strip():
                continue
            cells = line.split("\t")
            gender = word_of(GOLD_GENDER, cells[0])
            if len(cells) != 4 or gender not in GENDERS:
                told = "gender (male, female, neutral), index, sentence and occupation, with tabs between"
                complaints.append(f"{path}, line {number}: is '{line[:80]}'; must be {told}.")
                continue
            found.setdefault(normal(cells[2]), []).append(_Note(str(gender), kind, path, number))
    if complaints:
        raise InputError(complaints[:10])
    return found
