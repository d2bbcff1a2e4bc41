"""What each number that `evaluate` finds is: its name, unit, direction, meaning and source."""

from dataclasses import dataclass

from keras_ganvae.metrics.classes import COVERED_SHARE
from keras_ganvae.metrics.pixels import MARGIN


@dataclass(frozen=True)
class Metric:
    """One row of a table.

    Args:
        better: "lower", "higher", or None where neither is good in itself.
        what: what it says, for the footnote.
    """

    name: str
    unit: str = ""
    better: str | None = None
    what: str = ""
    source: str = ""


SAMPLES = {
    "frechet": Metric(
        "Fréchet distance",
        better="lower",
        what="Distance of the samples' features from the test images', both taken as Gaussian;"
        " squared. Biased upwards by less the more images there are, as the floor is.",
        source="Heusel et al. 2017, equation 6",
    ),
    "kernel": Metric(
        "kernel distance",
        better="lower",
        what="Squared maximum mean discrepancy of the features under a cubic kernel; unbiased,"
        " 0 for equal distributions, so it may fall below 0.",
        source="Bińkowski et al. 2018, section 4; Gretton et al. 2012, equation 3",
    ),
    "precision": Metric(
        "precision",
        better="higher",
        what="Share of samples within reach of a test image: of its k-th nearest neighbour.",
        source="Kynkäänniemi et al. 2019, equation 2",
    ),
    "recall": Metric(
        "recall",
        better="higher",
        what="Share of test images within reach of a sample.",
        source="Kynkäänniemi et al. 2019, equation 2",
    ),
    "density": Metric(
        "density",
        what="Test images within whose reach a sample is, over k. To be compared with the floor: 1"
        " is expected of equal distributions, and more where samples crowd among typical images.",
        source="Naeem et al. 2020, equation 3",
    ),
    "coverage": Metric(
        "coverage",
        better="higher",
        what="Share of test images with a sample within their reach.",
        source="Naeem et al. 2020, equation 4",
    ),
    "modes": Metric(
        "modes covered",
        "classes",
        better="higher",
        what=f"Classes that get {COVERED_SHARE:g} or more of their share in the test images, as"
        " a classifier sees them.",
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
        what="Mean probability of the likeliest class: legibility.",
    ),
    "nearest_training": Metric(
        "nearest training image",
        "pixel range",
        what="Mean Euclidean distance to the nearest training image, pixels from 0 to 1. Far"
        " below the floor, which is that of the test images, samples are copies; far above,"
        " they are unlike any.",
    ),
    "sharpness": Metric(
        "sharpness",
        "grey per pixel",
        what="Mean slope of the edges: sum of squared gradients over sum of gradients; blurring"
        " lowers it. To be compared with the floor.",
    ),
    "isolated_pixels": Metric(
        "isolated pixels",
        "per image",
        what=f"Pixels lighter or darker than all their neighbours by {MARGIN:g} of the range:"
        " noise. To be compared with the floor.",
    ),
    "grey_share": Metric(
        "grey share",
        what="Share of the pixels that are not background which are neither dark nor light. To"
        " be compared with the floor.",
    ),
    "smoothness": Metric(
        "smoothness",
        better="higher",
        what="Base-2 logarithm of how the largest change on a walk between two latents shrinks"
        " when its steps are halved: 1 where images move in proportion to z, 0 where they jump.",
    ),
}

LIKELIHOOD = {
    "negative_elbo": Metric(
        "negative ELBO",
        "nats per image",
        better="lower",
        what="Equation (3), negated: reconstruction plus KL, one draw of z an image.",
        source="Kingma and Welling 2014",
    ),
    "reconstruction": Metric(
        "reconstruction", "nats per image", what="Equation (4), negated, summed over the pixels."
    ),
    "kl": Metric("KL", "nats per image", what="Equation (5), summed over the latent dimensions."),
    "bound_elbo": Metric(
        "neg. ELBO, bound's images",
        "nats per image",
        better="lower",
        what="The negative ELBO of the images that have a bound, to hold it against.",
    ),
    "bound": Metric(
        "importance-weighted bound",
        "nats per image",
        better="lower",
        what="Bound on -log p(x) that falls towards it as K grows.",
        source="Burda et al. 2015, equation 8",
    ),
    "active_units": Metric(
        "active units",
        "dimensions",
        what="Latent dimensions whose posterior mean varies over the images.",
        source="Burda et al. 2015, section 5.2",
    ),
}


def listed(known, found) -> dict:
    """The metrics that occur, in the order known; names that aren't known stand for themselves.

    Args:
        known: name -> Metric.
        found: names.
    """
    found = dict.fromkeys(found)
    return {k: v for k, v in known.items() if k in found} | {
        name: Metric(name.replace("_", " ")) for name in found if name not in known
    }
