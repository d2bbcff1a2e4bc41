"""Every setting of a training run: its name, default, limits and reason.

The flags of `keras-ganvae train`, the keys of `--config` and `--set`, and `config.json`
in a run folder are all made from the fields of `TrainConfig`. A default of None is
filled in by the architecture's preset (see `architectures/`), where the reason stands.
"""

import dataclasses
import difflib
import json
import math
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path

from keras_ganvae.errors import InputError

PRESETS = ("default", "paper")
OPTIMIZERS = ("adam", "sgd")
SCHEDULES = ("constant", "cosine")
GENERATOR_LOSSES = ("non_saturating", "saturating")
BINARIZATIONS = ("stochastic", "threshold", "none")
PRECISIONS = ("float32", "bfloat16", "float16")
CACHES = ("auto", "memory", "disk", "none")
STRATEGIES = ("auto", "single", "mirrored", "multi-worker")
SAMPLING_PRIORS = ("normal", "mixture")


def option(default, help, *, choices=None, least=None, above=None, most=None, only=None):
    """A field with its limits: `least` <= value <= `most`, value > `above`, one of `choices`.

    `only` names the kind of model ("adversarial", "variational") that the setting is for.
    """
    limits = {"choices": choices, "least": least, "above": above, "most": most, "only": only}
    return field(default=default, metadata={"help": help, **limits})


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of one run. Checked when made: a wrong value raises `InputError`."""

    arch: str = option(None, "the model: gan, dcgan, vae or cvae")
    preset: str = option("default", "the settings to start from", choices=PRESETS)

    dataset: str = option("auto", "mnist, any TFDS name, folder:DIR, npz:FILE, synthetic, or auto")
    data_dir: str | None = option(None, "where TFDS keeps data sets (else TFDS_DATA_DIR)")
    image_size: int | None = option(None, "side to resize a folder's images to", least=4)
    limit: int | None = option(None, "use at most this many images of each split", least=1)
    validation_size: int | None = option(
        None, "images held out of the training split (else a twelfth of it)", least=1
    )

    cache: str = option(
        "auto", "decoded images: in memory, on disk, or made for each batch", choices=CACHES
    )

    epochs: int | None = option(None, "passes over the training images", least=1)
    batch_size: int | None = option(None, "images in one step", least=1)
    latent_dim: int | None = option(None, "dimensions of z", least=1)
    learning_rate: float | None = option(None, "of every optimizer", above=0)
    optimizer: str | None = option(None, "of every network", choices=OPTIMIZERS)
    beta_1: float | None = option(None, "Adam's decay of the mean gradient", least=0, most=0.999)
    schedule: str | None = option(
        None, "of the learning rate: constant, or cosine down to 1 %% of it", choices=SCHEDULES
    )
    # The horizon of `schedule`, kept apart from `epochs` so that extending a finished run
    # does not bend the schedule it was trained with.
    schedule_epochs: int | None = option(None, "epochs the schedule spans", least=1)

    generator_loss: str | None = option(
        None,
        "equation (1) or, to see its gradient vanish, (6)",
        choices=GENERATOR_LOSSES,
        only="adversarial",
    )
    dropout: bool | None = option(None, "dropout in the discriminator", only="adversarial")
    gradient_penalty: float | None = option(
        None,
        "weight of R1, which keeps the discriminator smooth at real images; 0 for none",
        least=0,
        only="adversarial",
    )
    average_decay: float | None = option(
        None,
        "moving average of the generator's weights that images are drawn from; 0 for none",
        least=0,
        most=0.99999,
        only="adversarial",
    )

    beta: float | None = option(None, "weight of the KL in the loss", least=0, only="variational")
    binarize: str | None = option(
        None, "what the likelihood sees", choices=BINARIZATIONS, only="variational"
    )
    sampling_prior: str | None = option(
        None,
        "what a finished run is sampled from unless told otherwise",
        choices=SAMPLING_PRIORS,
        only="variational",
    )

    match_contrast: bool | None = option(
        None,
        "give a finished run's samples the variance of the data",
        only="variational",
    )

    on_collapse: str = option(
        "warn", "when training goes wrong: say so, or stop the run too", choices=("warn", "stop")
    )
    seed: int = option(0, "fixes weights, order, noise: everything", least=0, most=2**31 - 1)
    precision: str = option("float32", "of the arithmetic", choices=PRECISIONS)
    # Parts of one CPU gain nothing, so only GPUs make `auto` take several devices.
    strategy: str = option(
        "auto", "devices to train on (auto: mirrored with more than one GPU)", choices=STRATEGIES
    )
    replicas: int | None = option(
        None, "mirrored: GPUs to use, or parts to divide the CPU into", least=1
    )
    # Without it, statistics are of as many images as a replica has: another model.
    sync_batch_norm: bool = option(True, "statistics of the whole batch, not of each replica's")
    device: str = option("auto", "auto, cpu, gpu, or gpu:0,gpu:1,...")
    jit: str = option("auto", "compile with XLA (auto: as measured)", choices=("auto", "on", "off"))

    def __post_init__(self):
        for each in dataclasses.fields(self):
            _check(each, getattr(self, each.name))

    def resolved(self, kind: str, preset: dict) -> "TrainConfig":
        """Fill what was left open from the architecture's preset.

        Args:
            kind: "adversarial" or "variational".
            preset: values by field name.

        Raises:
            InputError: a setting was given that this kind of model does not have.
        """
        for each in dataclasses.fields(self):
            only = each.metadata["only"]
            if only not in (None, kind) and getattr(self, each.name) is not None:
                raise InputError(f"{each.name} is a setting of {only} models, not of {self.arch}")
        missing = {k: v for k, v in preset.items() if getattr(self, k) is None}
        config = dataclasses.replace(self, **missing)
        return dataclasses.replace(config, schedule_epochs=config.schedule_epochs or config.epochs)

    def to_dict(self) -> dict:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "TrainConfig":
        """Make a config from names and values.

        Raises:
            InputError: an unknown name (with the nearest one), or a wrong value.
        """
        for name in values:
            field_named(name)
        return cls(**values)


def field_named(name: str) -> dataclasses.Field:
    """The field of `TrainConfig` with this name, or InputError with the nearest one."""
    fields = {each.name: each for each in dataclasses.fields(TrainConfig)}
    if name not in fields:
        raise InputError(f"unknown setting '{name}'{nearest(name, fields)}")
    return fields[name]


def nearest(word: str, known) -> str:
    """A suggestion such as "; did you mean 'mnist'?", or the whole short list."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(known)}"


