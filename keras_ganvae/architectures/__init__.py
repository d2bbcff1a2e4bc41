"""The architectures, one file each: its networks and its two presets.

To add one, add a file to this folder; its name becomes the value of the setting `arch`. The file
defines

- `KIND`: the `kind` of its model, "adversarial" or "variational";
- `PRESETS`: {"default": {...}, "paper": {...}}, values of `TrainConfig` fields;
- `build(config, image_shape)`: the model, not compiled.

It gets Keras from `lazy_module`, so that `train --help` can show the presets at once.

Also pin its parameter counts in tests/models/test_architectures.py.
"""

import importlib
import pkgutil
from types import ModuleType
from typing import TYPE_CHECKING, Any

from keras_ganvae.config import TrainConfig, nearest
from keras_ganvae.errors import InputError

if TYPE_CHECKING:
    from keras_ganvae.models.base import GenerativeModel

# A `TrainConfig` from `resolve`. Its settings are set, though their types include None.
ResolvedConfig = Any


class _LazyModule:
    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        return getattr(importlib.import_module(self._name), attribute)


def lazy_module(name: str) -> Any:
    """A module that is imported when one of its attributes is first read."""
    return _LazyModule(name)


def names() -> list[str]:
    """The names of all architectures."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def check(arch: str) -> str:
    """Return the name of an architecture.

    Raises:
        InputError: there is none of that name; suggests the nearest.
    """
    if arch not in names():
        raise InputError(f"unknown architecture '{arch}'{nearest(arch, names())}")
    return arch


def load(arch: str) -> ModuleType:
    """Import the module of an architecture; does not import Keras."""
    return importlib.import_module(f"{__name__}.{check(arch)}")


def kind_of(arch: str) -> str:
    """The kind of an architecture's model: "adversarial" or "variational"."""
    return load(arch).KIND


def resolve(config: TrainConfig) -> ResolvedConfig:
    """Fill in the settings that are None from the architecture's preset."""
    module = load(config.arch)
    return config.resolved(module.KIND, module.PRESETS[config.preset])


def build(config: ResolvedConfig, image_shape: tuple[int, ...]) -> "GenerativeModel":
    """Build an uncompiled model. Keras's global seed, see `runtime.prepare`, fixes its weights.

    Args:
        config: from `resolve`.
        image_shape: (H, W, C).
    """
    return load(config.arch).build(config, tuple(image_shape))
