"""What a classifier sees in samples: how many classes, how evenly, how surely."""

import numpy as np

from keras_ganvae.metrics.estimate import Estimate, bootstrap, of_mean

# A class counts as covered with a tenth of the share that it has in the data: less is
# what a classifier's mistakes make.
COVERED_SHARE = 0.1
REPEATS = 200
RARE = 1e-4  # keeps the KL finite: about one image of a test set


def measure(generated, reference, seed) -> dict:
    """The class statistics of samples.

    Args:
        generated, reference: class probabilities of samples and of the data's images,
            (N, K), (M, K).
        seed: of the bootstrap.

    Returns:
        name -> Estimate: `modes`, classes covered, in [0, K]; `class_kl`, nats, the KL
        divergence of the samples' class histogram from the data's, in [0, inf);
        `confidence`, the mean probability of the likeliest class, in [1 / K, 1].
    """
    wanted = shares(reference)
    drawn = generated.argmax(axis=1)

    def estimate(statistic):
        def of(indices):
            return statistic(_histogram(drawn[indices], len(wanted)), wanted)

        error = bootstrap(of, len(drawn), repeats=REPEATS, seed=seed)
        return Estimate(of(slice(None)), error)

    return {
        "modes": estimate(modes),
        "class_kl": estimate(class_kl),
        "confidence": of_mean(generated.max(axis=1)),
    }


def shares(probabilities):
    """The share of each class among the likeliest ones: (N, K) -> (K,), sums to 1."""
    return _histogram(probabilities.argmax(axis=1), probabilities.shape[1])


def modes(drawn, wanted) -> float:
    """Classes with at least `COVERED_SHARE` of their share in the data; both (K,)."""
    return float(((drawn >= COVERED_SHARE * wanted) & (wanted > 0)).sum())


def class_kl(drawn, wanted) -> float:
    """KL(drawn || wanted) in nats; a class that the data lacks counts as `RARE` there."""
    seen = drawn > 0
    return float((drawn[seen] * np.log(drawn[seen] / np.maximum(wanted[seen], RARE))).sum())


def _histogram(classes, count):
    return np.bincount(classes, minlength=count) / len(classes)
