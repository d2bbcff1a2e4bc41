"""The settings of a training run, with their defaults, limits and help texts.

The options of `keras-ganvae train`, the keys of `--config` and `--set`, and `config.json` in
a run folder all derive from the fields of `TrainConfig`. The architecture's preset fills in
a default of None (see `architectures/`), where a comment gives the reason for each value.
"""

import dataclasses
import difflib
import json
import math
import tomllib
import types
import typing
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from keras_ganvae.errors import InputError, first_line
from keras_ganvae.files import readable

PRESETS = ("default", "paper")
OPTIMIZERS = ("adam", "sgd")
SCHEDULES = ("constant", "cosine")
GENERATOR_LOSSES = ("non_saturating", "saturating")
BINARIZATIONS = ("stochastic", "threshold", "none")
PRECISIONS = ("float32", "bfloat16", "float16")
CACHES = ("auto", "memory", "disk", "none")
STRATEGIES = ("auto", "single", "mirrored", "multi-worker")
SAMPLING_PRIORS = ("normal", "mixture")

MIN_IMAGE_SIZE = 4
# Latent dimensions, and height and width of images: a bundle with more is not read.
MAX_SIZE = 4096
MAX_REPLICAS = 256
MAX_INT = 2**31 - 1  # TensorFlow counts in int32
MAX_SHOWN = 100  # characters of a value in an error message

# The group of settings that only one kind of model has.
KIND_GROUPS = {"adversarial": "GAN", "variational": "VAE"}


