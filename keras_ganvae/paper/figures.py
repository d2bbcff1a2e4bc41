"""The report's pictures and charts: the paper's five figures, training curves, latent spaces.

Models are entries of the results' `models`, see `compare.assemble`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from keras_ganvae.paper import charts
from keras_ganvae.paper.selection import Missing, ModelSelector
from keras_ganvae.plots.curves import ACCURACIES, ELBO_TERMS, GENERATOR_EQUATION

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
    "originals": "test images",
    "reconstructions": "their reconstructions",
    "mixture": "samples from the fitted mixture",
    "walks": "interpolation: each row walks between two draws from N(0, I)",
    "traversals": "traversals: each row moves one latent dimension, the most active first",
}
LOSSES = ("generator_loss", "discriminator_loss")


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
    """A model of the results, for `ModelSelector`."""

    entry: dict

    @property
    def label(self) -> str:
        return self.entry["label"]

    @property
    def settings(self) -> dict:
        return self.entry["settings"]


@dataclass(frozen=True)
class PaperFigure:
    """A figure of the paper, redrawn; `missing` names the models that it lacks."""

    number: int
    caption: str
    missing: list[str]
    columns: list[Column]


def paper_figures(models: Sequence[dict]) -> list[PaperFigure]:
    """The paper's figures, redrawn from the models that it would show."""
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


def training_curves(model: dict, identity: str) -> Column:
    """All logged losses and accuracies of a model.

    Args:
        model: an entry of the results.
        identity: see `charts.curves`.
    """
    if model["variational"]:
        return Column(model["label"], [_curves(model, identity, ELBO_TERMS, "nats per image", "")])
    return Column(model["label"], _game(model, identity))


def latent_space(model: dict) -> Column:
    """Reconstructions and samples from the mixture (of a VAE), walks and traversals."""
    return _pictures_of(model, LATENT_SPACE)


def gradient_chart(runs: Sequence[list[dict]]) -> Figure | None:
    """The experiment of section 4.2; None without runs.

    Args:
        runs: see `charts.gradients`.
    """
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


def kl_spectrum(label: str, values: Sequence[float], identity: str) -> Figure:
    """The KL of each latent dimension as bars.

    Args:
        label: the model's label.
        values: nats, one per dimension.
        identity: see `charts.curves`.
    """
    listed = ", ".join(f"{value:.2f}" for value in sorted(values, reverse=True))
    alt = f"{label}: KL per latent dimension in nats, largest first: {listed}"
    chart = charts.bars(identity, values, alt=alt, xlabel="dimension, by KL", ylabel="nats")
    return Figure(f"{label}: KL of each of {len(values)} dimensions, first run", svg=chart)
