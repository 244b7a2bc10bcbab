"""A study as evenhand understands it: every default written out, every list of options made into arms."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, SerializeAsAny

from evenhand.spec.base import Frozen

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(min_length=1)]


class Split(Frozen):
    """Shares of the rows for each part, drawn from the hashed ids."""

    train: Annotated[float, Field(gt=0, lt=1)] = 0.7
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.1
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2
    seed: Annotated[int, Field(ge=0)] = 13


class Dataset(Frozen):
    """Which rows.

    Attributes:
        name: a file of `evenhand.datasets`, or of another package.
        config: the options of that dataset: an instance of its `Config`.
        split: how the rows are split, where the dataset brings no parts of its own.
        leaks: what to do when two parts share an id, a text or a picture.
        smoke: whether made-up rows of the same form stand for the real ones.
    """

    name: Name
    config: SerializeAsAny[Frozen]
    split: Split = Split()
    leaks: Literal["refuse", "tell"] = "refuse"
    smoke: bool = False


class Model(Frozen):
    """Which model is adapted.

    Attributes:
        name: a hub id, a folder, or a model that evenhand makes itself.
        options: of a model that evenhand makes, or `revision` of a hub id.
        label: what reports call it: the name, with the options that the study varies.
    """

    name: Name
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)
    label: Name


class Trial(Frozen):
    """One of the ways that an arm tries before it is judged.

    Attributes:
        name: what sets it apart from the others: `learning_rate=0.0001,epochs=4`.
        values: the same, by option.
        config: the options of the arm's method.
        learning_rate: the highest rate.
        epochs: passes over the training rows.
    """

    name: Name
    values: dict[str, JsonValue]
    config: SerializeAsAny[Frozen]
    learning_rate: Positive
    epochs: Count


class Arm(Frozen):
    """One way of adapting.

    Attributes:
        name: such as `lora[rank=8]`.
        method: a file of `evenhand.finetune.methods`.
        config: the options of that method: an instance of its `Config`.
        learning_rate: the highest rate.
        epochs: passes over the training rows.
        trials: what is tried, and the best taken by its accuracy on the validation rows; what stands above
            is then the first of them. Empty where nothing is tuned.
    """

    name: Name
    method: Name
    config: SerializeAsAny[Frozen]
    learning_rate: Positive
    epochs: Count
    trials: tuple[Trial, ...] = ()

    def tried(self, trial: Trial) -> Arm:
        """This arm with the values of one trial, and none to choose among."""
        values = {"config": trial.config, "learning_rate": trial.learning_rate, "epochs": trial.epochs}
        return self.model_copy(update={**values, "trials": ()})


class Training(Frozen):
    """What is the same for every arm; `evenhand.finetune.Training` says what each means."""

    batch_size: Count = 32
    micro_batch: Count | None = None
    weight_decay: Annotated[float, Field(ge=0)] = 0.001
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.01
    clip: Positive = 1.0
    precision: Literal["float32", "bfloat16"] = "float32"
    max_length: Count = 256
    flip: bool = True


class Audit(Frozen):
    """How the runs are judged; `evenhand audit --help` says what each means.

    Attributes:
        by: attributes to judge, of those that the dataset has; None takes all of them.
    """

    reference: Name
    by: tuple[Name, ...] | None = None
    intersect: tuple[tuple[Name, ...], ...] = ()
    metric: tuple[Name, ...] = ()
    primary: tuple[Name, ...] = ()
    margin: Positive | dict[str, Positive] = 0.02
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    min_group_size: Count = 10


class Attack(Frozen):
    """One way to tell members of a training set from other rows.

    Attributes:
        name: a file of `evenhand.judge.attacks`, or of another package.
        config: the options of that attack: an instance of its `Config`.
    """

    name: Name
    config: SerializeAsAny[Frozen]


class Privacy(Frozen):
    """How it is measured what the arms' models give away of their training rows.

    Attributes:
        attacks: how members are told from non-members.
        protocol: `shared`: further runs on random halves of the training rows, the same halves for every arm;
            each of them is attacked, with those of its arm as references. `offline`, the paper's: the study's
            own runs are attacked, on as many rows as are for testing, half of them training rows; references
            learn from random halves of the training rows that are left.
        references: how many models an attack on one model may learn from: `shared` does one run more than
            that of every arm.
        seed: of the draws; the first half has it as the seed of its runs, the next one the next.
    """

    attacks: Annotated[tuple[Attack, ...], Field(min_length=1)]
    protocol: Literal["shared", "offline"] = "shared"
    references: Count = 16
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 13

    @property
    def halves(self) -> int:
        """Random halves that every arm has a run on."""
        return self.references + (self.protocol == "shared")


class Study(Frozen):
    """A whole study.

    Attributes:
        name: also the name of its folder.
        description: one or several sentences for the report.
        dataset: which rows.
        models: which models; several differ in the quality of the base, and are judged each by itself.
        arms: which ways of adapting, in the order of the file.
        training: what is the same for all of them.
        seeds: one run each, paired across arms.
        resplit: whether every seed draws its own split, with that seed, in place of one for the study.
        audit: how they are judged.
        privacy: how their models are attacked, if they are.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    description: str = ""
    dataset: Dataset
    models: Annotated[tuple[Model, ...], Field(min_length=1)]
    arms: Annotated[tuple[Arm, ...], Field(min_length=1)]
    training: Training = Training()
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    resplit: bool = False
    audit: Audit
    privacy: Privacy | None = None

    @property
    def tuned(self) -> bool:
        """Whether some arm chooses among trials, on the validation rows."""
        return any(arm.trials for arm in self.arms)

    @property
    def own_splits(self) -> tuple[int, ...]:
        """Seeds that draw a split of their own."""
        return self.seeds if self.resplit else ()

    def split(self, seed: int) -> Split:
        """How the rows are split for the runs of a seed."""
        shares = self.dataset.split
        return shares.model_copy(update={"seed": seed}) if self.resplit else shares
