"""Write the figures and tables of a study for a paper, on one page.

document -> rows -> drawing -> SVG -> PDF, PNG; rows -> CSV
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenhand.errors import CallError
from evenhand.report.document import Document
from evenhand.report.document import arms as arms_of
from evenhand.report.export import csv_line, without_formula
from evenhand.report.figures import answers, answers_charts, attacks, charts, data, tables, wording
from evenhand.report.figures.data import Rows
from evenhand.report.rendering import fast_charts
from evenhand.tables.io.write import write_atomic

#: Dots per inch of a PNG; a figure's pixel is 1/72 inch.
RESOLUTION = 300


@dataclass(frozen=True)
class Figure:
    """A figure or a table.

    Attributes:
        name: of its files.
        rows: selects its rows from a document.
        why_not: reason to report without rows.
        draw: makes the specification of a page; None for a table, which is CSV only.
        arm: field that names the arm if only some arms fit; empty if all do.
        pages: divides its rows if they do not fit on one page.
        of: part of a study that it shows: `audit`, `privacy`, `generations`, `likelihoods`, or all (empty).
    """

    name: str
    rows: Callable[[Document], Rows]
    why_not: str
    draw: Callable[[Rows, Document], dict[str, Any]] | None = None
    arm: str = ""
    pages: Callable[[Rows], list[Rows]] = lambda rows: [rows]
    of: str = "audit"


@dataclass(frozen=True)
class WrittenFigures:
    """Names of the figures that were written, and reasons for those that were not.

    Attributes:
        written: names of the figures and tables.
        left_out: one sentence per reason for figures not written, and on arms not drawn.
    """

    written: tuple[str, ...]
    left_out: tuple[str, ...]


def _of_task(task: str) -> Callable[[Document], Rows]:
    return lambda d: data.utility(d) if (data.task_of(d) == "image") == (task == "image") else []


def _drawn(draw: Callable[[Rows], dict[str, Any]]) -> Callable[[Rows, Document], dict[str, Any]]:
    """Return a drawing that needs the rows only."""
    return lambda rows, _: draw(rows)


def _along(name: str, parameter: str, why_not: str, *, logarithmic: bool) -> Figure:
    draw = _drawn(lambda rows: charts.along_option(rows, logarithmic=logarithmic))
    return Figure(name, lambda document: data.along(document, parameter), why_not, draw)


_BY_GROUP, _BY_TEMPLATE = _drawn(charts.by_group), _drawn(answers_charts.by_template)

FIGURES = (
    Figure("p1_subgroup_utility", _of_task("text"), wording.NOT_TEXTS, _BY_GROUP, "arm"),
    Figure("p2_subgroup_utility_images", _of_task("image"), wording.NOT_IMAGES, _BY_GROUP, "arm"),
    Figure("p3_reliability", data.reliability, wording.NO_BINS, charts.reliability, "arm"),
    Figure("p4_calibration_error", data.calibration, wording.NO_SCORES, _BY_GROUP, "arm"),
    Figure("p5_attack_roc", attacks.curves, wording.NO_CURVES, attacks.roc, "arm",
           attacks.pages_of_curves, of="privacy"),
    Figure("p6_leakage", attacks.leakage, wording.NO_ATTACKS, _BY_GROUP, "arm",
           attacks.pages_of_leakage, of="privacy"),
    _along("p7_rank", "rank", wording.NO_RANKS, logarithmic=True),
    _along("p8_layer_fraction", "layer_fraction", wording.NO_FRACTIONS, logarithmic=False),
    Figure("p9_translation_shares", answers.shares, wording.NO_TRANSLATIONS, _BY_GROUP, "arm",
           of="generations"),
    Figure("p9_translation_gender", answers.gender, wording.NO_TRANSLATIONS, _BY_GROUP, "arm",
           of="generations"),
    Figure("p10_option_shares", answers.options, wording.NO_LIKELIHOODS, _BY_TEMPLATE, "arm",
           answers_charts.pages, of="likelihoods"),
    Figure("p11_template_twins", answers.twins, wording.NO_TWINS, _BY_TEMPLATE, "arm",
           answers_charts.pages, of="likelihoods"),
    Figure("p12_group_size", data.by_size, wording.NO_GROUPS, _drawn(charts.by_size), "candidate"),
    Figure("forest", data.differences, wording.NO_ARMS, _drawn(charts.forest), "candidate", of=""),
    Figure("t1_summary", tables.summary, wording.NO_REFERENCE_RUN),
    Figure("t2_calibration", tables.calibration, wording.NO_SCORES),
    Figure("t3_translation_quality", answers.quality, wording.NO_QUALITY, of="generations"),
    Figure("t4_translation_gender", answers.gender_table, wording.NO_TRANSLATIONS, of="generations"),
    Figure("t5_answers", answers.choices, wording.NO_LIKELIHOODS, of="likelihoods"),
)  # fmt: skip

#: Reasons for missing figures of parts that a study does not judge.
_REASON_BY_KIND = {
    "audit": wording.ONLY_WRITTEN,
    "privacy": wording.NO_ATTACKS,
    "generations": wording.NO_TRANSLATIONS,
    "likelihoods": wording.NO_LIKELIHOODS,
}


def write_figures(result: Document, out: Path) -> WrittenFigures:
    """Write all figures and tables that a study has the data for.

    Args:
        result: the document of a study, schema `evenhand.study/1`.
        out: folder of the files; created if missing. Files of the same names are replaced.

    Returns:
        The names of the figures written, and the reasons for those left out.

    Raises:
        CallError: the folder cannot be made or written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CallError(f"--figures {out}: cannot be created ({error.strerror or error}).") from None
    written, thinned = [], []
    missing: dict[str, list[str]] = {}
    arms = data.shown_arms(result)
    for figure in FIGURES:
        rows = figure.rows(result)
        if not rows:
            missing.setdefault(_why_not(figure, result), []).append(figure.name)
            continue
        write_atomic(out / f"{figure.name}.csv", as_csv(rows))
        if figure.draw is not None:
            drawn = [r for r in rows if r[figure.arm] in arms] if figure.arm else rows
            thinned += [figure.name] if len(drawn) < len(rows) else []
            for page_number, page in enumerate(figure.pages(drawn), 1):
                with fast_charts():
                    spec = figure.draw(page, result)
                name = figure.name if page_number == 1 else f"{figure.name}_{page_number}"
                for ending, content in rendered(spec).items():
                    write_atomic(out / f"{name}.{ending}", content)
        written.append(figure.name)
    left_out = [wording.left_out(names, why) for why, names in missing.items()]
    if thinned:
        total = len({name for _, judged in data.judgements(result) for name in arms_of(judged)})
        left_out.append(wording.some_arms(thinned, len(arms), total))
    return WrittenFigures(tuple(written), tuple(left_out))


