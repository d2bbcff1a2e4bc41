"""The ten claims of the paper, each as margins that are above zero where it holds.

A claim's function takes `Models` and yields its parts; verdicts follow from the parts, see
`statistic`. Samples are drawn from N(0, I), as in the paper.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from keras_ganvae.metrics.estimate import Estimate
from keras_ganvae.paper.experiments import CONFIDENT
from keras_ganvae.paper.model_group import MeasuredRun, ModelGroup
from keras_ganvae.paper.selection import Missing, ModelSelector, check_equal_settings
from keras_ganvae.paper.statistic import Statistic, combined, finite, verdict

# The first part of the epochs, where the paper saw the largest changes.
EARLY = 0.25

# "Differ little": by less than this fraction of the loss.
LITTLE = 0.05

# "Few modes": less than this fraction of the classes is covered.
FEW_MODES = 0.5

# "Vanishes": to less than a tenth of the other loss's gradient.
VANISHED = 0.1

# Between a jump (0) and a change in proportion to the step (1).
SMOOTH = 0.5


@dataclass(frozen=True)
class Part:
    """One comparison within a claim.

    Args:
        says: what is claimed, with the statistic in words.
        margin: above zero where that holds, in the statistic's unit.
        values: label -> the statistic of that model.
    """

    says: str
    margin: Statistic
    values: dict[str, Statistic]

    def to_dict(self) -> dict:
        """For JSON."""
        return {
            "says": self.says,
            "margin": finite(self.margin.value),
            "uncertainty": finite(self.margin.uncertainty),
            "error_over": self.margin.error_over,
            "verdict": verdict(self.margin),
            "values": {label: each.to_dict() for label, each in self.values.items()},
        }


class Models(ModelSelector[ModelGroup]):
    """The models that the claims are tested on.

    Args:
        groups: the models of a comparison.
        gradients: `experiments.generator_gradients` of each run of the GAN; empty if there
            is no GAN.
    """

    def __init__(self, groups: Sequence[ModelGroup], gradients: Sequence[list[dict]] = ()):
        super().__init__(groups)
        self.gradients = gradients


Parts = Iterator[Part]


def evaluate_claims(models: Models) -> list[dict]:
    """Every claim with its parts and its verdict, for JSON."""
    return [_evaluate(number, *claim, models) for number, claim in enumerate(CLAIMS, start=1)]


def _evaluate(number, source, title, parts_of, models):
    claim = {"number": number, "source": source, "claim": title}
    try:
        parts = [part.to_dict() for part in parts_of(models)]
    except Missing as missing:
        return claim | {"verdict": "not tested", "needs": str(missing), "parts": []}
    return claim | {"verdict": combined(part["verdict"] for part in parts), "parts": parts}


def _ordered(
    says: str,
    lower: ModelGroup,
    higher: ModelGroup,
    estimate: Callable[[MeasuredRun], Estimate],
) -> Part:
    """The part that claims an estimate of one model to be below another's."""
    low, high = lower.over_runs(estimate), higher.over_runs(estimate)
    return Part(says, high - low, {lower.label: low, higher.label: high})


def _metric(name):
    return lambda run: run.metric(name)


def less_noisy(models: Models) -> Parts:
    says = "isolated pixels per image: fewer in dcgan's samples than in gan's"
    yield _ordered(says, models.find("dcgan"), models.find("gan"), _metric("isolated_pixels"))


def more_stable(models: Models) -> Parts:
    gan, dcgan = models.find("gan"), models.find("dcgan")
    check_equal_settings(gan, dcgan, "epochs")
    logged = {
        "losses (both, nats)": ("generator_loss", "discriminator_loss"),
        "accuracies": ("real_accuracy", "fake_accuracy"),
    }
    for what, names in logged.items():
        for when, fraction in (("in the first quarter", EARLY), ("over all epochs", 1.0)):
            says = f"mean change of the {what} from epoch to epoch, {when}: less in dcgan"
            yield _ordered(says, dcgan, gan, _instability(names, fraction))


def _instability(names, fraction):
    return lambda run: run.instability(names, fraction)


def slightly_lower(models: Models) -> Parts:
    vae, cvae = models.find("vae"), models.find("cvae")
    check_equal_settings(vae, cvae, "epochs", "binarize")
    lower = _ordered(
        "final training loss, nats: lower in cvae", cvae, vae, lambda run: run.final("loss")
    )
    yield lower
    says = "mean change of the loss from epoch to epoch in the first quarter, nats: less in cvae"
    yield _ordered(says, cvae, vae, _instability(("loss",), EARLY))
    difference = lower.margin if lower.margin.value > 0 else 0 - lower.margin
    says = f"their final losses differ by less than {LITTLE:.0%} of the vae's"
    yield Part(says, LITTLE * lower.values[vae.label].value - difference, lower.values)


def mostly_reconstruction(models: Models) -> Parts:
    for arch in ("vae", "cvae"):
        model = models.find(arch)
        fraction = model.over_runs(_reconstruction_fraction)
        says = f"reconstruction term over {arch}'s negative ELBO, test images: above one half"
        yield Part(says, fraction - 0.5, {model.label: fraction})


def _reconstruction_fraction(run: MeasuredRun) -> Estimate:
    """Mean reconstruction over mean negative ELBO; its error by the delta method."""
    reconstruction, kl = run.likelihood("reconstruction"), run.likelihood("kl")
    total = reconstruction.value + kl.value
    errors = (reconstruction.error, kl.error, run.likelihood("negative_elbo").error)
    variances = [error**2 for error in errors if error is not None]
    if len(variances) < len(errors):
        return Estimate(reconstruction.value / total, None)
    # Image by image the negative ELBO is the sum, so the three variances give the covariance.
    of_reconstruction, of_kl, of_sum = variances
    covariance = (of_sum - of_reconstruction - of_kl) / 2
    variance = (
        kl.value**2 * of_reconstruction
        + reconstruction.value**2 * of_kl
        - 2 * reconstruction.value * kl.value * covariance
    )
    return Estimate(reconstruction.value / total, math.sqrt(max(variance, 0.0)) / total**2)


