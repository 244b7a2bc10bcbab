"""Likelihoods of answer options: the table `evenhand.likelihoods/1`, its writer and reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evenhand.errors import TableError
from evenhand.tables.answers.align import AlignedTable
from evenhand.tables.answers.read import TableForm, read_answers
from evenhand.tables.io.parquet import repeated, run_columns, write_parquet
from evenhand.tables.reader.fields import Field
from evenhand.tables.schema import ArmRun, Attribute, BoolArray, Columns, FloatArray, Input, IntArray, Source

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Name and version of the table's schema, in the file's metadata.
SCHEMA = "evenhand.likelihoods/1"

#: Code of a missing option or a missing expected meaning.
NONE = -1

#: A log-probability above 0 by less than this is a rounding error.
ROUNDING = 1e-6
_ABOVE = f"{{x}} > {ROUNDING}"

FORM = TableForm(
    title="likelihoods",
    fields=(
        Field("example_id", "name", "key", option="id"),
        Field("template", "name", "key"),
        Field("variant", "name", "key"),
        Field("permutation", "name", "key", required=False),
        Field("option_token", "words", "key"),
        Field("option_meaning", "meaning", "shared"),
        Field("label_meaning", "meaning", "shared", required=False),
        Field("cluster", "name", "shared", required=False, option="cluster"),
        Field("log_prob", "number", "answer"),
        Field("n_tokens", "number", "answer"),
        Field("log_prob_free", "number", "answer", required=False),
        Field("truncated", "flag", "answer", required=False),
    ),
    unit=("example_id", "template", "variant", "permutation"),
    tests=(
        ("log_prob", _ABOVE, "is above 0 in {rows}: {values}; the logarithm of a probability "
         "is at most 0 (negate losses: log_prob = -loss; take the logarithm of probabilities)."),
        ("log_prob_free", _ABOVE, "is above 0 in {rows}: {values}; the logarithm of a "
         "probability is at most 0."),
        ("n_tokens", "{x} < 1 OR {x} <> trunc({x})", "is not a whole number of at least 1 in {rows}"
         ": {values}; an option that has no token has no likelihood."),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Likelihoods:
    """Validated, aligned likelihoods of all arms and runs.

    A context is one example in one template and variant (and permutation), whose options are alternative
    answers. K is the largest number of options of a context; unused positions are masked.

    Attributes:
        arm_runs: the runs.
        tokens: names of the option tokens.
        meanings: names of the option meanings.
        templates: names of the templates.
        variants: names of the variants, with the permutation if a variant has several.
        example: [contexts] code of the example.
        template: [contexts] code.
        variant: [contexts] code.
        cluster: [contexts] code: contexts of one cluster are not independent.
        token: [contexts, K] code of each option's token, or `NONE`.
        meaning: [contexts, K] code of each option's meaning, or `NONE`.
        label: [contexts] code of the expected meaning, or `NONE`.
        log_prob: [runs, contexts, K] log-probability of the option's tokens, -inf at masked positions.
        n_tokens: [runs, contexts, K] number of the option's tokens.
        log_prob_free: [runs, contexts, K] the same after a text without content, or None.
        truncated: [runs, contexts] True if the text before the answer was cut.
        attributes: of the contexts; `template` and `variant` come last, if there are several.
        inputs: the tables that were read.
        problems: remarks.
    """

    arm_runs: tuple[ArmRun, ...]
    tokens: tuple[str, ...]
    meanings: tuple[str, ...]
    templates: tuple[str, ...]
    variants: tuple[str, ...]
    example: IntArray
    template: IntArray
    variant: IntArray
    cluster: IntArray
    token: IntArray
    meaning: IntArray
    label: IntArray
    log_prob: FloatArray
    n_tokens: FloatArray
    log_prob_free: FloatArray | None
    truncated: BoolArray
    attributes: tuple[Attribute, ...]
    inputs: tuple[Input, ...]
    problems: tuple[str, ...]

    @property
    def there(self) -> BoolArray:
        """Mask [contexts, K], True where a context has an option."""
        return np.asarray(self.token != NONE)


def write_likelihoods(  # noqa: PLR0913, PLR0917  (one argument per column)
    path: Path,
    ids: Sequence[str],
    templates: Sequence[str],
    variants: Sequence[str],
    option_tokens: Sequence[str],
    option_meanings: Sequence[str],
    log_probs: FloatArray,
    n_tokens: IntArray,
    attributes: Sequence[Attribute],
    *,
    names: dict[str, str],
    log_prob_free: FloatArray | None = None,
    truncated: BoolArray | None = None,
    permutation: Sequence[str] | None = None,
    label_meaning: Sequence[str | None] | None = None,
) -> None:
    """Write likelihoods as parquet, one row per (example, template, variant, option).

    Args:
        path: of the file.
        ids: [m] names of the examples.
        templates: [m] template of the prompt.
        variants: [m] variant of the template.
        option_tokens: [m] text of the option.
        option_meanings: [m] its meaning in the variant.
        log_probs: [m] log-probability of the option's tokens alone, given the prompt.
        n_tokens: [m] number of the option's tokens.
        attributes: of the same m rows.
        names: further columns with one value: arm, run, model.
        log_prob_free: [m] the same after a text without content.
        truncated: [m] True if the prompt was cut to fit.
        permutation: [m] the permutation of meanings in which the prompt shows the options.
        label_meaning: [m] the expected meaning, or None.
    """
    import pyarrow as pa  # noqa: PLC0415

    columns: dict[str, object] = {
        "example_id": pa.array(list(ids), pa.string()),
        "template": repeated(templates),
        "variant": repeated(variants),
        "option_token": repeated(option_tokens),
        "option_meaning": repeated(option_meanings),
        "log_prob": pa.array(np.asarray(log_probs).tolist(), pa.float64()),
        "n_tokens": pa.array(np.asarray(n_tokens).tolist(), pa.int32()),
    }
    if log_prob_free is not None:
        columns["log_prob_free"] = pa.array(np.asarray(log_prob_free).tolist(), pa.float64())
    if truncated is not None:
        columns["truncated"] = pa.array([bool(t) for t in truncated], pa.bool_())
    if permutation is not None:
        columns["permutation"] = repeated([str(p) for p in permutation])
    if label_meaning is not None:
        columns["label_meaning"] = pa.array(list(label_meaning), pa.string())
    write_parquet(path, columns | run_columns(len(ids), attributes, names), {"schema": SCHEMA})


def load_likelihoods(source: Source, columns: Columns) -> Likelihoods:
    """Read, validate and align likelihoods.

    Args:
        source: files, globs or tables in memory.
        columns: names of their columns; without `cluster`, contexts of one example are a cluster.

    Raises:
        CallError: options contradict each other or do not fit likelihoods.
        TableError: tables are wrong; carries every complaint about every table.
    """
    paired = read_answers(source, columns, FORM)
    return _by_context(paired)


def _coded(values: Any) -> tuple[tuple[str, ...], IntArray]:  # noqa: ANN401  (an array of texts)
    names, codes = np.unique(np.asarray(np.ma.getdata(values), dtype=str), return_inverse=True)
    return tuple(str(n) for n in names), codes.astype(np.int64)


def _by_context(paired: AlignedTable) -> Likelihoods:
    """Reshape rows of options [m] to contexts [contexts, K]."""
    fetched = paired.columns
    examples, example = _coded(fetched["example_id"])
    templates, template = _coded(fetched["template"])
    forms, form = _coded(_forms(fetched))
    # Rows are sorted by key, so that the options of a context are adjacent: a context starts where the key
    # changes, and `position` numbers its options.
    key = np.stack([example, template, form])
    starts = np.flatnonzero(np.r_[True, (key[:, 1:] != key[:, :-1]).any(axis=0)])
    context = np.cumsum(np.r_[True, (key[:, 1:] != key[:, :-1]).any(axis=0)]) - 1
    position = np.arange(len(context)) - starts[context]
    tokens, token = _coded(fetched["option_token"])
    meanings, meaning = _coded(fetched["option_meaning"])
    wrong = _single_options(np.bincount(context), _where(examples, templates, forms, key[:, starts]))
    label = _labels(fetched, meanings, context, meaning, starts, wrong)
    if wrong:
        raise TableError(wrong)
    shape = (len(starts), int(position.max()) + 1)

    def spread(values: Any, empty: float) -> Any:  # noqa: ANN401  (an array of any kind)
        values = np.asarray(np.ma.getdata(values))
        wide = np.full((*values.shape[:-1], *shape), empty, dtype=values.dtype)
        wide[..., context, position] = values
        return wide

    free = fetched.get("log_prob_free")
    cut = np.asarray(np.ma.getdata(fetched["truncated"])) == 1 if "truncated" in fetched else None
    cluster = _coded(fetched["cluster"])[1] if "cluster" in fetched else example
    attributes = [a.at(starts) for a in paired.attributes]
    taken = {a.name for a in attributes}
    truncated = np.zeros((len(paired.arm_runs), shape[0]), bool)
    if cut is not None:
        truncated = np.asarray(spread(cut, False).any(axis=-1))
    return Likelihoods(
        arm_runs=paired.arm_runs,
        tokens=tokens,
        meanings=meanings,
        templates=templates,
        variants=forms,
        example=example[starts],
        template=template[starts],
        variant=form[starts],
        cluster=cluster[starts],
        token=spread(token, NONE),
        meaning=spread(meaning, NONE),
        label=label,
        log_prob=spread(np.ma.getdata(fetched["log_prob"]).astype(np.float64), -np.inf),
        n_tokens=spread(np.ma.getdata(fetched["n_tokens"]).astype(np.float64), 1.0),
        log_prob_free=None if free is None else spread(np.ma.getdata(free).astype(np.float64), -np.inf),
        truncated=truncated,
        attributes=(
            *attributes,
            *_template_attributes(templates, template[starts], forms, form[starts], taken),
        ),
        inputs=paired.inputs,
        problems=(*paired.problems, *_alike(meanings), *_cut(truncated, paired.arm_runs)),
    )


def _forms(fetched: Mapping[str, Any]) -> Any:  # noqa: ANN401  (an array of texts)
    """Return variants [m], with the permutation if a variant has several."""
    variant = np.asarray(np.ma.getdata(fetched["variant"]), dtype=str)
    if "permutation" not in fetched:
        return variant
    permutation = np.asarray(np.ma.getdata(fetched["permutation"]), dtype=str)
    several = {v for v in np.unique(variant) if len(np.unique(permutation[variant == v])) > 1}
    return np.array([f"{v} [{p}]" if v in several else v for v, p in zip(variant, permutation, strict=True)])


def _where(
    examples: Sequence[str], templates: Sequence[str], forms: Sequence[str], key: IntArray
) -> list[str]:
    return [f"example '{examples[e]}', template '{templates[t]}', variant '{forms[f]}'" for e, t, f in key.T]


def _single_options(sizes: IntArray, where: Sequence[str]) -> list[str]:
    """Complain of contexts with a single option, which leave no choice."""
    alone = np.flatnonzero(sizes < 2)
    if not len(alone):
        return []
    return [
        f"{len(alone):,} contexts have one option only (first: {where[alone[0]]}); a choice needs at least "
        "two. (Does 'option_token' distinguish options of equal text?)"
    ]


def _labels(
    fetched: Mapping[str, Any],
    meanings: Sequence[str],
    context: IntArray,
    meaning: IntArray,
    starts: IntArray,
    wrong: list[str],
) -> IntArray:
    """Return the expected meaning [contexts]; complain of one that no option of its context has."""
    label = np.full(len(starts), NONE, dtype=np.int64)
    if "label_meaning" not in fetched:
        return label
    names = np.asarray(np.ma.getdata(fetched["label_meaning"]), dtype=str)
    index = {name: i for i, name in enumerate(meanings)}
    code = np.array([index.get(name, NONE) for name in names])
    label = code[starts]
    unlike = np.flatnonzero(code != label[context])
    if len(unlike):
        wrong.append(f"Column 'label_meaning' differs within {len(unlike):,} rows of a context.")
    has_label = np.zeros(len(starts), bool)
    np.logical_or.at(has_label, context, meaning == label[context])
    lost = np.flatnonzero((names[starts] != "") & ~has_label)
    if len(lost):
        wrong.append(
            f"Column 'label_meaning' names a meaning that no option has in {len(lost):,} contexts (first: "
            f"'{names[starts][lost[0]]}'); its options are "
            f"{', '.join(sorted({meanings[m] for m in meaning[context == lost[0]]}))}."
        )
    return np.asarray(label)


def _template_attributes(
    templates: tuple[str, ...], template: IntArray, forms: tuple[str, ...], form: IntArray, taken: set[str]
) -> list[Attribute]:
    """Build template and variant as attributes, if there are several."""
    factors = {"template": (templates, template), "variant": (forms, form)}
    return [
        Attribute(name, "partition", names, codes)
        for name, (names, codes) in factors.items()
        if len(names) > 1 and name not in taken
    ]


def _alike(meanings: Sequence[str]) -> list[str]:
    """Remark on meanings that differ only in spelling."""
    spellings: dict[str, list[str]] = {}
    for meaning in meanings:
        spellings.setdefault(" ".join(meaning.split()).casefold(), []).append(meaning)
    return [
        f"Column 'option_meaning' holds {' and '.join(map(repr, several))}, which are judged as "
        f"{len(several)} meanings though they differ in capitals or blanks only."
        for several in spellings.values()
        if len(several) > 1
    ]


def _cut(truncated: BoolArray, arm_runs: Sequence[ArmRun]) -> list[str]:
    """Remark on prompts that were cut to fit."""
    worst = int(np.argmax(truncated.sum(axis=1)))
    most = int(truncated[worst].sum())
    if not most:
        return []
    arm, run = arm_runs[worst]
    return [
        f"Up to {most:,} of {truncated.shape[1]:,} prompts were cut to fit the model ('{arm}' run '{run}'); "
        "the text before the answer was cut, never the answer."
    ]
