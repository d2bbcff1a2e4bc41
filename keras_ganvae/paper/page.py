"""The report that `compare` writes: the content of results.json for people to read.

One HTML file that fetches nothing and runs no script. Everything on it, verdicts included,
comes from the results; the templates lay it out.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jinja2
from markupsafe import Markup

from keras_ganvae.metrics import definitions
from keras_ganvae.metrics.formatting import PRIOR_NAMES, format_estimate, format_number
from keras_ganvae.paper import charts, pictures
from keras_ganvae.paper.metric_table import MetricTable
from keras_ganvae.paper.selection import Missing, ModelSelector
from keras_ganvae.paper.statistic import CONFIDENCE, SEEDS
from keras_ganvae.plots.curves import ACCURACIES, ELBO_TERMS, GENERATOR_EQUATION

VERDICTS = ("holds", "does not hold", "undecided", "not tested")
GRADIENT_CLAIM = 9  # the claim that the gradients were measured for
HASH_DIGITS = 12

# The picture of the samples from each prior, all under one seed.
SAMPLE_PICTURES = {"normal": "fresh", "mixture": "mixture"}
HEADLINE_METRICS = ("frechet", "coverage")
PANELS = {
    "originals": "ground truth (test images)",
    "reconstructions": "reconstruction",
    "fresh": "samples from N(0, I)",
}
GRIDS = {
    "fixed": "samples from N(0, I), fixed noise",
    "fresh": "samples from N(0, I), fresh noise",
}
LATENT_SPACE = {
    "mixture": "samples from the fitted mixture",
    "walks": "interpolation: each row walks between two draws from N(0, I)",
    "traversals": "traversals: each row moves one latent dimension, the most active first",
}
LOSSES = ("generator_loss", "discriminator_loss")
BINARIZATIONS = {
    "stochastic": "one Bernoulli draw per pixel",
    "threshold": "pixels rounded to 0 or 1",
    "none": "grey pixels: a cross-entropy, not a likelihood, and no bound on one",
}


@dataclass(frozen=True)
class Figure:
    """A picture (`src`, a data URI) or a chart (`svg`) with its caption and legend."""

    caption: str = ""
    alt: str = ""
    src: str | None = None
    svg: Markup | None = None
    legend: Sequence[str] = ()
    has_validation: bool = False


@dataclass(frozen=True)
class Column:
    """Figures of one model, below its label."""

    label: str
    figures: list[Figure]


@dataclass(frozen=True)
class ReportModel:
    """An entry of the results' `models`, as `ModelSelector` wants it."""

    entry: dict

    @property
    def label(self) -> str:
        return self.entry["label"]

    @property
    def settings(self) -> dict:
        return self.entry["settings"]


def render(results: dict) -> str:
    """The report as HTML.

    Args:
        results: the content of results.json, see `compare.assemble`.
    """
    models = results["models"]
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            title=_title(results),
            protocol=results["protocol"],
            protocol_rows=_protocol_rows(results),
            sample_cards=_sample_cards(results),
            sample_seed=pictures.FRESH_SEED,
            panel=pictures.PANEL,
            claims=results["claims"],
            verdict_counts=_verdict_counts(results["claims"]),
            confidence=CONFIDENCE,
            gradient_claim=GRADIENT_CLAIM,
            gradients=_gradients(results["gradients"]),
            sample_table=_sample_table(results),
            likelihoods=_likelihoods(models),
            paper_figures=_paper_figures(models),
            latent_spaces=[_pictures_of(model, LATENT_SPACE) for model in models],
            training=[_training(model, f"training-{i}") for i, model in enumerate(models)],
            models=models,
            commands=results["commands"],
        )
        + "\n"
    )


def _environment():
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("keras_ganvae.paper"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=format_number,
        short_hash=lambda text: text[:HASH_DIGITS],
        signed=_signed,
        figure_of=_figure_of,
    )
    environment.globals.update(written=_written)
    return environment


