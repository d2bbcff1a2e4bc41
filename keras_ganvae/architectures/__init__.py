"""The architectures, one file each: its networks and its two presets.

To add one, add a file to this folder; its name becomes the value of the setting `arch`. The file
defines

- `KIND`: the `kind` of its model, "adversarial" or "variational";
- `PRESETS`: {"default": {...}, "paper": {...}}, values of `TrainConfig` fields;
- `WEIGHTS_PER_PIXEL`: by preset, how many weights both networks have at least for each pixel of
  a grey image;
- `build(config, image_shape)`: the model, not compiled.

It gets Keras from `lazy_module`, so that `train --help` can show the presets at once.

Also pin its parameter counts in tests/models/test_architectures.py.
"""

import importlib
import math
import pkgutil
from types import ModuleType
from typing import TYPE_CHECKING, Any

from keras_ganvae.config import MIN_IMAGE_SIZE, TrainConfig, nearest, shown
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
        raise InputError(f"unknown architecture {shown(arch)}{nearest(arch, names())}")
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

    Raises:
        InputError: the images are too small to model, or the model does not fit in memory.
    """
    module = load(config.arch)
    _check_images(config, image_shape, module.WEIGHTS_PER_PIXEL[config.preset])
    return module.build(config, tuple(image_shape))


def _check_images(config, image_shape, weights):
    from keras_ganvae.data.resources import FLOAT, available_memory, readable_size  # NumPy

    height, width, channels = image_shape
    if min(height, width) < MIN_IMAGE_SIZE:
        raise InputError(
            f"images of {height}x{width} pixels are too small: at least {MIN_IMAGE_SIZE} by"
            f" {MIN_IMAGE_SIZE} are needed; `image_size` enlarges them"
        )
    # A step holds the weights and their gradients; of each image, its pixels, the output, and
    # the gradients of both.
    pixel = FLOAT * (2 * weights + 4 * channels * config.batch_size)
    needed, available = height * width * pixel, available_memory()
    if needed > available:
        side = math.isqrt(available // pixel)
        raise InputError(
            f"a {config.arch} for images of {height}x{width} at `batch_size` {config.batch_size}"
            f" takes more than {readable_size(needed)} of memory, and {readable_size(available)}"
            f" are available: reduce `image_size`, to {side} at most, or the batch"
        )
