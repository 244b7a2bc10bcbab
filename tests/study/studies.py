"""Small studies, and what is looked at after them."""

import hashlib
import json
from pathlib import Path

from evenhand import registry
from evenhand.datasets import synthetic_posts
from evenhand.finetune.methods import full, lora
from evenhand.spec.study import Arm, Attack, Audit, Dataset, Model, Privacy, Study

TRAINER = "tests.study.stand_in"


def arm(name, rate=1.0, epochs=2, varied=(), **options):
    method = lora if name.startswith("lora") else full
    return Arm(
        name=name,
        method=method.__name__.rpartition(".")[2],
        config=method.Config(**options),
        learning_rate=rate,
        epochs=epochs,
        varied=dict(varied),
    )


ARMS = (arm("full"), *(arm(f"lora[rank={r}]", rank=r, varied={"rank": r}) for r in (1, 8, 64)))


def study(
    name="small",
    *,
    arms=ARMS,
    seeds=(1, 2),
    models=("words",),
    rows=400,
    leaks="refuse",
    privacy=None,
    **more,
):
    return Study(
        name=name,
        dataset=Dataset(
            name="synthetic_posts",
            config=synthetic_posts.Config(rows=rows, hard_groups={"velm": 0.3}, **more),
            leaks=leaks,
        ),
        models=tuple(Model(name=m, label=m) for m in models),
        arms=arms,
        seeds=seeds,
        audit=Audit(reference="full", metric=("accuracy", "selection_rate"), primary=("accuracy",)),
        privacy=privacy,
    )


def attacked(*attacks, **given):
    """How models are attacked, by names of attacks and their options."""
    each = [one if isinstance(one, dict) else {one: {}} for one in attacks]
    made = [pair for one in each for pair in one.items()]
    return Privacy(
        attacks=tuple(
            Attack(name=name, config=registry.load("evenhand.judge.attacks", name).Config(**options))
            for name, options in made
        ),
        **given,
    )


def contents(folder: Path):
    """Digest of every file that training wrote, by path."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted((folder / "runs").rglob("*"))
        if p.is_file() and p.name != "run.json"
    }


def timeless(result):
    """A result without what differs from one time to the next."""
    plain = json.loads(json.dumps(result))
    del plain["created"]
    for model in plain["models"]:
        del model["audit"]["created"]
        for row in model["cost"]:
            del row["seconds"], row["seconds_total"]
    return plain


def log(folder: Path):
    path = folder / "log"
    return path.read_text().splitlines() if path.exists() else []
