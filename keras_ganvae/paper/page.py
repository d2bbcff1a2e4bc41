"""The page that `compare` writes: what results.json holds, for people to read.

One HTML file that refers to nothing outside itself and runs no script. All of it is made
from the results alone, verdicts included.
"""

import re
from collections import Counter
from importlib import resources
from types import SimpleNamespace

from keras_ganvae.metrics import definitions as metrics
from keras_ganvae.paper import charts, tables
from keras_ganvae.paper.claims import Absent, Cast
from keras_ganvae.paper.markup import document, tag
from keras_ganvae.paper.spread import CONFIDENCE
from keras_ganvae.plots.curves import ACCURACIES, ELBO_TERMS, GENERATOR_EQUATION

PRIORS = {"normal": "N(0, I)", "mixture": "mixture"}

# Of each model, by name, in this order.
PICTURES = {
    "fixed": "samples from N(0, I), fixed noise",
    "fresh": "samples from N(0, I), fresh noise",
    "mixture": "samples from the fitted mixture",
    "originals": "test images",
    "reconstructions": "their reconstructions",
    "walks": "interpolation: each row walks between two draws from N(0, I)",
    "traversals": "latent traversals: each row moves one dimension, the most active first",
}
PANELS = {
    "originals": "ground truth (test images)",
    "reconstructions": "reconstruction",
    "fresh": "samples from N(0, I)",
}
LOSSES = {"generator_loss": "generator", "discriminator_loss": "discriminator"}
BINARIZATIONS = {
    "stochastic": "one Bernoulli draw of each pixel",
    "threshold": "pixels rounded to 0 or 1",
    "none": "grey pixels: a cross-entropy, no likelihood, and no bound on one",
}
PART = ("verdict", "margin", "uncertainty", "values")  # of a part of a claim
VERDICTS = ("holds", "does not hold", "undecided", "not tested")
SHORT_HASH = 12
ABOUT_GRADIENTS = 9  # the claim that the gradients were measured for

# No script, nothing fetched: whatever a label may say.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def render(results: dict) -> str:
    """The page as HTML.

    Args:
        results: what `compare.compare` returns and results.json holds.
    """
    sections = {
        "claims": ("The claims", _summary),
        "numbers": ("Numbers", _numbers),
        "likelihood": ("Likelihood", _likelihood),
        "figures": ("The paper's figures", _figures),
        "details": ("The claims in detail", _claims),
        "pictures": ("Samples and latent spaces", _pictures),
        "training": ("Training curves", _training),
        "cost": ("Cost", _cost),
        "commands": ("Commands", _commands),
    }
    filled = {key: (title, made(results)) for key, (title, made) in sections.items()}
    present = {key: each for key, each in filled.items() if each[1]}
    links = [tag("a", title, href=f"#{key}") for key, (title, _) in present.items()]
    title = _title(results)
    return document(
        tag(
            "html",
            _head(title),
            tag(
                "body",
                tag("header", tag("h1", title), _protocol(results)),
                tag("nav", links, aria_label="Sections"),
                tag(
                    "main",
                    [
                        tag("section", tag("h2", title), content, id=key)
                        for key, (title, content) in present.items()
                    ],
                ),
            ),
            lang="en",
        )
    )


def _head(title):
    style = resources.files("keras_ganvae.paper").joinpath("page.css").read_text("utf-8")
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", title),
        tag("style", style),
    )


def _title(results):
    count = len(results["models"])
    data = results["protocol"]["data"]["name"]
    return f"{count} models of {data}, measured alike" if count > 1 else f"A model of {data}"


def _protocol(results):
    """In one paragraph, what every number on the page was measured by."""
    asked = results["protocol"]
    data, features = asked["data"], asked["features"]
    seeds = sorted({run["seed"] for model in results["models"] for run in model["runs"]})
    versions = ", ".join(f"{name} {version}" for name, version in asked["versions"].items())
    shape = " \N{MULTIPLICATION SIGN} ".join(map(str, data["image_shape"]))
    words = [
        f"Data: {data['name']}, images of {shape}, {data['train']:,} to train on and"
        f" {data['test']:,} to test with, fingerprint {data['fingerprint'][:SHORT_HASH]}.",
        f"From each prior {asked['samples']:,} samples are compared with the {asked['split']}"
        f" images, k = {asked['neighbours']}, seed {asked['seed']}; the floor is what"
        f" {asked['floor_images']:,} real training images reach.",
        f"Features: {features['name']}, {features['dimensions']} dimensions, weights"
        f" {features['hash'][:SHORT_HASH]}"
        + (f" ({features['note']})." if features["note"] else "."),
        f"Prior: N(0, I), as in the paper; {_of_variational(results)}.",
        f"Seeds of training: {', '.join(map(str, seeds))}. Numbers are ± one standard error,"
        " over the seeds where a model has several, else over the images.",
        f"Versions: {versions}.",
    ]
    return tag("p", " ".join(words), class_="protocol")