def scalar_type(each: dataclasses.Field) -> type:
    """int, float, bool or str, with the `| None` taken off."""
    if isinstance(each.type, types.UnionType):
        return next(t for t in typing.get_args(each.type) if t is not types.NoneType)
    return each.type


def parse_setting(text: str) -> tuple[str, object]:
    """KEY=VALUE, as given to --set, to the field's name and typed value.

    Raises:
        InputError: no "=", an unknown key, or a value of the wrong type.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--set takes KEY=VALUE, not '{text}'")
    return name, _parse(field_named(name), value)


def read_toml(path) -> dict:
    """Settings from a TOML file whose top-level keys are fields of `TrainConfig`."""
    try:
        values = tomllib.loads(Path(path).read_text())
    except OSError as error:
        raise InputError(f"can't read config file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"config file {path} is not TOML: {error}") from error
    for name in values:
        field_named(name)
    return values


def _parse(each, text):
    if text.lower() == "none":
        return None
    if scalar_type(each) is str:
        return text
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = text
    _check(each, value)
    return value


def _check(each, value):
    if value is None:
        if each.default is not None or each.name == "arch":
            raise InputError(f"{each.name} must be given")
        return
    wanted = scalar_type(each)
    # An int is a fine float, but True is not a fine int.
    right = (int, float) if wanted is float else wanted
    if not isinstance(value, right) or (isinstance(value, bool) and wanted is not bool):
        raise InputError(f"{each.name} must be {_article(wanted)}, not {value!r}")
    if wanted is float and not math.isfinite(value):
        raise InputError(f"{each.name} must be finite, not {value}")
    limits = each.metadata
    if limits["choices"] and value not in limits["choices"]:
        raise InputError(f"unknown {each.name} '{value}'{nearest(value, limits['choices'])}")
    if limits["least"] is not None and not value >= limits["least"]:
        raise InputError(f"{each.name} must be at least {limits['least']}, not {value}")
    if limits["above"] is not None and not value > limits["above"]:
        raise InputError(f"{each.name} must be greater than {limits['above']}, not {value}")
    if limits["most"] is not None and not value <= limits["most"]:
        raise InputError(f"{each.name} must be at most {limits['most']}, not {value}")


def _article(wanted):
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[wanted]