def option(
    default: typing.Any,
    group: str,
    help: str,
    *,
    choices: Collection[str] | None = None,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
) -> typing.Any:
    """A field of `TrainConfig`.

    Args:
        default: None if the preset has the value or the setting is optional.
        group: where the setting appears in `--help`: "data", "model", "training",
            "hardware", "GAN" or "VAE". The last two belong to one kind of model only.
        help: a phrase for `--help`.
        choices: the allowed texts.
        least: smallest allowed value.
        above: the value must be greater than this.
        most: largest allowed value; None is `MAX_INT` for whole numbers.
    """
    limits = {"choices": choices, "least": least, "above": above, "most": most}
    return field(default=default, metadata={"group": group, "help": help, **limits})


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The settings of one run.

    Raises:
        InputError: a value has the wrong type or is out of range.
    """

    arch: str = option(None, "model", "architecture")
    preset: str = option(
        "default",
        "model",
        "hyperparameters to start from: this project's own or the paper's",
        choices=PRESETS,
    )

    dataset: str = option(
        "auto",
        "data",
        "mnist, any TFDS image data set, folder:DIR, npz:FILE, synthetic, or auto: MNIST if"
        " available, else synthetic",
    )
    data_dir: str | None = option(
        None, "data", "folder of the TFDS data sets (default TFDS_DATA_DIR, else TFDS's own)"
    )
    image_size: int | None = option(
        None,
        "data",
        "resize the images of a folder to N x N pixels",
        least=MIN_IMAGE_SIZE,
        most=MAX_SIZE,
    )
    limit: int | None = option(None, "data", "use at most N images of each split", least=1)
    validation_size: int | None = option(
        None,
        "data",
        "images held out of the training split (default a twelfth of it)",
        least=1,
    )

    cache: str = option(
        "auto",
        "data",
        "where to keep decoded images; none decodes them for each batch",
        choices=CACHES,
    )

    epochs: int | None = option(None, "training", "passes over the training images", least=1)
    batch_size: int | None = option(None, "training", "images per step", least=1)
    latent_dim: int | None = option(None, "model", "dimensions of z", least=1, most=MAX_SIZE)
    learning_rate: float | None = option(
        None, "training", "learning rate of every optimizer", above=0
    )
    optimizer: str | None = option(
        None, "training", "optimizer of every network", choices=OPTIMIZERS
    )
    beta_1: float | None = option(
        None, "training", "Adam's decay rate of the first moment", least=0, most=0.999
    )
    schedule: str | None = option(
        None,
        "training",
        "learning-rate schedule; cosine decays to 1% of the learning rate",
        choices=SCHEDULES,
    )
    # Separate from `epochs`, so that extending a finished run keeps its original schedule.
    schedule_epochs: int | None = option(
        None, "training", "epochs that the schedule spans (default all)", least=1
    )

    generator_loss: str | None = option(
        None,
        "GAN",
        "loss of the generator: non-saturating, or the minimax loss, whose gradient vanishes",
        choices=GENERATOR_LOSSES,
    )
    dropout: bool | None = option(None, "GAN", "dropout in the discriminator")
    gradient_penalty: float | None = option(
        None, "GAN", "weight of the R1 gradient penalty; 0 for none", least=0
    )
    average_decay: float | None = option(
        None,
        "GAN",
        "decay of the EMA of the generator's weights; 0 for no EMA",
        least=0,
        most=0.99999,
    )

    beta: float | None = option(None, "VAE", "weight of the KL divergence in the loss", least=0)
    binarize: str | None = option(
        None, "VAE", "binarization of the pixels in the likelihood", choices=BINARIZATIONS
    )
    sampling_prior: str | None = option(
        None,
        "VAE",
        "where z is sampled from: N(0, I), or a mixture fitted to the aggregate posterior",
        choices=SAMPLING_PRIORS,
    )

    match_contrast: bool | None = option(
        None, "VAE", "scale the decoder's logits so that samples vary as much as the data"
    )

    on_collapse: str = option(
        "warn",
        "training",
        "on mode collapse, posterior collapse or a vanished gradient: warn, or stop the run",
        choices=("warn", "stop"),
    )
    seed: int = option(0, "training", "random seed", least=0)
    precision: str = option(
        "float32",
        "hardware",
        "floating-point type; bfloat16 and float16 train in mixed precision",
        choices=PRECISIONS,
    )
    # Virtual CPU devices train no faster, so `auto` takes several devices only if they are GPUs.
    strategy: str = option(
        "auto",
        "hardware",
        "distribution strategy; auto is mirrored with several GPUs, else single",
        choices=STRATEGIES,
    )
    replicas: int | None = option(
        None,
        "hardware",
        "replicas of the mirrored strategy: GPUs to use, or virtual devices to split the CPU into",
        least=1,
        most=MAX_REPLICAS,
    )
    # Statistics of fewer images make another model.
    sync_batch_norm: bool = option(
        True, "hardware", "compute batch-norm statistics over the global batch, not per replica"
    )
    device: str = option("auto", "hardware", "auto, cpu, gpu, or a list such as gpu:0,gpu:1")
    # Its value changes no result.
    steps_per_execution: int | str = option(
        "auto",
        "hardware",
        "training steps in one call of the graph; auto measures how many take a quarter second",
        choices=("auto",),
        least=1,
    )
    jit: str = option(
        "auto",
        "hardware",
        "compile the training steps with XLA; auto measures once on a machine which is faster",
        choices=("auto", "on", "off"),
    )

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            _check(each, getattr(self, each.name))

    def resolved(self, kind: str, preset: dict[str, typing.Any]) -> "TrainConfig":
        """Fill in the open settings from the architecture's preset.

        Args:
            kind: "adversarial" or "variational".
            preset: values by field name.

        Raises:
            InputError: a setting is given that this kind of model does not have.
        """
        others = set(KIND_GROUPS.values()) - {KIND_GROUPS[kind]}
        for each in dataclasses.fields(self):
            group = each.metadata["group"]
            if group in others and getattr(self, each.name) is not None:
                raise InputError(f"`{each.name}` is a setting of {group}s, not of {self.arch}")
        missing = {name: value for name, value in preset.items() if getattr(self, name) is None}
        config = dataclasses.replace(self, **missing)
        return dataclasses.replace(config, schedule_epochs=config.schedule_epochs or config.epochs)

    def to_dict(self) -> dict[str, typing.Any]:
        """The settings by name, in the order of the fields."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, typing.Any]) -> "TrainConfig":
        """Build a config from values by name.

        Raises:
            InputError: an unknown name or an invalid value.
        """
        for name in values:
            field_named(name)
        return cls(**values)


def field_named(name: str) -> dataclasses.Field:
    """The field of `TrainConfig` with this name.

    Raises:
        InputError: there is none; the message suggests the nearest name.
    """
    fields = {each.name: each for each in dataclasses.fields(TrainConfig)}
    if name not in fields:
        raise InputError(f"unknown setting {shown(name)}{nearest(name, fields)}")
    return fields[name]


def nearest(word: str, known: Collection[str]) -> str:
    """A suggestion such as "; did you mean 'mnist'?", or the list of what is known."""
    close = difflib.get_close_matches(word[:MAX_SHOWN], list(known), n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(known)}"


