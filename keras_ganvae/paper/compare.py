"""`compare`: models side by side under one protocol, and the paper's claims tested on them."""

import dataclasses
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from keras_ganvae.data.dataset import Dataset
from keras_ganvae.errors import InputError
from keras_ganvae.evaluation import protocol
from keras_ganvae.evaluation.floor import RealImages
from keras_ganvae.evaluation.measure import evaluate
from keras_ganvae.files import check_new_file, write_json, write_text
from keras_ganvae.ownership import COMPARISON, check_replaceable
from keras_ganvae.paper import page, pictures
from keras_ganvae.paper.claims import Models, evaluate_claims
from keras_ganvae.paper.experiments import generator_gradients
from keras_ganvae.paper.model_group import MeasuredRun, ModelGroup, group_runs
from keras_ganvae.paper.selection import Missing, ModelSelector
from keras_ganvae.paper.statistic import IMAGES, SEEDS
from keras_ganvae.runs.run import Run

SCHEMA = "keras-ganvae/comparison"
SCHEMA_VERSION = 1
RESULTS, PAGE = "results.json", "index.html"
FIRST_RUN_ONLY = ("kl_per_dimension", "active_units")  # likelihood entries without an average

# Called with what is being measured, the part done, and the total.
Progress = Callable[[str, int, int], None]


def compare(
    paths: Sequence[str | Path],
    out: str | Path,
    settings: protocol.Settings | None = None,
    *,
    by_seed: bool = True,
    progress: Progress | None = None,
) -> dict:
    """Measure runs under one protocol, test the claims, write results.json and index.html.

    Args:
        paths: run folders.
        out: a new folder, or one with an earlier comparison.
        settings: settings of the protocol; None for the defaults.
        by_seed: treat runs that differ in their seeds alone as one model, with error bars
            over seeds.
        progress: see `measure.evaluate`.

    Returns:
        The content of results.json: everything that the page shows.

    Raises:
        InputError: a run is not usable or has other data than the first; `out` is in use.
    """
    settings = settings or protocol.Settings()
    check_out(out)
    runs = open_runs(paths)
    real = RealImages.of(runs[0].dataset(), settings, progress)
    measured = [
        MeasuredRun(run, run.history(), _evaluate(run, settings, real, progress)) for run in runs
    ]
    names = [str(path) for path in paths]
    protocol.check_equal(
        {name: each.result["protocol"] for name, each in zip(names, measured, strict=True)}
    )
    groups = group_runs(measured, by_seed)
    test_images = real.dataset.test.images
    results = assemble(
        groups,
        pictures=[pictures.of_run(each.first, each.first.model(), test_images) for each in groups],
        gradients=_gradients(groups, real.dataset),
        commands=[
            *_training_commands(names, runs),
            _compare_command(names, out, settings, by_seed),
        ],
    )
    write_json(Path(out) / RESULTS, results)
    write_text(Path(out) / PAGE, page.render(results))
    return results


def assemble(
    groups: Sequence[ModelGroup],
    *,
    pictures: Sequence[dict[str, str]],
    gradients: list[list[dict]],
    commands: list[str],
) -> dict:
    """The content of results.json.

    Args:
        groups: the models, all measured under one protocol.
        pictures: `pictures.of_run` of each model.
        gradients: see `claims.Models`.
        commands: commands that repeat the comparison.
    """
    first = groups[0].runs[0].result
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "protocol": first["protocol"],
        "commands": commands,
        "floor": first["floor"],
        "models": [
            _model(group) | {"pictures": shown}
            for group, shown in zip(groups, pictures, strict=True)
        ],
        "gradients": gradients,
        "claims": evaluate_claims(Models(groups, gradients)),
    }


def check_out(out: str | Path) -> None:
    """Check, before any work, that a comparison can be written to a folder.

    Raises:
        InputError: the folder holds other files but no earlier comparison, its page is not
            one of ours, or it is not writable.
    """
    check_replaceable(out, COMPARISON, overwrite=True)
    shown = Path(out) / PAGE
    if shown.is_file() and b"keras-ganvae" not in shown.read_bytes():
        raise InputError(f"`out={out}` has {PAGE}, which is not of the comparison; move it away")
    for name in (RESULTS, PAGE):
        if (Path(out) / name).is_symlink():
            raise InputError(f"`out={out}` has {name}, which is a link; choose another folder")
        check_new_file(Path(out) / name)


def open_runs(paths: Sequence[str | Path]) -> list[Run]:
    """Open runs, all finished and of the same data.

    Raises:
        InputError: a run is missing, unfinished, read-only, given twice, or of other data.
    """
    runs = [Run.open(path) for path in paths]
    first = runs[0]
    for run in runs:
        run.check_finished()
        check_new_file(run.path / protocol.RESULT)
        for key in ("image_shape", "fingerprint"):
            if run.record["dataset"][key] != first.record["dataset"][key]:
                raise InputError(
                    f"{first.path} and {run.path} cannot be compared: their data's"
                    f" {key.replace('_', ' ')} differs"
                )
    if len({run.path.resolve() for run in runs}) < len(runs):
        raise InputError("a run is given twice")
    return runs


def _evaluate(run, settings, real, progress):
    def labelled(doing, done, total):
        progress(f"{run.path.name}: {doing}", done, total)

    return evaluate(run, settings, real=real, progress=progress and labelled)


def _model(group):
    first = group.runs[0].result
    return {
        "label": group.label,
        "arch": group.config.arch,
        "preset": group.config.preset,
        "variational": group.first.is_variational,
        "settings": group.settings,
        "error_over": SEEDS if len(group.runs) > 1 else IMAGES,
        "runs": [
            {
                "name": each.run.path.name,
                "seed": each.run.config.seed,
                "model_hash": each.result["model_hash"],
                "contrast": each.result.get("contrast"),
                "history": each.history,
                "cost": each.result["cost"],
            }
            for each in group.runs
        ],
        "samples": {
            prior: group.averaged(lambda result, prior=prior: result["samples"][prior])
            for prior in first["samples"]
        },
        "likelihood": {
            name: group.averaged(lambda result, name=name: result["likelihood"][name])
            | {key: first["likelihood"][name][key] for key in FIRST_RUN_ONLY}
            for name in first.get("likelihood", {})
        },
    }


def _gradients(groups: Sequence[ModelGroup], dataset: Dataset) -> list[list[dict]]:
    """The experiment of claim 9 for each run of the GAN, if there is one."""
    try:
        gan = ModelSelector(groups).find("gan")
    except Missing:
        return []
    return [generator_gradients(each.run.config, dataset) for each in gan.runs]


def _training_commands(names, runs):
    for name, run in zip(names, runs, strict=True):
        yield run.record["command"]
        config = run.config
        if config.epochs != config.schedule_epochs:  # extended after its first training
            yield shlex.join(
                ["keras-ganvae", "train", "--resume", name, "--epochs", str(config.epochs)]
            )


def _compare_command(names, out, settings, by_seed):
    words = ["keras-ganvae", "compare", *names, "--out", str(out)]
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if value != field.default:
            values = value if isinstance(value, tuple) else (value,)
            words += [f"--{field.name.replace('_', '-')}", *map(str, values)]
    return shlex.join([*words, *([] if by_seed else ["--no-seeds"])])
