"""The ten claims of the paper, each as margins that are above zero where it holds.

A claim's function takes the cast (who plays gan, dcgan, vae, ...) and yields its parts.
Verdicts are computed from the parts, see `spread`. Samples are drawn from N(0, I), as the
paper drew them.
"""

import math
from dataclasses import dataclass

import numpy as np

from keras_ganvae.metrics.estimate import Estimate
from keras_ganvae.paper.contender import Absent
from keras_ganvae.paper.experiments import CONFIDENT
from keras_ganvae.paper.spread import Spread, combined, verdict

EARLY = 0.25  # the first part of the epochs, where the paper saw most unrest

# "Differ little": by less than this share of the loss.
LITTLE = 0.05

# Collapsed "to few modes": this share of the classes is not reached. A class counts where
# its share of the samples is at least a tenth of that of the data.
FEW_MODES = 0.5

# "Vanishes": to less than a tenth of what the other loss gives.
VANISHED = 0.1

# Between a jump (0) and a change in proportion to the step (1).
SMOOTH = 0.5


# What a model must share with the one that differs from it by one setting.
REST = ("preset", "epochs", "batch_size", "latent_dim", "binarize")


@dataclass(frozen=True)
class Part:
    """One comparison of a claim.

    Args:
        says: what is claimed, with the statistic in words.
        margin: above zero where that holds, in the statistic's unit.
        values: the statistic of each model by its label.
    """

    says: str
    margin: Spread
    values: dict

    def to_dict(self):
        return {
            "says": self.says,
            "margin": finite(self.margin.value),
            "uncertainty": finite(self.margin.uncertainty),
            "verdict": verdict(self.margin),
            "values": {
                label: {"value": finite(each.value), "error": finite(each.error)}
                for label, each in self.values.items()
            },
        }


def finite(value):
    """JSON has neither infinity nor NaN, which a history of one epoch gives."""
    return value if value is not None and math.isfinite(value) else None


class Cast:
    """Who plays which part: the paper's layers before others, then the first given.

    Args:
        contenders: of `compare`.
        gradients: `experiments.fading_gradient` of the GAN's runs, or none.
    """

    def __init__(self, contenders, gradients=()):
        self.contenders = sorted(contenders, key=lambda each: each.config.preset != "paper")
        self.gradients = gradients

    def __call__(self, arch, like=None, **unusual):
        """The contender of an architecture, trained as usual but for what is `unusual`.

        Args:
            like: a contender that it must share `REST` with.

        Raises:
            Absent: there is none.
        """
        usual = {"optimizer": "adam", "dropout": (True, None), "beta": (1.0, None)}
        usual |= {"generator_loss": ("non_saturating", None)}
        if like:
            usual |= {name: getattr(like.config, name) for name in REST}
        for contender in self.contenders:
            wanted = {"arch": arch} | usual | unusual
            if all(_is(getattr(contender.config, k), v) for k, v in wanted.items()):
                return contender
        changes = "".join(f", {key} {value}" for key, value in unusual.items())
        rest = f", the rest as in {like.label}" if like else ""
        raise Absent(f"a run of {arch}{changes}{rest}")


def _alike(first, second, *names):
    """Absent unless two contenders share some settings: their histories don't compare else."""
    for name in names:
        if getattr(first.config, name) != getattr(second.config, name):
            raise Absent(f"runs of {first.config.arch} and {second.config.arch} of equal {name}")


def _is(value, wanted):
    return value in wanted if isinstance(wanted, tuple) else value == wanted


def test_all(cast) -> list[dict]:
    """Every claim with its parts and its verdict, fit for JSON."""
    return [_tested(number, *claim, cast) for number, claim in enumerate(CLAIMS, start=1)]


def _tested(number, source, title, parts_of, cast):
    claim = {"number": number, "source": source, "claim": title}
    try:
        parts = [part.to_dict() for part in parts_of(cast)]
    except Absent as absent:
        return claim | {"verdict": "not tested", "needs": str(absent), "parts": []}
    return claim | {"verdict": combined(part["verdict"] for part in parts), "parts": parts}


def _ordered(says, lower, higher, statistic):
    """The part which says that a statistic of one contender is below another's."""
    low, high = statistic(lower), statistic(higher)
    return Part(says, high - low, {lower.label: low, higher.label: high})


def number(name):
    """The statistic that `evaluate` calls `name`, under N(0, I)."""
    return lambda contender: contender.number(name)


def less_noisy(cast):
    says = "isolated pixels in an image: fewer in dcgan's than in gan's"
    yield _ordered(says, cast("dcgan"), cast("gan"), number("isolated_pixels"))


def more_stable(cast):
    gan, dcgan = cast("gan"), cast("dcgan")
    _alike(gan, dcgan, "epochs")
    watched = {
        "losses (both, nats)": ("generator_loss", "discriminator_loss"),
        "accuracies": ("real_accuracy", "fake_accuracy"),
    }
    for what, names in watched.items():
        for when, share in (("in the first quarter", EARLY), ("over all epochs", 1.0)):
            says = f"mean change of the {what} from epoch to epoch, {when}: less in dcgan"
            yield _ordered(says, dcgan, gan, lambda each: each.unrest(names, share))  # noqa: B023


