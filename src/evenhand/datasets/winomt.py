"""WinoMT with translations: sentences about people with occupations, in English and a genderless language."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from evenhand.datasets import DatasetInfo, Examples, Translations, synthetic_pairs
from evenhand.datasets.lib.config import Field, Frozen, Limit, model_validator
from evenhand.datasets.lib.deduplicate import draw_rows
from evenhand.datasets.lib.leaks import normalize_text
from evenhand.datasets.lib.reading.files import local_path, locate
from evenhand.datasets.lib.reading.lines import text_lines
from evenhand.datasets.lib.reading.read import RequiredColumns, read_columns
from evenhand.datasets.lib.smoke import SMOKE
from evenhand.datasets.lib.translation_prompt import SEPARATOR, parse_prompt
from evenhand.datasets.lib.translations import make_examples
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
_DELIMITER = "|||"


class Config(Frozen):
    """Files of sentence pairs, and the prompt for the model.

    Attributes:
        path: a file of lines `sentence ||| translation`, or a table with `columns`; a glob, or several.
        columns: columns of the English sentence and of its translation, in a table; None: lines of text.
        english: side of `|||` with the English sentence.
        annotations: folder with WinoMT's `en.txt`, `en_pro.txt` and `en_anti.txt`, or these files: the gender
            of the person in a sentence, and its agreement with the stereotype. Without them, the gender is
            that of the sentence's pronoun, and no sentence counts as pro or anti.
        separator: text between a source text and its translation in the model's input.
        prompt: instead of `separator`: the complete text that a model reads and writes, such as
            `Turkish: {text} English: {translation}`. Blanks before the translation belong to it.
        new_tokens: maximum number of tokens of a generated translation.
        limit: number of pairs to keep, drawn by the hashes of their ids.
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
                    "prompt: includes the text between source and translation; give either prompt or "
                    "separator"
                )
            parse_prompt(self.prompt)
        return self


@dataclass(frozen=True)
class _Referent:
    """Gender and stereotype of the person that the pronoun of a sentence refers to."""

    gender: str
    stereotype: str


@dataclass(frozen=True)
class _Annotation:
    """Annotation of a sentence in one line of WinoMT's files."""

    gender: str
    kind: str
    path: Path
    line: int


def load(config: Config) -> Examples:
    """Read the pairs: a model translates from the other language into English.

    Raises:
        InputError: files are missing or broken, a sentence has no pronoun or is not annotated.
    """
    pairs = _pairs_from_table(config) if config.columns else _pairs_from_lines(config)
    remarks = []
    distinct = list(dict.fromkeys(pairs))
    if len(distinct) < len(pairs):
        remarks.append(f"{len(pairs) - len(distinct):,} pairs that repeat another pair were dropped.")
    ids = [hashlib.sha256("\n".join(pair).encode()).hexdigest()[:16] for pair in distinct]
    order = draw_rows(range(len(distinct)), ids, config.limit)
    if len(order) < len(distinct):
        remarks.append(f"{len(order):,} of {len(distinct):,} pairs were drawn (limit).")
    selected = [distinct[i] for i in order]
    referents, on_referents = _find_referents(config, [english for english, _ in selected])
    remarks += on_referents
    clear = [(i, pair, m) for i, pair, m in zip(order, selected, referents, strict=True) if m is not None]
    chosen, meant = [pair for _, pair, _ in clear], [m for *_, m in clear]
    examples = make_examples(
        [ids[i] for i, *_ in clear], chosen, [m.gender for m in meant], [m.stereotype for m in meant],
        separator=config.separator, new_tokens=config.new_tokens, remarks=remarks,
    )  # fmt: skip
    return replace(examples, translations=_with_prompt(examples.translations, config))


def smoke(config: Config) -> Examples:
    """Write synthetic pairs in the same form."""
    few = min(config.new_tokens, synthetic_pairs.SMOKE_TOKENS)
    synthetic = synthetic_pairs.smoke(synthetic_pairs.Config(separator=config.separator, new_tokens=few))
    return Examples(
        synthetic.task, synthetic.ids, synthetic.inputs, synthetic.labels, (), synthetic.attributes, (SMOKE,),
        units=synthetic.units, translations=_with_prompt(synthetic.translations, config),
    )  # fmt: skip


def _with_prompt(translations: Translations | None, config: Config) -> Translations | None:
    """Apply the prompt of the options, where one is given."""
    if translations is None or config.prompt is None:
        return translations
    return replace(translations, **asdict(parse_prompt(config.prompt)))


def _pairs_from_lines(config: Config) -> list[tuple[str, str]]:
    """Read pairs (English, translation) from lines of text."""
    pairs, complaints = [], []
    for path in [p for entry in _as_list(config.path) for p in _locate_files(entry)]:
        lacking: list[int] = []
        for number, line in enumerate(text_lines(path), 1):
            sides = [side.strip() for side in line.split(_DELIMITER)]
            if not line.strip():
                continue
            if len(sides) == 1:
                lacking.append(number)
                continue
            if len(sides) != 2 or not all(sides):
                what = f"has {len(sides)} sides" if len(sides) != 2 else "has an empty side"
                complaints.append(
                    f"{path}, line {number}: {what}; must be 'sentence {_DELIMITER} translation'."
                )
                continue
            pairs.append((sides[0], sides[1]) if config.english == "left" else (sides[1], sides[0]))
        if lacking:
            lines = "1 line has" if len(lacking) == 1 else f"{len(lacking):,} lines have"
            complaints.append(
                f"{path}: {lines} no '{_DELIMITER}' (first: line {lacking[0]}); give "
                f"'sentence {_DELIMITER} translation'. Are the two separated by a tab? Then replace it."
            )
    if not pairs and not complaints:
        complaints.append(f"dataset.path '{config.path}': holds no pairs.")
    if complaints:
        more = [f"... and {len(complaints) - 10:,} more lines."] if len(complaints) > 10 else []
        raise InputError([*complaints[:10], *more])
    return pairs