def _of_variational(results):
    if not any(model["variational"] for model in results["models"]):
        return "no model here is a VAE, so there are no likelihoods"
    asked = results["protocol"]
    seen = "; ".join(f"{name} ({BINARIZATIONS[name]})" for name in asked["binarize"])
    bound = (
        f"; the importance-weighted bound takes K = {asked['importance_samples']:,} samples for"
        f" each of the first {asked['bound_images']:,} images"
    )
    return (
        "for VAEs also a mixture of Gaussians fitted to their posteriors."
        f" Likelihoods in nats per image of the {asked['data']['test']:,} test images,"
        f" binarization {seen}{bound if set(asked['binarize']) - {'none'} else ''}"
    )


# Claims


def _summary(results):
    claims = results["claims"]
    counts = Counter(claim["verdict"] for claim in claims)
    rows = [
        tag(
            "li",
            tag("a", f"{claim['number']}. {claim['claim']}", href=_link(claim)),
            _badge(claim["verdict"]),
        )
        for claim in claims
    ]
    explained = (
        f"Of {len(claims)} claims of the paper: "
        + ", ".join(f"{verdict} {counts[verdict]}" for verdict in VERDICTS if counts[verdict])
        + ". Each is taken apart into differences. A difference holds where it is above zero by"
        f" more than its uncertainty, half of its {CONFIDENCE:.0%} interval by Student's t, does"
        " not hold where it is below by more, and is undecided else. A claim holds if all its"
        " parts do, and does not if one of them does not. Where a model has one run, the"
        " uncertainty is that of its samples, not of training it again; what is read off its"
        " training curves then has none that is known, and stays undecided."
    )
    return [tag("ol", rows, class_="claims"), tag("p", explained)] if claims else None


def _link(claim):
    return f"#claim-{claim['number']}"


def _badge(verdict):
    return tag("span", verdict, class_=f"badge {verdict.replace(' ', '-')}")


def _claims(results):
    return [_claim(claim, results["gradients"]) for claim in results["claims"]]


def _claim(claim, gradients):
    content = [
        tag("h3", f"{claim['number']}. {claim['claim']} ", _badge(claim["verdict"])),
        tag("p", "The paper, ", _source(claim["source"]), "."),
    ]
    if claim["parts"]:
        content.append(_parts(claim))
    if "needs" in claim:
        content.append(tag("p", f"Not tested: it needs {claim['needs']}."))
    if claim["number"] == ABOUT_GRADIENTS and gradients:
        content.append(_gradients(gradients))
    return tag("section", content, id=_link(claim)[1:], class_="claim")


def _source(source):
    """Linked to the figure on this page, where it is one."""
    figure = re.fullmatch(r"Fig\. (\d)", source)
    return tag("a", source, href=f"#figure-{figure[1]}") if figure else source


def _parts(claim):
    return tables.table(
        tables.head("what is claimed", *PART),
        tag("tbody", [_part(part) for part in claim["parts"]]),
        label=f"parts of claim {claim['number']}",
    )


def _part(part):
    margin, uncertainty = part["margin"], part["uncertainty"]
    if margin is None:
        margin, uncertainty = tables.NONE, None
    else:
        margin, uncertainty = tables.written(margin, uncertainty)
        if margin.strip("0.") and not margin.startswith(tables.MINUS):
            margin = f"+{margin}"
    values = [
        tag("div", f"{label}: ", tables.number(value)) for label, value in part["values"].items()
    ]
    cells = (
        _badge(part["verdict"]),
        margin,
        f"± {uncertainty}" if uncertainty else "unknown",
        values,
    )
    return tag(
        "tr",
        tag("th", part["says"], scope="row"),
        *(
            # On a phone the heading is gone and each cell says what it is.
            tag("td", content, data_label=name, class_=name)
            for name, content in zip(PART, cells, strict=True)
        ),
    )