def blurrier(models: Models) -> Parts:
    for arch in ("vae", "cvae"):
        model = models.find(arch)
        says = f"sharpness: lower in {arch}'s samples{_contrast(model)} than in dcgan's"
        yield _ordered(says, model, models.find("dcgan"), _metric("sharpness"))


def _contrast(model):
    """The contrast that a VAE's samples were given, unless 1: it raises their sharpness."""
    contrasts = {each.result.get("contrast", 1) for each in model.runs} - {1}
    listed = ", ".join(f"{each:g}" for each in sorted(contrasts))
    return f" (at contrast {listed}; the paper's have 1)" if contrasts else ""


def more_legible(models: Models) -> Parts:
    for arch in ("vae", "cvae"):
        model = models.find(arch)
        for other in ("gan", "dcgan"):
            says = (
                f"classifier confidence: higher for {arch}'s samples{_contrast(model)}"
                f" than for {other}'s"
            )
            yield _ordered(says, models.find(other), model, _metric("confidence"))
    for other in ("gan", "dcgan", "vae"):
        says = f"Fréchet distance to the test images: lower for cvae's samples than for {other}'s"
        yield _ordered(says, models.find("cvae"), models.find(other), _metric("frechet"))


def continuous(models: Models) -> Parts:
    for arch in ("vae", "cvae"):
        model = models.find(arch)
        order = model.over_runs(_metric("smoothness"))
        says = (
            f"halving the steps of a walk in {arch}'s latent space reduces its largest change"
            f" by more than 2 to the power of {SMOOTH}"
        )
        yield Part(says, order - SMOOTH, {model.label: order})


def collapses(models: Models) -> Parts:
    with_dropout = models.find("gan")
    without = models.find("gan", like=with_dropout, dropout=False)
    modes = without.over_runs(_metric("modes"))
    few = FEW_MODES * without.runs[0].result["floor"]["modes"]["value"]
    says = f"classes drawn without dropout: fewer than {few:g}"
    yield Part(says, few - modes, {without.label: modes})
    # A slightly higher coverage would be no remedy if this model collapsed too.
    modes = with_dropout.over_runs(_metric("modes"))
    says = f"classes drawn with dropout: more than {few:g}"
    yield Part(says, modes - few, {with_dropout.label: modes})
    says = "coverage of the test images: higher with dropout"
    yield _ordered(says, without, with_dropout, _metric("coverage"))


def vanishes(models: Models) -> Parts:
    if not models.gradients:
        raise Missing("a run of gan")
    start = [rows[0] for rows in models.gradients]
    end = [rows[-1] for rows in models.gradients]
    if any(row["fake_probability"] >= CONFIDENT for row in end):
        raise Missing("a discriminator that becomes confident within the experiment")
    ratio = _over_runs([row["saturating"] / row["non_saturating"] for row in end])
    probability = np.mean([row["fake_probability"] for row in end])
    says = (
        f"when D gives G's images a probability of {probability:.3f}, the gradient under"
        f" equation (6) is less than {VANISHED:g} of that under (1)"
    )
    yield Part(says, VANISHED - ratio, {"(6) over (1)": ratio})
    kept = _over_runs(
        [
            after["non_saturating"] / before["non_saturating"]
            for before, after in zip(start, end, strict=True)
        ]
    )
    says = f"the gradient under equation (1) is then above {VANISHED:g} of its initial norm"
    yield Part(says, kept - VANISHED, {"(1), confident D over initial D": kept})


def _over_runs(values):
    return Statistic.of_runs([Estimate(value, None) for value in values])


def needs_adam(models: Models) -> Parts:
    vae, gan = models.find("vae"), models.find("gan")
    vae_sgd = models.find("vae", like=vae, optimizer="sgd")
    gan_sgd = models.find("gan", like=gan, optimizer="sgd")
    says = "negative ELBO of vae, test images, nats: higher with SGD"
    yield _ordered(says, vae, vae_sgd, lambda run: run.likelihood("negative_elbo"))
    says = "Fréchet distance of gan's samples: higher with SGD"
    yield _ordered(says, gan, gan_sgd, _metric("frechet"))


# Source in the paper, claim, and the function that tests it.
CLAIMS = (
    ("Fig. 1", "DCGAN's samples are less noisy than the GAN's.", less_noisy),
    (
        "Fig. 2",
        "DCGAN's losses and accuracies are more stable, above all early in training.",
        more_stable,
    ),
    (
        "Fig. 5",
        "CVAE's final loss is slightly lower than VAE's and its start steadier; otherwise"
        " they differ little.",
        slightly_lower,
    ),
    (
        "Fig. 5",
        "The reconstruction is most of a VAE's loss, the KL the small part.",
        mostly_reconstruction,
    ),
    ("section 4.1", "VAE samples are blurrier, DCGAN samples sharper.", blurrier),
    (
        "section 4.1",
        "VAE samples are more legible than the GANs', and CVAE is the best overall.",
        more_legible,
    ),
    ("section 3.2", "The latent space is continuous.", continuous),
    (
        "section 4.2",
        "The GAN without dropout in D collapses to few modes; dropout remedies it.",
        collapses,
    ),
    (
        "section 4.2",
        "With the saturating loss G's gradient vanishes when D is confident; the"
        " non-saturating loss keeps it.",
        vanishes,
    ),
    ("section 4.2", "Plain SGD does not converge in the time that Adam does.", needs_adam),
)