def shown(value: typing.Any) -> str:
    """A value as error messages show it: its `repr`, shortened if it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # thousands of digits, or of brackets
        return f"this {type(value).__name__}"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def scalar_type(each: dataclasses.Field) -> type:
    """int, float, bool or str: a field's type without `| None` or the words for `| str`."""
    if isinstance(each.type, types.UnionType):
        return next(t for t in typing.get_args(each.type) if t is not types.NoneType)
    return typing.cast(type, each.type)


def is_word_or_number(each: dataclasses.Field) -> bool:
    """Whether a field holds a number or one of its choices."""
    return bool(each.metadata["choices"]) and scalar_type(each) is int


def parse_setting(text: str) -> tuple[str, typing.Any]:
    """Parse KEY=VALUE into a field's name and its typed value.

    Raises:
        InputError: no "=", an unknown key, or an invalid value.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"a setting must be KEY=VALUE, not {shown(text)}")
    return name, _parse(field_named(name), value)


def read_toml(path: str | Path) -> dict[str, typing.Any]:
    """Read settings from a TOML file whose top-level keys are fields of `TrainConfig`.

    Raises:
        InputError: the file can't be read, is not TOML, or has an unknown key.
    """
    try:
        values = tomllib.loads(readable(path).read_text())
    except OSError as error:
        raise InputError(f"can't read config file {path}: {error.strerror}") from error
    except ValueError as error:  # an integer of thousands of digits, too
        raise InputError(f"config file {path} is not TOML: {first_line(error)}") from error
    except RecursionError as error:
        raise InputError(f"config file {path} is nested too deeply") from error
    for name in values:
        field_named(name)
    return values


def _parse(each: dataclasses.Field, text: str) -> typing.Any:
    # `none` is itself a choice of some settings.
    if text.lower() == "none" and "none" not in (each.metadata["choices"] or ()):
        return None
    if scalar_type(each) is str:
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # the latter if it is nested too deeply
        value = text
    _check(each, value)
    return value


TYPE_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def _check(each: dataclasses.Field, value: typing.Any) -> None:
    if value is None:
        if each.default is not None or each.name == "arch":
            raise InputError(f"`{each.name}` must be given")
        return
    expected = scalar_type(each)
    choices = each.metadata["choices"]
    if is_word_or_number(each) and isinstance(value, str):
        if value not in choices:
            words = " or ".join(choices)
            raise InputError(f"`{each.name}` must be a whole number or {words}, not {shown(value)}")
        return
    # An int is a valid float, but True is not a valid int.
    accepted: typing.Any = (int, float) if expected is float else expected
    if not isinstance(value, accepted) or (isinstance(value, bool) and expected is not bool):
        raise InputError(f"`{each.name}` must be {TYPE_NAMES[expected]}, not {shown(value)}")
    if expected is float and not _is_finite(value):
        raise InputError(f"`{each.name}` must be finite, not {shown(value)}")
    if expected is str and not _is_text(value):
        raise InputError(f"`{each.name}` must be UTF-8 without NUL characters, not {shown(value)}")
    limits = each.metadata
    if expected is str and choices and value not in choices:
        raise InputError(f"unknown `{each.name}` {shown(value)}{nearest(value, choices)}")
    if expected in (int, float):
        most = MAX_INT if expected is int else math.inf
        check_range(each.name, value, limits["least"], limits["above"], limits["most"] or most)


def _is_text(value):
    """Whether a string can be a path, and be written as UTF-8."""
    try:
        return b"\0" not in value.encode()
    except UnicodeEncodeError:  # of a file name that is no UTF-8
        return False


def _is_finite(value):
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        return False


def check_range(
    name: str,
    value: float,
    least: float | None = None,
    above: float | None = None,
    most: float = MAX_INT,
) -> None:
    """Check that a setting is at least `least`, greater than `above`, and at most `most`.

    Raises:
        InputError: it is not.
    """
    if least is not None and not value >= least:
        raise InputError(f"`{name}` must be at least {least}, not {shown(value)}")
    if above is not None and not value > above:
        raise InputError(f"`{name}` must be greater than {above}, not {shown(value)}")
    if not value <= most:
        raise InputError(f"`{name}` must be at most {most}, not {shown(value)}")
