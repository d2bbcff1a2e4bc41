"""`export`: from a finished run to a bundle that has proved itself."""

import shlex
import sys
from pathlib import Path

from keras_ganvae import runtime
from keras_ganvae.bundle import card, golden, readme
from keras_ganvae.bundle.formats import GOLDEN, SAMPLER, SAVED_MODEL, VARIANTS
from keras_ganvae.bundle.verify import UNLISTED, measure, tolerance, verify
from keras_ganvae.config import nearest
from keras_ganvae.errors import GateFailed, InputError
from keras_ganvae.files import check_new_folder, replacing_folder
from keras_ganvae.models import latents
from keras_ganvae.plots.images import to_uint8
from keras_ganvae.plots.output import write_grid
from keras_ganvae.tflite import convert as tflite
from keras_ganvae.tflite import functions as signatures
from keras_ganvae.tflite import lint, saved_model
from keras_ganvae.tflite import read as flatbuffer
from keras_ganvae.tflite import run as interpreter

FORMATS = (*VARIANTS, "sampler", SAVED_MODEL)
SAMPLER_WEIGHTS = ("float32", "float16")
SAMPLES = 64
SAMPLES_SEED = 0


def export(
    run, out, *, formats=None, prior=None, sampler_weights="float32", overwrite=False
) -> Path:
    """Write the bundle of a finished run; a bundle that fails its own proof is not left.

    Args:
        run: `training.run.Run`.
        formats: names among `FORMATS`; None takes all.
        prior: what `sample` draws from, "normal" or "mixture"; None takes the run's own.
        sampler_weights: "float32", or "float16" for half the bytes of sampler.tflite.
        overwrite: replace a bundle that `out` holds.

    Returns:
        `out`, what links it has resolved.

    Raises:
        InputError: the run is not finished, a format or type is unknown, or `out` can't be
            used.
        GateFailed: lint, parity or another check of `verify` failed.
    """
    out = Path(out).resolve()
    chosen = checked_formats(formats)
    if sampler_weights not in SAMPLER_WEIGHTS:
        raise InputError(
            f"unknown weights '{sampler_weights}'{nearest(sampler_weights, SAMPLER_WEIGHTS)}"
        )
    check_new_folder(out, "bundle", [card.NAME], overwrite)
    _check_nothing_else(out)
    run.check_finished()
    model, prior = run.model(), run.prior(prior)
    with replacing_folder(out) as folder:
        arrays = golden.make(model, prior)
        golden.write(folder / GOLDEN, arrays)
        _write_models(folder, signatures.exported(model, prior), chosen, sampler_weights)
        _write_picture(folder, run, model, prior)
        record = card.build(_facts(folder, out.name, run, model, prior, arrays, sampler_weights))
        card.write(folder / card.NAME, record)
        readme.write(folder / card.README, record)
        verify(folder)
    return out


def checked_formats(names) -> tuple:
    """The formats themselves, all of them for None; at least one has to be a TFLite file.

    Raises:
        InputError: one is unknown, or there is no TFLite file.
    """
    names = tuple(FORMATS if names is None else names)
    for name in names:
        if name not in FORMATS:
            raise InputError(f"unknown format '{name}'{nearest(name, FORMATS)}")
    if set(names) <= {SAVED_MODEL}:
        raise InputError(f"--formats needs one of {', '.join(FORMATS[:-1])}")
    return names


def _check_nothing_else(out):
    """InputError if a bundle that is to be replaced has files of other things beside its own."""
    if not (out / card.NAME).exists():
        return
    try:
        own = card.read(out / card.NAME)["files"].keys()
    except InputError:
        own = ()
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    others = found - own - UNLISTED
    if others:
        raise InputError(
            f"--out {out} has {min(others)}, which is not of its bundle; choose another folder,"
            " or remove it first"
        )


def _write_models(folder, module, chosen, sampler_weights):
    for variant, name in VARIANTS.items():
        if variant in chosen:
            (folder / name).write_bytes(tflite.convert(module, variant))
    if "sampler" in chosen:
        (folder / SAMPLER).write_bytes(tflite.convert_sampler(module, sampler_weights))
    if SAVED_MODEL in chosen:
        saved_model.write(module, folder / SAVED_MODEL)


def _write_picture(folder, run, model, prior):
    drawn = to_uint8(latents.decode(model, prior.sample(SAMPLES, SAMPLES_SEED)))
    description = (
        f"{SAMPLES} samples of {run.config.arch}, {prior.description}, seed {SAMPLES_SEED}"
    )
    write_grid(folder / "samples.png", drawn, description)


def _facts(folder, name, run, model, prior, arrays, sampler_weights):
    files = card.listing(folder)
    for file, variant in card.MODELS.items():
        if file in files:
            weights = sampler_weights if variant == "sampler" else card.TYPES[variant][0]
            files[file] |= _model_facts(folder / file, variant, weights, arrays)
    config = run.config
    painter = signatures.painter(model)
    encoder = {"encoder_parameters": model.encoder.count_params()} if run.is_variational else {}
    return card.Facts(
        name=name,
        summary=f"Draws images like those of {run.record['dataset']['name']}"
        f" from {prior.latent_dim} random numbers, with a {config.arch} of"
        f" {painter.count_params():,} parameters.",
        architecture={
            "arch": config.arch,
            "kind": "variational" if run.is_variational else "adversarial",
            "preset": config.preset,
            "parameters": painter.count_params(),
            **encoder,
        },
        prior=prior,
        image_shape=tuple(model.image_shape),
        files=files,
        recommended=card.recommended(
            [files[name]["variant"] for name in files if name in card.MODELS]
        ),
        versions=runtime.versions(),
        command=shlex.join(["keras-ganvae", *sys.argv[1:]]),
        **card.run_facts(run.record, run.history()),
    )


def _model_facts(path, variant, weights, arrays):
    parsed = flatbuffer.read(path)
    report = lint.lint(parsed)
    if not report.passed:
        raise GateFailed(f"{path.name}: {report.findings[0]}")
    return card.model_facts(
        path.name,
        signatures=parsed.signatures,
        operators=report.operators,
        delegates=report.delegates,
        parity=measure(interpreter.open_model(parsed), arrays)["decode"]["image"],
        tolerance=tolerance(variant, weights).record(),
        weights=weights,
    )
