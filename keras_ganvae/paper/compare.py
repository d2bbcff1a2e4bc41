"""`compare`: models side by side under one protocol, and the paper's claims tested on them."""

import dataclasses
import shlex
from pathlib import Path

from keras_ganvae.errors import InputError
from keras_ganvae.evaluation import protocol
from keras_ganvae.evaluation.floor import RealImages
from keras_ganvae.evaluation.measure import evaluate
from keras_ganvae.files import check_new_file, write_json, write_text
from keras_ganvae.paper import page, pictures
from keras_ganvae.paper.claims import Cast, test_all
from keras_ganvae.paper.contender import Measured, group
from keras_ganvae.paper.experiments import fading_gradient
from keras_ganvae.runs.run import Run

SCHEMA = "keras-ganvae/comparison"
SCHEMA_VERSION = 1
RESULTS, PAGE = "results.json", "index.html"
OF_ONE_RUN = ("kl_per_dimension", "active_units")  # not averaged over runs


def compare(paths, out, settings=None, *, by_seed=True, progress=None) -> dict:
    """Measure runs alike, test the claims, and write out/results.json and out/index.html.

    Args:
        paths: run folders.
        out: a new folder, or one that holds an earlier comparison.
        settings: `protocol.Settings`; None takes its defaults.
        by_seed: take runs that differ in their seed alone as one model, with error bars
            over the seeds.
        progress: as for `measure.evaluate`.

    Returns:
        What results.json holds: everything that the page shows.

    Raises:
        InputError: a run can't be used or is of other data than the first; `out` is taken.
    """
    settings = settings or protocol.Settings()
    check_out(out)
    runs = opened(paths)
    real = RealImages.of(runs[0].dataset(), settings, progress)
    measured = [
        Measured(run, run.history(), _evaluated(run, settings, real, progress)) for run in runs
    ]
    names = [str(path) for path in paths]
    protocol.check_equal(
        {name: each.result["protocol"] for name, each in zip(names, measured, strict=True)}
    )
    contenders = group(measured, by_seed)
    results = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "protocol": measured[0].result["protocol"],
        "commands": _commands(measured, names, out, settings, by_seed),
        "floor": measured[0].result["floor"],
        "models": [_model(each, real.dataset) for each in contenders],
        "gradients": (gradients := _gradients(contenders, real.dataset)),
        "claims": test_all(Cast(contenders, gradients)),
    }
    write_json(Path(out) / RESULTS, results)
    write_text(Path(out) / PAGE, page.render(results))
    return results


def check_out(out):
    """Refuse a folder that holds anything but an earlier comparison, before any work.

    Raises:
        InputError: it does, or it can't be written to.
    """
    out = Path(out)
    if out.is_dir() and any(out.iterdir()) and not (out / RESULTS).exists():
        raise InputError(f"--out {out} is not empty and no comparison; choose another folder")
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; choose a folder")
    for name in (RESULTS, PAGE):
        check_new_file(out / name)


def opened(paths) -> list[Run]:
    """The runs, all finished and of the same data.

    Raises:
        InputError: one is missing, unfinished, read-only, named twice, or of other data.
    """
    runs = [Run.open(path) for path in paths]
    first = runs[0]
    for run in runs:
        run.check_finished()
        check_new_file(run.path / protocol.RESULT)
        for key in ("image_shape", "fingerprint"):
            if run.record["dataset"][key] != first.record["dataset"][key]:
                raise InputError(
                    f"{first.path} and {run.path} do not compare: their data's"
                    f" {key.replace('_', ' ')} differs"
                )
    if len({run.path.resolve() for run in runs}) < len(runs):
        raise InputError("a run is named twice")
    return runs


def _evaluated(run, settings, real, progress):
    def labelled(doing, done, total):
        progress(f"{run.path.name}: {doing}", done, total)

    return evaluate(run, settings, real=real, progress=progress and labelled)


def _model(contender, dataset):
    first = contender.measured[0]
    found = {
        "label": contender.label,
        "arch": contender.config.arch,
        "preset": contender.config.preset,
        "variational": contender.run.is_variational,
        "settings": contender.config.to_dict(),
        "runs": [
            {
                "name": each.run.path.name,
                "seed": each.run.config.seed,
                "model_hash": each.result["model_hash"],
                "contrast": each.result.get("contrast"),
                "history": each.history,
                "cost": each.result["cost"],
            }
            for each in contender.measured
        ],
        "samples": {
            prior: contender.numbers(lambda result, prior=prior: result["samples"][prior])
            for prior in first.result["samples"]
        },
        "likelihood": {
            name: contender.numbers(lambda result, name=name: result["likelihood"][name])
            | {key: first.result["likelihood"][name][key] for key in OF_ONE_RUN}
            for name in first.result.get("likelihood", {})
        },
    }
    shown = pictures.of_run(contender.run, contender.run.model(), dataset.test.images)
    return found | {"pictures": {name: pictures.data_uri(each) for name, each in shown.items()}}


def _gradients(contenders, dataset):
    """Of every run of the GAN that claim 9 is about: G's gradient while D pulls ahead."""
    mlp = [each for each in contenders if each.config.arch == "gan"]
    usual = [each for each in mlp if each.config.dropout and each.config.optimizer == "adam"]
    chosen = sorted(usual, key=lambda each: each.config.preset != "paper")[:1]
    return [
        fading_gradient(each.run.config, dataset)
        for contender in chosen
        for each in contender.measured
    ]


def _commands(measured, names, out, settings, by_seed):
    """What repeats the comparison, one command a line."""
    trained = [
        command
        for name, each in zip(names, measured, strict=True)
        for command in _training_commands(name, each.run)
    ]
    asked, usual = dataclasses.asdict(settings), dataclasses.asdict(protocol.Settings())
    changed = [f"--{k.replace('_', '-')} {_words(v)}" for k, v in asked.items() if v != usual[k]]
    runs = shlex.join([*names, "--out", str(out)])
    apart = [] if by_seed else ["--no-seeds"]
    return [*trained, " ".join(["keras-ganvae compare", runs, *changed, *apart])]


def _training_commands(name, run):
    yield run.record["command"]
    config = run.config
    if config.epochs != config.schedule_epochs:  # it was extended since
        yield shlex.join(
            ["keras-ganvae", "train", "--resume", name, "--epochs", str(config.epochs)]
        )


def _words(value):
    return " ".join(value) if isinstance(value, tuple) else str(value)