def _written(found: dict | float | None) -> tuple[str | None, str | None]:
    """A {"value", "error"} or a plain number as text; (None, None) if unknown."""
    value, error = (found["value"], found["error"]) if isinstance(found, dict) else (found, None)
    return (None, None) if value is None else format_estimate(value, error)


def _signed(part: dict) -> str:
    """The margin of a claim's part with its sign."""
    text, _ = format_estimate(part["margin"], part["uncertainty"])
    return f"+{text}" if part["margin"] > 0 and text.strip("0.") else text


def _figure_of(source: str) -> str | None:
    """The number of the paper's figure that a claim's source names, such as "Fig. 2"."""
    figure = re.fullmatch(r"Fig\. (\d)", source)
    return figure and figure[1]


def _title(results):
    count, data = len(results["models"]), results["protocol"]["data"]["name"]
    return f"{count} models of {data} compared" if count > 1 else f"One model of {data}"


def _protocol_rows(results):
    """Term and description of everything that the numbers depend on."""
    protocol = results["protocol"]
    data, features = protocol["data"], protocol["features"]
    seeds = sorted({run["seed"] for model in results["models"] for run in model["runs"]})
    note = f" ({features['note']})" if features["note"] else ""
    rows = {
        "Data": f"{data['name']}, {_shape(data)} pixels, {data['train']:,} training images and"
        f" {data['test']:,} test images, fingerprint {data['fingerprint'][:HASH_DIGITS]}",
        "Samples": f"{protocol['samples']:,} from each prior, compared with the"
        f" {protocol['split']} images; k = {protocol['neighbours']}, seed {protocol['seed']}",
        "Floor": f"the same metrics of {protocol['floor_images']:,} real training images",
        "Features": f"{features['name']}, {features['dimensions']} dimensions, weights"
        f" {features['hash'][:HASH_DIGITS]}{note}",
        "Priors": "N(0, I), as in the paper"
        + (
            "; for VAEs also a mixture of Gaussians fitted to the aggregate posterior"
            * _any_vae(results)
        ),
        "Likelihood": _likelihood_protocol(results),
        "Errors": "± one standard error: over seeds for a model with several runs, else over"
        " images",
        "Training seeds": ", ".join(map(str, seeds)),
        "Versions": ", ".join(f"{name} {text}" for name, text in protocol["versions"].items()),
    }
    return {term: text for term, text in rows.items() if text}


def _any_vae(results):
    return any(model["variational"] for model in results["models"])


def _shape(data):
    return " × ".join(map(str, data["image_shape"]))  # noqa: RUF001


def _likelihood_protocol(results):
    if not _any_vae(results):
        return None
    protocol = results["protocol"]
    binarized = "; ".join(f"{name}: {BINARIZATIONS[name]}" for name in protocol["binarize"])
    text = (
        f"nats per image, mean of the {protocol['data']['test']:,} test images; binarization"
        f" {binarized}"
    )
    if set(protocol["binarize"]) == {"none"}:
        return text
    return (
        f"{text}; IWAE bound with K = {protocol['importance_samples']:,} samples for each of the"
        f" first {protocol['bound_images']:,} images"
    )


# Samples


@dataclass(frozen=True)
class Gauge:
    """A bar with its error and the floor, as percentages of the scale."""

    value: float
    low: float
    high: float
    floor: float


@dataclass(frozen=True)
class Headline:
    """A metric below the samples of a model."""

    metric: definitions.Metric
    found: dict
    floor: dict
    gauge: Gauge | None


@dataclass(frozen=True)
class SampleCard:
    """A model's samples from one prior and their most telling metrics."""

    model: dict
    prior: str
    src: str
    headlines: list[Headline]


