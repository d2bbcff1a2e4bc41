"""Which model of a comparison a claim or a figure uses."""

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from keras_ganvae import architectures

# Settings that the paper's claims vary; all others are free.
VARIED = ("optimizer", "dropout", "generator_loss", "beta")

# Settings that a model must share with the one it is compared with where a claim varies one.
SHARED = ("preset", "epochs", "batch_size", "latent_dim", "binarize")


class Missing(Exception):
    """A claim or a figure needs something that is not there; the message names it."""


class Model(Protocol):
    """What `ModelSelector` selects from."""

    @property
    def label(self) -> str: ...

    @property
    def settings(self) -> dict:
        """Fields of `TrainConfig` with their values."""
        ...


M = TypeVar("M", bound=Model)


class ModelSelector(Generic[M]):
    """Selects models by architecture: the paper's preset first, then the order given."""

    def __init__(self, models: Sequence[M]):
        self.models = sorted(models, key=lambda each: each.settings["preset"] != "paper")

    def find(self, arch: str, like: M | None = None, **changed: object) -> M:
        """The model whose `VARIED` settings are those of its own preset, except `changed`.

        Args:
            arch: the architecture.
            like: a model that it must share the `SHARED` settings with.
            changed: settings with other values than the preset's.

        Raises:
            Missing: there is none.
        """
        candidates = [each for each in self.models if each.settings["arch"] == arch]
        shared = {name: like.settings[name] for name in SHARED} if like else {}
        for model in candidates:
            wanted = preset_settings(model) | shared | changed
            if all(model.settings[name] == value for name, value in wanted.items()):
                return model
        raise Missing(_request(arch, like, changed, bool(candidates)))


def preset_settings(model: Model) -> dict:
    """The `VARIED` settings as the model's own preset has them; None where it has none."""
    settings = model.settings
    preset = architectures.load(settings["arch"]).PRESETS[settings["preset"]]
    return {name: preset.get(name) for name in VARIED}


def _request(arch, like, changed, others_exist):
    if changed:
        changes = " and ".join(f"{name} {value}" for name, value in changed.items())
        return f"a run of {arch} with {changes}" + (
            f", otherwise like {like.label}" if like else ""
        )
    if others_exist:
        return f"a run of {arch} with its preset's {', '.join(VARIED[:-1])} and {VARIED[-1]}"
    return f"a run of {arch}"


def check_equal_settings(first: Model, second: Model, *names: str) -> None:
    """Check that the training histories of two models are comparable.

    Raises:
        Missing: one of the named settings differs.
    """
    for name in names:
        if first.settings[name] != second.settings[name]:
            archs = f"{first.settings['arch']} and {second.settings['arch']}"
            raise Missing(f"runs of {archs} with equal {name}")
