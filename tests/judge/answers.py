"""Tables of generations and likelihoods, made up for tests."""

from collections.abc import Sequence

import numpy as np


def generations(completions, golds, *, gold_gender, predisposition, stereotype, template=None, ids=None):
    """A dict of columns for one run."""
    n = len(completions)
    return {
        "example_id": list(ids or (f"e{i:05d}" for i in range(n))),
        "template": list(template or (f"t{i}" for i in range(n))),
        "completion": list(completions),
        "references": [[g] for g in golds],
        "gold_gender": list(gold_gender),
        "predisposition": list(predisposition),
        "stereotype": list(stereotype),
    }


def likelihoods(rows: Sequence[tuple], extra: dict[str, Sequence] | None = None):
    """A dict of columns of (example, template, variant, token, meaning, log-probability)."""
    names = ("example_id", "template", "variant", "option_token", "option_meaning", "log_prob")
    told = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    return told | {"n_tokens": [1] * len(rows)} | {k: list(v) for k, v in (extra or {}).items()}


CYCLIC = {2: [(0, 1), (1, 0)], 3: [(0, 1, 2), (1, 2, 0), (2, 0, 1)]}


def answers(examples, prior, belief, *, noise=0.3, own=0.05, template="t", seed=0, arm_seed=0, forms=None):
    """Rows of options whose log-odds are a token's prior plus the example's belief in the meaning.

    Args:
        examples: how many.
        prior: [k] of each token.
        belief: [k] mean of each meaning.
        noise: standard deviation of an example's beliefs, the same in every arm.
        own: standard deviation of an answer's own deviation.
        template: its name.
        seed: of the examples.
        arm_seed: of the deviations.
        forms: which meaning each token has in each form; all cyclic permutations by default.
    """
    shared, mine = np.random.default_rng(seed), np.random.default_rng((1, arm_seed))
    k = len(prior)
    rows = []
    for e in range(examples):
        of = np.asarray(belief) + shared.normal(0, noise, k)
        for f, form in enumerate(forms or CYCLIC[k]):
            odds = np.asarray(prior) + of[list(form)] + mine.normal(0, own, k)
            logs = odds - np.log(np.exp(odds).sum())
            variant = "letters" + ("" if f == 0 else f"_inverted{f}")
            rows += [
                (f"e{e:05d}", template, variant, "ABCD"[i], f"m{form[i]}", float(logs[i])) for i in range(k)
            ]
    return rows
