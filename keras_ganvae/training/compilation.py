"""Whether XLA compiles the steps of a run: as it is set, or as it was measured here."""

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any, NamedTuple

from keras_ganvae.errors import InputError
from keras_ganvae.files import cache_folder, readable, sha256_of_json, write_json
from keras_ganvae.runs import machine
from keras_ganvae.training import loop
from keras_ganvae.training.setup import Setup, feeds

log = logging.getLogger("keras_ganvae")

# Rounding, and so every result, depends on the choice: it must not depend on the noise of a
# measurement.
LEAST_SPEEDUP = 1.1
# A shorter run does not repay the measurement, most of which is XLA's compilation.
LEAST_STEPS = 5000


class Choice(NamedTuple):
    """`jit`, "on" or "off", and the reason."""

    jit: str
    reason: str

    def __str__(self) -> str:
        return f"XLA {self.jit} ({self.reason})"

    def applied(self, setup: Setup) -> Setup:
        """The setup with this `jit` in its config."""
        return dataclasses.replace(setup, config=dataclasses.replace(setup.config, jit=self.jit))


def choose(setup: Setup, model: Any) -> Choice:
    """`jit` as it is set, or for "auto" what was measured to be faster.

    Each machine measures a model once, and keeps the answer in its cache folder.

    Args:
        setup: of the run; steps are timed on its images.
        model: compiled, and as before afterwards.
    """
    if setup.config.jit != "auto":
        return Choice(setup.config.jit, "as set")
    if setup.placement.strategy is not None:
        return Choice("off", "it compiles for one device only")
    if setup.steps_per_epoch * setup.config.epochs < LEAST_STEPS:
        return Choice("off", f"not measured for fewer than {LEAST_STEPS:,} steps")
    file = _file(setup, model)
    speedup = _remembered(file)
    if speedup is None:
        log.info("compilation: measuring XLA, once for this model on this machine")
        training, _ = feeds(setup)
        speedup = round(loop.speedup_of_xla(model, training, setup.placement), 3)
        _remember(file, speedup)
    jit = "on" if speedup >= LEAST_SPEEDUP else "off"
    return Choice(jit, f"{speedup:.2f}x throughput, measured")


def _file(setup, model):
    """Where the answer is kept: by machine, versions, networks, shapes and batch size."""
    facts = {
        "here": machine.here(),
        "model": {**model.get_config(), "seed": None},
        "optimizer": setup.config.optimizer,
        "precision": setup.config.precision,
        "batch_size": setup.config.batch_size,
    }
    return cache_folder("compilation", f"{sha256_of_json(facts)[:16]}.json")


def _remembered(file: Path) -> float | None:
    try:
        speedup = json.loads(readable(file).read_text())["xla_speedup"]
    except (OSError, ValueError, LookupError, TypeError):
        return None  # not measured yet, or damaged
    return speedup if isinstance(speedup, int | float) else None


def _remember(file, speedup):
    try:
        write_json(file, {"xla_speedup": speedup})
    except (OSError, InputError) as error:
        log.warning("compilation: the measurement can't be kept (%s)", error)
