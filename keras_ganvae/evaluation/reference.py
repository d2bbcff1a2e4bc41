"""What samples are measured against: the test images, and real images as the floor."""

import functools
from dataclasses import dataclass

import numpy as np

from keras_ganvae.errors import InputError
from keras_ganvae.evaluation import classes, pixels
from keras_ganvae.evaluation.distances import frechet_estimate, kernel_distance
from keras_ganvae.evaluation.estimate import of_mean
from keras_ganvae.evaluation.features import Features, choose
from keras_ganvae.evaluation.neighbours import manifold, nearest_distances
from keras_ganvae.evaluation.protocol import Settings


@dataclass(frozen=True)
class Reference:
    """A data set seen through features. `floor` is what real images would reach."""

    dataset: object
    features: Features
    settings: Settings

    @classmethod
    def of(cls, dataset, settings):
        """Choose the features, and refuse what they can't measure.

        Raises:
            InputError: the data set has too few images, or no labels where they are needed.
        """
        features = choose(dataset, settings.features)
        sizes = {
            "test images": len(dataset.test),
            "training images": len(dataset.train),
            "samples": settings.samples,
        }
        for name, count in sizes.items():
            if count <= features.dimensions:
                raise InputError(
                    f"{count} {name} are too few for the {features.dimensions} {features.name}"
                    f" features: at least {features.dimensions + 1} are needed"
                )
            if settings.neighbours >= count:
                raise InputError(f"k {settings.neighbours} must be smaller than the {count} {name}")
        return cls(dataset, features, settings)

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
        test_pixels = _flat(self.dataset.test.images)
        return self.measure(self.real) | self._memorisation(test_pixels)

    def measure_samples(self, images) -> dict:
        """Every number of generated images, uint8 (N, H, W, C): name -> Estimate."""
        return self.measure(images) | self._memorisation(_flat(images))

    def measure(self, images) -> dict:
        """Those that need no training images."""
        found, probabilities = self.features.extract(images)
        test, known = self.test
        seed = self.settings.seed
        return {
            "frechet": frechet_estimate(found, test),
            "kernel": kernel_distance(found, test),
            **manifold(test, found, self.settings.neighbours),
            **({} if probabilities is None else classes.measure(probabilities, known, seed)),
            "sharpness": of_mean(pixels.sharpness(images)),
            "isolated_pixels": of_mean(pixels.isolated_pixels(images)),
            "grey_share": of_mean(pixels.grey_share(images)),
        }

    def _memorisation(self, flat):
        return {"nearest_training": of_mean(nearest_distances(flat, self.training_pixels))}


def _flat(images):
    return images.reshape(len(images), -1).astype(np.float32) / 255
