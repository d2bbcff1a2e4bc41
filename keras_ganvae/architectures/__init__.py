"""One file for each architecture: its networks, its two presets, and nothing else.

A file in this folder is an architecture, and its name is what `--arch` takes. It holds

- `KIND`: "adversarial" or "variational";
- `PRESETS`: {"default": {...}, "paper": {...}}, values for fields of `TrainConfig`;
- `build(config, image_shape)`: the `keras.Model`, not compiled.

It imports Keras through `lazy_module`, so that `train --help` can read the presets at once.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from keras_ganvae.config import TrainConfig, nearest
from keras_ganvae.errors import InputError


class _LazyModule:
    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        return getattr(importlib.import_module(self._name), attribute)


def lazy_module(name: str) -> Any:
    """A module that is imported when an attribute of it is first read."""
    return _LazyModule(name)


def names() -> list[str]:
    """The names of the architectures."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def check(arch: str) -> str:
    """The name itself, or InputError with the nearest one."""
    if arch not in names():
        raise InputError(f"unknown architecture '{arch}'{nearest(arch, names())}")
    return arch


def load(arch: str) -> ModuleType:
    """The architecture's module."""
    return importlib.import_module(f"{__name__}.{check(arch)}")


def resolve(config: TrainConfig) -> TrainConfig:
    """The config with every open setting filled in from the architecture's preset."""
    module = load(config.arch)
    return config.resolved(module.KIND, module.PRESETS[config.preset])


def build(config: TrainConfig, image_shape: Sequence[int]) -> Any:
    """The model for images (H, W, C), built with the config's seed, not compiled."""
    return load(config.arch).build(config, tuple(image_shape))
