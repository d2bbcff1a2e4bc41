"""Every metric of `evaluate`: name, unit, direction, meaning, source."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from keras_ganvae.metrics.classes import COVERED_SHARE
from keras_ganvae.metrics.pixels import MARGIN


@dataclass(frozen=True)
class Metric:
    """A row of the tables.

    Args:
        name: what tables call it.
        unit: empty if it has none.
        better: "lower", "higher", or None if neither is good in itself.
        what: its meaning, for the footnote.
        source: paper and equation.
    """

    name: str
    unit: str = ""
    better: str | None = None
    what: str = ""
    source: str = ""


# Of the samples under each prior; the keys are those of evaluation.json.
SAMPLES = {
    "frechet": Metric(
        "Fréchet distance",
        better="lower",
        what="FID-style: squared Fréchet distance of these features, not Inception's, between"
        " the samples and the test images. Biased upwards, by less the more images there are;"
        " the floor has the same bias.",
        source="Heusel et al. 2017, equation 6",
    ),
    "kernel": Metric(
        "KID-style kernel distance",
        better="lower",
        what="Squared maximum mean discrepancy of these features, not"
        " Inception's, under KID's cubic kernel. Unbiased: its expectation is 0 for equal"
        " distributions, so it can be negative.",
        source="Bińkowski et al. 2018, section 4; Gretton et al. 2012, equation 3",
    ),
    "precision": Metric(
        "precision",
        better="higher",
        what="Fidelity: share of samples in the ball of a test image. A ball reaches to the k-th"
        " nearest neighbour in the same set.",
        source="Kynkäänniemi et al. 2019, equation 2",
    ),
    "recall": Metric(
        "recall",
        better="higher",
        what="Diversity: share of test images in the ball of a sample.",
        source="Kynkäänniemi et al. 2019, equation 2",
    ),
    "density": Metric(
        "density",
        what="Number of test images whose ball contains a sample, divided by k. To be compared with"
        " the floor: 1 is expected for equal distributions, more if samples concentrate near"
        " typical images.",
        source="Naeem et al. 2020, equation 3",
    ),
    "coverage": Metric(
        "coverage",
        better="higher",
        what="Share of test images whose ball contains a sample.",
        source="Naeem et al. 2020, equation 4",
    ),
    "modes": Metric(
        "modes covered",
        "classes",
        better="higher",
        what=f"Classes whose share of the samples, as predicted by a classifier, is at least"
        f" {COVERED_SHARE:g} times their share of the test images. Low under mode collapse.",
    ),
    "class_kl": Metric(
        "KL of the class histogram",
        "nats",
        better="lower",
        what="KL divergence of the samples' class histogram from the test images'.",
    ),
    "confidence": Metric(
        "classifier confidence",
        better="higher",
        what="Mean probability of the predicted class: how recognizable the samples are.",
    ),
    "nearest_training": Metric(
        "nearest training image",
        "pixel range",
        what="Mean Euclidean distance to the nearest training image, pixels in [0, 1]. The floor"
        " is that of the test images: far below it, samples are copies of training images; far"
        " above it, they resemble none.",
    ),
    "sharpness": Metric(
        "sharpness",
        "grey per pixel",
        what="Mean slope of edges: sum of squared gradients over sum of gradients. Blurring lowers"
        " it. To be compared with the floor.",
    ),
    "isolated_pixels": Metric(
        "isolated pixels",
        "per image",
        what=f"Pixels lighter or darker than all of their neighbours by more than {MARGIN:g}:"
        " noise. To be compared with the floor.",
    ),
    "grey_share": Metric(
        "grey share",
        what="Share of non-background pixels that are neither dark nor light. To be compared with"
        " the floor.",
    ),
    "smoothness": Metric(
        "smoothness",
        better="higher",
        what="Base-2 logarithm of how much the largest change along a walk between two latents"
        " shrinks when its steps are halved: 1 where images change in proportion to z, 0 where"
        " they jump.",
    ),
}

# Of a VAE under each binarization.
LIKELIHOOD = {
    "negative_elbo": Metric(
        "negative ELBO",
        "nats per image",
        better="lower",
        what="Equation (3), negated: reconstruction plus KL, with one draw of z per image.",
        source="Kingma and Welling 2014",
    ),
    "reconstruction": Metric(
        "reconstruction", "nats per image", what="Equation (4), negated, summed over the pixels."
    ),
    "kl": Metric("KL", "nats per image", what="Equation (5), summed over the latent dimensions."),
    "bound_elbo": Metric(
        "neg. ELBO, IWAE images",
        "nats per image",
        better="lower",
        what="Negative ELBO of the images that the IWAE bound is computed for.",
    ),
    "bound": Metric(
        "IWAE bound",
        "nats per image",
        better="lower",
        what="Importance-weighted upper bound on -log p(x), tighter as K grows.",
        source="Burda et al. 2015, equation 8",
    ),
    "active_units": Metric(
        "active units",
        "dimensions",
        what="Latent dimensions whose posterior mean varies over the images. Few under posterior"
        " collapse.",
        source="Burda et al. 2015, section 5.2",
    ),
}


def listed(known: Mapping[str, Metric], keys: Iterable[str]) -> dict[str, Metric]:
    """The metrics of `keys`, known ones first and in the order of `known`.

    Args:
        known: `SAMPLES` or `LIKELIHOOD`.
        keys: keys of measured values; an unknown one is named after itself.
    """
    measured = dict.fromkeys(keys)
    return {key: metric for key, metric in known.items() if key in measured} | {
        key: Metric(key.replace("_", " ")) for key in measured if key not in known
    }
