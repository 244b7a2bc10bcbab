"""Resolved studies: all defaults are filled in, and lists of options are expanded to arms."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, SerializeAsAny

from evenhand.spec.base import Frozen
from evenhand.spec.names import combination_name

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(min_length=1)]


class Split(Frozen):
    """Shares of the rows in each part; the parts are drawn from the hashed ids."""

    train: Annotated[float, Field(gt=0, lt=1)] = 0.7
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.1
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2
    seed: Annotated[int, Field(ge=0)] = 13


class Dataset(Frozen):
    """The rows of a study.

    Attributes:
        name: a file of `evenhand.datasets`, or of another package.
        config: options of the dataset: an instance of its `Config`.
        split: shares of the parts, unless the dataset defines the parts itself.
        leaks: `refuse` raises an error when two parts share an id, a text or a picture; `tell` reports it.
        smoke: replace the rows by synthetic ones of the same form.
    """

    name: Name
    config: SerializeAsAny[Frozen]
    split: Split = Split()
    leaks: Literal["refuse", "tell"] = "refuse"
    smoke: bool = False


class Model(Frozen):
    """The model that is adapted.

    Attributes:
        name: a hub id, a folder, or a built-in model of evenhand.
        options: options of a built-in model, or `revision` of a hub id.
        label: name in reports: the name, with the options that the study varies.
    """

    name: Name
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)
    label: Name


class Trial(Frozen):
    """One combination of hyperparameters that an arm tries before it is evaluated.

    Attributes:
        name: its varied options: `learning_rate=0.0001,epochs=4`.
        values: the same, by option.
        config: options of the arm's method.
        learning_rate: the peak learning rate.
        epochs: passes over the training rows.
    """

    name: Name
    values: dict[str, JsonValue]
    config: SerializeAsAny[Frozen]
    learning_rate: Positive
    epochs: Count


class Reached(Frozen):
    """The size of a matched arm on one model.

    Attributes:
        model: label of the model.
        value: chosen value of the option that determines the size.
        parameters: number of trained parameters besides those of the head.
        goal: the number that was to be reached.
    """

    model: Name
    value: int | float
    parameters: Count
    goal: Count

    @property
    def ratio(self) -> float:
        """The reached number of parameters divided by the goal."""
        return self.parameters / self.goal


class Match(Frozen):
    """The goal of an arm that is matched by its number of trained parameters, without those of the head.

    Attributes:
        parameters: that number, or the name of the arm that has it.
        option: option of the method that determines the number.
        reached: the sizes that are nearest to the goal, by model; empty until they are chosen.
    """

    parameters: Count | Name
    option: Name
    reached: tuple[Reached, ...] = ()


class Arm(Frozen):
    """One method of adaptation with its options.

    Attributes:
        name: such as `lora[rank=8]`.
        method: a file of `evenhand.finetune.methods`.
        config: options of the method: an instance of its `Config`.
        learning_rate: the peak learning rate.
        epochs: passes over the training rows.
        trials: combinations to try; the one with the best accuracy on the validation rows is evaluated. The
            fields above are then those of the first trial. Empty for an arm without tuning.
        varied: the options that a list gave, with this arm's value of each, in the order of the file.
        match: the number of trained parameters that one option is set to approach; None for other arms.
    """

    name: Name
    method: Name
    config: SerializeAsAny[Frozen]
    learning_rate: Positive
    epochs: Count
    trials: tuple[Trial, ...] = ()
    varied: dict[str, JsonValue] = Field(default_factory=dict)
    match: Match | None = None

    @property
    def entry(self) -> str:
        """The key in the section `methods`, which arms of one sweep share."""
        return self.name.removesuffix(combination_name("", self.varied))

    @property
    def options(self) -> dict[str, JsonValue]:
        """All options that a list can vary, as plain data."""
        rates: dict[str, JsonValue] = {"learning_rate": self.learning_rate, "epochs": self.epochs}
        return {**self.config.model_dump(mode="json"), **rates}

    def with_option(self, name: str, value: float) -> Arm:
        """Return this arm, and its trials, with another value of an option of its method."""
        changed = self.config.model_validate({**self.config.model_dump(), name: value})
        trials = tuple(
            trial.model_copy(
                update={"config": trial.config.model_validate({**trial.config.model_dump(), name: value})}
            )
            for trial in self.trials
        )
        return self.model_copy(update={"config": changed, "trials": trials})

    def on(self, model: str) -> Arm:
        """Return this arm for one model: with the value that was chosen for it, if the arm is matched."""
        if self.match is None:
            return self
        reached = {each.model: each.value for each in self.match.reached}
        return self.with_option(self.match.option, reached[model])

    def with_trial(self, trial: Trial) -> Arm:
        """Return this arm with the values of one trial, and without trials."""
        values = {"config": trial.config, "learning_rate": trial.learning_rate, "epochs": trial.epochs}
        return self.model_copy(update={**values, "trials": ()})


class Training(Frozen):
    """Training options shared by all arms; `evenhand.finetune.Training` documents each."""

    batch_size: Count = 32
    micro_batch: Count | None = None
    weight_decay: Annotated[float, Field(ge=0)] = 0.001
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.01
    clip: Positive = 1.0
    precision: Literal["float32", "bfloat16"] = "float32"
    max_length: Count = 256
    flip: bool = True
    parallel: Literal["data", "fsdp"] = "data"
    gradient_checkpointing: bool = False


class Audit(Frozen):
    """Settings of the audit; `evenhand audit --help` documents each.

    Attributes:
        by: attributes to audit, of those that the dataset has; None selects all of them.
        average: methods whose arms are compared with the reference on average.
    """

    reference: Name
    by: tuple[Name, ...] | None = None
    intersect: tuple[tuple[Name, ...], ...] = ()
    metric: tuple[Name, ...] = ()
    primary: tuple[Name, ...] = ()
    average: tuple[Name, ...] = ()
    margin: Positive | dict[str, Positive] = 0.02
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    error_rate: Literal["familywise", "false_discovery"] = "familywise"
    attribute_weights: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    min_group_size: Count = 10


class Attack(Frozen):
    """A membership inference attack.

    Attributes:
        name: a file of `evenhand.judge.attacks`, or of another package.
        config: options of the attack: an instance of its `Config`.
    """

    name: Name
    config: SerializeAsAny[Frozen]


class Privacy(Frozen):
    """Membership inference: settings for measuring what models leak about their training rows.

    Attributes:
        attacks: attacks that distinguish members of the training set from non-members.
        protocol: `shared`: every arm gets further runs, each on a random half of the training rows, the same
            halves for all arms; each is attacked, with the others of its arm as references. `offline`, as in
            the paper: the runs of the study are attacked, on as many rows as the test part has, half of them
            training rows; references learn from random halves of the remaining training rows.
        references: number of reference models for an attack on one model; `shared` trains one run more.
        seed: seed of the draws, and of the runs on the first half; each further half adds 1.
    """

    attacks: Annotated[tuple[Attack, ...], Field(min_length=1)]
    protocol: Literal["shared", "offline"] = "shared"
    references: Count = 16
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 13

    @property
    def halves(self) -> int:
        """Number of random halves; every arm has a run on each."""
        return self.references + (self.protocol == "shared")


class Study(Frozen):
    """A complete study.

    Attributes:
        name: name of the study and of its folder.
        description: one or several sentences for the report.
        dataset: the rows.
        models: base models; several of them are evaluated separately.
        arms: methods of adaptation, in the order of the file.
        training: training options shared by all arms.
        seeds: seeds of the runs, paired across arms.
        resplit: draw a new split for every seed, instead of one split for the study.
        audit: settings of the audit.
        privacy: settings of membership inference; None without attacks.
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
        """True when an arm selects among trials on the validation rows."""
        return any(arm.trials for arm in self.arms)

    @property
    def split_seeds(self) -> tuple[int, ...]:
        """Seeds that each draw a split; empty when the study has one split."""
        return self.seeds if self.resplit else ()

    def split(self, seed: int) -> Split:
        """Return the split for the runs of a seed."""
        shares = self.dataset.split
        return shares.model_copy(update={"seed": seed}) if self.resplit else shares
