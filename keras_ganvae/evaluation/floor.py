"""What samples are measured against: the test images, and real images as the floor."""

import functools
import itertools
from dataclasses import dataclass, field

import numpy as np

from keras_ganvae.errors import InputError
from keras_ganvae.evaluation.protocol import Settings
from keras_ganvae.metrics import classes, pixels
from keras_ganvae.metrics.distances import frechet_estimate, kernel_distance
from keras_ganvae.metrics.estimate import of_mean
from keras_ganvae.metrics.features import DIMENSIONS, Features, choose, named
from keras_ganvae.metrics.neighbours import manifold, nearest_distances

PIECES = 5  # that `Reference.measure` tells of


def counted(progress, doing, total):
    """A function to be called after each of `total` pieces, which `progress` then hears of."""
    if progress is None:
        return _untold
    done = itertools.count(1)
    progress(doing, 0, total)
    return lambda: progress(doing, next(done), total)


def _untold():
    pass


@dataclass(frozen=True)
class Reference:
    """A data set seen through features. `floor` is what real images would reach."""

    dataset: object
    features: Features
    settings: Settings
    progress: object = field(default=None, compare=False)

    @classmethod
    def of(cls, dataset, settings, progress=None):
        """Choose the features, and refuse what they can't measure.

        Args:
            progress: told of the floor's measurement, as by `measure.evaluate`.

        Raises:
            InputError: the data set has too few images, or no labels where they are needed.
        """
        _check_sizes(dataset, settings)  # before a classifier is trained or weights are fetched
        return cls(dataset, choose(dataset, settings.features), settings, progress)

    @functools.cached_property
    def test(self):
        """(features, probabilities) of the test images."""
        return self.features.extract(self.dataset.test.images)

    @functools.cached_property
    def training_pixels(self):
        return _flat(self.dataset.train.images)

    @functools.cached_property
    def real(self) -> np.ndarray:
        """As many training images as samples are drawn, where there are so many."""
        order = np.random.default_rng(self.settings.seed).permutation(len(self.dataset.train))
        return self.dataset.train.images[np.sort(order[: self.settings.samples])]

    @functools.cached_property
    def floor(self) -> dict:
        """The numbers of `real`.

        Their own copies are left out of the nearest training image by taking the test
        set's distances instead.
        """
        told = counted(self.progress, "floor", PIECES + 1)
        found = self.measure(self.real, told)
        return found | self._memorisation(_flat(self.dataset.test.images), told)

    def measure_samples(self, images, told=_untold) -> dict:
        """Every number of generated images, uint8 (N, H, W, C): name -> Estimate.

        Args:
            told: called after each of `PIECES` + 1 pieces.
        """
        return self.measure(images, told) | self._memorisation(_flat(images), told)

    def measure(self, images, told=_untold) -> dict:
        """Those that need no training images.

        Args:
            told: called after each of `PIECES` pieces.
        """
        features, probabilities = self.features.extract(images)
        test, known = self.test
        told()
        found = {"frechet": frechet_estimate(features, test)}
        told()
        found["kernel"] = kernel_distance(features, test)
        told()
        found |= manifold(test, features, self.settings.neighbours)
        told()
        if probabilities is not None:
            found |= classes.measure(probabilities, known, self.settings.seed)
        found["sharpness"] = of_mean(pixels.sharpness(images))
        found["isolated_pixels"] = of_mean(pixels.isolated_pixels(images))
        found["grey_share"] = of_mean(pixels.grey_share(images))
        told()
        return found

    def _memorisation(self, flat, told):
        found = {"nearest_training": of_mean(nearest_distances(flat, self.training_pixels))}
        told()
        return found


def _check_sizes(dataset, settings):
    features = named(dataset, settings.features)
    dimensions = DIMENSIONS[features]
    sizes = {
        "test images": len(dataset.test),
        "training images": len(dataset.train),
        "samples": settings.samples,
    }
    for name, count in sizes.items():
        if count <= dimensions:
            raise InputError(
                f"{count} {name} are too few for the {dimensions} {features} features:"
                f" at least {dimensions + 1} are needed"
            )
        if settings.neighbours >= count:
            raise InputError(f"k {settings.neighbours} must be smaller than the {count} {name}")


def _flat(images):
    return images.reshape(len(images), -1).astype(np.float32) / 255
