"""The report that `compare` writes: the content of results.json for people to read.

One HTML file that fetches nothing and runs no script. Everything on it, verdicts included,
comes from the results; the templates lay it out.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass

import jinja2

from keras_ganvae.metrics import definitions
from keras_ganvae.metrics.formatting import PRIOR_NAMES, format_estimate, format_number
from keras_ganvae.paper import figures, pictures
from keras_ganvae.paper.metric_table import MetricTable
from keras_ganvae.paper.statistic import CONFIDENCE, SEEDS

VERDICTS = ("holds", "does not hold", "undecided", "not tested")
GRADIENT_CLAIM = 9  # the claim that the gradients were measured for
HASH_DIGITS = 12

# The picture of the samples from each prior, all under one seed.
SAMPLE_PICTURES = {"normal": "fresh", "mixture": "mixture"}
HEADLINE_METRICS = ("frechet", "coverage")
BINARIZATIONS = {
    "stochastic": "one Bernoulli draw per pixel",
    "threshold": "pixels rounded to 0 or 1",
    "none": "grey pixels: a cross-entropy, not a likelihood, and no bound on one",
}


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
            gradients=figures.gradient_chart(results["gradients"]),
            sample_table=_sample_table(results),
            likelihoods=_likelihoods(models),
            paper_figures=figures.paper_figures(models),
            latent_spaces=[figures.latent_space(model) for model in models],
            training=[
                figures.training_curves(model, f"training-{i}") for i, model in enumerate(models)
            ],
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
    return f"{count} models compared on {data}" if count > 1 else f"One model on {data}"


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
        "Priors": _priors(results),
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
    return " \N{MULTIPLICATION SIGN} ".join(map(str, data["image_shape"]))


def _priors(results):
    if not _any_vae(results):
        return "N(0, I), as in the paper"
    return (
        "N(0, I), as in the paper; for VAEs also a mixture of Gaussians fitted to the aggregate"
        " posterior"
    )


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
    """The prior that the model is sampled from by default."""
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
    spectra: list[figures.Figure]


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
            figures.kl_spectrum(model["label"], numbers["kl_per_dimension"], f"{prefix}-kl-{i}")
            for i, (model, numbers) in enumerate(found)
        ],
    )