def _gradients(gradients):
    alt = "Norm of G's gradient under equations (1) and (6) as D grows sure of generated images"
    chart = charts.gradients("gradients", gradients, alt=alt)
    said = (
        "G's gradient while D alone learns, from the first weights to the right; a dot is a"
        " step, a line a seed."
    )
    return _figure(chart, f"{said} ", _legend(charts.GRADIENTS.values()))


# The paper's figures


def _figures(results):
    models = [
        SimpleNamespace(config=SimpleNamespace(**model["settings"]), shown=model)
        for model in results["models"]
    ]
    cast = Cast(models)
    return [_paper_figure(number, *each, cast) for number, each in enumerate(FIGURES, start=1)]


def _paper_figure(number, caption, archs, draw, cast):
    found, missing = [], []
    for arch in archs:
        try:
            found.append(cast(arch).shown)
        except Absent as absent:
            missing.append(str(absent))
    return tag(
        "section",
        tag("h3", f"Figure {number}. {caption}"),
        tag("p", f"Not among these models: {' or '.join(missing)}.") if missing else None,
        draw(found, f"figure-{number}") if found else None,
        id=f"figure-{number}",
    )


def _grids(models, identity):
    columns = [
        [
            _picture(model, name, said)
            for name, said in PICTURES.items()
            if name in ("fixed", "fresh")
        ]
        for model in models
    ]
    return _columns(models, columns)


def _panels(models, identity):
    (model,) = models
    return [_label(model), _beside([_picture(model, *each) for each in PANELS.items()])]


def _game_curves(models, identity):
    """Losses above accuracies, on the same scales for all."""
    limits = charts.shared_limits(_all_histories(models), LOSSES)
    return _columns(
        models, [_game(model, f"{identity}-{i}", limits) for i, model in enumerate(models)]
    )


def _game(model, identity, limits=None):
    loss = GENERATOR_EQUATION[model["settings"]["generator_loss"]]
    names = {
        "generator_loss": f"generator, equation {loss}",
        "discriminator_loss": "discriminator, equation (2)",
    }
    return [
        _curves(model, f"{identity}-loss", names, "nats per image", "losses", limits),
        _curves(
            model,
            f"{identity}-accuracy",
            ACCURACIES,
            "share told right",
            "discriminator accuracy on images that are",
            (0, 1.02),
        ),
    ]


def _elbo_curves(models, identity):
    """One chart a term, on the same scale for all."""
    histories = _all_histories(models)
    limits = {name: charts.shared_limits(histories, [name]) for name in ELBO_TERMS}
    columns = [
        [
            _curves(
                model, f"{identity}-{i}-{name}", {name: said}, "nats per image", "", limits[name]
            )
            for name, said in reversed(ELBO_TERMS.items())
        ]
        for i, model in enumerate(models)
    ]
    return _columns(models, columns)


def _all_histories(models):
    return [history for model in models for history in _histories(model)]


def _histories(model):
    return [run["history"] for run in model["runs"]]


def _curves(model, identity, names, ylabel, said, limits=None):
    histories = _histories(model)
    alt = f"{model['label']}: {', '.join(names.values())} over the epochs"
    chart = charts.curves(identity, histories, names, alt=alt, ylabel=ylabel, limits=limits)
    validated = any(charts.has_validation(histories, name) for name in names)
    return _figure(chart, f"{said}: " if said else None, _legend(names.values(), validated))


def _legend(names, validated=False):
    keys = [tag("span", name, class_=f"key series-{i}") for i, name in enumerate(names)]
    return keys + ([tag("span", "validation", class_="key dashed")] if validated else [])


def _figure(content, *caption):
    return tag("figure", content, tag("figcaption", *caption))


def _picture(model, name, said):
    image = tag("img", src=model["pictures"][name], alt=f"{model['label']}: {said}")
    return _figure(image, said)


def _label(model):
    return tag("h4", model["label"])


def _columns(models, columns):
    pairs = zip(models, columns, strict=True)
    return _beside([tag("div", _label(model), column) for model, column in pairs])


def _beside(content, kind="beside"):
    return tag("div", content, class_=kind)


