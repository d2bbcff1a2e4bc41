"""Class statistics of samples under a classifier: coverage, balance, confidence."""

from collections.abc import Callable

import numpy as np

from keras_ganvae.metrics.estimate import Estimate, bootstrap, of_mean

# A class counts as covered from a tenth of its share in the data: a classifier's mistakes
# alone give a class less than that.
COVERED_SHARE = 0.1
REPEATS = 200  # bootstrap resamplings
MIN_SHARE = 1e-4  # keeps the KL divergence finite: about one image of a test set


def class_statistics(
    generated: np.ndarray, reference: np.ndarray, seed: int
) -> dict[str, Estimate]:
    """Compare the predicted classes of samples with those of real images.

    Args:
        generated: class probabilities of the samples, (N, K).
        reference: class probabilities of the real images, (M, K).
        seed: random seed of the bootstrap.

    Returns:
        `modes`, the number of classes covered, in [0, K]; `class_kl`, the KL divergence of
        the samples' class histogram from the data's, in nats, in [0, inf); `confidence`,
        the mean probability of the predicted class, in [1 / K, 1].
    """
    classes = reference.shape[1]
    reference_shares = _shares(reference.argmax(axis=1), classes)
    predicted = generated.argmax(axis=1)

    def estimate(statistic: Callable[[np.ndarray, np.ndarray], float]) -> Estimate:
        def resampled(indices):
            return statistic(_shares(predicted[indices], classes), reference_shares)

        error = bootstrap(resampled, len(predicted), repeats=REPEATS, seed=seed)
        return Estimate(resampled(slice(None)), error)

    return {
        "modes": estimate(_modes),
        "class_kl": estimate(_class_kl),
        "confidence": of_mean(generated.max(axis=1)),
    }


def _shares(labels, classes):
    """The share of each class among labels (N,): (classes,), sum 1."""
    return np.bincount(labels, minlength=classes) / len(labels)


def _modes(shares, reference):
    """The number of classes with at least `COVERED_SHARE` of their share in the data."""
    return float(((shares >= COVERED_SHARE * reference) & (reference > 0)).sum())


def _class_kl(shares, reference):
    """KL(shares || reference) in nats, with reference shares of at least `MIN_SHARE`."""
    present = shares > 0
    ratios = shares[present] / np.maximum(reference[present], MIN_SHARE)
    return float((shares[present] * np.log(ratios)).sum())