def _why_not(figure: Figure, result: Document) -> str:
    """Return the reason for missing rows: the part was not judged, or has no such rows."""
    kinds = {judged.get("kind", "audit") for _, judged in data.judgements(result)}
    kinds |= {"privacy" for _ in attacks.attacked(result)}
    if figure.of in kinds or figure.of == "" or (figure.of == "audit" and not kinds):
        return figure.why_not
    return _REASON_BY_KIND[figure.of]


def rendered(spec: Mapping[str, Any]) -> dict[str, str | bytes]:
    """Turn a specification into the contents of its files, by their ending."""
    import vl_convert  # noqa: PLC0415

    svg: str = vl_convert.vegalite_to_svg(dict(spec))
    png: bytes = vl_convert.svg_to_png(svg, ppi=RESOLUTION)
    pdf: bytes = vl_convert.svg_to_pdf(svg)
    return {"svg": svg, "pdf": pdf, "png": png}


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Format rows as CSV with the union of their columns; an empty field stands for null.

    Names that a spreadsheet would evaluate as formulas get a leading apostrophe.
    """
    keys = dict.fromkeys(k for r in rows for k in r)
    values = ([row.get(key) for key in keys] for row in rows)
    named = ([without_formula(v) if isinstance(v, str) else v for v in row] for row in values)
    return "".join(map(csv_line, (keys, *named)))