def _sample_cards(results):
    priors = [_sampling_prior(model) for model in results["models"]]
    chosen = [
        model["samples"][prior] for model, prior in zip(results["models"], priors, strict=True)
    ]
    scales = {name: _scale(name, [*chosen, results["floor"]]) for name in HEADLINE_METRICS}
    return [
        SampleCard(
            model,
            PRIOR_NAMES[prior],
            model["pictures"][SAMPLE_PICTURES[prior]],
            [
                Headline(
                    definitions.SAMPLES[name],
                    samples[name],
                    results["floor"][name],
                    _gauge(samples[name], results["floor"][name], scales[name]),
                )
                for name in HEADLINE_METRICS
            ],
        )
        for model, prior, samples in zip(results["models"], priors, chosen, strict=True)
    ]


def _sampling_prior(model):
    """The prior that the model is sampled from unless another is asked for."""
    prior = model["settings"].get("sampling_prior")
    return prior if prior in model["samples"] else "normal"


def _scale(name, columns):
    """The largest value of a metric with its error; 1 for shares."""
    ends = [each[name]["value"] + (each[name]["error"] or 0) for each in columns]
    return max([1.0 if name == "coverage" else 1e-9, *filter(math.isfinite, ends)])


def _gauge(found, floor, scale):
    value, error = found["value"], found["error"] or 0
    if not math.isfinite(value):
        return None
    low, high = max(value - error, 0.0), value + error
    return Gauge(*(round(100 * each / scale, 2) for each in (value, low, high, floor["value"])))


# Claims


def _verdict_counts(claims):
    counts = Counter(claim["verdict"] for claim in claims)
    return {verdict: counts[verdict] for verdict in VERDICTS if counts[verdict]}


def _gradients(runs):
    if not runs:
        return None
    return Figure(
        "G's gradient while D alone learns, from the initial weights on the left to a confident"
        " D on the right; one dot per step, one line per seed.",
        svg=charts.gradients(
            "gradients",
            runs,
            alt="Norm of G's gradient under equations (1) and (6) as D becomes confident",
        ),
        legend=list(charts.GRADIENTS.values()),
    )


# Numbers


def _sample_table(results):
    columns = [
        (model, PRIOR_NAMES.get(prior, prior), numbers)
        for model in results["models"]
        for prior, numbers in model["samples"].items()
    ]
    return MetricTable.of(
        definitions.SAMPLES, _labelled(columns), "sample metrics", "note", results["floor"]
    )


def _labelled(columns):
    return [
        (model["label"], _error_note(model), below, numbers) for model, below, numbers in columns
    ]


def _error_note(model):
    count = len(model["runs"])
    return f"± over {count} seeds" if model["error_over"] == SEEDS else "1 run, ± over images"


@dataclass(frozen=True)
class Likelihood:
    """Likelihoods under one binarization."""

    title: str
    table: MetricTable
    spectra: list[Figure]


def _likelihoods(models):
    measured = dict.fromkeys(name for model in models for name in model["likelihood"])
    return [_likelihood(name, models) for name in measured]


def _likelihood(binarization, models):
    found = [
        (model, model["likelihood"][binarization])
        for model in models
        if binarization in model["likelihood"]
    ]
    columns = [
        (model, "", {k: v for k, v in numbers.items() if k in definitions.LIKELIHOOD})
        for model, numbers in found
    ]
    title = f"Binarization {binarization}: {BINARIZATIONS[binarization]}"
    prefix = f"likelihood-{binarization}"
    return Likelihood(
        title,
        MetricTable.of(definitions.LIKELIHOOD, _labelled(columns), title, prefix),
        [
            _spectrum(f"{prefix}-kl-{i}", model["label"], numbers["kl_per_dimension"])
            for i, (model, numbers) in enumerate(found)
        ],
    )


def _spectrum(identity, label, values):
    listed = ", ".join(f"{value:.2f}" for value in sorted(values, reverse=True))
    alt = f"{label}: KL per latent dimension in nats, largest first: {listed}"
    chart = charts.bars(identity, values, alt=alt, xlabel="dimension, by KL", ylabel="nats")
    return Figure(f"{label}: KL of each of {len(values)} dimensions, first run", svg=chart)