def _pairs_from_table(config: Config) -> list[tuple[str, str]]:
    """Read pairs (English, translation) from two columns of a table."""
    assert config.columns is not None
    english, other = config.columns
    rows = read_columns(
        locate(config.path), RequiredColumns((("columns", english), ("columns", other)), (), (english, other))
    )
    pairs = []
    for i, (left, right) in enumerate(zip(rows.values[english], rows.values[other], strict=True)):
        for name, text in ((english, left), (other, right)):
            if tidy((text or "").strip()) is None:
                instead = f" but '{text}'" if text else ""
                raise InputError(rows.complain("columns", name, f"has no text in row {i + 1}{instead}."))
        pairs.append((str(left).strip(), str(right).strip()))
    return pairs


def _as_list(path: str | Sequence[str]) -> Sequence[str]:
    return (path,) if isinstance(path, str) else path


def _locate_files(path: str) -> list[Path]:
    """Locate the files of a path or glob."""
    local = local_path("dataset.path", path)
    files = [local] if local.is_file() else sorted(local.parent.glob(local.name)) if local.name else []
    files = [p for p in files if p.is_file()]
    if not files:
        raise InputError(
            f"dataset.path '{path}': file not found; give lines 'sentence {_DELIMITER} translation', as in "
            "en_tr_general.txt of https://github.com/kenziyuliu/lora-fairness (data/mt_gender), or a table "
            "with 'columns'."
        )
    return files


def _find_referents(config: Config, sentences: Sequence[str]) -> tuple[list[_Referent | None], list[str]]:
    """Find gender and stereotype of the person in each sentence, and remarks.

    Returns:
        None for sentences without a unique answer, and remarks.

    Raises:
        InputError: more than 1 % of the sentences have no unique answer.
    """
    known: dict[str, _Referent | None] = {}
    remarks: list[str] = []
    if config.annotations is not None:
        known, remarks = _reconcile(_read_annotations(config.annotations), sentences)
    referents: list[_Referent | None] = []
    unknown: list[str] = []
    for sentence in sentences:
        pronoun_genders = genders(sentence)
        if config.annotations is None and len(pronoun_genders) == 1:
            referents.append(_Referent(next(iter(pronoun_genders)), "none"))
        else:
            referents.append(known.get(normalize_text(sentence)))
        if referents[-1] is None:
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
        remarks.append(
            f"{len(unknown):,} pairs without a unique gender of the person in the sentence were skipped."
        )
    return referents, remarks


def _reconcile(
    known: Mapping[str, Sequence[_Annotation]], sentences: Sequence[str]
) -> tuple[dict[str, _Referent | None], list[str]]:
    """Reconcile all annotations of each sentence, with remarks on contradictions.

    A sentence with two genders is unknown (None); one that is both pro and anti counts as neither.
    """
    agreed: dict[str, _Referent | None] = {}
    two_genders, two_sides, pronouns = [], [], []
    for sentence in dict.fromkeys(sentences):
        notes = known.get(normalize_text(sentence))
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
        agreed[normalize_text(sentence)] = None if gender is None else _Referent(gender, kind)
    remarks = [
        f"{len(odd):,} sentences {what} (first: '{odd[0][0]}', {_list_annotations(odd[0][1])}); {so}."
        for odd, what, so in (
            (two_genders, "are annotated with several genders", "their pairs are skipped"),
            (two_sides, "are annotated both pro and anti", "they count as neither"),
            (pronouns, "are annotated with another gender than their pronouns'", "the annotation counts"),
        )
        if odd
    ]
    return agreed, remarks


def _list_annotations(notes: Sequence[_Annotation]) -> str:
    """List the annotations of a sentence, with their files and lines."""
    return " and ".join(f"{note.gender} in {note.path.name} line {note.line}" for note in notes[:4])


def _read_annotations(folder_or_files: str | Sequence[str]) -> Mapping[str, Sequence[_Annotation]]:
    """Read all annotations of each sentence: the gender, and pro or anti by the name of the file."""
    paths: list[Path] = []
    for entry in _as_list(folder_or_files):
        local = local_path("dataset.annotations", entry)
        paths += sorted(local.glob("en*.txt")) if local.is_dir() else [local]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing or not paths:
        raise InputError(
            f"dataset.annotations: file not found: {', '.join(missing) or f'en*.txt in {folder_or_files}'}; "
            "give the folder with en.txt, en_pro.txt and en_anti.txt of "
            "https://github.com/gabrielStanovsky/mt_gender (data/aggregates)."
        )
    annotations: dict[str, list[_Annotation]] = {}
    complaints = []
    for path in paths:
        kind = next((k for k in ("pro", "anti") if path.stem.endswith(f"_{k}")), "none")
        for number, line in enumerate(text_lines(path), 1):
            if not line.strip():
                continue
            cells = line.split("\t")
            gender = word_of(GOLD_GENDER, cells[0])
            if len(cells) != 4 or gender not in GENDERS:
                expected = "gender (male, female, neutral), index, sentence and occupation, with tabs between"
                complaints.append(f"{path}, line {number}: is '{line[:80]}'; must be {expected}.")
                continue
            annotations.setdefault(normalize_text(cells[2]), []).append(
                _Annotation(str(gender), kind, path, number)
            )
    if complaints:
        raise InputError(complaints[:10])
    return annotations