def slightly_lower(cast):
    vae, cvae = cast("vae"), cast("cvae")
    _alike(vae, cvae, "epochs", "binarize")

    def final(contender):
        return contender.last("loss")

    lower = _ordered("final training loss, nats: lower in cvae", cvae, vae, final)
    yield lower
    says = "mean change of the loss from epoch to epoch in the first quarter, nats: less in cvae"
    yield _ordered(says, cvae, vae, lambda each: each.unrest(("loss",), EARLY))
    apart = lower.margin if lower.margin.value > 0 else 0 - lower.margin
    says = f"their final losses differ by less than {LITTLE:.0%} of the vae's"
    yield Part(says, LITTLE * final(vae).value - apart, lower.values)


def mostly_reconstruction(cast):
    for arch in ("vae", "cvae"):
        model = cast(arch)
        share = model.of_runs(lambda run: run.last("reconstruction") / run.last("loss"))
        says = f"share of the reconstruction in {arch}'s final loss: above one half"
        yield Part(says, share - 0.5, {model.label: share})


def blurrier(cast):
    for arch in ("vae", "cvae"):
        says = f"sharpness: lower in {arch}'s samples{_contrast(cast(arch))} than in dcgan's"
        yield _ordered(says, cast(arch), cast("dcgan"), number("sharpness"))


def _contrast(model):
    """What a VAE's images were given, where it was anything: it raises their sharpness."""
    found = {each.result.get("contrast", 1) for each in model.measured} - {1}
    listed = ", ".join(f"{each:g}" for each in sorted(found))
    return f" (at contrast {listed}; the paper's have 1)" if found else ""


def more_legible(cast):
    for arch in ("vae", "cvae"):
        for other in ("gan", "dcgan"):
            says = (
                f"the classifier's confidence: higher for {arch}'s samples"
                f"{_contrast(cast(arch))} than for {other}'s"
            )
            yield _ordered(says, cast(other), cast(arch), number("confidence"))
    for other in ("gan", "dcgan", "vae"):
        says = f"Fréchet distance to the test images: cvae's below {other}'s"
        yield _ordered(says, cast("cvae"), cast(other), number("frechet"))


def continuous(cast):
    for arch in ("vae", "cvae"):
        model = cast(arch)
        order = model.number("smoothness")
        says = (
            f"halving the steps of a walk in {arch}'s latent space shrinks its largest change:"
            f" by more than 2 to the power of {SMOOTH}"
        )
        yield Part(says, order - SMOOTH, {model.label: order})


def collapses(cast):
    with_dropout = cast("gan")
    without = cast("gan", like=with_dropout, dropout=False)
    modes = without.number("modes")
    few = FEW_MODES * without.measured[0].result["floor"]["modes"]["value"]
    says = f"classes drawn without dropout: fewer than {few:g}"
    yield Part(says, few - modes, {without.label: modes})
    # A coverage that is a little higher would be no remedy if it, too, collapsed.
    modes = with_dropout.number("modes")
    says = f"classes drawn with dropout: more than {few:g}"
    yield Part(says, modes - few, {with_dropout.label: modes})
    says = "coverage of the test images: higher with dropout"
    yield _ordered(says, without, with_dropout, number("coverage"))


def vanishes(cast):
    if not cast.gradients:
        raise Absent("a run of gan")
    last = [rows[-1] for rows in cast.gradients]
    if any(row["fake_probability"] >= CONFIDENT for row in last):
        raise Absent("a discriminator that grows confident in time")
    first = [rows[0] for rows in cast.gradients]
    ratio = _over([row["saturating"] / row["non_saturating"] for row in last])
    confidence = np.mean([row["fake_probability"] for row in last])
    says = (
        f"when D gives G's images a probability of {confidence:.3f}, the gradient under"
        f" equation (6) is less than {VANISHED:g} of that under (1)"
    )
    yield Part(says, VANISHED - ratio, {"(6) over (1)": ratio})
    kept = [
        after["non_saturating"] / before["non_saturating"]
        for before, after in zip(first, last, strict=True)
    ]
    kept = _over(kept)
    says = f"the gradient under equation (1) is then above {VANISHED:g} of what it was at the start"
    yield Part(says, kept - VANISHED, {"(1), then over at the start": kept})


def needs_adam(cast):
    vae, gan = cast("vae"), cast("gan")
    slow_vae = cast("vae", like=vae, optimizer="sgd")
    slow_gan = cast("gan", like=gan, optimizer="sgd")
    yield _ordered(
        "final training loss of vae, nats: higher with SGD",
        vae,
        slow_vae,
        lambda each: each.last("loss"),
    )
    says = "Fréchet distance of gan's samples: higher with SGD"
    yield _ordered(says, gan, slow_gan, number("frechet"))


def _over(values):
    return Spread.of_runs([Estimate(value, None) for value in values])


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