# The paper's figures


@dataclass(frozen=True)
class PaperFigure:
    """A figure of the paper, redrawn; `missing` names the models that it lacks."""

    number: int
    caption: str
    missing: list[str]
    columns: list[Column]


def _paper_figures(models):
    selector = ModelSelector([ReportModel(each) for each in models])
    figures = []
    for number, (caption, archs, draw) in enumerate(FIGURES, start=1):
        found, missing = [], []
        for arch in archs:
            try:
                found.append(selector.find(arch).entry)
            except Missing as error:
                missing.append(str(error))
        figures.append(PaperFigure(number, caption, missing, draw(found, f"figure-{number}")))
    return figures


def _picture(model, name, caption):
    return Figure(caption, f"{model['label']}: {caption}", src=model["pictures"][name])


def _pictures_of(model, captions):
    return Column(
        model["label"],
        [_picture(model, *each) for each in captions.items() if each[0] in model["pictures"]],
    )


def _grids(models, identity):
    return [_pictures_of(model, GRIDS) for model in models]


def _panels(models, identity):
    return [_pictures_of(model, PANELS) for model in models]


def _game_curves(models, identity):
    """Losses above accuracies, on one scale for all models."""
    limits = charts.shared_limits(_histories(*models), LOSSES)
    return [
        Column(model["label"], _game(model, f"{identity}-{i}", limits))
        for i, model in enumerate(models)
    ]


def _game(model, identity, limits=None):
    losses = {
        "generator_loss": "generator, equation"
        f" {GENERATOR_EQUATION[model['settings']['generator_loss']]}",
        "discriminator_loss": "discriminator, equation (2)",
    }
    return [
        _curves(model, f"{identity}-loss", losses, "nats per image", "losses", limits),
        _curves(
            model,
            f"{identity}-accuracy",
            ACCURACIES,
            "accuracy",
            "discriminator accuracy by images",
            (0, 1.02),
        ),
    ]


def _elbo_curves(models, identity):
    """One chart per term, on one scale for all models."""
    histories = _histories(*models)
    limits = {name: charts.shared_limits(histories, [name]) for name in ELBO_TERMS}
    return [
        Column(
            model["label"],
            [
                _curves(
                    model,
                    f"{identity}-{i}-{name}",
                    {name: said},
                    "nats per image",
                    "",
                    limits[name],
                )
                for name, said in reversed(ELBO_TERMS.items())
            ],
        )
        for i, model in enumerate(models)
    ]


def _histories(*models):
    return [run["history"] for model in models for run in model["runs"]]


def _curves(model, identity, names, ylabel, caption, limits=None):
    histories = _histories(model)
    alt = f"{model['label']}: {', '.join(names.values())} over the epochs"
    return Figure(
        caption,
        svg=charts.curves(identity, histories, names, alt=alt, ylabel=ylabel, limits=limits),
        legend=list(names.values()),
        has_validation=any(charts.has_validation(histories, name) for name in names),
    )


Draw = Callable[[list[dict], str], list[Column]]

# Caption, architectures, and the function that draws their columns.
FIGURES: tuple[tuple[str, tuple[str, ...], Draw], ...] = (
    ("Samples of the GAN and of the DCGAN", ("gan", "dcgan"), _grids),
    (
        "Losses and discriminator accuracy of the GAN and of the DCGAN",
        ("gan", "dcgan"),
        _game_curves,
    ),
    ("The VAE: ground truth, reconstruction, samples", ("vae",), _panels),
    ("The CVAE: ground truth, reconstruction, samples", ("cvae",), _panels),
    ("Loss terms of the VAE and of the CVAE", ("vae", "cvae"), _elbo_curves),
)


def _training(model, identity):
    if model["variational"]:
        return Column(model["label"], [_curves(model, identity, ELBO_TERMS, "nats per image", "")])
    return Column(model["label"], _game(model, identity))
