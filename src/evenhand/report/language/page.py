"""Report sections and terminal summary of generated texts and of likelihoods of answer options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evenhand.report import wording
from evenhand.report.audit.page import audit_view
from evenhand.report.audit.terminal import print_paragraph, summarise
from evenhand.report.cells import count_cell, p_cell
from evenhand.report.charts import MOST_LINES, MOST_PANELS, arm_dots
from evenhand.report.document import Document, Row, arms, number, unique
from evenhand.report.language import rows as language_rows
from evenhand.report.language import wording as generative_wording
from evenhand.report.language.variance import variance_panels, variance_table
from evenhand.report.rendering import Cell, Panel, Table, build_table, fast_charts, figure, render

if TYPE_CHECKING:
    from rich.console import Console

#: Largest number of rows of the table of options; the result contains all.
MOST_ROWS = 600


def build_generative_page(document: Document) -> str:
    """Build the page of a judgement of generations or likelihoods.

    Args:
        document: schema `evenhand.generative/1`.

    Returns:
        A complete HTML document without external references.
    """
    with fast_charts():
        view = {"a": audit_view(document), "g": generative_view(document), "document": document}
    return render("generative.html.j2", view)


def summarise_generative(
    document: Document, console: Console, written: Mapping[str, str] | None = None
) -> None:
    """Print the summary of a judgement of generations or likelihoods.

    Args:
        document: schema `evenhand.generative/1`.
        console: where to print; 80 columns are enough.
        written: paths of the files that were written, by kind.
    """
    for line in generative_wording.summary(document):
        print_paragraph(console, line)
    if generative_wording.summary(document):
        console.print()
    summarise(document, console, written)


def generative_view(document: Document) -> dict[str, Any]:
    """Prepare the sections of generations or likelihoods in addition to those of an audit.

    Args:
        document: schema `evenhand.generative/1`.

    Returns:
        `sections`: each with `id`, `title`, `text`, `panels`, `tables` and `note`.
    """
    names = arms(document)
    sections = (
        _translation(document, names) if document["kind"] == "generations" else _options(document, names)
    )
    return {
        "sections": [s for s in sections if s["panels"] or s["tables"]],
        "how": generative_wording.how(document),
    }


def _section(
    key: str, title: str, text: str, panels: Sequence[Panel] = (), tables: Sequence[Table] = ()
) -> dict[str, Any]:
    shown = list(panels)[:MOST_PANELS]
    note = wording.left_out(len(shown), len(panels), "panels", rest="the result has all")
    return {"id": key, "title": title, "text": text, "panels": shown, "tables": list(tables), "note": note}


def _translation(document: Document, names: Sequence[str]) -> list[dict[str, Any]]:
    rows = document["shares"]
    panels = []
    for attribute, group in dict.fromkeys((r["attribute"], r["group"]) for r in rows):
        of = [r for r in rows if (r["attribute"], r["group"]) == (attribute, group)]
        where = wording.group_name(attribute, group)
        panels.append(_panel(f"Gender of the output: {where}", of, language_rows.GENDERS, names))
        panels.append(_panel(f"Stereotype: {where}", of, language_rows.STEREOTYPES, names))
    return [
        _section("shares", "Gender of the translations, by predisposition", generative_wording.SHARES,
                 [p for p in panels if p]),
        _section("quality", "Quality of the translations", generative_wording.quality(document),
                 tables=_quality(document, names)),
    ]  # fmt: skip


def _panel(title: str, rows: Sequence[Row], metrics: Sequence[str], names: Sequence[str]) -> Panel | None:
    selected = [r for m in metrics for r in rows if r["metric"] == m]
    return _dots(title, selected, lambda r: wording.metric_name(str(r["metric"])), names)


def _dots(title: str, rows: Sequence[Row], label: Callable[[Row], str], names: Sequence[str]) -> Panel | None:
    """Draw shares of rows that name their arm; None without any value."""
    labels = list(dict.fromkeys(label(r) for r in rows))
    shown = labels[:MOST_LINES]
    lines = [
        {
            "group": label(r),
            "arm": str(r["input"]),
            "value": number(r, "value"),
            "low": number(r, "low"),
            "high": number(r, "high"),
            "shown": _percent(number(r, "value")),
            "interval": f"{_percent(number(r, 'low'))} to {_percent(number(r, 'high'))}",
        }
        for r in rows
        if number(r, "value") is not None and label(r) in shown
    ]
    if not lines:
        return None
    note = wording.left_out(len(shown), len(labels), "lines", rest="the result has all")
    spec = arm_dots(lines, shown, [], names, "share of answers", share=True)
    return Panel(title, note, f"{title}: shares of each arm with intervals.", spec)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _quality(document: Document, names: Sequence[str]) -> list[Table]:
    rows = language_rows.scores(document)
    if not rows:
        return []
    at = {(r["metric"], r["class"], r["input"]): r for r in rows}
    keys = dict.fromkeys(key[:2] for key in at)
    body = [[Cell(name), *(_score(at.get((*key, name))) for key in keys)] for name in names]
    headings = ["arm", *(f"{wording.metric_name(metric)}, {cls}" for metric, cls in keys)]
    return [build_table(generative_wording.QUALITY_CAPTION, headings, body)]


def _score(row: Row | None) -> Cell:
    value = None if row is None else number(row, "value")
    if row is None or value is None:
        return figure(None, "–")
    low, high = number(row, "low"), number(row, "high")
    span = "" if low is None or high is None else f" ({low:.1f} to {high:.1f})"
    return figure(value, f"{value:.1f}{span}", title=str(row.get("interval") or ""))


def _options(document: Document, names: Sequence[str]) -> list[dict[str, Any]]:
    options, twins = language_rows.options(document), language_rows.twins(document)
    by_template = [
        _dots(f"{t}, by {by}", [r for r in options if (r["template"], r["by"]) == (t, by)],
              lambda r: f"{r['variant']}: {r['option']}", names)
        for t in unique(options, "template")
        for by in ("meaning", "token")
    ]  # fmt: skip
    inverted = [
        _dots(str(t), [r for r in twins if r["template"] == t],
              lambda r: f"{generative_wording.twin_label(r)}: {generative_wording.outcome_label(r)}", names)
        for t in unique(twins, "template")
    ]  # fmt: skip
    bias, variance = document["token_bias"], document.get("variance", ())
    bias_tables = (_shifts(bias["shifts"]), _priors(bias["priors"]), _rstd(bias["rstd"]))
    return [
        _section("survival", "Robustness of conclusions to template, token and scoring",
                 generative_wording.SURVIVAL,
                 tables=[_survival(document["survival"])] if document["survival"] else []),
        _section("variance", "Variance of preferences due to the prompt",
                 generative_wording.variance(variance), variance_panels(variance),
                 [t for t in [variance_table(variance)] if t]),
        _section("tokens", "Token priors and preferences for meanings", generative_wording.TOKENS,
                 tables=[t for t in bias_tables if t]),
        _section("inversions", "Templates against their twins", generative_wording.INVERSIONS,
                 [p for p in inverted if p]),
        _section("options", "Shares of the options, by template", generative_wording.options(document),
                 [p for p in by_template if p], [_every_option(document["options"])]),
        _section("scorings", "Scorings", generative_wording.SCORINGS,
                 tables=[_scorings(document["scorings"])]),
    ]  # fmt: skip


def _survival(rows: Sequence[Row]) -> Table:
    names = ["candidate", "meaning", "chosen, by the declared scoring", "difference", "varied", "tests"]
    body = []
    for r in rows:
        difference = number(r, "difference")
        body.append(
            [
                *(Cell(str(r[k])) for k in ("candidate", "meaning", "says")),
                figure(difference, wording.amount(difference, "option_share", signed=True)),
                Cell(str(r["axis"])),
                *(figure(number(r, k), str(r[k])) for k in ("looks", "same", "cannot_tell", "opposite")),
                Cell(str(r["finding"])),
            ]
        )
    names += ["same", "cannot tell", "opposite", "finding"]
    return build_table(generative_wording.SURVIVAL_CAPTION, names, body)


def _shifts(rows: Sequence[Row]) -> Table | None:
    if not rows:
        return None
    names = ["effect", "option", "group", "candidate − reference", "shift in nats (interval)"]
    body = []
    for r in rows:
        difference, low, high = (number(r, k) for k in ("difference", "low", "high"))
        span = f" ({low:+.3f} to {high:+.3f})" if low is not None and high is not None else ""
        shown = "–" if difference is None else f"{difference:+.3f}{span}".replace("-", "−")
        body.append(
            [
                Cell(wording.metric_name(str(r["metric"]))),
                Cell(str(r["class"])),
                Cell("all" if r["attribute"] is None else str(r["group"])),
                Cell(f"{r['candidate']} − {r['reference']}"),
                figure(difference, shown, title=wording.status_reason(r) if not span else ""),
                p_cell(r),
                count_cell(r),
            ]
        )
    return build_table(generative_wording.SHIFTS_CAPTION, [*names, "adjusted p", "questions"], body)


def _priors(rows: Sequence[Row]) -> Table | None:
    if not rows:
        return None
    names = [str(n) for n in unique(rows, "input")]
    at = {(r["template"], r["token"], r["even"], r["input"]): number(r, "prior") for r in rows}
    body = [
        [
            Cell(str(template)),
            Cell(str(token)),
            *(figure(v, _percent(v)) for v in (even, *(at[template, token, even, n] for n in names))),
        ]
        for template, token, even in dict.fromkeys(key[:3] for key in at)
    ]
    return build_table(generative_wording.PRIORS_CAPTION, ["template", "token", "even share", *names], body)


def _rstd(rows: Sequence[Row]) -> Table | None:
    known = [r for r in rows if number(r, "value") is not None]
    if not known:
        return None
    names = ["arm", "scoring", "template", "options", "RStd", "recalls", "contexts"]
    body = [
        [
            *(Cell(str(r[k])) for k in ("input", "scoring", "template")),
            Cell(" / ".join(r["options"])),
            figure(number(r, "value"), f"{100 * r['value']:.1f}"),
            Cell(" / ".join(_percent(v) for v in r["recalls"])),
            count_cell(r),
        ]
        for r in known
    ]
    return build_table(generative_wording.RSTD_CAPTION, names, body)


def _every_option(rows: Sequence[Row]) -> Table:
    names = ["template", "variant", "by", "option", "scoring", "arm", "share (interval)", "contexts"]
    body = []
    for r in rows[:MOST_ROWS]:
        value, low, high = (_percent(number(r, k)) for k in ("value", "low", "high"))
        lead = [Cell(str(r[k])) for k in ("template", "variant", "by", "option", "scoring", "input")]
        body.append([*lead, figure(number(r, "value"), f"{value} ({low} to {high})"), count_cell(r)])
    left = wording.left_out(len(body), len(rows), "rows", rest="the result has all")
    return build_table(f"{generative_wording.OPTIONS_CAPTION} {left}".strip(), names, body)


def _scorings(rows: Sequence[Row]) -> Table:
    body = [
        [
            Cell(str(r["scoring"])),
            Cell(f"{r['title']}: {r['reference']}", css="long"),
            count_cell(r, "contexts"),
            figure(number(r, "tied"), _percent(number(r, "tied"))),
            Cell(str(r["reason"] or r["note"]), css="long"),
        ]
        for r in rows
    ]
    return build_table("The six scorings", ("scoring", "definition", "contexts", "tied", "remark"), body)
