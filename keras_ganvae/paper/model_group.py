"""One side of a comparison: a model with its runs, which differ in their seeds alone."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from keras_ganvae import architectures
from keras_ganvae.config import TrainConfig
from keras_ganvae.errors import InputError
from keras_ganvae.metrics.estimate import Estimate
from keras_ganvae.paper.selection import Missing
from keras_ganvae.paper.statistic import Statistic
from keras_ganvae.runs.run import Run

# Settings in which runs of one model may differ.
NOT_THE_MODEL = ("seed", "data_dir", "on_collapse", "strategy")
# Settings that labels leave out besides: equal for all runs, or implied by other settings.
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
PHRASES = {
    ("dropout", False): "no dropout",
    ("generator_loss", "saturating"): "saturating loss",
    ("optimizer", "sgd"): "SGD",
}
SHORTEST_START = 3  # epochs: changes between fewer say little about stability


@dataclass(frozen=True)
class MeasuredRun:
    """One run, its history (rows of history.csv) and its evaluation (see `measure.evaluate`)."""

    run: Run
    history: list[dict]
    result: dict

    def metric(self, name: str, prior: str = "normal") -> Estimate:
        """A sample metric.

        Raises:
            Missing: the features do not give it; those without classes give no confidence.
        """
        found = self.result["samples"][prior]
        if name not in found:
            raise Missing(f"features that give {name.replace('_', ' ')}")
        return Estimate(**found[name])

    def likelihood(self, name: str) -> Estimate:
        """A mean over the test images, in nats per image, binarized as in training if that
        was measured.

        Raises:
            Missing: no likelihood was measured.
        """
        measured = self.result.get("likelihood")
        if not measured:
            raise Missing("likelihoods")
        own = self.run.config.binarize
        return Estimate(**measured[own if own in measured else next(iter(measured))][name])

    def final(self, name: str) -> Estimate:
        """A logged value after the last epoch; its error is unknown."""
        return Estimate(self.history[-1][name], None)

    def instability(self, names: Sequence[str], fraction: float) -> Estimate:
        """Mean absolute change from epoch to epoch, summed over logged values.

        Args:
            names: logged names.
            fraction: the first part of the epochs, in (0, 1]; `SHORTEST_START` at least.

        Returns:
            NaN for a history of one epoch.
        """
        if len(self.history) < 2:
            return Estimate(math.nan, None)
        rows = self.history[: max(SHORTEST_START, round(fraction * len(self.history)))]
        changes = [np.abs(np.diff([row[name] for row in rows])) for name in names]
        return Estimate(float(sum(each.mean() for each in changes)), None)


@dataclass(frozen=True)
class ModelGroup:
    """A model with its runs, one per seed."""

    label: str
    runs: tuple[MeasuredRun, ...]

    @property
    def first(self) -> Run:
        """The run whose pictures represent the model."""
        return self.runs[0].run

    @property
    def config(self) -> TrainConfig:
        return self.first.config

    @property
    def settings(self) -> dict:
        return self.config.to_dict()

    def over_runs(self, estimate: Callable[[MeasuredRun], Estimate]) -> Statistic:
        """An estimate of each run as one statistic of the model."""
        return Statistic.of_runs([estimate(each) for each in self.runs])

    def averaged(self, section: Callable[[dict], dict]) -> dict:
        """Every {"value", "error"} in a section of the evaluations, over the runs.

        Args:
            section: maps an evaluation to its section, a dict with equal keys for all runs.
        """
        sections = [section(each.result) for each in self.runs]
        averages = {
            name: Statistic.of_runs([Estimate(**each[name]) for each in sections])
            for name, found in sections[0].items()
            if isinstance(found, dict) and set(found) == {"value", "error"}
        }
        return {name: {"value": each.value, "error": each.error} for name, each in averages.items()}


def group_runs(measured: Sequence[MeasuredRun], by_seed: bool = True) -> list[ModelGroup]:
    """Group runs by model, in the order given.

    Args:
        measured: runs of one data set.
        by_seed: put runs that differ in their seeds alone into one group; otherwise each run
            is a group.

    Raises:
        InputError: two runs of one model have the same seed, so they are not independent.
    """
    groups: dict[object, list[MeasuredRun]] = {}
    for i, each in enumerate(measured):
        members = groups.setdefault(_model_of(each.run.config) if by_seed else i, [])
        twin = next((m for m in members if m.run.config.seed == each.run.config.seed), None)
        if twin:
            raise InputError(
                f"{twin.run.path} and {each.run.path} are the same model with the same seed;"
                " leave one out, or do not group runs by seed"
            )
        members.append(each)
    labels = _labels([members[0].run for members in groups.values()])
    return [
        ModelGroup(label, tuple(members))
        for label, members in zip(labels, groups.values(), strict=True)
    ]


def _model_of(config):
    # At a constant learning rate the schedule's span has no effect; extended runs differ in it.
    free = (*NOT_THE_MODEL, "schedule_epochs") if config.schedule == "constant" else NOT_THE_MODEL
    return tuple(value for name, value in config.to_dict().items() if name not in free)


def _labels(runs):
    """Short labels; runs with equal labels add the names of their folders."""
    labels = [describe(run.config) for run in runs]
    return [
        f"{label}, {run.path.name}" if labels.count(label) > 1 else label
        for label, run in zip(labels, runs, strict=True)
    ]


def describe(config: TrainConfig) -> str:
    """The architecture, its preset unless default, and the settings that differ from it."""
    preset = architectures.load(config.arch).PRESETS[config.preset]
    defaults = {each.name: each.default for each in dataclasses.fields(TrainConfig)} | preset
    changed = {
        name: value
        for name, value in config.to_dict().items()
        if name not in NOT_IN_LABELS and value != defaults[name]
    }
    words = [
        PHRASES.get(item) or f"{item[0].replace('_', ' ')} {item[1]}" for item in changed.items()
    ]
    if config.preset != "default":
        words.insert(0, config.preset)
    return f"{config.arch} ({', '.join(words)})" if words else config.arch