FIGURES = (
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


# Numbers


def _numbers(results):
    columns = [
        (model["label"], PRIORS.get(prior, prior), numbers)
        for model in results["models"]
        for prior, numbers in model["samples"].items()
    ]
    known = metrics.listed(metrics.SAMPLES, _names(columns))
    table = tables.numbers(
        known, columns, label="all numbers", prefix="note", floor=results["floor"]
    )
    note = (
        "Best in bold, whether or not it can be told from the next by its error. Small print:"
        " ± one standard error."
    )
    return [tag("p", note), table, tables.footnotes(known, "note")]


def _names(columns):
    return [name for _, _, numbers in columns for name in numbers]


def _likelihood(results):
    models = [model for model in results["models"] if model["likelihood"]]
    seen = dict.fromkeys(name for model in models for name in model["likelihood"])
    return [_likelihood_under(name, models) for name in seen]


def _likelihood_under(binarization, models):
    models = [model for model in models if binarization in model["likelihood"]]
    found = [model["likelihood"][binarization] for model in models]
    columns = [
        (model["label"], None, {k: v for k, v in each.items() if k in metrics.LIKELIHOOD})
        for model, each in zip(models, found, strict=True)
    ]
    known = metrics.listed(metrics.LIKELIHOOD, _names(columns))
    prefix = f"likelihood-{binarization}"
    title = f"Binarization {binarization}: {BINARIZATIONS[binarization]}"
    return tag(
        "section",
        tag("h3", title),
        tables.numbers(known, columns, label=title, prefix=prefix),
        tables.footnotes(known, prefix),
        _beside(
            [
                _spectrum(f"{prefix}-kl-{i}", model["label"], each["kl_per_dimension"])
                for i, (model, each) in enumerate(zip(models, found, strict=True))
            ]
        ),
    )


def _spectrum(identity, label, values):
    listed = ", ".join(f"{value:.2f}" for value in sorted(values, reverse=True))
    alt = f"{label}: KL per dimension in nats, largest first: {listed}"
    chart = charts.bars(identity, values, alt=alt, ylabel="nats")
    return _figure(chart, f"{label}: KL per latent dimension, first seed; {len(values)} in all")


# Models


def _pictures(results):
    return [
        tag(
            "section",
            tag("h3", model["label"]),
            _beside(
                [
                    _picture(model, name, said)
                    for name, said in PICTURES.items()
                    if name in model["pictures"]
                ],
                "beside small",
            ),
        )
        for model in results["models"]
    ]


def _training(results):
    return [
        tag("p", "Thin: a seed each. Thick: their mean."),
        *(_trained(model, f"training-{i}") for i, model in enumerate(results["models"])),
    ]


def _trained(model, identity):
    if model["variational"]:
        content = [_curves(model, identity, ELBO_TERMS, "nats per image", "")]
    else:
        content = _game(model, identity)
    return tag("section", tag("h3", model["label"]), _beside(content))


def _cost(results):
    names = ("model", "runs", "parameters", "multiply-adds", "seconds per epoch", "epochs")
    note = (
        "Multiply-adds are those of a training step, in millions per image. Seconds are the"
        " median over the epochs of each run, on whatever machine trained it."
    )
    table = tables.table(
        tables.head(*names),
        tag("tbody", [_cost_row(model) for model in results["models"]]),
        label="cost",
    )
    return [table, tag("p", note)]


def _cost_row(model):
    runs = model["runs"]
    cost = runs[0]["cost"]
    networks = [tag("div", f"{name}: {count:,}") for name, count in cost["parameters"].items()]
    seconds = ", ".join(tables.written(run["cost"]["seconds_per_epoch"])[0] for run in runs)
    return tag(
        "tr",
        tag("th", model["label"], scope="row"),
        tag("td", [_run(run) for run in runs], class_="values"),
        tag("td", networks, class_="values"),
        tag("td", tables.written(cost["multiply_adds"])[0]),
        tag("td", seconds),
        tag("td", str(cost["epochs"])),
    )


def _run(run):
    weights = run.get("model_hash")
    weights = f", {weights[:SHORT_HASH]}" if weights else ""
    contrast = run.get("contrast")  # of a VAE's images; 1 leaves them as they are
    contrast = f", contrast {contrast:g}" if contrast not in (None, 1) else ""
    return tag("div", f"{run['name']} (seed {run['seed']}{weights}{contrast})")


def _commands(results):
    lines = "\n".join(results["commands"])
    box = {"tabindex": "0", "aria_label": "commands that repeat this comparison"}
    return [tag("p", "These repeat all of it:"), tag("pre", tag("code", lines), **box)]
