"""One side of a comparison: the runs that differ in their seed alone."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from keras_ganvae import architectures
from keras_ganvae.config import TrainConfig
from keras_ganvae.errors import InputError
from keras_ganvae.metrics.estimate import Estimate
from keras_ganvae.paper.spread import Spread
from keras_ganvae.runs.run import Run

# What does not make two runs different models.
NOT_THE_MODEL = ("seed", "data_dir", "on_collapse", "strategy")
# What a label leaves out besides: it is the same for all, or follows from the rest.
NOT_IN_LABELS = (
    *NOT_THE_MODEL,
    "arch",
    "preset",
    "dataset",
    "image_size",
    "limit",
    "validation_size",
    "epochs",
    "schedule_epochs",
    "jit",
)
SAID = {
    ("dropout", False): "no dropout",
    ("generator_loss", "saturating"): "saturating loss",
    ("optimizer", "sgd"): "SGD",
}


class Absent(Exception):
    """A claim needs what was not measured; says what."""


@dataclass(frozen=True)
class Measured:
    """One run with its history (rows of history.csv) and what `evaluate` found."""

    run: Run
    history: list
    result: dict

    def last(self, name) -> float:
        return self.history[-1][name]

    def unrest(self, names, share) -> float:
        """Mean absolute change from epoch to epoch, summed over logged names, in the first
        `share` of the epochs, which is three of them at least."""
        rows = self.history[: max(3, round(share * len(self.history)))]
        return sum(np.abs(np.diff([row[name] for row in rows])).mean() for name in names)


@dataclass(frozen=True)
class Contender:
    """A model with its runs, one for each seed."""

    label: str
    measured: tuple[Measured, ...]

    @property
    def run(self) -> Run:
        """The first, whose pictures stand for all."""
        return self.measured[0].run

    @property
    def config(self) -> TrainConfig:
        return self.run.config

    def number(self, name, prior="normal") -> Spread:
        """A number of `evaluate`: over the runs if there are several, else with its own error.

        Raises:
            Absent: the features don't give it, as those without classes give no confidence.
        """
        if any(name not in each.result["samples"][prior] for each in self.measured):
            raise Absent(f"features that give {name.replace('_', ' ')}")
        found = [each.result["samples"][prior][name] for each in self.measured]
        return Spread.of_runs([Estimate(**each) for each in found])

    def numbers(self, section) -> dict:
        """Every {"value", "error"} of a section of `evaluate`'s results, over the runs.

        Args:
            section: of a result -> dict of names, the same for each run.
        """
        sections = [section(each.result) for each in self.measured]
        spreads = {
            name: Spread.of_runs([Estimate(**each[name]) for each in sections])
            for name, value in sections[0].items()
            if isinstance(value, dict) and set(value) == {"value", "error"}
        }
        return {name: {"value": each.value, "error": each.error} for name, each in spreads.items()}

    def of_runs(self, statistic) -> Spread:
        """A statistic of `Measured`, over the runs; its error is unknown for a single one."""
        return Spread.of_runs([Estimate(float(statistic(each)), None) for each in self.measured])

    def last(self, name) -> Spread:
        """A logged value after the last epoch."""
        return self.of_runs(lambda run: run.last(name))

    def unrest(self, names, share) -> Spread:
        return self.of_runs(lambda run: run.unrest(names, share))


def group(measured, by_seed=True) -> list[Contender]:
    """Runs to contenders, in the order given.

    Args:
        measured: of `Measured`.
        by_seed: take runs that differ in their seed alone as one; else each on its own.

    Raises:
        InputError: two runs of one model have the same seed, so they say nothing of chance.
    """
    groups = {}
    for i, each in enumerate(measured):
        members = groups.setdefault(_model_of(each.run.config) if by_seed else i, [])
        twin = next((m for m in members if m.run.config.seed == each.run.config.seed), None)
        if twin:
            raise InputError(
                f"{twin.run.path} and {each.run.path} are the same model of the same seed;"
                " leave one out, or take each by itself with --no-seeds"
            )
        members.append(each)
    labels = _labels([members[0].run for members in groups.values()])
    return [
        Contender(label, tuple(members))
        for label, members in zip(labels, groups.values(), strict=True)
    ]


def _model_of(config):
    # A constant rate is the same whatever span it was given, as to a run that was extended.
    free = (*NOT_THE_MODEL, "schedule_epochs") if config.schedule == "constant" else NOT_THE_MODEL
    return tuple(v for k, v in config.to_dict().items() if k not in free)


def _labels(runs):
    """Short names; those that would be the same have their folder's name added."""
    labels = [describe(run.config) for run in runs]
    return [
        f"{label}, {run.path.name}" if labels.count(label) > 1 else label
        for label, run in zip(labels, runs, strict=True)
    ]


def describe(config) -> str:
    """A config as the architecture, its preset unless default, and what departs from it."""
    preset = architectures.load(config.arch).PRESETS[config.preset]
    defaults = {each.name: each.default for each in dataclasses.fields(TrainConfig)} | preset
    changed = {
        name: value
        for name, value in config.to_dict().items()
        if name not in NOT_IN_LABELS and value != defaults[name]
    }
    said = [SAID.get(item) or f"{item[0].replace('_', ' ')} {item[1]}" for item in changed.items()]
    if config.preset != "default":
        said.insert(0, config.preset)
    return f"{config.arch} ({', '.join(said)})" if said else config.arch
