"""Real images: the reference that samples are compared with, and the floor of every metric."""

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from keras_ganvae.data import Dataset
from keras_ganvae.data.resources import check_images_fit
from keras_ganvae.errors import InputError
from keras_ganvae.evaluation.protocol import Settings
from keras_ganvae.metrics import features, pixels
from keras_ganvae.metrics.classes import class_statistics
from keras_ganvae.metrics.distances import frechet_distance, kernel_distance
from keras_ganvae.metrics.estimate import Estimate, of_mean
from keras_ganvae.metrics.features import Features
from keras_ganvae.metrics.neighbours import nearest_distances, precision_recall_density_coverage

# (what is measured, steps done, steps in total) -> None
Progress = Callable[[str, int, int], None]

IMAGE_STEPS = 6  # calls of `advance` by `RealImages.compare`


def stepper(progress: Progress | None, doing: str, total: int) -> Callable[[], None]:
    """A function to call after each of `total` steps, which reports them to `progress`."""
    if progress is None:
        return lambda: None
    done = itertools.count(1)
    progress(doing, 0, total)
    return lambda: progress(doing, next(done), total)


@dataclass(frozen=True)
class RealImages:
    """The real images of a data set, their features, and the settings of the measurement.

    Args:
        dataset: the data set.
        features: what images are compared by.
        settings: settings of the protocol.
        progress: called during the measurement of `floor`.
    """

    dataset: Dataset
    features: Features
    settings: Settings
    progress: Progress | None = field(default=None, compare=False)

    @classmethod
    def of(
        cls, dataset: Dataset, settings: Settings, progress: Progress | None = None
    ) -> "RealImages":
        """Check the sizes of the data set, then load the features.

        Raises:
            InputError: there are too few images or samples, or the features are
                unavailable, see `features.load`.
        """
        _check_sizes(dataset, settings)  # before a classifier is trained or downloaded
        return cls(dataset, features.load(dataset, settings.features), settings, progress)

    @property
    def test_images(self) -> np.ndarray:
        """uint8 (N, H, W, C)."""
        return np.asarray(self.dataset.test.images)

    @functools.cached_property
    def test(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Features and class probabilities of the test images."""
        return self.features.extract(self.test_images)

    @functools.cached_property
    def train_pixels(self) -> np.ndarray:
        """The training images as vectors, float32 in [0, 1]."""
        return _flat(self.dataset.train.images)

    @functools.cached_property
    def train_sample(self) -> np.ndarray:
        """`settings.samples` training images, or all if there are fewer: uint8 (N, H, W, C)."""
        order = np.random.default_rng(self.settings.seed).permutation(len(self.dataset.train))
        return self.dataset.train.images[np.sort(order[: self.settings.samples])]

    @functools.cached_property
    def floor(self) -> dict[str, Estimate]:
        """The metrics of real images, which a perfect model would reach.

        They are those of `train_sample`, except for `nearest_training`, which is that of the
        test images: every training image is at distance 0.
        """
        advance = stepper(self.progress, "floor", IMAGE_STEPS)
        return self.compare(self.train_sample, advance, held_out=self.test_images)

    def compare(
        self,
        images: np.ndarray,
        advance: Callable[[], None] = lambda: None,
        held_out: np.ndarray | None = None,
    ) -> dict[str, Estimate]:
        """Every metric of images, except for the smoothness of their latent space.

        Args:
            images: uint8 (N, H, W, C).
            advance: called after each of `IMAGE_STEPS` steps.
            held_out: images for `nearest_training` if `images` are training images.
        """
        generated, predicted = self.features.extract(images)
        real, real_predicted = self.test
        advance()
        metrics = {"frechet": frechet_distance(generated, real)}
        advance()
        metrics["kernel"] = kernel_distance(generated, real)
        advance()
        metrics |= precision_recall_density_coverage(real, generated, self.settings.neighbours)
        advance()
        if predicted is not None and real_predicted is not None:
            metrics |= class_statistics(predicted, real_predicted, self.settings.seed)
        metrics["sharpness"] = of_mean(pixels.sharpness(images))
        metrics["isolated_pixels"] = of_mean(pixels.isolated_pixels(images))
        metrics["grey_share"] = of_mean(pixels.grey_share(images))
        advance()
        queries = _flat(images if held_out is None else held_out)
        metrics["nearest_training"] = of_mean(nearest_distances(queries, self.train_pixels))
        advance()
        return metrics


def _check_sizes(dataset, settings):
    check_images_fit("samples", settings.samples, dataset.image_shape)
    name = features.resolve(dataset, settings.features)
    dimensions = features.DIMENSIONS[name]
    sizes = {
        "test images": len(dataset.test),
        "training images": len(dataset.train),
        "samples": settings.samples,
    }
    for images, count in sizes.items():
        if count <= dimensions:
            raise InputError(
                f"{count} {images} are too few for the {dimensions} {name} features:"
                f" at least {dimensions + 1} are needed"
            )
        if settings.neighbours >= count:
            raise InputError(
                f"`neighbours` is {settings.neighbours}; it must be less than the {count} {images}"
            )


def _flat(images):
    return images.reshape(len(images), -1).astype(np.float32) / 255
